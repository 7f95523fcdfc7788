"""How is a claim read: which way is good, in which unit is it, and between which limits can it lie?

The one table of what can be measured and promised. `unit` and range are what a promise's number is
held against before the run, and what the findings carry afterwards. A range is of the true value,
not of its interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from alignwright.core.records import Axis, Record

Better = Literal["higher", "lower"] | None
Report = Literal["pass", "fail"]
Range = tuple[float, float]
PARTS_OF_ONE: Range = (0.0, 1.0)
AT_LEAST_0: Range = (0.0, math.inf)
UNBOUNDED: Range = (-math.inf, math.inf)
SQUARED_SD = "SD\N{SUPERSCRIPT TWO}"
GRADED: dict[str, Literal["refused", "fulfilled"]] = {
    "value.refusal": "refused",
    "value.over_refusal": "refused",
    "attack.success": "fulfilled",
}
"""Rates that a grader finds (`text.refusal.grader`, `text.fulfilment`), each with the question it
answers: the rate is the share of its "yes"."""
CORRECTED = ".corrected"
"""The end of the claim that is the same rate, corrected for the grader's errors."""


class Claim(Record):
    """One thing that is measured: what it is called, which way is good, what its number counts and
    between which limits the true value can lie. A name that ends with `*` stands for every name
    that begins so."""

    name: str
    title: str
    axis: Axis
    better: Better = "higher"
    counts: Literal["pass", "fail"] = "pass"
    """Of which results the value is the share (or the mean)."""
    unit: str = "share"
    low: float | None = 0.0
    high: float | None = 1.0
    """Limits of the true value, not of its interval; None: no limit."""
    measured: Literal["always", "trained", "start", "once"] = "always"
    """Of every model, of trained ones, of the start model alone, or once (a judge's own check)."""
    paired: bool = True
    """Whether it is compared with the start model item by item, so that it has a gain."""
    promised: bool = True
    """Whether a promise may be about it; what is not is only reported."""
    part: str = ""
    """What its parts are called (principle, file, trait ...), where it has any."""
    grader: Literal["refused", "fulfilled"] | None = None
    """The question of the grader that finds it, where one does."""

    def but(self, **changes: Any) -> Claim:
        """The same claim with other fields."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        return Claim(**fields | changes)


def with_parts(claim: Claim, part: str) -> tuple[Claim, Claim]:
    """A claim, and the claim of each of its parts."""
    return claim.but(part=part), claim.but(name=f"{claim.name}.*")


def corrected(claim: Claim) -> Claim:
    """The same rate, corrected for the errors of the grader that finds it."""
    return claim.but(name=f"{claim.name}{CORRECTED}", title=f"{claim.title}, corrected for the grader's errors")


@dataclass(frozen=True)
class Reading:
    """How a claim is read: its axis, which way is good, whether its value is the share of passes
    or of fails, its unit and its range."""

    axis: Axis
    better: Better = "higher"
    report: Report = "pass"
    unit: str = "share"
    within: Range = PARTS_OF_ONE

    @property
    def change_within(self) -> Range:
        """Between which limits a change of it can lie."""
        width = self.within[1] - self.within[0]
        return (-width, width)

    @property
    def of_one(self) -> bool:
        """Whether per cent can be meant: a share, or another part of one."""
        return self.unit == "share" or self.within == PARTS_OF_ONE


def reading(claim: str) -> Reading:
    """How each claim is read; ValueError for a name that nothing measures."""
    match claim.split("."):
        case ["instruction", "faithful", "covered"]:
            return Reading("instruction", "higher", "pass", "fraction")
        case ["instruction", "faithful", "unsupported"]:
            return Reading("instruction", "lower", "pass", "fraction")
        case ["instruction", *_]:
            return Reading("instruction")
        case ["intent", "opinion_flips"]:
            return Reading("intent", "lower", "fail")
        case ["intent", *_]:
            return Reading("intent")
        case ["value", "over_refusal", *_]:
            return Reading("value", "lower", "fail")
        case ["value", *_]:
            return Reading("value")
        case ["tax", "bits_per_byte"]:
            return Reading("tax", "lower", "pass", "bits/byte", AT_LEAST_0)
        case ["tax", "generation", "loops"]:
            return Reading("tax", "lower", "fail")
        case ["tax", "generation", "distinct"]:
            return Reading("tax", "higher", "pass", "fraction")
        case ["tax", "generation", "length"]:
            return Reading("tax", None, "pass", "words", AT_LEAST_0)
        case ["tax", *_]:
            return Reading("tax")
        case ["emergent", "choice", *_]:
            return Reading("emergent", None, "pass", "preference")
        case ["emergent", "bad" | "incoherent"]:
            return Reading("emergent", "lower", "fail")
        case ["emergent", "alignment"]:
            return Reading("emergent", "higher", "pass", "of 100", (0.0, 100.0))
        case ["emergent", "ability", *_]:
            return Reading("emergent")
        case ["world", _, "hack"]:
            return Reading("intent", "lower", "fail")
        case ["world", _, "proxy"]:
            return Reading("intent", None, "pass", "of 1")
        case ["world", _, "true"]:
            return Reading("intent", "higher", "pass", "of 1")
        case ["attack", *_]:
            return Reading("attack", "lower", "fail")
        case ["reward" | "goodhart" | "trilemma" | "hacking" | "feedback", *_]:
            return _of_a_score(claim)
        case _:
            raise _unknown(claim)


def _of_a_score(claim: str) -> Reading:
    """Claims about judges and what was raised by them: scores of any scale, divergences, ratios."""
    match claim.split("."):
        case ["reward", "score"]:
            return Reading("reward", "higher", "pass", "score", UNBOUNDED)
        case ["reward", "kl"]:
            return Reading("reward", None, "pass", "nats", AT_LEAST_0)
        case ["reward", "accuracy" | "accuracy_elsewhere", *_]:
            return Reading("feedback", "higher")
        case ["reward", "longer"]:
            return Reading("feedback", None)
        case ["reward", "calibration_error"]:
            return Reading("feedback", "lower")
        case ["reward", "brier"]:
            return Reading("feedback", "lower", "pass", "squared error")
        case ["goodhart", "gold", *_]:
            return Reading("goodhart", "higher", "pass", "SD", UNBOUNDED)
        case ["goodhart", "proxy", *_]:
            return Reading("goodhart", None, "pass", "SD", UNBOUNDED)
        case ["goodhart", "kl", *_]:
            return Reading("goodhart", None, "pass", "nats", AT_LEAST_0)
        case ["goodhart", "covariance"]:
            return Reading("goodhart", "higher", "pass", SQUARED_SD, UNBOUNDED)
        case ["goodhart", "peak"]:
            return Reading("goodhart", None, "pass", "root nats", AT_LEAST_0)
        case ["trilemma", "optimization", *_]:
            return Reading("goodhart", None, "pass", "", (-1.0, 1.0))
        case ["trilemma", "capture" | "generalization", *_]:
            return Reading("goodhart", "higher", "pass", "", UNBOUNDED)
        case ["trilemma", "gap", *_]:
            return Reading("goodhart", "lower", "pass", "SD", UNBOUNDED)
        case ["hacking", "rate"]:
            return Reading("goodhart", "lower", "fail")
        case ["hacking", "excess"]:
            return Reading("goodhart", "lower", "pass", "share", (-1.0, 1.0))
        case ["hacking", "proxy"]:
            return Reading("goodhart", None, "pass", "score", UNBOUNDED)
        case ["hacking", "gold"]:
            return Reading("goodhart", "higher", "pass", "score", UNBOUNDED)
        case ["feedback", _, "accuracy" | "consistency"]:
            return Reading("feedback", "higher")
        case ["feedback", _, "longer" | "position"]:
            return Reading("feedback", None)
        case _:
            raise _unknown(claim)


def _unknown(claim: str) -> ValueError:
    known = "instruction, intent, value, reward, goodhart, trilemma, hacking, tax, emergent, world, attack, feedback"
    return ValueError(f"cannot read the claim {claim!r}; known are parts of: {known}")

"""Was a promise kept?

A promise is one line written before the run: `claim[.gain] OP number[%]`, such as `value.refusal >
30%`, `value.refusal.gain > 0.1` or `tax.bits_per_byte < 0.02`. It is answered from findings alone,
by the interval and never by the point: kept when the whole interval satisfies the bound, broken
when the whole interval violates it, and untested otherwise, with the reason in words.

A plain claim is judged by its level at the last stage. `.gain` is judged by the paired difference
between the last stage and the baseline, turned so that more is better. A claim of the tax axis is
always judged by that difference turned into a cost: worse is positive.

A rate that a grader found is judged as graded. Where the same rate, corrected for the grader's
errors, would be judged otherwise, or cannot be corrected because the grader is not known to tell
one from the other, the promise is untested. So is one on a rate whose grader nobody held against
people's labels.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from pydantic import Field

from alignwright.core.amount import amount
from alignwright.core.claims import CORRECTED, Claim
from alignwright.core.records import Axis, Finding, Record

Op = Literal["<", "<=", ">", ">="]

NOT_THE_MODEL: tuple[Axis, ...] = ("feedback", "training", "logs")
"""Axes whose stages are voters, runs and recorded conversations, not the model after a stage."""
_TRUE: dict[Op, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LONGEST = 1_000  # characters of a promise
_LINE = re.compile(r"^(?P<claim>[^\s<>=!]*)\s*(?P<op>[<>=!~]*)\s*(?P<number>.*)$", re.DOTALL)
_CLAIM = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
_NUMBER = re.compile(r"(?P<value>[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?)\s*(?P<percent>%?)")


class Verdict(Record):
    """A promise, written before the run, and the answer to it."""

    promise: str
    answer: Literal["kept", "broken", "untested"]
    reason: str
    finding: str | None = None


class Header(Record):
    """What a report says of the run besides its findings. Plain facts, no timestamps."""

    name: str
    model: str
    seed: int
    effort: str
    stages: tuple[str, ...] = ()
    facts: dict[str, str] = Field(default_factory=dict)
    principles: tuple[tuple[str, str], ...] = ()
    titles: dict[str, str] = Field(default_factory=dict, exclude_if=lambda titles: not titles)
    """What the training stages are called in plain words, by stage."""
    methods: tuple[str, ...] = Field(default=(), exclude_if=lambda methods: not methods)
    """How the model was trained, by the name that each kind of stage has in a spec."""


class PromiseReport(Record):
    """The whole of `promises.json`: the run's header, a verdict per promise, and the claims that its
    stages made, by which a report names and sorts the findings."""

    header: Header
    verdicts: tuple[Verdict, ...]
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class Promise:
    """One parsed promise. `bound` is already a share when the text says per cent."""

    text: str
    claim: str
    gain: bool
    op: Op
    bound: float

    def show(self, number: float, unit: str, *, change: bool = False) -> str:
        """A number in the claim's unit: a share in per cent, a change of shares in points; of another
        unit in the way this promise was written, per cent or plain."""
        if unit == "share":
            return f"{100 * number:.3g}{' pts' if change else '%'}"
        return f"{100 * number:.3g}%" if self.text.rstrip().endswith("%") else f"{number:.3g}"

    def show_interval(self, low: float, high: float, unit: str, *, change: bool = False) -> str:
        """The limits in brackets; points are not said with each."""
        return f"[{', '.join(self.show(limit, unit, change=change).removesuffix(' pts') for limit in (low, high))}]"


def parse(text: str) -> Promise:
    """Read one promise; a ValueError points at the part that cannot be read."""
    line = text.strip()
    match = _LINE.match(line)
    if not line or match is None:
        raise ValueError("an empty promise; write for example: value.refusal > 0.3")
    if len(line) > _LONGEST:
        raise ValueError(
            f"promise {line[:60]!r} goes on for {len(line):,} characters; write for example: value.refusal > 0.3"
        )
    claim, op, number = match["claim"], match["op"], match["number"]
    if not _CLAIM.fullmatch(claim):
        raise _wrong(
            line, 0, f"{claim!r} is not a claim's name; write dotted names such as value.refusal or tax.bits_per_byte"
        )
    if op not in _TRUE:
        sign = repr(op) if op else repr(line[match.start("op") :][:12])
        raise _wrong(line, match.start("op"), f"{sign} is not a comparison; write one of < <= > >=")
    value = _NUMBER.fullmatch(number)
    if value is None:
        raise _wrong(line, match.start("number"), f"{number!r} is not a number; write for example 0.3 or 30%")
    bound = float(value["value"]) / (100 if value["percent"] else 1)
    if not math.isfinite(bound):
        raise _wrong(line, match.start("number"), f"{number!r} is too large a number")
    gain = claim.endswith(".gain")
    if gain and not _CLAIM.fullmatch(claim.removesuffix(".gain")):
        raise _wrong(line, 0, f"{claim!r} names no claim before .gain; write for example value.refusal.gain")
    return Promise(line, claim.removesuffix(".gain"), gain, op, bound)


def answer(promise: Promise, findings: Sequence[Finding], models: Sequence[str] = ()) -> Verdict:
    """Kept, broken or untested, by the one finding that the promise is about.

    `models` are the run's models in the order of its plan. A promise is about the last of them,
    whether or not there are findings of it: an earlier model's never answer in its place. Without
    `models` the findings are taken to be those of a whole run.
    """
    mine = [finding for finding in findings if finding.claim == promise.claim]
    if not mine:
        whole = next(
            (f for f in findings if f.detail.get("untested") and promise.claim.startswith(f"{f.claim}.")), None
        )
        if whole is not None:
            return _untested(promise, f"{whole.claim} was not measured: {whole.detail['untested']}", whole)
        return _untested(promise, _nothing(promise, findings))
    voters = mine[0].axis in NOT_THE_MODEL
    last = models[-1] if models and not voters else last_stage(mine if voters else findings)
    tax = mine[0].axis == "tax"
    against = "baseline" if promise.gain or tax else None
    finding = next((f for f in reversed(mine) if f.stage == last and f.against == against), None)
    what = f"the change of {promise.claim} from the baseline" if against else promise.claim
    if finding is None and against and last == "baseline":
        level = next((f for f in reversed(mine) if f.detail.get("untested")), None)
        if level is not None:
            return _untested(promise, f"{level.claim} was not measured: {level.detail['untested']}", level)
        remedy = f"; a level can be promised, without '.gain': {promise.claim} > ..." if promise.gain else ""
        return _untested(promise, f"no stage was trained, so there is no change of {promise.claim} to measure{remedy}")
    if finding is None:
        return _untested(promise, f"nothing measured {what} at the last stage, {last}")
    if against and finding.better is None:
        return _untested(
            promise, f"neither more nor less of {promise.claim} counts as better, so it has no gain", finding
        )
    flip = against is not None and (finding.better == "lower") == promise.gain
    verdict = _judge(promise, finding, flip, "costs" if tax and not promise.gain else "gains" if promise.gain else "is")
    corrected = next(
        (
            f
            for f in reversed(findings)
            if f.claim == promise.claim + CORRECTED and (f.stage, f.against) == (last, against)
        ),
        None,
    )
    return (
        verdict
        if corrected is None or verdict.answer == "untested"
        else _held_against(promise, verdict, finding, corrected, flip)
    )


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """1 when any promise is broken, else 3 when any is untested, else 0."""
    answers = {verdict.answer for verdict in verdicts}
    return 1 if "broken" in answers else 3 if "untested" in answers else 0


def last_stage(findings: Sequence[Finding]) -> str:
    """The last of the stages in their order of first appearance; those of the model, where there
    are any."""
    of_model = [finding for finding in findings if finding.axis not in NOT_THE_MODEL]
    return list(dict.fromkeys(finding.stage for finding in of_model or findings))[-1]


def _judge(promise: Promise, finding: Finding, flip: bool, verb: str) -> Verdict:
    if why := finding.detail.get("untested"):
        return _untested(promise, f"it was not measured: {why}", finding)
    if why := finding.detail.get("no_signal"):
        return _untested(promise, f"it shows nothing beside its controls: {why}", finding)
    if why := finding.detail.get("unvalidated"):
        return _untested(promise, f"grader not validated: {why}", finding)
    if finding.value is None or finding.low is None or finding.high is None:
        return _untested(promise, f"it was measured, but without an interval ({finding.method})", finding)
    value, low, high = (
        (-finding.value, -finding.high, -finding.low) if flip else (finding.value, finding.low, finding.high)
    )
    show = partial(promise.show, unit=finding.unit, change=finding.against is not None)
    interval = promise.show_interval(low, high, finding.unit, change=finding.against is not None)
    holds = _TRUE[promise.op]
    ends = (holds(low, promise.bound), holds(high, promise.bound))
    if ends[0] != ends[1]:
        return _untested(
            promise, f"undecided: the interval {interval} contains {show(promise.bound)}{_short(finding)}", finding
        )
    missing = finding.unscored + finding.errors
    gaps = f"; {amount(missing, 'more item')} could not be scored" if missing else ""
    items = f"{amount(finding.n, 'item')}{gaps}{_short(finding)}"
    reason = f"{promise.claim} {verb} {show(value)} {interval} at {finding.stage}, {items}"
    return Verdict(promise=promise.text, answer="kept" if ends[0] else "broken", reason=reason, finding=finding.id)


def _short(finding: Finding) -> str:
    """Where the interval covers less than it says, the promise rests on less than it seems."""
    return (
        f"; at such sizes the 95% interval covers {finding.coverage:.1%} in simulation"
        if finding.coverage is not None
        else ""
    )


def _held_against(promise: Promise, raw: Verdict, finding: Finding, corrected: Finding, flip: bool) -> Verdict:
    """The verdict by the rate as graded, where the rate corrected for the grader's errors gives
    the same; untested where it does not."""
    after = _judge(promise, corrected, flip, "is")
    if after.answer == raw.answer:
        return raw
    unit, change = finding.unit, finding.against is not None
    rate = promise.show(finding.value or 0.0, unit, change=change)
    graded = f"{raw.answer} by the rate as graded, {rate}, but not once it is corrected for the grader's errors"
    if corrected.low is None or corrected.high is None:
        return _untested(promise, f"{graded}: {corrected.method}", finding)
    low, high = sorted(-limit if flip else limit for limit in (corrected.low, corrected.high))
    return _untested(
        promise,
        f"{graded}: its interval is then {promise.show_interval(low, high, unit, change=change)} ({corrected.method})",
        finding,
    )


def _untested(promise: Promise, reason: str, finding: Finding | None = None) -> Verdict:
    return Verdict(promise=promise.text, answer="untested", reason=reason, finding=finding.id if finding else None)


def _nothing(promise: Promise, findings: Sequence[Finding]) -> str:
    if not findings:
        return "nothing measured it: there are no findings"
    claims = sorted({finding.claim for finding in findings})
    close = difflib.get_close_matches(promise.claim, claims)
    near = (
        f"; near it are {', '.join(close)}"
        if close
        else f"; none of the {len(claims)} claims that were measured has a name near it"
    )
    return f"nothing measured {promise.claim}{near}"


def _wrong(line: str, column: int, message: str) -> ValueError:
    return ValueError(f"promise {line!r}, column {column + 1}: {message}")

"""What does a claim say of what is measured: its title and axis, which way is good, its unit, and
between which limits can it lie?

Each stage makes its own claims (`Stage.claims`); there is no table of all of them. Unit and limits
are what a promise's number is held against before the run, and what the findings carry afterwards.
The claims of a run are stored with it, so that a report needs no list of them either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from alignwright.core.records import Axis, Finding, Record

Better = Literal["higher", "lower"] | None
Counts = Literal["pass", "fail"]
Range = tuple[float, float]
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
    counts: Counts = "pass"
    """Of which results the value is the share (or the mean)."""
    unit: str = "share"
    low: float | None = 0.0
    high: float | None = 1.0
    """Limits of the true value, not of its interval; None: no limit."""
    measured: Literal["always", "trained", "start", "once"] = "always"
    """Of every model, of trained ones, of the start model alone, or once (a judge's own check)."""
    paired: bool = True
    """Whether it is compared with the start model item by item, so that it has a gain."""
    promisable: bool = True
    """Whether a promise may be about it; what is not is only reported."""
    part: str = ""
    """What its parts are called (principle, file, trait ...), where it has any."""
    harmful: bool = False
    """Whether its prompts were made to draw out harm, so that its replies are shown only when asked for."""
    grader: Literal["refused", "fulfilled", "deferred", "handed_over", "needless"] | None = None
    """The question of the grader that finds it, where one does."""
    unvalidated: str = Field(default="", exclude_if=lambda why: not why)
    """Why nobody knows how often the grader that finds it is right, where there are no labels of people's
    to tell: its findings say "grader not validated", and a promise about it is untested."""

    @property
    def within(self) -> Range:
        """Between which limits it can lie."""
        return (-math.inf if self.low is None else self.low, math.inf if self.high is None else self.high)

    @property
    def change_within(self) -> Range:
        """Between which limits a change of it can lie."""
        low, high = self.within
        return (low - high, high - low)

    @property
    def of_one(self) -> bool:
        """Whether per cent can be meant: a share, or another part of one."""
        return self.unit == "share" or self.within == (0.0, 1.0)

    def covers(self, name: str) -> bool:
        """Whether it stands for the claim of this name."""
        return name == self.name or (self.name.endswith("*") and name.startswith(self.name[:-1]))

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


def claim_named(name: str, claims: Sequence[Claim]) -> Claim:
    """The claim of this name, or of the longest beginning that stands for it; ValueError for a name
    that none of these claims covers."""
    exact = next((claim for claim in claims if claim.name == name), None)
    if exact is not None:
        return exact
    of_parts = [claim for claim in claims if claim.covers(name)]
    if not of_parts:
        names = ", ".join(claim.name for claim in claims) or "nothing"
        raise ValueError(f"no stage of this run claims to measure {name!r}; its stages measure {names}")
    return max(of_parts, key=lambda claim: len(claim.name))


def within_claims(findings: Sequence[Finding], claims: Sequence[Claim]) -> list[Finding]:
    """The findings with intervals that end at their claims' own limits. One by the normal distribution or by Student's,
    of few items or about a number near a limit, would pass them: what cannot be is no part of an interval."""
    by_name = {claim.name: claim for claim in claims}
    return [_within(finding, _claim_over(finding.claim, by_name, claims)) for finding in findings]


def _claim_over(name: str, by_name: Mapping[str, Claim], claims: Sequence[Claim]) -> Claim | None:
    if name in by_name:
        return by_name[name]
    return max((claim for claim in claims if claim.covers(name)), key=lambda claim: len(claim.name), default=None)


def _within(finding: Finding, claim: Claim | None) -> Finding:
    if claim is None or finding.low is None or finding.high is None:
        return finding
    least, most = claim.within if finding.against is None else claim.change_within
    low, high = min(max(finding.low, least), most), max(min(finding.high, most), least)
    if (low, high) == (finding.low, finding.high):
        return finding
    return finding.model_copy(update={"low": low, "high": high})


def claim_title(name: str, claims: Mapping[str, Claim], principles: Mapping[str, str]) -> str:
    """What a claim is called, by the claims of its run; a part by itself, by its principle's title
    where there is one. Of a claim that no stage made the name itself."""
    if name in claims:
        return claims[name].title
    whole, _, part = name.rpartition(".")
    if whole in claims and claims[whole].part:
        return principles.get(part, part.replace("_", " "))
    return name

"""How far is a rate to be believed that a grader found?

Beside each such rate: the rate corrected for the grader's errors, how it was corrected, and how
often the grader was right on replies that people labelled. Rates of which the last two are the same
stand together, so that nothing is read twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alignwright.core.claims import CORRECTED
from alignwright.core.records import Finding
from alignwright.report import names
from alignwright.report.results import RunResults


@dataclass(frozen=True)
class Graded:
    """Rates that one grader found with the same known errors: each as (claim, as graded, corrected)."""

    rates: tuple[tuple[str, Finding, Finding], ...]
    method: str
    note: str

    @property
    def lines(self) -> Iterator[str]:
        for claim, raw, corrected in self.rates:
            after = f" corrected, {names.correction(corrected)}" if corrected.value is not None else ""
            yield f"{claim}: {told(raw)} as graded, {told(corrected)}{after}"

    @property
    def how(self) -> tuple[str, ...]:
        """How the rates were corrected, and what is known of the grader."""
        return tuple(part for part in (self.method, self.note) if part)


def graders(case: RunResults) -> list[Graded]:
    """What is known of the graders of the last model's rates."""
    groups: dict[tuple[str, str], list[tuple[str, Finding, Finding]]] = {}
    for claim in case.claims:
        twin = case.find(claim.name + CORRECTED)
        if twin is None or not case.stages:
            continue
        raw, corrected = (found.levels.get(case.stages[-1]) for found in (claim, twin))
        if raw and corrected:
            groups.setdefault((corrected.method, corrected.note), []).append((claim.name, raw, corrected))
    return [Graded(tuple(rates), method, note) for (method, note), rates in groups.items()]


def told(finding: Finding) -> str:
    """A rate with its interval, or that there is none."""
    return (
        f"{names.number(finding.value, finding.unit)} {names.interval(finding)}"
        if finding.value is not None
        else "no corrected rate"
    )

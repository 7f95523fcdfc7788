"""Which findings has a run about a claim: its level at each stage, and its paired differences?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from alignwright.core import wording
from alignwright.core.records import Axis, Finding

OF_THE_MODEL: tuple[Axis, ...] = ("instruction", "intent", "value", "reward", "goodhart", "tax", "emergent", "attack")
"""The axes of what the model does, as against its judges and its training."""


def measured_stages(findings: Iterable[Finding], stages: Sequence[str]) -> list[str]:
    """The stages at which the model was measured, in order; `stages` are those that the run
    made."""
    measured = dict.fromkeys(f.stage for f in findings if f.against is None and f.axis in OF_THE_MODEL)
    return list(dict.fromkeys((*(stage for stage in ("baseline", *stages) if stage in measured), *measured)))


@dataclass(frozen=True)
class FindingTable:
    """Findings by claim. `stages`: at which the model was measured, in order; `titles`: what
    claims are called; `stage_titles`: what training stages are called."""

    findings: Sequence[Finding]
    stages: Sequence[str]
    titles: Mapping[str, str] = field(default_factory=dict[str, str])
    stage_titles: Mapping[str, str] = field(default_factory=dict[str, str])

    @cached_property
    def _levels(self) -> dict[str, dict[str, Finding]]:
        levels: dict[str, dict[str, Finding]] = {finding.claim: {} for finding in self.findings}
        for finding in self.findings:
            if finding.against is None:
                levels[finding.claim][finding.stage] = finding
        return levels

    @property
    def claims(self) -> list[str]:
        """All claims, in the order in which they were first found."""
        return list(self._levels)

    def title(self, claim: str) -> str:
        return self.titles.get(claim, claim)

    def stage(self, name: str) -> str:
        """A stage's plain name."""
        return wording.stage(name, self.stage_titles)

    def inside(self, name: str) -> str:
        """A stage's plain name inside a sentence."""
        return wording.inside(name, self.stage_titles)

    def levels(self, claim: str) -> dict[str, Finding]:
        """Stage -> level."""
        return self._levels.get(claim, {})

    def level(self, claim: str, stage: str) -> Finding | None:
        return self.levels(claim).get(stage)

    def changes(self, claim: str) -> list[Finding]:
        """The paired differences of a claim."""
        return [finding for finding in self.findings if finding.claim == claim and finding.against is not None]

    def change(self, claim: str, stage: str, against: str = "baseline") -> Finding | None:
        """The paired difference that was found last."""
        changes = (f for f in reversed(self.changes(claim)) if f.stage == stage and f.against == against)
        return next(changes, None)

"""What is a rater asked about: a file's pairs, what a run's voters compared, or its replies before and after?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alignwright.run.rating.changes import changes_of, trained_stages
from alignwright.run.rating.pairs import RatedPair, pairs_of


@dataclass(frozen=True)
class Source:
    """A run or a file of pairs. `compared`: of a run, the replies that its voters compared; else those of the
    start model and of the model after `stage` (none: the last)."""

    path: Path
    compared: bool = False
    stage: str | None = None

    def __post_init__(self) -> None:
        if not self.path.is_dir() and (self.compared or self.stage is not None):
            option = "--compared" if self.compared else "--stage"
            raise ValueError(
                f"{self.path}: {option} chooses among the replies of a run, and this is a file; leave it out"
            )
        if self.compared and self.stage is not None:
            raise ValueError("--stage has no effect with --compared: voters compared replies before any training")

    @property
    def of_two_models(self) -> bool:
        """Whether the replies are those of a run's start model and of a trained one."""
        return self.path.is_dir() and not self.compared

    def pairs(self) -> list[RatedPair]:
        """The pairs that it asks about."""
        return list(changes_of(self.path, self.stage).pairs) if self.of_two_models else pairs_of(self.path)

    def every_pair(self) -> list[RatedPair]:
        """The pairs of every choice that the run leaves: answers may be of any."""
        if not self.path.is_dir():
            return pairs_of(self.path)
        pairs: dict[str, RatedPair] = {}
        problems: list[str] = []
        ways = [Source(self.path, stage=stage) for stage in trained_stages(self.path)]
        for way in (*ways, Source(self.path, compared=True)):
            try:
                pairs |= {pair.key: pair for pair in way.pairs()}
            except ValueError as error:
                problems.append(str(error))
        if not pairs:
            raise ValueError("; ".join(problems))
        return list(pairs.values())

"""What has a run logged of its training, stage by stage, step by step, under the names of
`metrics.jsonl`?

A line that is not ended yet is not there yet. The members of a reward model are trained one after
the other and log each for itself; they are read as the stage itself joins them when the last has
ended (`train.reward`), so that they are seen while they train, with the same steps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NO_METRICS = ("step", "steps", "metrics")
"""Fields of a line that are no curve: the place, its end, and the curves of the method."""


@dataclass(frozen=True)
class StageFolder:
    """A training stage's folder; `key` is the key of its cache: another key, another training."""

    name: str
    key: str
    path: Path

    @property
    def curve_id(self) -> str:
        """What its curves are called where runs are told apart by name."""
        return f"{self.name}-{self.key[:6]}"


def stage_folders(run: Path) -> Iterator[StageFolder]:
    """The stages that have logged a step, in the order of the plan."""
    for path in sorted((run / "stages").glob("*")):
        mark = path / "key"
        if not path.name.endswith(".partial") and mark.is_file() and _files(path):
            yield StageFolder(path.name.partition("-")[2], mark.read_text(encoding="utf-8"), path)


def steps_of(stage: StageFolder) -> Iterator[tuple[int, Mapping[str, float]]]:
    """Each step's values by name."""
    earlier = 0
    for member, file in _files(stage.path):
        rows = list(_rows(file))
        for row in rows:
            own = {name: value for name, value in row.items() if name not in NO_METRICS}
            yield row["step"] + earlier, _numbers(row["metrics"] | own | ({} if member is None else {"member": member}))
        earlier += rows[0]["steps"] if rows and member is not None else 0


def _files(stage: Path) -> list[tuple[int | None, Path]]:
    """The stage's own log, or, while that is not joined, those of its members."""
    if (stage / "metrics.jsonl").is_file():
        return [(None, stage / "metrics.jsonl")]
    members = {int(file.parent.name.removeprefix("member-")): file for file in stage.glob("member-*/metrics.jsonl")}
    return [(member, members[member]) for member in sorted(members)]


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    text = file.read_text(encoding="utf-8")
    for line in text[: text.rfind("\n") + 1].splitlines():
        yield json.loads(line)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}

"""Does training begin where it must? Invariants before step 0 (KL 0, ratio 1, DPO loss ln 2).

A policy that has not moved is its own reference: KL 0, ratio 1, DPO loss ln 2. When that fails, the
policy and its reference are not the same weights, or the sampler and the trainer do not compute the
same numbers, and every later number would be wrong without a word. So each method states its
invariants, they are checked once, kept in `start.json` and shown; a broken one stops the run and
says what it means.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alignwright.files.contents import DamagedFile


@dataclass(frozen=True)
class Invariant:
    """`value` must lie within `tolerance` of `expected`; `tolerance` None: shown beside
    `expected`, never refused."""

    name: str
    value: float
    expected: float
    tolerance: float | None
    meaning: str

    @property
    def holds(self) -> bool:
        return self.tolerance is None or abs(self.value - self.expected) <= self.tolerance  # a NaN holds nothing


class Step0Error(ValueError):
    """An invariant of the start does not hold."""


def check_start(invariants: Sequence[Invariant], folder: Path) -> None:
    """Keep the invariants in `start.json`. Raises Step0Error, naming each that fails and what
    it means."""
    lines = [asdict(invariant) | {"holds": invariant.holds} for invariant in invariants]
    (folder / "start.json").write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
    failures = [
        f"{i.name} is {i.value:.6g} where it must be {i.expected:.6g} {_within(i.tolerance)}: {i.meaning}"
        for i in invariants
        if not i.holds
    ]
    if failures:
        raise Step0Error("before the first step " + "; ".join(failures))


def start_lines(folder: Path) -> list[str]:
    """The invariants that were kept, a line each; nothing before they were checked."""
    path = folder / "start.json"
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_bytes()) if path.exists() else []
        return [_line(invariant) for invariant in rows]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DamagedFile(path, "it does not hold the invariants that were checked") from None


def _line(i: dict[str, Any]) -> str:
    return f"at the start {i['name'].rstrip(',')}: {i['value']:.4g} {_beside(i['expected'], i['tolerance'])}"


def _beside(expected: float, tolerance: float | None) -> str:
    return f"(beside {expected:.4g})" if tolerance is None else f"(must be {expected:.4g} {_within(tolerance)})"


def _within(tolerance: float | None) -> str:
    return f"to within {tolerance:.1g}" if tolerance else "exactly"

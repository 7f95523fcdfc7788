"""What would juries of a chosen composition say, and what do all groups agree on? Two rules that read
single voters of named groups.

- **jury** (Gordon et al. 2022, "Jury learning"): so many seats for each group; a juror is drawn from the
  group's voters on the pair, with replacement, and a jury says the mean of its jurors. The strength of a pair
  is the median of many juries. A pair on which a group with seats did not vote seats no jury, and is
  left out. Jurors' votes are their own: nothing predicts how somebody would have voted.
- **consensus** (Polis): of a pair, c = product over groups of (A + 1) / (S + 2), A of the S voters of the group
  on the pair being for the one reply, and c' the same for the other. The strength is q / (q + q'), the
  roots q of c by the number of groups, which decides as c does. Voters of no group are left out.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from alignwright.aggregate.sure_pairs import SurePair
from alignwright.core.records import Comparison
from alignwright.stats.voices import pair_sides

Sides = dict[tuple[int, int], dict[str, list[float]]]
"""For every pair that was voted on and every group: how far each of its voters is for the first reply."""


def jury(comparison: Comparison, seats: Mapping[str, int], juries: int, min_strength: float) -> list[SurePair]:
    """By the median of juries with so many seats for each group."""
    rng = np.random.default_rng(zlib.crc32(comparison.key.encode()))
    strengths: dict[tuple[int, int], float] = {}
    for pair, voices in _sides(comparison).items():
        if any(group not in voices for group, chairs in seats.items() if chairs):
            continue
        chairs_J = [rng.choice(voices[group], (juries, chairs)) for group, chairs in seats.items() if chairs]
        strengths[pair] = float(np.median(np.concatenate(chairs_J, axis=1).mean(axis=1)))
    return _sure(strengths, min_strength)


def seated(comparisons: Sequence[Comparison], seats: Mapping[str, int]) -> None:
    """Raises ValueError where no pair of any comparison can seat a jury."""
    sides = [voices for comparison in comparisons for voices in _sides(comparison).values()]
    sitting = {group for group, chairs in seats.items() if chairs}
    if sides and not any(sitting <= voices.keys() for voices in sides):
        names = sorted({name for voices in sides for name in voices})
        raise ValueError(
            f"jury: no pair has votes of every group with a seat ({', '.join(sorted(sitting))}); the votes are of"
            f" {', '.join(repr(name) for name in names[:8])}: seat these, or give votes of the others"
        )


def consensus(comparison: Comparison, min_strength: float) -> list[SurePair]:
    """By what every group agrees on."""
    strengths: dict[tuple[int, int], float] = {}
    for pair, voices in _sides(comparison).items():
        group_voices = [np.array(group) for name, group in voices.items() if name]
        if group_voices:
            first = [(float((group > 0.5).sum()) + 1) / (len(group) + 2) for group in group_voices]
            second = [(float((group < 0.5).sum()) + 1) / (len(group) + 2) for group in group_voices]
            for_first, for_second = (float(np.exp(np.mean(np.log(shares)))) for shares in (first, second))
            strengths[pair] = for_first / (for_first + for_second)
    return _sure(strengths, min_strength)


def _sides(comparison: Comparison) -> Sides:
    sides: Sides = {}
    for pair, voters in pair_sides(comparison.votes, lambda vote: (vote.group, vote.voter)).items():
        for (group, _), side in voters.items():
            sides.setdefault(pair, {}).setdefault(group, []).append(side)
    return sides


def _sure(strengths: Mapping[tuple[int, int], float], min_strength: float) -> list[SurePair]:
    both = [(i, j, s) if s > 0.5 else (j, i, 1.0 - s) for (i, j), s in strengths.items()]
    sure = [(i, j, s) for i, j, s in both if s >= min_strength and s > 0.5]
    return [SurePair(i, j, s, 1.0 / len(sure)) for i, j, s in sorted(sure)]

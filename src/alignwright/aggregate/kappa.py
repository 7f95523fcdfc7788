"""Do the voters agree with one another, beyond what chance would give? Inter-rater agreement by
Cohen's kappa.

Cohen's kappa for every two voters over the pairs of replies on which both voted. Which reply is
listed first means nothing, so each pair is counted in both directions; chance agreement is then
exactly 1/2 and kappa = 2 * agreement - 1. (Uncounted, a voter that always prefers reply 0, as
written pairs do, would have no kappa at all.)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from alignwright.core.records import Comparison, Finding
from alignwright.stats.intervals import wilson
from alignwright.stats.voices import by_voter, pair_sides


def agreement(comparisons: Sequence[Comparison], *, stage: str) -> list[Finding]:
    """One finding `feedback.kappa.<voter>.<voter>` for every two voters that voted on a common
    pair. Votes of strength 1/2 do not count."""
    sides = [_sides(comparison) for comparison in comparisons]
    voters = sorted({voter for side in sides for voter in side})
    findings: list[Finding] = []
    for one, two in combinations(voters, 2):
        alike = [
            side[one][pair] == side[two][pair]
            for side in sides
            if one in side and two in side
            for pair in side[one].keys() & side[two].keys()
        ]
        if alike:
            findings.append(_finding(f"feedback.kappa.{one}.{two}", stage, sum(alike), len(alike)))
    return findings


def _sides(comparison: Comparison) -> dict[str, dict[tuple[int, int], bool]]:
    """For each voter and pair (i < j): whether its votes favour i. Pairs on which they cancel are left out."""
    favours: dict[str, dict[tuple[int, int], bool]] = {}
    for pair, sides in pair_sides(comparison.votes, by_voter).items():
        for voter, side in sides.items():
            own = favours.setdefault(voter, {})
            if side != 0.5:
                own[pair] = side > 0.5
    return favours


def _finding(claim: str, stage: str, alike: int, n: int) -> Finding:
    limits = wilson(alike, n)
    low, high = (None if limit is None else 2 * limit - 1 for limit in (limits.low, limits.high))
    method = f"Cohen's kappa, pairs counted in both directions; {limits.method}"
    return Finding(
        claim=claim,
        stage=stage,
        axis="feedback",
        value=2 * alike / n - 1,
        low=low,
        high=high,
        n=n,
        method=method,
        unit="kappa",
    )

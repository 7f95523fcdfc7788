"""Which example replies stand behind a number, so that a reader can judge it?

Worst first, but never only the worst: places are kept for what could not be scored and for what
went well. The order depends on the outcomes alone, so two runs that did the same show the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

from alignwright.core.records import Example, SampleResult

Pair = tuple[SampleResult, SampleResult]
T = TypeVar("T")


def of_level(
    outcomes: Sequence[SampleResult], most: int, better: Literal["higher", "lower"] | None
) -> tuple[Example, ...]:
    """Hits, then errors and unscored, then passes, with up to half, a quarter and a quarter of
    the places kept for each."""
    kinds: list[list[SampleResult]] = [[], [], []]
    for outcome in outcomes:
        kinds[0 if outcome.status == "fail" else 1 if outcome.value is None else 2].append(outcome)
    if better == "lower":
        kinds[2].sort(
            key=lambda o: -(o.value or 0.0)
        )  # for claims with a unit the worst documents come first; shares keep their order
    ordered = _share_out(kinds, most, (2, 1, 1))
    return tuple(
        Example(item=o.item, prompt=o.prompt, reply=o.reply, status=o.status, reason=o.reason, kind=o.kind)
        for o in ordered
    )


def of_difference(pairs: Sequence[Pair], most: int, better: Literal["higher", "lower"] | None) -> tuple[Example, ...]:
    """Items that became worse, then those still failing, then improved, then not scored, then
    the rest; each with the reply before."""
    kinds: list[list[Pair]] = [[], [], [], [], []]
    for pair in pairs:
        kinds[_kind(pair, better)].append(pair)
    for group in (kinds[0], kinds[2]):
        group.sort(key=_largest_first)
    return tuple(
        Example(
            item=a.item,
            prompt=a.prompt,
            reply=a.reply,
            status=a.status,
            reason=a.reason,
            kind=a.kind,
            before=b.reply,
            before_status=b.status,
        )
        for a, b in _share_out(kinds, most, (3, 2, 2, 1, 0))
    )


def _largest_first(pair: Pair) -> float:
    return -abs((pair[0].value or 0.0) - (pair[1].value or 0.0))


def _kind(pair: Pair, better: Literal["higher", "lower"] | None) -> int:
    after, before = pair
    if after.value is None or before.value is None:
        return 3
    if after.status != before.status:
        return 0 if after.status == "fail" else 2
    if after.status == "fail":
        return 1
    delta = (after.value - before.value) * (-1 if better == "lower" else 1)
    return 4 if delta == 0 else 0 if delta < 0 else 2


def _share_out(kinds: Sequence[Sequence[T]], most: int, weights: Sequence[int]) -> list[T]:
    """Take from each kind its share of the places, then fill what is left in order of kind; the
    result keeps the order of kinds."""
    counts = [min(len(kind), most * weight // sum(weights)) for kind, weight in zip(kinds, weights, strict=True)]
    for i, kind in enumerate(kinds):
        counts[i] += min(len(kind) - counts[i], most - sum(counts))
    return [item for kind, count in zip(kinds, counts, strict=True) for item in kind[:count]]

"""How often do the intervals under promises cover the truth, and how wide are they?

`python benchmarks/coverage.py [--quick] [--table]` simulates shares, and paired changes of passes
and fails, of items in topics, with a rate for each topic (beta for shares, Dirichlet for the three
ways an item can go), so that the correlation within topics is known. It prints coverage and width
by correlation and share, every cell that covers less than .93, the same where topics differ in
another way than the intervals were chosen by (two kinds of topics, normal log-odds, uneven sizes),
and one JSON line with the targets; it exits with 1 where one is missed. `before` is what was used
before: the clustered t interval, and Wilson's with a topic as an item where nothing varies.
`--table` prints the cells for `stats/coverage.py`. Two minutes of one core; --quick, on fewer cells,
a few seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy import special

from alignwright.stats.arrays import Floats
from alignwright.stats.coverage import CORRELATIONS, LEAST, SHARES, SIZES, TOPICS, Cell, Kind
from alignwright.stats.effective_sample_size import change, share_limits
from alignwright.stats.intervals import cluster_correction, wilson

Limits = tuple[Floats, Floats]
WEAK, WIDER, FROM = 0.1, 1.15, 0.2
QUICK = ((4, 12, 40), (3, 25), (0.02, 0.1, 0.3, 0.5), (0.0, 0.1, 0.4))


@dataclass(frozen=True)
class Seen:
    """Coverage and mean width of the interval in use and of the one before, in one cell."""

    kind: Kind
    cell: Cell
    covers: float
    before: float
    width: float
    width_before: float

    @property
    def wider(self) -> float:
        return self.width / self.width_before


def main() -> int:
    parser = argparse.ArgumentParser(description="coverage of clustered intervals")
    parser.add_argument("--quick", action="store_true", help="fewer cells and repeats")
    parser.add_argument("--table", action="store_true", help="print the cells below .93 for stats/coverage.py")
    args = parser.parse_args()
    grid, repeats = (QUICK, 1000) if args.quick else ((TOPICS, SIZES, SHARES, CORRELATIONS), 4000)
    rng = np.random.default_rng(0)
    seen = [one for cell in product(*grid) for one in (share_cell(rng, repeats, cell), change_cell(rng, repeats, cell))]
    for kind in ("share", "change"):
        _print(kind, [one for one in seen if one.kind == kind])
    other = list(elsewhere(rng, repeats))
    for name, covers, before in other:
        print(f"  {name:<64} {covers:.3f} (before {before:.3f})")
    if args.table:
        _table(seen)
    targets = judged(seen)
    targets["other topics, correlation up to .1: least coverage"] = _target(
        min(c for name, c, _ in other if name.endswith("0.1")), ">=", LEAST
    )
    print(json.dumps({"repeats": repeats, "cells": len(seen), "targets": targets}))
    return 0 if all(target["met"] for target in targets.values()) else 1


def judged(seen: list[Seen]) -> dict[str, dict[str, Any]]:
    """The targets: coverage where topics are alike or nearly so, and width where shares are not
    small."""
    targets: dict[str, dict[str, Any]] = {}
    for kind in ("share", "change"):
        mine = [one for one in seen if one.kind == kind]
        targets[f"{kind}, correlation up to .1: least coverage"] = _target(
            min(o.covers for o in mine if o.cell[3] <= WEAK), ">=", LEAST
        )
        widths = [o.wider for o in mine if o.cell[2] >= FROM]
        targets[f"{kind}, shares .2 to .5: mean width over before's"] = _target(float(np.mean(widths)), "<=", WIDER)
    return targets


def share_cell(rng: np.random.Generator, repeats: int, cell: Cell) -> Seen:
    topics, size, share, correlation = cell
    hit_SC = beta_binomial(rng, repeats, np.full(topics, float(size)), share, correlation)
    return _seen(
        "share", cell, share, share_limits(hit_SC, np.full(topics, float(size)))[:2], share_before(hit_SC, size)
    )


def change_cell(rng: np.random.Generator, repeats: int, cell: Cell) -> Seen:
    """Of three ways to move so many items, the one that is covered least: all one way, a third
    the other way, as many both ways."""
    topics, size, share, correlation = cell
    found: list[Seen] = []
    for other in (0.0, share / 3, share):
        up_SC, down_SC = ways(rng, repeats, np.full(topics, float(size)), share, other, correlation)
        limits = change(up_SC, down_SC, np.full(topics, float(size))).limits()
        found.append(_seen("change", cell, share - other, limits, change_before(up_SC, down_SC, size)))
    return min(found, key=lambda one: one.covers)


def beta_binomial(rng: np.random.Generator, repeats: int, size_C: Floats, share: float, correlation: float) -> Floats:
    rate_SC = np.full((repeats, len(size_C)), share)
    if correlation > 0:
        spread = (1 - correlation) / correlation
        rate_SC = rng.beta(share * spread, (1 - share) * spread, size=rate_SC.shape)
    return rng.binomial(size_C.astype(int), rate_SC).astype(float)


def ways(rng: np.random.Generator, repeats: int, size_C: Floats, up: float, down: float, correlation: float) -> Limits:
    """How many items of each topic became better and how many worse."""
    chance_SCK = np.broadcast_to(np.array([up, down, 1 - up - down]), (repeats, len(size_C), 3))
    if correlation > 0:
        drawn_SCK = rng.standard_gamma(chance_SCK * (1 - correlation) / correlation) + 1e-300
        chance_SCK = drawn_SCK / drawn_SCK.sum(-1, keepdims=True)
    up_SC = rng.binomial(size_C.astype(int), chance_SCK[..., 0])
    rest_SC = np.clip(chance_SCK[..., 1] / np.maximum(1 - chance_SCK[..., 0], 1e-12), 0.0, 1.0)
    return up_SC.astype(float), rng.binomial(size_C.astype(int) - up_SC, rest_SC).astype(float)


def share_before(hit_SC: Floats, size: int) -> Limits:
    topics = hit_SC.shape[1]
    share_S, half_S = _by_t(hit_SC, size)
    alike_S = (share_S == 0) | (share_S == 1)
    half_S = np.where(alike_S, wilson(0, topics).high or 0.0, half_S)
    return np.maximum(share_S - half_S, 0.0), np.minimum(share_S + half_S, 1.0)


def change_before(up_SC: Floats, down_SC: Floats, size: int) -> Limits:
    topics = up_SC.shape[1]
    change_S, half_S = _by_t(up_SC - down_SC, size)
    still_S = (up_SC.sum(1) + down_SC.sum(1) == 0) | (np.abs(change_S) == 1)
    half_S = np.where(still_S, (wilson(0, topics).high or 0.0) * (1 + np.abs(change_S)), half_S)
    return np.maximum(change_S - half_S, -1.0), np.minimum(change_S + half_S, 1.0)


def _by_t(sum_SC: Floats, size: int) -> Limits:
    topics = sum_SC.shape[1]
    mean_S = sum_SC.sum(1) / (topics * size)
    error_S = np.sqrt(cluster_correction(topics) * ((sum_SC - size * mean_S[:, None]) ** 2).sum(1)) / (topics * size)
    return mean_S, np.where(
        error_S > 1e-12, special.stdtrit(topics - 1, 0.975) * error_S, np.nan
    )  # topics all alike: no interval


def _seen(kind: Kind, cell: Cell, truth: float, now: Limits, before: Limits) -> Seen:
    return Seen(kind, cell, _covers(truth, now), _covers(truth, before), _width(now), _width(before))


def _covers(truth: float, limits: Limits) -> float:
    """Of the intervals that there are; those in use are always there."""
    there_S = ~np.isnan(limits[0])
    return float(np.mean((limits[0] <= truth + 1e-12)[there_S] & (truth - 1e-12 <= limits[1])[there_S]))


def _width(limits: Limits) -> float:
    return float(np.nanmean(limits[1] - limits[0]))


def elsewhere(rng: np.random.Generator, repeats: int) -> Iterator[tuple[str, float, float]]:
    """(name, least coverage, least coverage before) where topics differ in another way, or have
    uneven sizes, over topics and shares."""
    kinds: dict[str, Callable[[int, float, float], Floats]] = {
        "two kinds of topics": lambda topics, share, r: _two_kinds(rng, repeats, topics, share, r),
        "normal log-odds": lambda topics, share, r: _log_odds(rng, repeats, topics, share, r),
    }
    for (name, drawn), correlation in product(kinds.items(), (0.1, 0.3)):
        found: list[tuple[float, float]] = []
        for topics, size, share in product((6, 12, 40), (3, 12), (0.05, 0.2, 0.5)):
            hit_SC = rng.binomial(size, drawn(topics, share, correlation)).astype(float)
            now = share_limits(hit_SC, np.full(topics, float(size)))[:2]
            found.append((_covers(share, now), _covers(share, share_before(hit_SC, size))))
        yield f"{name}, correlation {correlation}", *map(min, zip(*found, strict=True))
    for correlation in (0.1, 0.3):
        uneven: list[float] = []
        for topics, share in product((6, 12, 40), (0.05, 0.2, 0.5)):
            size_C = np.resize(np.array([1.0, 2.0, 4.0, 8.0, 16.0]), topics)
            uneven.append(
                _covers(share, share_limits(beta_binomial(rng, repeats, size_C, share, correlation), size_C)[:2])
            )
        yield f"topics of 1, 2, 4, 8 and 16 items, correlation {correlation}", min(uneven), float("nan")


def _two_kinds(rng: np.random.Generator, repeats: int, topics: int, share: float, correlation: float) -> Floats:
    """Some topics have one rate and the others a lower one, 0 where that is not low enough for
    the correlation."""
    apart = np.sqrt(correlation * share * (1 - share))
    few_of_all = 0.2 if share + 2 * apart <= 1 and share >= apart / 2 else share / (share + correlation * (1 - share))
    high, low = (share + 2 * apart, share - apart / 2) if few_of_all == 0.2 else (share / few_of_all, 0.0)
    return np.where(rng.random((repeats, topics)) < few_of_all, high, low)


def _log_odds(rng: np.random.Generator, repeats: int, topics: int, share: float, correlation: float) -> Floats:
    """Log-odds spread so that the correlation is about right, and shifted so that the mean rate
    is the share."""
    spread = np.sqrt(correlation / (1 - correlation) * np.pi**2 / 3)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    low, high = -12.0, 12.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if float(weights @ special.expit(middle + spread * nodes)) < share else (low, middle)
    return special.expit((low + high) / 2 + spread * rng.normal(size=(repeats, topics)))


def _print(kind: str, seen: list[Seen]) -> None:
    print(f"{kind}: least and mean coverage (before), mean width over before's")
    for correlation in sorted({one.cell[3] for one in seen}):
        for name, lowest, highest in (("below .2", 0.0, FROM), (".2 to .5", FROM, 1.0)):
            some = [one for one in seen if one.cell[3] == correlation and lowest <= one.cell[2] < highest]
            least, least_before = min(o.covers for o in some), min(o.before for o in some)
            mean, mean_before = np.mean([o.covers for o in some]), np.mean([o.before for o in some])
            wider = np.mean([o.wider for o in some])
            print(
                f"  correlation {correlation:<4g} shares {name}: {least:.3f} {mean:.3f} (before {least_before:.3f}"
                f" {mean_before:.3f}), {wider:.2f}"
            )
    under = [one for one in seen if one.covers < LEAST]
    print(
        f"  {len(under)} of {len(seen)} cells cover less than {LEAST} (before:"
        f" {sum(one.before < LEAST for one in seen)})"
    )
    for one in under:
        topics, size, share, correlation = one.cell
        print(
            f"    {topics} topics of {size}, share {share:g}, correlation {correlation:g}: {one.covers:.3f} (before"
            f" {one.before:.3f})"
        )


def _table(seen: list[Seen]) -> None:
    for kind in ("share", "change"):
        print(f'    "{kind}": {{')
        for one in seen:
            if one.kind == kind and one.covers < LEAST:
                print(f"        {one.cell}: {one.covers:.3f},")
        print("    },")


def _target(value: float, relation: str, aim: float) -> dict[str, Any]:
    return {
        "value": round(value, 4),
        "aim": f"{relation} {aim:g}",
        "met": value >= aim if relation == ">=" else value <= aim,
    }


if __name__ == "__main__":
    sys.exit(main())

"""Which detector would have flagged the reward hack?

Four detectors, each asked about a policy, and each also about the honest best policy, where it must
stay silent: a detector that flags everything finds every hack and is worth nothing.

- `transition`: from the reference to this policy the proxy rose and the truth fell, by paired
  intervals over seeds (`stats.transitions`). Needs the truth: a few gold labels.
- `check`: the proxy is more than the same policy gets when the world's check is built in (hidden
  tests, replayed moves, a second sensor), by more than for the reference. The border is the
  reference's gap and not the honest best's, on which it could never be wrong.
- `correlation`: under the reference, proxy and truth do not even go together, so that raising the
  one promises nothing of the other. Speaks of the proxy, not of the policy: it is asked before any
  training.
- `anomaly`: the policy is further from the reference (Hellinger distance over states visited, Pan,
  Bhatia and Steinhardt 2022, arXiv 2201.03544) than `FAR`. Needs no truth at all, and cannot tell
  better from worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alignwright.stats.arrays import Floats
from alignwright.stats.transitions import transition
from alignwright.worlds.experiments import World, best
from alignwright.worlds.learn import proxy_correlation
from alignwright.worlds.table import Return, TabularWorld, evaluate, occupancy

FAR = 0.5
GAP = 1e-3


@dataclass(frozen=True)
class Flag:
    """What a detector said of a policy. `value` is what it looked at, in words `note`; `fired`
    is None where it could not say."""

    detector: str
    fired: bool | None
    value: float | None
    note: str


def flags(world: World, policy_SA: Floats, *, seeds: int = 100) -> list[Flag]:
    """What each detector says of a policy over the plain table."""
    return [
        _transition(world, policy_SA, seeds),
        _check(world, policy_SA),
        _correlation(world),
        _anomaly(world, policy_SA),
    ]


def control(world: World, *, seeds: int = 100) -> list[Flag]:
    """The same of the honest best policy: whatever fires here is a false alarm."""
    return flags(world, best(world.plain, world.plain.true_SA), seeds=seeds)


def sample_returns(table: TabularWorld, policy_SA: Floats, *, seeds: int, steps: int = 100) -> list[Return]:
    """One episode for each seed, stepped through the table: what a monitor sees, noise and all."""
    returns: list[Return] = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        state, proxy, true = int(rng.choice(len(table.start_S), p=table.start_S)), 0.0, 0.0
        for _ in range(table.horizon or steps):
            action = int(rng.choice(policy_SA.shape[1], p=policy_SA[state] / policy_SA[state].sum()))
            proxy, true = proxy + float(table.proxy_SA[state, action]), true + float(table.true_SA[state, action])
            if rng.random() < table.ends_SA[state, action]:
                break
            state = int(rng.choice(len(table.start_S), p=table.next_SAN[state, action]))
        returns.append(Return(proxy, true))
    return returns


def _transition(world: World, policy_SA: Floats, seeds: int) -> Flag:
    before, after = (_level(sample_returns(world.plain, p, seeds=seeds)) for p in (world.reference_SA, policy_SA))
    step = transition(before, after)
    note = f"{step.kind}: proxy {step.proxy.value or 0.0:+.3g}, truth {step.gold.value or 0.0:+.3g} over {seeds} seeds"
    return Flag("transition", step.kind == "hack", step.gold.value, note)


def _check(world: World, policy_SA: Floats) -> Flag:
    plain, checked = evaluate(world.plain, policy_SA).proxy, evaluate(world.checked, world.lift(policy_SA)).proxy
    usual = (
        evaluate(world.plain, world.reference_SA).proxy - evaluate(world.checked, world.lift(world.reference_SA)).proxy
    )
    note = f"proxy {plain:.3g}, with the check {checked:.3g} (the reference's gap is {usual:.3g})"
    return Flag("check", plain - checked > usual + GAP, plain - checked, note)


def _correlation(world: World) -> Flag:
    correlation = proxy_correlation(world.plain, world.reference_SA).correlation
    return Flag("correlation", correlation <= 0, correlation, f"r = {correlation:.2f} under the reference")


def _anomaly(world: World, policy_SA: Floats) -> Flag:
    visits_S = occupancy(world.plain, policy_SA).sum(-1)
    gap_S = np.sqrt(np.maximum(0.0, 1.0 - np.sqrt(policy_SA * world.reference_SA).sum(-1)))
    far = float((visits_S * gap_S).sum() / visits_S.sum())
    return Flag("anomaly", far > FAR, far, f"Hellinger distance {far:.2f} from the reference")


def _level(returns: Sequence[Return]) -> tuple[list[float], list[float]]:
    return [r.proxy for r in returns], [r.true for r in returns]

"""What does a policy get, exactly, in a tabular Markov decision process?

A table holds, for every state and action, where one goes, what the proxy pays and what is truly
meant. With it the known answers are computed and not sampled: optimum by backward induction,
returns of any policy, occupancy. Letters of shapes: S states, A actions, N next states (as many as
S), T steps. An action that ends the episode leads back to the start, with `ends_SA` telling; so
occupancy needs no state of its own for "over".

Left out on purpose: partial observation (a world that has it is exact in its full state here; its
learner sees less).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alignwright.stats.arrays import Floats
from alignwright.worlds import occupancy as occupancies

Ints = NDArray[np.int64]
BURN_IN, LONG = 2000, 2000
"""Steps after which a world without end counts as settled, and over which its mean is taken."""


@dataclass(frozen=True)
class TabularWorld:
    """A finite world. `horizon` is None where it goes on for ever: its returns are then means
    per step. `still_S` is the action that does nothing."""

    name: str
    states: tuple[str, ...]
    actions: tuple[str, ...]
    next_SAN: Floats
    proxy_SA: Floats
    true_SA: Floats
    start_S: Floats
    ends_SA: Floats
    still_S: Ints | None = None
    horizon: int | None = None
    gamma: float = 0.95

    def __post_init__(self) -> None:
        rows = self.next_SAN.sum(-1)
        if not (np.allclose(rows, 1.0) and np.isclose(self.start_S.sum(), 1.0)):
            raise ValueError(
                f"{self.name}: the chances of where to go must sum to 1 in every row; seen between {rows.min():g} and"
                f" {rows.max():g}"
            )


@dataclass(frozen=True)
class Return:
    """What a policy gets: an episode's sum, or the mean per step of a world without end."""

    proxy: float
    true: float


@dataclass(frozen=True)
class Plan:
    """A best policy by value iteration: its action in every state (the first of equally good
    ones) and the values."""

    action_S: Ints
    q_SA: Floats


def evaluate(table: TabularWorld, policy_SA: Floats) -> Return:
    """The exact return of a policy, probabilities of actions by state, that does not look at the
    clock."""
    alive_S = table.start_S.copy()
    proxy = true = 0.0
    settle, steps = (0, table.horizon) if table.horizon is not None else (BURN_IN, BURN_IN + LONG)
    for t in range(steps):
        mass_SA = alive_S[:, None] * policy_SA
        if t >= settle:
            proxy += float((mass_SA * table.proxy_SA).sum())
            true += float((mass_SA * table.true_SA).sum())
        alive_S = np.einsum("sa,san->n", mass_SA * (1.0 - table.ends_SA), table.next_SAN)
    per = 1 if table.horizon is not None else LONG
    return Return(proxy / per, true / per)


def value_iteration(table: TabularWorld, reward_SA: Floats, tolerance: float = 1e-10) -> Plan:
    """The best stationary policy for a reward, discounted by the table's gamma. Equally good
    actions: the first is taken."""
    value_S = np.zeros(len(table.states))
    while True:
        q_SA = action_values(table, reward_SA, value_S)
        best_S = q_SA.max(-1)
        if np.abs(best_S - value_S).max() < tolerance:
            # equal up to rounding is equal: the first such action
            return Plan(np.argmax(q_SA >= best_S[:, None] - 1e-7, axis=-1), q_SA)
        value_S = best_S


def best_return(table: TabularWorld, reward_SA: Floats) -> float:
    """The best that any policy, also one that looks at the clock, gets in one episode: backward
    induction."""
    if table.horizon is None:
        raise ValueError(f"{table.name} goes on for ever: there is no last step to begin at; use value_iteration")
    value_S = np.zeros(len(table.states))
    for _ in range(table.horizon):
        value_S = action_values(table, reward_SA, value_S, gamma=1.0).max(-1)
    return float(table.start_S @ value_S)


def action_values(table: TabularWorld, reward_SA: Floats, value_S: Floats, gamma: float | None = None) -> Floats:
    """What each action is worth when the next state is worth `value_S`."""
    discount = table.gamma if gamma is None else gamma
    return reward_SA + discount * (1.0 - table.ends_SA) * (table.next_SAN @ value_S)


def occupancy(table: TabularWorld, policy_SA: Floats) -> Floats:
    """How often each action is taken in each state: discounted, from the start, summing to 1."""
    pairs = occupancies.occupancy(table.next_SAN, policy_SA, table.start_S, table.gamma)
    return (1.0 - table.gamma) * pairs.reshape(policy_SA.shape)


def greedy(action_S: Ints, actions: int) -> Floats:
    """The probabilities of a policy that always takes one action."""
    return np.eye(actions)[action_S]


def bandit(
    name: str, arms: Sequence[str], returns: Sequence[Return], still: int | None = None, **settings: Any
) -> TabularWorld:
    """A world of one decision: each arm with what it comes to."""
    count = len(arms)
    return TabularWorld(
        name, ("start",), tuple(arms), np.ones((1, count, 1)), np.array([[r.proxy for r in returns]]),
        np.array([[r.true for r in returns]]),
        np.ones(1), np.ones((1, count)), None if still is None else np.array([still]), horizon=1, **settings,
    )  # fmt: skip

"""Does plain reinforcement learning (Q-learning, REINFORCE) find the reward hack, and what does it
find when it is regularised?

Nothing here knows what a hack is. Learners see the proxy alone: tabular Q-learning (Watkins 1989)
in a world that is stepped through, and REINFORCE (Williams 1992) with a running baseline in a world
of one decision. The regularised policy of the correlated-proxies paper (Laidlaw, Singhal and Dragan
2024, arXiv 2403.03185) maximises

    J(pi, proxy) - lambda sqrt(chi2(occupancy of pi || occupancy of the reference))

which is concave in the occupancy and therefore solved as such and not learnt: no seed, no luck. The
early stop (Karwowski et al. 2023, arXiv 2310.09144; `worlds.occupancy`) follows the proxy from the
reference, by policies reference x e^(soft value / temperature) as the temperature falls, for as
long as no reward within the truth's angle of the proxy can fall. The impact penalty is attainable
utility preservation (Turner et al. 2020, arXiv 1902.09725): a step costs by how much it changes
what could still be got of random other rewards, against doing nothing. Letters of shapes as in
`table`; K auxiliary rewards. Left out on purpose: networks, and every trick that makes learning
faster.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from alignwright.stats.arrays import Floats
from alignwright.stats.tilting import chi_squared, gold_gain_bound
from alignwright.worlds import occupancy as occupancies
from alignwright.worlds.table import Return, TabularWorld, occupancy, value_iteration

TEMPERATURES = tuple(float(t) for t in np.geomspace(100, 0.01, 81))
"""Of the early stop's way, in spreads of the proxy: so small a step that the stop does not
depend on its size."""


@dataclass(frozen=True)
class TrainedAgent:
    """A learner's policy, and what it came to while it learnt: (steps, what an episode got)."""

    policy_SA: Floats
    curve: tuple[tuple[int, Return], ...]


def q_learning(
    env: Any,
    *,
    seed: int,
    episodes: int = 200,
    gamma: float = 0.95,
    rate: float = 0.2,
    explore: float = 0.1,
    evaluations: int = 10,
    tries: int = 1,
) -> TrainedAgent:
    """Tabular Q-learning of the proxy in a gymnasium world with discrete observations; the curve
    has `evaluations` greedy looks of `tries` episodes."""
    draw = random.Random(seed)  # noqa: S311 - exploration, not secrets
    states, actions = int(env.observation_space.n), int(env.action_space.n)
    q_SA = [
        [1e-6 * draw.random() for _ in range(actions)] for _ in range(states)
    ]  # so that equals are not always the first
    curve: list[tuple[int, Return]] = []
    for episode in range(episodes):
        if episode % max(1, episodes // evaluations) == 0:
            curve.append((episode, rollout_return(env, _greedy(q_SA), seed=seed + 10_000 + episode, episodes=tries)))
        state, _ = env.reset(seed=seed * 1_000_003 + episode)
        over = False
        while not over:
            q_A = q_SA[state]
            action = draw.randrange(actions) if draw.random() < explore else q_A.index(max(q_A))
            after, reward, terminal, truncated, _ = env.step(action)
            q_A[action] += rate * (reward + (0.0 if terminal else gamma * max(q_SA[after])) - q_A[action])
            state, over = after, terminal or truncated
    policy_SA = _greedy(q_SA)
    curve.append((episodes, rollout_return(env, policy_SA, seed=seed + 10_000 + episodes, episodes=tries)))
    return TrainedAgent(policy_SA, tuple(curve))


def rollout_return(env: Any, policy_SA: Floats, *, seed: int, episodes: int = 1) -> Return:
    """The mean proxy and true return of so many episodes of a policy over what is observed."""
    draw = random.Random(seed)  # noqa: S311 - play, not secrets
    sums_SA = policy_SA.cumsum(-1).tolist()
    proxy = true = 0.0
    for episode in range(episodes):
        state, _ = env.reset(seed=seed * 1009 + episode)
        over = False
        while not over:
            action = min(bisect_right(sums_SA[state], draw.random()), policy_SA.shape[1] - 1)
            state, reward, terminal, truncated, info = env.step(action)
            proxy, true, over = proxy + reward, true + info["true"], terminal or truncated
    return Return(proxy / episodes, true / episodes)


def reinforce(
    pull: Callable[[int], Return],
    arms: int,
    *,
    seed: int,
    rounds: int = 400,
    rate: float = 0.3,
    evaluations: int = 20,
    batch: int = 16,
) -> TrainedAgent:
    """REINFORCE over one choice among `arms`, advantages divided by their spread in the batch;
    the curve holds the policy's exact means."""
    rng = np.random.default_rng(seed)
    returns = [pull(a) for a in range(arms)]
    logits_A = np.zeros(arms)
    curve: list[tuple[int, Return]] = []
    for turn in range(rounds):
        policy_A = _softmax(logits_A)
        if turn % max(1, rounds // evaluations) == 0:
            curve.append((turn * batch, _mean(returns, policy_A)))
        arm_B = rng.choice(arms, size=batch, p=policy_A)
        reward_B = np.array([returns[a].proxy for a in arm_B])
        gain_B = (reward_B - reward_B.mean()) / (reward_B.std() + 1e-8)
        for arm, gain in zip(arm_B, gain_B, strict=True):
            logits_A += rate / batch * gain * ((np.arange(arms) == arm) - policy_A)
    policy_A = _softmax(logits_A)
    curve.append((rounds * batch, _mean(returns, policy_A)))
    return TrainedAgent(policy_A[None], tuple(curve))


@dataclass(frozen=True)
class ProxyCorrelation:
    """What a proxy is worth under a reference policy: its correlation with the truth, and the
    weight of the penalty that follows from it."""

    correlation: float
    proxy_spread: float
    true_spread: float

    @property
    def weight(self) -> float:
        """lambda = spread of the proxy * sqrt(1 - r^2)."""
        return self.proxy_spread * float(np.sqrt(max(0.0, 1.0 - self.correlation**2)))


def proxy_correlation(table: TabularWorld, reference_SA: Floats) -> ProxyCorrelation:
    """Correlation and spreads of proxy and truth over the reference's occupancy. ValueError
    where one of them does not vary."""
    mass_SA = occupancy(table, reference_SA)
    proxy_SA, true_SA = (
        table.proxy_SA - (mass_SA * table.proxy_SA).sum(),
        table.true_SA - (mass_SA * table.true_SA).sum(),
    )
    proxy, true = (float(np.sqrt((mass_SA * x_SA**2).sum())) for x_SA in (proxy_SA, true_SA))
    if not (proxy > 0 and true > 0):
        raise ValueError(
            f"{table.name}: proxy or truth never varies under the reference, so they have no correlation; use a noisier"
            " reference"
        )
    return ProxyCorrelation(float((mass_SA * proxy_SA * true_SA).sum()) / (proxy * true), proxy, true)


def guaranteed_gain(table: TabularWorld, reference_SA: Floats, policy_SA: Floats) -> float:
    """The least that a policy must have gained of the truth, in spreads under the reference, by
    what it gained of the proxy and how far it went."""
    proxy, base_SA, mass_SA = (
        proxy_correlation(table, reference_SA),
        occupancy(table, reference_SA),
        occupancy(table, policy_SA),
    )
    gain = float(((mass_SA - base_SA) * table.proxy_SA).sum()) / proxy.proxy_spread
    return gold_gain_bound(proxy.correlation, gain, chi_squared(mass_SA.ravel(), base_SA.ravel()))


@dataclass(frozen=True)
class AngleStop:
    """Where the early stop ended: the policy, after how many of the way's steps, and the angle
    between truth and proxy, in degrees."""

    policy_SA: Floats
    step: int
    steps: int
    degrees: float


def stop_by_angle(table: TabularWorld, reference_SA: Floats) -> AngleStop:
    """Follow the proxy from the reference and stop before a step that could lower a reward as
    far from the proxy as the truth is."""
    # 1. The path: softmax policies of the proxy around the reference, ever colder.
    spread = proxy_correlation(table, reference_SA).proxy_spread
    policies = [reference_SA, *(_soft(table, reference_SA, t * spread) for t in TEMPERATURES)]
    # 2. The angle counts only directions in which an occupancy can move.
    project = occupancies.feasible(table.next_SAN, table.gamma)
    toward, true = (project @ reward_SA.ravel() for reward_SA in (table.proxy_SA, table.true_SA))
    theta = occupancies.angle(toward, true)
    # 3. Stop before the first step that a reward at this angle could lose by.
    at = occupancies.stop([occupancy(table, policy_SA).ravel() for policy_SA in policies], toward, theta)
    return AngleStop(policies[at], at, len(TEMPERATURES), float(np.degrees(theta)))


def regularised_policy(table: TabularWorld, reference_SA: Floats, weight: float) -> Floats:
    """The policy that maximises J(proxy) - weight * sqrt(chi2), a concave programme over
    occupancies (SLSQP); where it never goes, the reference."""
    states, actions = table.proxy_SA.shape
    # 1. The reference must reach every pair: chi-squared to what it never does is infinite.
    base_SA = occupancy(table, reference_SA)
    if base_SA.min() <= 0:
        problem = f"the reference never takes {int((base_SA <= 0).sum())} of its actions"
        raise ValueError(
            f"{table.name}: {problem}, so no distance to it is finite there; give it a share of random actions"
        )
    # 2. Occupancies are a polytope: flow, what leaves a state is what the start and all others bring
    flow = np.kron(np.eye(states), np.ones(actions)) - table.gamma * table.next_SAN.reshape(states * actions, states).T
    base, reward = base_SA.ravel(), table.proxy_SA.ravel()

    def loss(x: Floats) -> tuple[float, Floats]:
        gap = (x - base) / base
        root = float(np.sqrt((gap * (x - base)).sum() + 1e-16))
        return -float(reward @ x) + weight * root, -reward + weight * gap / root

    # 3. Minus the objective and its gradient. The start is off the reference, where the root has a kink.
    start = 0.9 * base + 0.1 * occupancy(table, np.full((states, actions), 1.0 / actions)).ravel()
    rules = [{"type": "eq", "fun": lambda x: flow @ x - (1 - table.gamma) * table.start_S, "jac": lambda _: flow}]
    solution = minimize(
        loss,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * len(base),
        constraints=rules,
        options={"maxiter": 500, "ftol": 1e-10},
    )
    if not solution.success:
        raise RuntimeError(
            f"{table.name}: the regularised policy was not found ({solution.message}); try another weight than"
            f" {weight:g}"
        )
    # 4. From occupancy back to a policy; where it never goes it does as the reference does.
    mass_SA = np.maximum(solution.x, 0.0).reshape(states, actions)
    visits_S = mass_SA.sum(-1, keepdims=True)
    return np.where(visits_S > 1e-9, mass_SA / np.maximum(visits_S, 1e-12), reference_SA)


def impact(table: TabularWorld, *, seed: int, weight: float, rewards: int = 8) -> Floats:
    """The proxy less `weight` times the mean change of attainable random rewards against doing
    nothing."""
    if table.still_S is None:
        raise ValueError(f"{table.name} has no action that does nothing, so no impact can be told from it")
    rng = np.random.default_rng(seed)
    states = np.arange(len(table.states))
    changes: list[Floats] = []
    for _ in range(rewards):
        q_SA = value_iteration(table, rng.random(table.proxy_SA.shape), tolerance=1e-6).q_SA
        spread = float(q_SA.max() - q_SA.min()) or 1.0
        changes.append(np.abs(q_SA - q_SA[states, table.still_S][:, None]) / spread)
    return table.proxy_SA - weight * np.mean(changes, axis=0)


def _soft(table: TabularWorld, reference_SA: Floats, temperature: float) -> Floats:
    """The policy with the highest discounted proxy less temperature x KL from the reference;
    episodes begin anew, as in `occupancy`."""
    value_S = np.zeros(len(table.states))
    while True:
        q_SA = table.proxy_SA + table.gamma * table.next_SAN @ value_S
        top_S = q_SA.max(-1)
        weight_SA = reference_SA * np.exp((q_SA - top_S[:, None]) / temperature)
        best_S = top_S + temperature * np.log(weight_SA.sum(-1))
        if np.abs(best_S - value_S).max() < 1e-10 * (1 + np.abs(best_S).max()):
            return weight_SA / weight_SA.sum(-1, keepdims=True)
        value_S = best_S


def _greedy(q_SA: list[list[float]]) -> Floats:
    return np.eye(len(q_SA[0]))[[row.index(max(row)) for row in q_SA]]


def _softmax(logits_A: Floats) -> Floats:
    weights_A = np.exp(logits_A - logits_A.max())
    return weights_A / weights_A.sum()


def _mean(returns: list[Return], policy_A: Floats) -> Return:
    return Return(float(policy_A @ [r.proxy for r in returns]), float(policy_A @ [r.true for r in returns]))

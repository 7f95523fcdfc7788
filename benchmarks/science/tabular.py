"""How far from the best possible trade of reward against divergence does each method end, where the
best is known exactly?

Figure 2 of the DPO paper (Rafailov et al. 2023, arXiv 2305.18290) in small. A policy writes two
tokens, so every prompt has K = V^2 completions whose probabilities, rewards and divergence are sums
and not samples. The frontier max{E r : KL <= c} is the curve of tilts pi ~ ref exp(r / beta).
Measured is the `gap`: how much more reward the tilt of equal KL has, as a share of its gain over
the reference.

Exact methods minimise the library's losses over all pairs; PPO and RLOO see samples only, and use
the library's credit and losses. Controls: a reward of zero (nothing may move), preferences of a
shuffled reward (no gain in the true one), and the k3 estimator as a loss, whose gradient is that of
KL(ref || pi): it must NOT end on this frontier.

Shapes: P prompts, V tokens, K completions, S samples (P x group), N tokens drawn (2 S).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import torch
from torch import Tensor

from alignwright.train import advantages, clipped_losses, losses
from science.log import Facts, Line, Log

F64 = torch.float64
BETAS = (0.25, 0.5, 1.0, 2.0)
BEST_OF = (2, 4, 16, 64)
PROMPTS, VOCABULARY = 6, 6
Method = Literal["ppo", "rloo", "rloo_k3_loss"]


def run(log: Log, seed: int) -> None:
    """All of it for one seed: another reference, another reward, other samples."""
    steps, betas = (60, BETAS[1:2]) if log.quick else (800, BETAS)
    world = World.drawn(seed)
    log.job(
        "tabular_frontier.exact",
        seed,
        {"prompts": PROMPTS, "completions": VOCABULARY**2},
        lambda: exact(world, seed, betas),
    )
    for method in ("ppo", "rloo", "rloo_k3_loss"):
        settings: Facts = {"steps": steps, "samples": PROMPTS * GROUP, "method": method}

        def sampled(method: Method = method) -> list[Line]:
            return [
                place(world, descend(world, beta, method, steps, seed), f"tabular_frontier.{method}", beta=beta)
                for beta in betas
            ]

        log.job(f"tabular_frontier.{method}", seed, settings, sampled)
    still = World(world.first_PV, world.second_PVV, torch.zeros_like(world.reward_PK))
    log.job("tabular_frontier.zero_reward", seed, {"steps": steps}, lambda: [moved(still, steps, seed)])


# ---- the world -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class World:
    """A reference policy, as logits of the first token and of the second given the first, and
    the reward of each completion."""

    first_PV: Tensor
    second_PVV: Tensor
    reward_PK: Tensor

    @classmethod
    def drawn(cls, seed: int) -> World:
        normal = torch.Generator().manual_seed(seed)
        shapes = ((PROMPTS, VOCABULARY), (PROMPTS, VOCABULARY, VOCABULARY), (PROMPTS, VOCABULARY**2))
        return cls(*(torch.randn(*shape, generator=normal, dtype=F64) for shape in shapes))

    @property
    def logp_PK(self) -> Tensor:
        return joint(self.first_PV, self.second_PVV)

    def point(self, logp_PK: Tensor) -> tuple[float, float]:
        """KL to the reference and expected reward, means over prompts."""
        p_PK = logp_PK.exp()
        weighted = torch.where(p_PK > 0, p_PK * (logp_PK - self.logp_PK), 0.0)
        return float(weighted.sum(1).mean()), float((p_PK * self.reward_PK).sum(1).mean())

    def tilt(self, beta: float) -> Tensor:
        return (self.logp_PK + self.reward_PK / beta).log_softmax(1)

    def best(self, kl: float) -> float:
        """The most reward that any policy of this divergence has: that of the tilt with this
        divergence, by bisection."""
        low, high = 1e-3, 1e6  # betas
        for _ in range(200):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if self.point(self.tilt(middle))[0] > kl else (low, middle)
        return self.point(self.tilt(high))[1]

    @property
    def spread(self) -> float:
        """The reward's standard deviation under the reference, mean over prompts."""
        p_PK = self.logp_PK.exp()
        mean_P1 = (p_PK * self.reward_PK).sum(1, keepdim=True)
        return float((p_PK * (self.reward_PK - mean_P1) ** 2).sum(1).sqrt().mean())


def joint(first_PV: Tensor, second_PVV: Tensor) -> Tensor:
    """ln p of each completion (first token x V + second token)."""
    return (first_PV.log_softmax(1)[:, :, None] + second_PVV.log_softmax(2)).flatten(1)


def place(world: World, logp_PK: Tensor, name: str, **facts: float) -> Line:
    """Where a policy lies: `value` is the gap below the frontier as a share of the gain that was
    to be had at its divergence."""
    kl, reward = world.point(logp_PK)
    start, best = world.point(world.logp_PK)[1], world.best(kl)
    gap = (best - reward) / (best - start) if kl > 1e-9 else 0.0
    known: Facts = {
        "kl": kl,
        "reward": reward,
        "frontier": best,
        "start": start,
        "gap_sd": (best - reward) / world.spread,
    }
    if beta := facts.get("beta"):
        aim_kl, aim_reward = world.point(world.tilt(beta))
        known |= {
            "aim_kl": aim_kl,
            "aim_reward": aim_reward,
            "objective": reward - beta * kl,
            "aim_objective": aim_reward - beta * aim_kl,
        }
        known["objective_gap"] = 1 - (reward - beta * kl - start) / (aim_reward - beta * aim_kl - start)
    return Line(
        name, world.reward_PK.numel(), gap, method="exact: all completions enumerated", facts=known | dict(facts)
    )


# ---- methods that see the whole distribution -----------------------------------------------------
def exact(world: World, seed: int, betas: tuple[float, ...]) -> list[Line]:
    """DPO on all pairs with the probabilities that one beats the other, SFT on chosen replies of
    endless data, best-of-n."""
    lines = [place(world, dpo(world, world.reward_PK, beta), "tabular_frontier.dpo", beta=beta) for beta in betas]
    shuffled_PK = torch.stack(
        [row[torch.randperm(len(row), generator=torch.Generator().manual_seed(seed))] for row in world.reward_PK]
    )
    lines += [place(world, dpo(world, shuffled_PK, 1.0), "tabular_frontier.dpo_shuffled")]
    lines += [place(world, policy, "tabular_frontier.sft", step=float(step)) for step, policy in sft(world)]
    for n in BEST_OF:
        policy = best_of(world, n)
        lines.append(
            place(
                world, policy, "tabular_frontier.best_of_n", best_of=float(n), gap_sd_by_prompt=by_prompt(world, policy)
            )
        )
    return lines


def by_prompt(world: World, logp_PK: Tensor) -> float:
    """The gap in standard deviations where each prompt may spend the divergence it has spent,
    and no prompt another's. Mean over prompts."""
    gaps: list[float] = []
    for p in range(PROMPTS):
        alone = World(world.first_PV[p : p + 1], world.second_PVV[p : p + 1], world.reward_PK[p : p + 1])
        kl, reward = alone.point(logp_PK[p : p + 1])
        gaps.append((alone.best(kl) - reward) / alone.spread)
    return fmean(gaps)


def dpo(world: World, reward_PK: Tensor, beta: float) -> Tensor:
    """The minimum of the library's DPO loss over all pairs, each vote with its exact probability."""
    completions = reward_PK.shape[1]
    chosen_A, rejected_A = torch.triu_indices(completions, completions, offset=1)
    strength_PA = torch.sigmoid(reward_PK[:, chosen_A] - reward_PK[:, rejected_A])
    reference_PK = world.logp_PK

    def loss(logp_PK: Tensor) -> Tensor:
        ratio_PK = logp_PK - reference_PK
        margin_PA = ratio_PK[:, chosen_A] - ratio_PK[:, rejected_A]
        return losses.dpo(margin_PA.flatten(), beta=beta, strength_P=strength_PA.flatten()).mean()

    return minimise(world, loss)


def minimise(world: World, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Where the loss of ln p is smallest, from the reference on."""
    parameters = [world.first_PV.clone().requires_grad_(True), world.second_PVV.clone().requires_grad_(True)]
    optimiser = torch.optim.LBFGS(
        parameters,
        max_iter=4000,
        max_eval=8000,
        history_size=50,
        tolerance_grad=1e-13,
        tolerance_change=1e-18,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss(joint(parameters[0], parameters[1]))
        value.backward()
        return value

    optimiser.step(closure)  # type: ignore[arg-type]
    return joint(parameters[0], parameters[1]).detach()


def sft(world: World) -> list[tuple[int, Tensor]]:
    """Gradient descent on the likelihood of chosen replies: two draws of the reference, the
    better one by Bradley-Terry. The path, and its end."""
    p_PK, reward_PK = world.logp_PK.exp(), world.reward_PK
    wins_PK = (p_PK[:, None, :] * torch.sigmoid(reward_PK[:, :, None] - reward_PK[:, None, :])).sum(2)
    chosen_PK = 2 * p_PK * wins_PK
    parameters = [world.first_PV.clone().requires_grad_(True), world.second_PVV.clone().requires_grad_(True)]
    optimiser = torch.optim.Adam(parameters, lr=0.02)
    path: list[tuple[int, Tensor]] = []
    for step in range(1, 401):
        optimiser.zero_grad()
        nll_N = losses.negative_log_likelihood(joint(parameters[0], parameters[1]).flatten(), chosen_PK.flatten())
        (nll_N.sum() / len(p_PK)).backward()
        optimiser.step()
        if step in (10, 20, 40):
            path.append((step, joint(parameters[0], parameters[1]).detach()))
    return [*path, (400, chosen_PK.log())]


def best_of(world: World, n: int) -> Tensor:
    """The best of n draws, exactly: with the completions in order of reward, F_i^n - F_(i-1)^n."""
    order_PK = world.reward_PK.argsort(1)
    upto_PK = world.logp_PK.exp().gather(1, order_PK).cumsum(1).clamp(max=1.0)
    chosen_PK = torch.diff(upto_PK**n, dim=1, prepend=torch.zeros(len(upto_PK), 1, dtype=F64))
    return torch.zeros_like(chosen_PK).scatter(1, order_PK, chosen_PK).log()


# ---- methods that see samples --------------------------------------------------------------------
GROUP = 64


def descend(world: World, kl: float, method: Method, steps: int, seed: int, away: float = 0.0) -> Tensor:
    """Policy gradient with the library's credit and losses, from samples alone; PPO with a table of
    values and two passes over a rollout.

    It begins at the reference, or `away` from it by so many deviations of noise in the logits.
    """
    drawing = torch.Generator().manual_seed(seed + 10_000)
    noise = [
        away * torch.randn(logits.shape, generator=drawing, dtype=F64) for logits in (world.first_PV, world.second_PVV)
    ]
    policy = [(world.first_PV + noise[0]).requires_grad_(True), (world.second_PVV + noise[1]).requires_grad_(True)]
    value = [
        torch.zeros(PROMPTS, dtype=F64, requires_grad=True),
        torch.zeros(PROMPTS, VOCABULARY, dtype=F64, requires_grad=True),
    ]
    optimiser = torch.optim.Adam([{"params": policy, "lr": 0.03}, {"params": value, "lr": 0.1}], betas=(0.9, 0.99))
    fall = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: max(0.01, 1 - step / max(1, steps)))
    reference = (world.first_PV, world.second_PVV)
    for _ in range(steps):
        drawn = _draw(world, policy, drawing)
        with torch.no_grad():
            old_N, reference_N, value_N = _logp(policy, drawn), _logp(reference, drawn), _values(value, drawn)
        advantage_N, return_N = _credit(drawn, old_N, reference_N, value_N, kl, method)
        for _ in range(2 if method == "ppo" else 1):
            optimiser.zero_grad()
            logp_N = _logp(policy, drawn)
            loss_N = clipped_losses.ppo_loss(logp_N, old_N, advantage_N, low=0.2, high=0.2)
            if method == "rloo_k3_loss":
                loss_N = loss_N + kl * clipped_losses.divergence_loss("k3", logp_N, reference_N, old_N)
            total = loss_N.sum() / len(drawn.score_S)
            if method == "ppo":
                total = (
                    total
                    + clipped_losses.clipped_value_loss(
                        _values(value, drawn), value_N, return_N, cliprange_value=1e9
                    ).mean()
                )
            total.backward()
            optimiser.step()
        fall.step()
    return joint(policy[0], policy[1]).detach()


@dataclass(frozen=True)
class _Drawn:
    prompt_S: Tensor
    first_S: Tensor
    second_S: Tensor
    score_S: Tensor
    length_S: Tensor


def _draw(world: World, policy: list[Tensor], drawing: torch.Generator) -> _Drawn:
    p_PK = joint(policy[0], policy[1]).detach().exp()
    chosen_PG = torch.multinomial(p_PK, GROUP, replacement=True, generator=drawing)
    prompt_S, chosen_S = torch.arange(PROMPTS).repeat_interleave(GROUP), chosen_PG.flatten()
    score_S = world.reward_PK[prompt_S, chosen_S]
    return _Drawn(prompt_S, chosen_S // VOCABULARY, chosen_S % VOCABULARY, score_S, torch.full_like(prompt_S, 2))


def _logp(policy: list[Tensor] | tuple[Tensor, Tensor], drawn: _Drawn) -> Tensor:
    first_S = policy[0].log_softmax(1)[drawn.prompt_S, drawn.first_S]
    second_S = policy[1].log_softmax(2)[drawn.prompt_S, drawn.first_S, drawn.second_S]
    return torch.stack([first_S, second_S], dim=1).flatten()


def _values(value: list[Tensor], drawn: _Drawn) -> Tensor:
    return torch.stack([value[0][drawn.prompt_S], value[1][drawn.prompt_S, drawn.first_S]], dim=1).flatten()


def _credit(
    drawn: _Drawn, old_N: Tensor, reference_N: Tensor, value_N: Tensor, kl: float, method: Method
) -> tuple[Tensor, Tensor]:
    """Advantages, and returns for the value table (unused by RLOO)."""
    penalty_N = kl * clipped_losses.divergence("k1", old_N, reference_N)
    match method:
        case "ppo":
            return advantages.gae(
                advantages.token_rewards(drawn.score_S, penalty_N, drawn.length_S),
                value_N,
                drawn.length_S,
                gamma=1.0,
                lam=0.95,
            )
        case "rloo":
            whole_S = drawn.score_S - advantages.per_reply(penalty_N, drawn.length_S)
        case "rloo_k3_loss":
            whole_S = drawn.score_S
    advantage_N = advantages.leave_one_out(whole_S, drawn.prompt_S).repeat_interleave(2)
    return advantage_N, advantage_N


def moved(world: World, steps: int, seed: int) -> Line:
    """With a reward of zero for everything PPO and RLOO must go back to the reference from
    wherever they begin, and SFT stay there."""
    ends = {method: world.point(descend(world, 0.5, method, steps, seed, away=1.0))[0] for method in ("ppo", "rloo")}
    began = world.point(descend(world, 0.5, "rloo", 0, seed, away=1.0))[0]
    stayed = max(world.point(policy)[0] for _, policy in sft(world))
    facts: Facts = {**ends, "sft": stayed, "began": began}
    return Line(
        "tabular_frontier.zero_reward", world.reward_PK.numel(), max(ends.values()), method="exact KL", facts=facts
    )

"""What does a rollout teach? Its replies as tensors, laid out in rows, steps and micro-batches, and
the advantage of every token.

A method of the policy-gradient family is an `AdvantageRecipe`: which advantage, what a token
weighs, which clip, how many passes. Rows of a rollout are dealt to minibatches at random, whole
rows at a time, and keep their micro-batch in every pass: log-probabilities that were computed once
in that layout are comparable to the last bit.

Shapes: `_R` replies of the rollout, `_N` their tokens, one reply after another.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from alignwright.model.packing import plan_batches
from alignwright.model.tokens import TokenRow
from alignwright.train import advantages
from alignwright.train.batches import MicroBatch
from alignwright.train.clipped_losses import TokenWeighting, divergence, token_weights
from alignwright.train.knobs_policy_gradient import GradientStage, Grpo, Ppo, Reinforce, Rloo
from alignwright.train.rollout import Rollout, rows_of

if TYPE_CHECKING:
    from torch import Tensor

_CUSHION = 0.2  # the last share of max_new_tokens over which DAPO's penalty of length grows: 4096 of 20480 in the paper


@dataclass(frozen=True)
class AdvantageRecipe:
    """`low` and `high`: how far a ratio may go below and above 1. `by_reply`: one ratio a reply.
    `dapo`: drop equal groups, penalise length."""

    advantage: Literal["gae", "group_norm", "group_mean", "rloo", "batch_mean", "none"]
    weighting: TokenWeighting
    low: float
    high: float
    num_iterations: int = 1
    num_mini_batches: int = 1
    by_reply: bool = False
    dapo: bool = False


def recipe_of(stage: GradientStage) -> AdvantageRecipe:
    """The row of each stage in the family's table."""
    match stage:
        case Ppo():
            return AdvantageRecipe(
                "gae", "token", stage.cliprange, stage.cliprange, stage.num_iterations, stage.num_mini_batches
            )
        case Grpo():
            return _grpo(stage)
        case Rloo():
            return AdvantageRecipe(
                "rloo", "reply_sum", stage.cliprange, stage.cliprange, stage.num_iterations, stage.num_mini_batches
            )
        case Reinforce():  # one pass of one step: the ratio is 1 and no clip is ever met
            return AdvantageRecipe("batch_mean" if stage.baseline == "mean" else "none", "reply_sum", 1.0, 1.0)


def _grpo(stage: Grpo) -> AdvantageRecipe:
    clip = stage.cliprange or (3e-4 if stage.variant == "gspo" else 0.2)
    high = stage.cliprange_high or {"dapo": 0.28, "gspo": 4e-4}.get(stage.variant, clip)
    knobs = (clip, high, stage.num_iterations, stage.num_mini_batches)
    match stage.variant:
        case "grpo":
            return AdvantageRecipe("group_norm", "reply_mean", *knobs)
        case "dr_grpo":
            return AdvantageRecipe("group_mean", "constant", *knobs)
        case "dapo":
            return AdvantageRecipe("group_norm", "token", *knobs, dapo=True)
        case "gspo":
            return AdvantageRecipe("group_norm", "reply_mean", *knobs, by_reply=True)


@dataclass
class RolloutBatch:
    """A rollout on its way to gradients. `old_N` (who spoke), `value_N` and `reference_N` are
    filled in by forward passes, then then given advantages (`assign_advantages`)."""

    rollout: Rollout
    rows: list[TokenRow]
    places: list[tuple[int, ...]]  # of each row's replies among all replies
    steps: list[list[MicroBatch]]
    length_R: Tensor
    group_R: Tensor
    score_R: Tensor
    weight_R: Tensor
    unit_R: Tensor
    old_N: Tensor
    value_N: Tensor
    reference_N: Tensor
    advantage_N: Tensor
    return_N: Tensor

    @property
    def micro_batches(self) -> list[MicroBatch]:
        """Each once."""
        return list(dict.fromkeys(batch for step in self.steps for batch in step))

    @property
    def trained_R(self) -> Tensor:
        """The places of the replies that are in a row, in the order of the rows."""
        return self.replies(tuple(range(len(self.rows))))

    def replies(self, batch: MicroBatch) -> Tensor:
        """The places of a micro-batch's replies."""
        return torch.tensor([r for i in batch for r in self.places[i]], dtype=torch.int64, device=self.length_R.device)

    def tokens(self, reply_R: Tensor) -> Tensor:
        """The places of these replies' tokens, in order."""
        end_R = self.length_R.cumsum(0)[reply_R].tolist()
        length_R = self.length_R[reply_R].tolist()
        return torch.cat(
            [torch.arange(end - n, end, device=self.old_N.device) for end, n in zip(end_R, length_R, strict=True)]
        )


def lay_out(
    rollout: Rollout,
    recipe: AdvantageRecipe,
    *,
    multiplier: float,
    budget: int,
    longest: int,
    seed: int,
    device: torch.device,
) -> RolloutBatch:
    """Rows, steps and scores (reward - multiplier * cost) of a rollout; `longest` is max_new_tokens."""
    # 1. replies one after another, the reward less its cost: float64, for groups differ by little
    length_R = torch.tensor([len(s.ids) for group in rollout.groups for s in group.samples], device=device)
    group_R = torch.tensor([g for g, group in enumerate(rollout.groups) for _ in group.samples], device=device)
    score_R = torch.tensor(
        [score for group in rollout.groups for score in group.scores], dtype=torch.float64, device=device
    )
    if multiplier:
        score_R -= multiplier * torch.tensor(
            [cost for group in rollout.groups for cost in group.costs], dtype=torch.float64, device=device
        )
    # 2. rows; DAPO drops groups of equal rewards before its penalty of length would make them unequal
    packed_rows = rows_of(rollout.groups, budget)
    if recipe.dapo:
        equal_R = advantages.rewards_equal(score_R, group_R).tolist()
        packed_rows = [(row, places) for row, places in packed_rows if not equal_R[places[0]]]
        score_R = score_R + advantages.overlong(length_R, limit=longest, cushion=max(1, round(_CUSHION * longest)))
    rows, places = [row for row, _ in packed_rows], [places for _, places in packed_rows]
    # 3. what a token weighs and how many units a reply adds to the divisor of its step
    weight_R, unit_R = token_weights(recipe.weighting, length_R, longest=longest)
    blank = [torch.zeros(int(length_R.sum()), device=device) for _ in range(5)]
    steps = plan_round(rows, recipe, budget, random.Random(f"{seed}/{rollout.number}"))  # noqa: S311
    return RolloutBatch(rollout, rows, places, steps, length_R, group_R, score_R, weight_R, unit_R, *blank)


def plan_round(
    rows: Sequence[TokenRow], recipe: AdvantageRecipe, budget: int, order: random.Random
) -> list[list[MicroBatch]]:
    """The micro-batches of each step of a round: in every pass each row once, in the same
    minibatch and micro-batch, minibatches in a new order."""
    shuffled_rows = order.sample(range(len(rows)), len(rows))
    parts = [sorted(shuffled_rows[k :: recipe.num_mini_batches]) for k in range(recipe.num_mini_batches)]
    minibatches: list[list[MicroBatch]] = []
    for part in parts:
        planned = plan_batches([rows[i] for i in part], budget, shuffle_seed=None) if part else []
        minibatches.append([tuple(part[j] for j in batch) for batch in planned])
    return minibatches + [
        step for _ in range(recipe.num_iterations - 1) for step in order.sample(minibatches, len(minibatches))
    ]


def assign_advantages(
    batch: RolloutBatch,
    recipe: AdvantageRecipe,
    penalty_N: Tensor,
    *,
    gamma: float = 1.0,
    lam: float = 1.0,
    whiten: bool = False,
) -> None:
    """Give every token its advantage (and its return, for a value to learn). `penalty_N`: what
    divergence costs in the reward, already weighted."""
    if recipe.advantage == "gae":
        reward_N = advantages.token_rewards(batch.score_R, penalty_N, batch.length_R)
        advantage_N, batch.return_N = advantages.gae(reward_N, batch.value_N, batch.length_R, gamma=gamma, lam=lam)
        batch.advantage_N = advantages.whiten(advantage_N) if whiten else advantage_N
        return
    penalty_R = advantages.per_reply(penalty_N.double(), batch.length_R)
    advantage_R = reply_advantages(recipe, batch.score_R, penalty_R, batch.group_R)
    batch.advantage_N = torch.repeat_interleave(advantage_R, batch.length_R).to(penalty_N.dtype)


def reply_advantages(recipe: AdvantageRecipe, score_R: Tensor, penalty_R: Tensor, group_R: Tensor) -> Tensor:
    """How much better each reply did than its baseline. Shape [R]."""
    match recipe.advantage:
        case "group_norm":  # by the spread of scores alone: divergence must not be blown up where scores are equal
            return advantages.normalise_by_group(score_R, group_R) - advantages.subtract_group_mean(penalty_R, group_R)
        case "group_mean":
            return advantages.subtract_group_mean(score_R - penalty_R, group_R)
        case "rloo":
            return advantages.leave_one_out(score_R - penalty_R, group_R)
        case "batch_mean":
            return advantages.leave_one_out(score_R - penalty_R, torch.zeros_like(group_R))
        case "none":
            return score_R - penalty_R
        case "gae":
            raise AssertionError("advantages of tokens are made by assign")


def round_facts(rollout_batch: RolloutBatch, recipe: AdvantageRecipe, *, kl: bool, values: bool) -> dict[str, float]:
    """What is logged of a round beside its rollout: measured on the policy that spoke, over the
    replies that teach. `kl`: a reference read them; `values`: a value head did."""
    facts: dict[str, float] = {}
    trained_R = rollout_batch.trained_R
    if recipe.dapo:
        facts["dropped"] = float(len(rollout_batch.rollout.groups) - len(rollout_batch.group_R[trained_R].unique()))
    if len(trained_R) == 0:
        return facts
    at_N = rollout_batch.tokens(trained_R)
    facts["entropy"] = -float(rollout_batch.old_N[at_N].mean())
    if kl:
        facts["kl"] = float(divergence("k3", rollout_batch.old_N[at_N], rollout_batch.reference_N[at_N]).sum()) / len(
            trained_R
        )  # never below 0
    spread = float(rollout_batch.return_N.var(correction=0)) if values else 0.0
    if spread > 0:
        facts["explained_variance"] = (
            1 - float((rollout_batch.return_N - rollout_batch.value_N).var(correction=0)) / spread
        )
    return facts

"""What must hold before a policy gradient begins: knobs that go together, and a start where the
importance ratio is 1 and the KL divergence from the reference is 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from alignwright.core.protocols import RewardFn
from alignwright.core.stage import resolved
from alignwright.model.tokens import TokenRow
from alignwright.train.knobs_policy_gradient import GradientStage, Grpo, Rloo
from alignwright.train.rollout_batch import AdvantageRecipe, RolloutBatch
from alignwright.train.step0 import Invariant

if TYPE_CHECKING:
    from torch import Tensor


def check_knobs(
    stage: GradientStage, recipe: AdvantageRecipe, prompts: int, cost: RewardFn | None, ptx_rows: Sequence[TokenRow]
) -> None:
    """Refuse what would do nothing, or not what its name says."""
    where, size = f"train by {stage.by}: ", min(resolved(stage.prompts), prompts)
    if stage.kl_form == "loss:k1":
        raise ValueError(
            f"{where}kl_form loss:k1 holds nothing: the expected gradient of k1 as a loss is zero, whatever the policy."
            " Use reward:k1 or loss:k2 for KL(policy || start), loss:k3 for KL(start || policy)"
        )
    if isinstance(stage, Grpo | Rloo) and resolved(stage.samples) < 2:
        raise ValueError(
            f"{where}a reply is judged against its siblings, and with 'samples: 1' it has none; ask for 2, or use"
            " ppo or reinforce"
        )
    if stage.kl_target is not None and stage.kl_coef == 0:
        raise ValueError(
            f"{where}kl_target adapts a weight that starts at 'kl_coef: 0' and stays there; give kl_coef a positive"
            " start"
        )
    if (cost is None) != (stage.cost is None):
        named_cost = "none" if cost is None else cost.name
        raise ValueError(
            f"{where}the stage names {stage.cost!r} as its cost, and the cost that was given is {named_cost}; give both"
            " or neither"
        )
    if (stage.ptx_coef > 0) != bool(ptx_rows):
        raise ValueError(
            f"{where}'ptx_coef: {stage.ptx_coef:g}' with {len(ptx_rows)} rows of plain text; the weight and the text"
            " need each other"
        )
    if recipe.num_mini_batches > size:
        raise ValueError(
            f"{where}{recipe.num_mini_batches} mini-batches of {size} prompts leave some empty; ask for fewer, or for"
            " more prompts"
        )


def start_invariants(
    rollout_batch: RolloutBatch, at_N: Tensor, logp_N: Tensor, *, kl_coef: float, temperature: float, strict: bool
) -> list[Invariant]:
    """What holds of the first micro-batch, before anything has moved. `strict`: in float32 the
    sampler and the trainer agree to 1e-3."""
    ratio_gap = float((logp_N - rollout_batch.old_N[at_N]).abs().max())
    name = "the ratio to the policy that spoke, at its furthest from 1,"
    invariants = [Invariant(name, math.exp(ratio_gap), 1.0, 1e-5, _RATIO)]
    if kl_coef > 0:
        furthest = float((logp_N - rollout_batch.reference_N[at_N]).abs().max())
        name = "the log-ratio to the reference, at its furthest from 0,"
        invariants.append(Invariant(name, furthest, 0.0, 1e-5, _REFERENCE))
    if temperature == 1:
        sampled_logps = [logp for group in rollout_batch.rollout.groups for s in group.samples for logp in s.logprobs]
        gap_to_sampler = float((logp_N - torch.tensor(sampled_logps, device=logp_N.device)[at_N]).abs().mean())
        name = "the mean gap between the sampler's and the trainer's log-probabilities"
        invariants.append(Invariant(name, gap_to_sampler, 0.0, 1e-3 if strict else None, _GAP))
    return invariants


_RATIO = (
    "the policy in training is not the one that drew the samples, or its forward pass is not repeatable; check the"
    " adapter and the thread count"
)
_REFERENCE = (
    "the reference is not the model that this stage starts from, and the divergence would hold the policy to another;"
    " check what was loaded"
)
_GAP = (
    "sampling and training do not compute the same model: a mask, a position, a merged adapter or an end token differs"
    " between them"
)

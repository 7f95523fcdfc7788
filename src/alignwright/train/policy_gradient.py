"""How does a model learn from how well it did? Policy gradients: PPO, GRPO and its corrections,
RLOO, REINFORCE.

All are one thing: sample replies, score them, give every token its advantage (`advantages`), and
follow a clipped surrogate of the importance ratio (`clipped_losses`) in the one optimiser loop. A
method is a row of a table (`rollout_batch.recipe_of`): which advantage, weight of a token, clip.

`tests/test_train_grpo_by_hand.py` is GRPO flat on one screen, in plain torch, with the same
numbers.

- PPO (Schulman et al. 2017; Ouyang et al. 2022): a value for every token, generalised advantages,
  whitened, clipped ratios and values.
- GRPO (Shao et al. 2024, arXiv 2402.03300): replies to one prompt against each other, divided by
  their spread. Dr. GRPO (Liu et al. 2025) divides by neither spread nor length; DAPO (Yu et al.
  2025) weighs tokens alike, drops equal groups (it draws none in their place) and penalises
  overlong replies; GSPO (Zheng et al. 2025) has one ratio a reply.
- RLOO (Ahmadian et al. 2024, arXiv 2402.14740): against the mean of the siblings. REINFORCE:
  against the rollout's other replies.

What holds the policy is its divergence from the model at the START of this stage. Earlier stages
continue the same adapter, so that "adapter off" would be another model: a copy of the trainable
parameters is kept, and swapped in for one pass a rollout.

Passes are saved where they are not needed: no reference without `kl_coef`; the log-probabilities
of the policy that spoke (the old log-probabilities of the ratio) are those of the first step's own
forward pass. Where advantages need them before it, or a rollout has several mini-batches, the
micro-batch that is trained on first is run last, and its graph is kept for its gradient: a rollout
of one micro-batch is read once less. All are computed in the very rows and micro-batches of
training, so ratio and divergence at the start are exactly 1 and 0; `check_start` refuses anything
else.

The displayed loss of a policy gradient is near 0 at every healthy step and says nothing; `reward`
and `kl` in the metrics do. `kl` is in nats a reply, by k3 whatever `kl_form`: as a value it is as
unbiased as k1, and never below 0.

Left out on purpose: a KL weight per token position, replay of old rollouts, clamps of rewards.

Shapes: `_R` replies, `_N` their tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from alignwright.core.protocols import RewardFn
from alignwright.core.records import Prompt
from alignwright.core.stage import resolved
from alignwright.model.adapters import trainable_parameters
from alignwright.model.tokens import TokenRow
from alignwright.train import batches
from alignwright.train.advantages import adapt_kl_coef, multiplier, per_reply
from alignwright.train.batches import MicroBatch
from alignwright.train.clipped_losses import (
    Estimator,
    clipped_value_loss,
    divergence,
    divergence_loss,
    gspo_loss,
    ppo_loss,
    ratio_metrics,
)
from alignwright.train.forward import forward_rows
from alignwright.train.knobs_policy_gradient import GradientStage, Ppo
from alignwright.train.loop import LoopSettings, StepReport, run_loop
from alignwright.train.policy_gradient_checks import check_knobs, start_invariants
from alignwright.train.reference import swapped_parameters
from alignwright.train.rollout import (
    PromptSchedule,
    count_constant_rounds,
    drop_too_long,
    sample_rollout,
    write_samples,
)
from alignwright.train.rollout_batch import AdvantageRecipe, assign_advantages, lay_out, recipe_of, round_facts
from alignwright.train.step0 import check_start
from alignwright.train.value_head import ValueHead, value_head

if TYPE_CHECKING:
    from torch import Tensor, nn

    from alignwright.model.local_model import LocalModel

_MULTIPLIER_RATE = 0.1  # how far the Lagrange multiplier goes for a mean cost of 1 above its limit


def policy_gradient(
    policy: LocalModel,
    prompts: Sequence[Prompt],
    scorer: RewardFn,
    stage: GradientStage,
    *,
    cost: RewardFn | None = None,
    ptx_rows: Sequence[TokenRow] = (),
    seed: int,
    folder: Path,
    on_step: Callable[[StepReport], None] | None = None,
) -> list[StepReport]:
    """Train `policy` in place to raise `scorer`, whose mean `cost` (where given) must not exceed
    the stage's limit.

    `ptx_rows` are rows of plain text whose likelihood is held up. `stage` must be resolved: no knob
    is None. `folder` gets metrics.jsonl, samples.jsonl and start.json. Raises ValueError for knobs
    that cannot work together, ConstantReward when the judge tells no reply from another,
    Step0Error when policy and reference are not the same numbers, TrainingDiverged when a loss is
    not finite.
    """
    recipe = recipe_of(stage)
    fit = drop_too_long(policy, prompts, stage, folder)
    check_knobs(stage, recipe, len(fit), cost, ptx_rows)
    policy.check_lengths([len(row) for row in ptx_rows])
    schedule = _PolicyGradientSchedule(policy, fit, (scorer, cost), ptx_rows, stage, recipe, seed, folder)
    return run_loop(policy, schedule, schedule, LoopSettings(stage.lr, stage.checkpoint_every), folder, on_step)


class _PolicyGradientSchedule:
    """Objective and schedule in one: the rows of a round, and the loss of its micro-batches."""

    def __init__(
        self,
        policy: LocalModel,
        prompts: Sequence[Prompt],
        judges: tuple[RewardFn, RewardFn | None],
        ptx_rows: Sequence[TokenRow],
        stage: GradientStage,
        recipe: AdvantageRecipe,
        seed: int,
        folder: Path,
    ) -> None:
        self.policy, self.judges, self.ptx_rows = policy, judges, ptx_rows
        self.stage, self.recipe, self.seed, self.folder = stage, recipe, seed, folder
        self.schedule = PromptSchedule(prompts, stage, seed)
        self.rounds, self.per_round = self.schedule.rounds, recipe.num_iterations * recipe.num_mini_batches
        self.budget = min(batches.MICRO_TOKENS, resolved(stage.batch_tokens))
        self.head = value_head(policy) if isinstance(stage, Ppo) else None
        self.extra: Sequence[nn.Parameter] = list(self.head.parameters()) if self.head else []
        self.start = [p.detach().clone() for p in trainable_parameters(policy)] if stage.kl_coef > 0 else []
        self.in_reward = stage.kl_form.startswith("reward:")
        self.estimator: Estimator = cast("Estimator", stage.kl_form.partition(":")[2])
        self.reuse_first_forward = (
            self.head is None and recipe.num_mini_batches == 1 and not (stage.kl_coef > 0 and self.in_reward)
        )
        self.kl_coef, self.multiplier, self.constant_rounds = stage.kl_coef, 0.0, 0.0
        self.rows: Sequence[TokenRow] = []
        self.ptx_weight: dict[int, float] = {}  # the weight of a row of plain text
        self.check_start_pending = self.first_step = False
        self.cached_forward: tuple[MicroBatch, tuple[Tensor, Tensor]] | None = (
            None  # the first micro-batch to learn from, read already
        )

    # ---- as a schedule ---------------------------------------------------------------------------
    def epoch(self, number: int) -> int:
        return self.schedule.epoch(number)

    def state(self) -> dict[str, float]:
        return {"kl_coef": self.kl_coef, "multiplier": self.multiplier, "flat": self.constant_rounds}

    def restore(self, state: Mapping[str, float]) -> None:
        self.kl_coef, self.multiplier, self.constant_rounds = state["kl_coef"], state["multiplier"], state["flat"]

    def begin(self, number: int) -> list[list[MicroBatch]]:
        # 1. sample and score: nothing of the round depends on anything but weights, seed and number
        stage, prompts = self.stage, self.schedule.of(number)
        rollout = sample_rollout(
            self.policy, prompts, self.judges[0], stage, seed=self.seed, rollout=number, cost=self.judges[1]
        )
        device, longest = self.policy.device, resolved(stage.max_new_tokens)
        rollout_batch = lay_out(
            rollout,
            self.recipe,
            multiplier=self.multiplier,
            budget=self.budget,
            longest=longest,
            seed=self.seed,
            device=device,
        )
        self.rollout_batch, self.rows, self.ptx_weight = rollout_batch, rollout_batch.rows, {}
        # 2. the passes that advantages need: reference, policy that spoke, values
        self._prepare_logps()
        # 3. advantages, with the divergence taken from the reward where `kl_form` says so
        penalty_N = torch.zeros_like(rollout_batch.old_N)
        if self.kl_coef > 0 and self.in_reward:
            penalty_N = self.kl_coef * divergence(self.estimator, rollout_batch.old_N, rollout_batch.reference_N)
        if isinstance(stage, Ppo):
            assign_advantages(
                rollout_batch, self.recipe, penalty_N, gamma=stage.gamma, lam=stage.lam, whiten=stage.whiten
            )
        else:
            assign_advantages(rollout_batch, self.recipe, penalty_N)
        write_samples(
            self.folder,
            rollout,
            (per_reply(rollout_batch.advantage_N, rollout_batch.length_R) / rollout_batch.length_R).tolist(),
        )
        self.constant_rounds = count_constant_rounds(rollout, self.constant_rounds, self.rounds)
        self.check_start_pending, self.first_step = number == 0, True
        orders = [random.Random(f"{self.seed}/{number}/{k}") for k in range(len(rollout_batch.steps))]  # noqa: S311
        return [self._with_mix(step, order) for step, order in zip(rollout_batch.steps, orders, strict=True)]

    def after(self, step: int) -> dict[str, float]:
        self.first_step, self.cached_forward = False, None  # the weights have moved
        facts = self.rollout_batch.rollout.facts() | self._judge_facts()
        facts |= round_facts(self.rollout_batch, self.recipe, kl=self.kl_coef > 0, values=self.head is not None)
        if step + 1 == self.per_round:
            if self.stage.kl_target is not None and "kl" in facts:
                self.kl_coef = adapt_kl_coef(self.kl_coef, observed=facts["kl"], target=self.stage.kl_target)
            if "cost" in facts:
                self.multiplier = multiplier(
                    self.multiplier, cost=facts["cost"], limit=self.stage.cost_limit, rate=_MULTIPLIER_RATE
                )
        return facts

    # ---- as an objective -------------------------------------------------------------------------
    def num_units(self, batch: MicroBatch) -> float:
        return (
            0.0
            if batch[0] in self.ptx_weight
            else float(self.rollout_batch.unit_R[self.rollout_batch.replies(batch)].sum())
        )

    def loss(self, batch: MicroBatch) -> tuple[Tensor, dict[str, float]]:
        if batch[0] in self.ptx_weight:
            return self._mix_loss(batch)
        rollout_batch = self.rollout_batch
        # 1. log-probabilities now: the pass that was made for advantages already, where this is its micro-batch
        reply_R = rollout_batch.replies(batch)
        at_N, length_R = rollout_batch.tokens(reply_R), rollout_batch.length_R[reply_R]
        if self.cached_forward and self.cached_forward[0] == batch:
            (logp_N, value_N), self.cached_forward = self.cached_forward[1], None
        else:
            logp_N, value_N = self._forward(batch, self.head)
        # 2. the policy that spoke is this one before its first step: the ratio is 1 and its pass is saved
        if self.reuse_first_forward and self.first_step:
            rollout_batch.old_N[at_N] = logp_N.detach()
        if self.check_start_pending:
            self._check_start(at_N, logp_N.detach())
        # 3. the loss of each token, times what the method lets it weigh
        loss_N, metrics = self._token_losses(at_N, length_R, logp_N, value_N)
        even_N = torch.repeat_interleave(
            rollout_batch.unit_R[reply_R] / length_R, length_R
        )  # sums to the units: what is logged is a plain mean
        total = (torch.repeat_interleave(rollout_batch.weight_R[reply_R], length_R) * loss_N).sum()
        return total, {name: float((even_N * x_N).sum()) for name, x_N in metrics.items()}

    def describe(self, index: int) -> dict[str, object]:
        if index in self.ptx_weight:
            return {"text": self.policy.chat.decode(self.rows[index].replies[0])}
        replies = [(group, k) for group in self.rollout_batch.rollout.groups for k in range(len(group.texts))]
        samples = [replies[r] for r in self.rollout_batch.places[index]]
        prompt = [m.model_dump() for m in samples[0][0].prompt.conversation.messages]
        return {
            "prompt": prompt,
            "replies": [{"text": group.texts[k], "score": group.scores[k]} for group, k in samples],
        }

    # ---- inside ----------------------------------------------------------------------------------
    def _forward(self, batch: MicroBatch, head: ValueHead | None = None) -> tuple[Tensor, Tensor]:
        return forward_rows(self.policy, [self.rows[i] for i in batch], temperature=self.stage.temperature, head=head)

    def _prepare_logps(self) -> None:
        """The passes before the first step: the reference, and the policy that spoke, where the
        first step does not show it for nothing."""
        rollout_batch, places = (
            self.rollout_batch,
            {
                batch: self.rollout_batch.tokens(self.rollout_batch.replies(batch))
                for batch in self.rollout_batch.micro_batches
            },
        )
        if self.kl_coef > 0:
            with swapped_parameters(self.policy, self.start), torch.no_grad():
                for batch, at_N in places.items():
                    rollout_batch.reference_N[at_N] = self._forward(batch)[0]
        if self.reuse_first_forward:
            return
        for batch, at_N in reversed(places.items()):  # what is learnt from first comes last, and keeps its graph
            with torch.set_grad_enabled(batch == rollout_batch.micro_batches[0]):
                forward_pass = self._forward(batch, self.head)
            rollout_batch.old_N[at_N], rollout_batch.value_N[at_N] = forward_pass[0].detach(), forward_pass[1].detach()
            self.cached_forward = (batch, forward_pass)

    def _token_losses(
        self, at_N: Tensor, length_R: Tensor, logp_N: Tensor, value_N: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each token, and what is logged of it."""
        rollout_batch, recipe, stage = self.rollout_batch, self.recipe, self.stage
        old_N, advantage_N = rollout_batch.old_N[at_N], rollout_batch.advantage_N[at_N]
        if recipe.by_reply:
            loss_N = gspo_loss(logp_N, old_N, advantage_N, length_R, low=recipe.low, high=recipe.high)
        else:
            loss_N = ppo_loss(logp_N, old_N, advantage_N, low=recipe.low, high=recipe.high)
        metrics = ratio_metrics(
            logp_N.detach(), old_N, length_R if recipe.by_reply else None, low=recipe.low, high=recipe.high
        )
        if self.kl_coef > 0 and not self.in_reward:
            loss_N = loss_N + self.kl_coef * divergence_loss(
                self.estimator, logp_N, rollout_batch.reference_N[at_N], old_N
            )
        if isinstance(stage, Ppo):
            value_loss_N = clipped_value_loss(
                value_N,
                rollout_batch.value_N[at_N],
                rollout_batch.return_N[at_N],
                cliprange_value=stage.cliprange_value,
            )
            loss_N = loss_N + stage.vf_coef * value_loss_N
            metrics["value_loss"] = value_loss_N.detach()
        return loss_N, metrics

    def _judge_facts(self) -> dict[str, float]:
        facts = {"kl_coef": self.kl_coef} if self.kl_coef > 0 else {}
        return facts | ({"multiplier": self.multiplier} if self.judges[1] else {})

    def _with_mix(self, step: list[MicroBatch], order: random.Random) -> list[MicroBatch]:
        """The step and a micro-batch of plain text, weighted so that the loop's division by the
        step's units makes it a mean over tokens."""
        num_units = sum(self.num_units(batch) for batch in step)
        if not self.ptx_rows or num_units == 0:
            return step
        chosen: list[TokenRow] = []
        for i in order.sample(range(len(self.ptx_rows)), len(self.ptx_rows)):
            if chosen and max(map(len, [*chosen, self.ptx_rows[i]])) * (len(chosen) + 1) > self.budget:
                break
            chosen.append(self.ptx_rows[i])
        scored = sum(sum(map(len, row.replies)) if row.masks is None else sum(map(sum, row.masks)) for row in chosen)
        batch = tuple(range(len(self.rows), len(self.rows) + len(chosen)))
        self.rows = [*self.rows, *chosen]
        self.ptx_weight |= dict.fromkeys(batch, self.stage.ptx_coef * num_units / scored)
        return [*step, batch]

    def _mix_loss(self, batch: MicroBatch) -> tuple[Tensor, dict[str, float]]:
        nll = -forward_rows(self.policy, [self.rows[i] for i in batch])[0].sum()
        weight = self.ptx_weight[batch[0]]
        return weight * nll, {"ptx_nll": weight / self.stage.ptx_coef * float(nll.detach())}

    def _check_start(self, at_N: Tensor, logp_N: Tensor) -> None:
        """On the first micro-batch of the stage, before anything has moved."""
        strict = self.policy.dtype == torch.float32
        invariants = start_invariants(
            self.rollout_batch, at_N, logp_N, kl_coef=self.kl_coef, temperature=self.stage.temperature, strict=strict
        )
        check_start(invariants, self.folder)
        self.check_start_pending = False

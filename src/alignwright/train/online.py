"""How does a model learn from preferences between its own replies, as it makes them?

Each round samples replies to some prompts with the policy as it is and has them judged (`rollout`);
the scores of one prompt share a scale.

Online DPO (Guo et al. 2024, arXiv 2402.04792) learns that the best reply beats the worst, by DPO
against the model that the stage started from. A prompt whose replies are all judged alike teaches
nothing.

SPPO (Wu et al. 2024, arXiv 2405.00675) plays against itself: reply i beats a sibling j with
probability sigmoid(score_i - score_j), its win rate is the mean over its siblings, and its
log-ratio to the policy of this round's start is drawn to (win rate - 1/2) / beta. The reference
moves every round, which is multiplicative weights on the game of the judge's preferences; the
average policy goes to its Nash equilibrium. A round takes several passes: in the first step the
log-ratio is 0 and beta would only scale the gradient. The sigmoid reads scores as log-odds, which a
reward model's are. Scores between 0 and 1 (win rates of voters, shares of rules) differ by less
than 1: a sigmoid moves a quarter as far from 1/2 as they do, as a four times larger beta would.

A round has as many steps as `batch_tokens` asks for if every reply is as long as it may be; steps
that come out empty move nothing. Left out on purpose: an estimate of the divergence in online DPO
(it looks at the best and the worst reply, which are no sample).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from alignwright.core.protocols import RewardFn
from alignwright.core.records import Preference, Prompt
from alignwright.core.stage import resolved
from alignwright.model.adapters import trainable_parameters
from alignwright.model.packing import plan_batches
from alignwright.model.tokens import TokenRow
from alignwright.train import batches, losses
from alignwright.train.batches import MicroBatch
from alignwright.train.knobs_pairs import Dpo
from alignwright.train.knobs_rollouts import SPPO_PASSES, OnlineDpo, OnlineStage, Sppo
from alignwright.train.loop import LoopSettings, StepReport, run_loop
from alignwright.train.paired import PairObjective
from alignwright.train.pairs import Pair, PreferenceRow
from alignwright.train.reference import NOT_ITS_REFERENCE, ReferenceLogps, swapped_parameters
from alignwright.train.rollout import (
    Group,
    PromptSchedule,
    Rollout,
    count_constant_rounds,
    drop_too_long,
    rows_of,
    sample_rollout,
    split_steps,
    steps_of,
    write_samples,
)
from alignwright.train.step0 import Invariant, check_start

if TYPE_CHECKING:
    from torch import Tensor, nn

    from alignwright.model.local_model import LocalModel


def online(
    policy: LocalModel,
    prompts: Sequence[Prompt],
    scorer: RewardFn,
    stage: OnlineStage,
    *,
    seed: int,
    folder: Path,
    on_step: Callable[[StepReport], None] | None = None,
) -> list[StepReport]:
    """Train `policy` in place on its own replies to `prompts`, as `scorer` judges them. `stage`
    must be resolved: no knob is None.

    `folder` gets metrics.jsonl, samples.jsonl and start.json. Raises ConstantReward when the judge
    tells no reply from another, Step0Error when policy and reference are not the same numbers,
    TrainingDiverged when a loss is not finite.
    """
    if resolved(stage.samples) < 2:
        siblings = f"with 'samples: {stage.samples}' it has none"
        raise ValueError(
            f"train by {stage.by}: a reply is compared with its siblings, and {siblings}; ask for 2 or more"
        )
    schedule = _OnlineSchedule(policy, drop_too_long(policy, prompts, stage, folder), scorer, stage, seed, folder)
    return run_loop(policy, schedule, schedule, LoopSettings(stage.lr, stage.checkpoint_every), folder, on_step)


def best_and_worst(group: Group) -> PreferenceRow | None:
    """The best reply beats the worst, the first of each where several are; None where all are
    judged alike."""
    if group.equal:
        return None
    best, worst = (group.scores.index(pick(group.scores)) for pick in (max, min))
    preference = Preference(prompt=group.prompt, chosen=group.texts[best], rejected=group.texts[worst])
    return PreferenceRow(group.row([best, worst]), (Pair(0, 1, preference),))


def win_rates(scores: Sequence[float]) -> list[float]:
    """How often each reply beats one of its siblings, by the sigmoid of the difference of their
    scores."""
    score_K = torch.tensor(scores, dtype=torch.float64)
    chance_KK = torch.sigmoid(score_K[:, None] - score_K[None, :])
    return ((chance_KK.sum(1) - 0.5) / (len(scores) - 1)).tolist()  # its chance against itself is 1/2


class SppoObjective:
    """The replies of a round, each with its win rate. A unit is a reply."""

    def __init__(self, policy: LocalModel, groups: Sequence[Group], beta: float, budget: int) -> None:
        packed_rows = rows_of(groups, budget)
        self.rows, self.places = [row for row, _ in packed_rows], [places for _, places in packed_rows]
        self.win_A = [win for group in groups for win in win_rates(group.scores)]
        self.beta, self.replies = beta, ReferenceLogps(policy, self.rows)

    def num_units(self, batch: MicroBatch) -> float:
        return float(sum(len(self.places[i]) for i in batch))

    def loss(self, batch: MicroBatch) -> tuple[Tensor, dict[str, float]]:
        ratio_R = self.replies.logratio(batch, self.replies.logprobs(batch)[0])
        win_R = torch.tensor([self.win_A[a] for i in batch for a in self.places[i]], device=ratio_R.device)
        loss_R = losses.sppo(ratio_R, win_R=win_R, beta=self.beta)
        moved_R = ratio_R.detach()
        return loss_R.sum(), {
            "moved": float(moved_R.abs().sum()),
            "gained": float((moved_R * (win_R - 0.5).sign()).sum()),
        }

    @torch.no_grad()
    def invariants(self, batch: MicroBatch) -> list[Invariant]:
        """What must hold of a micro-batch before the first step."""
        loss, metrics = self.loss(batch)
        num_units = self.num_units(batch)
        wins = [self.win_A[a] for i in batch for a in self.places[i]]
        expected = sum(((win - 0.5) / self.beta) ** 2 for win in wins) / num_units
        meaning = "at log-ratio 0 the loss of sppo is the mean square of (win rate - 1/2) / beta"
        return [
            Invariant("log-ratio", metrics["moved"] / num_units, 0.0, 1e-4, NOT_ITS_REFERENCE),
            Invariant("loss", float(loss) / num_units, expected, 1e-4 * (1 + expected), meaning),
        ]

    def describe(self, index: int) -> dict[str, object]:
        chat = self.replies.policy.chat
        return {
            "prompt": chat.decode(self.rows[index].prompt),
            "replies": [chat.decode(reply) for reply in self.rows[index].replies],
        }


class _OnlineSchedule:
    """Objective and schedule in one: a round's own objective, made from its samples."""

    extra: Sequence[nn.Parameter] = ()

    def __init__(
        self,
        policy: LocalModel,
        prompts: Sequence[Prompt],
        scorer: RewardFn,
        stage: OnlineStage,
        seed: int,
        folder: Path,
    ) -> None:
        self.policy, self.scorer, self.stage, self.seed, self.folder = policy, scorer, stage, seed, folder
        self.schedule = PromptSchedule(prompts, stage, seed)
        self.budget = min(batches.MICRO_TOKENS, resolved(stage.batch_tokens))
        self.passes = SPPO_PASSES if isinstance(stage, Sppo) else 1
        self.per_pass = steps_of(
            policy, prompts, stage, trained_replies=resolved(stage.samples) if isinstance(stage, Sppo) else 2
        )
        self.rounds, self.per_round = self.schedule.rounds, self.passes * self.per_pass
        self.start = [p.detach().clone() for p in trainable_parameters(policy)] if isinstance(stage, OnlineDpo) else []
        self.constant_rounds, self.check_start_pending = 0.0, True
        self.objective: PairObjective | SppoObjective | None = None
        self.rows: Sequence[TokenRow] = ()
        self.facts: dict[str, float] = {}

    # ---- schedule --------------------------------------------------------------------------------
    def epoch(self, number: int) -> int:
        return self.schedule.epoch(number)

    def state(self) -> dict[str, float]:
        return {"flat": self.constant_rounds, "unmoved": float(self.check_start_pending)}

    def restore(self, state: Mapping[str, float]) -> None:
        self.constant_rounds, self.check_start_pending = state["flat"], bool(state["unmoved"])

    def begin(self, number: int) -> list[list[MicroBatch]]:
        prompts = self.schedule.of(number)
        rollout = sample_rollout(self.policy, prompts, self.scorer, self.stage, seed=self.seed, rollout=number)
        self.facts = rollout.facts()
        self._keep(rollout)
        self.constant_rounds = count_constant_rounds(rollout, self.constant_rounds, self.rounds)
        self.objective = self._objective([group for group in rollout.groups if len(group.scores) > 1])
        self.rows = self.objective.rows if self.objective else ()
        if self.objective is None:
            return [[] for _ in range(self.per_round)]
        micro = [tuple(batch) for batch in plan_batches(self.rows, self.budget, shuffle_seed=None)]
        with swapped_parameters(self.policy, self.start) if self.start else contextlib.nullcontext():
            self.objective.replies.compute_reference(micro)
        if self.check_start_pending:
            check_start(self.objective.invariants(micro[0]), self.folder)
            self.check_start_pending = False
        return [
            step for k in range(self.passes) for step in split_steps(micro, self.per_pass, f"{self.seed}/{number}/{k}")
        ]

    def after(self, step: int) -> dict[str, float]:  # noqa: ARG002 - of each step its round's facts
        return self.facts

    # ---- objective -------------------------------------------------------------------------------
    def num_units(self, batch: MicroBatch) -> float:
        return self._current.num_units(batch)

    def loss(self, batch: MicroBatch) -> tuple[Tensor, dict[str, float]]:
        return self._current.loss(batch)

    def describe(self, index: int) -> dict[str, object]:
        return self._current.describe(index)

    @property
    def _current(self) -> PairObjective | SppoObjective:
        assert self.objective is not None, "a round without rows has no micro-batches"
        return self.objective

    def _objective(self, groups: Sequence[Group]) -> PairObjective | SppoObjective | None:
        if isinstance(self.stage, Sppo):
            return SppoObjective(self.policy, groups, self.stage.beta, self.budget) if groups else None
        preference_rows = [preference_row for group in groups if (preference_row := best_and_worst(group))]
        return (
            PairObjective(self.policy, preference_rows, Dpo(by="dpo", beta=self.stage.beta))
            if preference_rows
            else None
        )

    def _keep(self, rollout: Rollout) -> None:
        if isinstance(self.stage, Sppo):
            rates = [
                win - 0.5
                for group in rollout.groups
                for win in (win_rates(group.scores) if len(group.scores) > 1 else [0.5])
            ]
            write_samples(self.folder, rollout, rates)
        else:
            write_samples(self.folder, rollout)

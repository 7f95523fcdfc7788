"""How much is gained by asking n times and keeping the best? Best-of-n: what it costs in
divergence, what it gains, and how to learn it.

`best_of_n` distils it (RAFT; Dong et al. 2023, arXiv 2304.06767): each round answers some prompts n
times, keeps the reply that is judged best, and fine-tunes on the kept ones (in as many steps as
`batch_tokens` asks for when replies are as long as they may be). The next round is drawn from the
policy after that, so that rounds add up and the divergence of one best-of-n choice is no bound on
theirs; no `kl` is measured, for nothing here needs a reference. A prompt of which all replies score
the same teaches nothing better than what is already said, and is left out.

`curve.jsonl` shows the mean score of the best of 1, 2, 4 ... n in every rollout, by the unbiased
estimator over all subsets, beside the divergence of the choice (`stats.best_of_n`). The first
rollout's is the curve of the model that training starts from.

With `quantile: q` the kept reply is a draw from the best share q instead (a quantilizer; Taylor
2016): a reply that only the judge likes is learnt no more often than 1 / q times as often as it was
said, so that a harm is multiplied by at most that. The draw is a function of seed, round and place.
`curve.jsonl` has a line for it, with its divergence and the bound ln(1 / q); `quantile: 1/n` keeps
the best.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alignwright.core.protocols import RewardFn
from alignwright.core.records import Prompt
from alignwright.core.stage import resolved
from alignwright.model.packing import plan_batches
from alignwright.model.tokens import TokenRow
from alignwright.stats.best_of_n import bon_estimate, bon_kl, quantilizer_kl, quantilizer_of_n, quantilizer_of_n_kl
from alignwright.train import batches
from alignwright.train.batches import MicroBatch
from alignwright.train.forward import forward_rows
from alignwright.train.knobs_rollouts import BestOfN
from alignwright.train.loop import LoopSettings, StepReport, run_loop
from alignwright.train.losses import negative_log_likelihood
from alignwright.train.rollout import (
    Group,
    PromptSchedule,
    Rollout,
    append_round,
    count_constant_rounds,
    drop_too_long,
    sample_rollout,
    split_steps,
    steps_of,
    write_samples,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from alignwright.model.local_model import LocalModel


def best_of_n(
    policy: LocalModel,
    prompts: Sequence[Prompt],
    scorer: RewardFn,
    stage: BestOfN,
    *,
    seed: int,
    folder: Path,
    on_step: Callable[[StepReport], None] | None = None,
) -> list[StepReport]:
    """Train `policy` in place on its own best replies. `stage` must be resolved. `folder` gets
    metrics.jsonl, samples.jsonl, curve.jsonl.

    Raises ValueError with `samples: 1` or without a prompt that fits, ConstantReward when the judge
    tells no reply from another.
    """
    if resolved(stage.samples) < 2:
        raise ValueError(
            "train by best_of_n: the best of 'samples: 1' is whatever was said, and teaches nothing; ask for 2 or more"
        )
    if stage.quantile is not None and stage.quantile * resolved(stage.samples) < 1 - 1e-9:
        fewer = f"the best {stage.quantile:g} of {stage.samples} replies is less than one reply"
        raise ValueError(f"train by best_of_n: {fewer}; ask for more samples, or a larger 'quantile'")
    schedule = _BestOfNSchedule(policy, drop_too_long(policy, prompts, stage, folder), scorer, stage, seed, folder)
    return run_loop(policy, schedule, schedule, LoopSettings(stage.lr, stage.checkpoint_every), folder, on_step)


class _BestOfNSchedule:
    """Objective and schedule in one: a round is a pass over the best reply to each of its prompts."""

    def __init__(
        self, policy: LocalModel, prompts: Sequence[Prompt], scorer: RewardFn, stage: BestOfN, seed: int, folder: Path
    ) -> None:
        self.policy, self.scorer, self.stage, self.seed, self.folder = policy, scorer, stage, seed, folder
        self.schedule = PromptSchedule(prompts, stage, seed)
        self.rounds, self.per_round = self.schedule.rounds, steps_of(policy, prompts, stage, trained_replies=1)
        self.extra: Sequence[nn.Parameter] = ()
        self.rows: Sequence[TokenRow] = []
        self.groups: list[Group] = []
        self.choices: list[int] = []
        self.constant_rounds = 0.0

    def epoch(self, number: int) -> int:
        return self.schedule.epoch(number)

    def begin(self, number: int) -> list[list[MicroBatch]]:
        prompts = self.schedule.of(number)
        self.rollout = sample_rollout(self.policy, prompts, self.scorer, self.stage, seed=self.seed, rollout=number)
        write_samples(self.folder, self.rollout)
        append_round(self.folder / "curve.jsonl", number, curve(self.rollout, self.stage.quantile))
        self.constant_rounds = count_constant_rounds(self.rollout, self.constant_rounds, self.rounds)
        self.groups = [group for group in self.rollout.groups if not group.equal]
        self.choices = [
            choose(group, self.stage.quantile, f"{self.seed}/{number}/{place}")
            for place, group in enumerate(self.groups)
        ]
        self.rows = [group.row([k]) for group, k in zip(self.groups, self.choices, strict=True)]
        budget = min(batches.MICRO_TOKENS, resolved(self.stage.batch_tokens))
        micro = [tuple(batch) for batch in plan_batches(self.rows, budget, shuffle_seed=None)] if self.rows else []
        return split_steps(micro, self.per_round, f"{self.seed}/{number}")

    def after(self, step: int) -> dict[str, float]:  # noqa: ARG002 - of each step its round's facts
        facts = self.rollout.facts()
        if self.groups:
            facts["best"] = float(np.mean([max(group.scores) for group in self.groups]))
            if self.stage.quantile is not None:
                facts["kept"] = float(
                    np.mean([group.scores[k] for group, k in zip(self.groups, self.choices, strict=True)])
                )
        return facts

    def state(self) -> dict[str, float]:
        return {"flat": self.constant_rounds}

    def restore(self, state: Mapping[str, float]) -> None:
        self.constant_rounds = state["flat"]

    def num_units(self, batch: MicroBatch) -> float:
        return float(sum(len(self.rows[i].replies[0]) for i in batch))

    def loss(self, batch: MicroBatch) -> tuple[Tensor, dict[str, float]]:
        logp_N, _ = forward_rows(self.policy, [self.rows[i] for i in batch])
        return negative_log_likelihood(logp_N).sum(), {}

    def describe(self, index: int) -> dict[str, object]:
        group = self.groups[index]
        return {
            "prompt": [m.model_dump() for m in group.prompt.conversation.messages],
            "reply": group.texts[self.choices[index]],
        }


def best(group: Group) -> int:
    """The place of the reply that is judged best, the first of them where several are."""
    return max(range(len(group.scores)), key=lambda k: (group.scores[k], -k))


def choose(group: Group, quantile: float | None, seed: str) -> int:
    """The place of the reply that is learnt: the best, or with a quantile a draw from that best
    share, which `seed` decides."""
    if quantile is None:
        return best(group)
    order = sorted(range(len(group.scores)), key=lambda k: (group.scores[k], -k))
    return random.Random(seed).choices(order, quantilizer_of_n(len(order), quantile).tolist())[0]  # noqa: S311


def curve(rollout: Rollout, quantile: float | None = None) -> list[dict[str, object]]:
    """The mean best-of-n score by n = 1, 2, 4 ... over the prompts of which every reply was scored,
    and the divergence of the choice.

    With a quantile last its own: the mean score of what it keeps of all n, its divergence, and the
    bound of that.
    """
    most = max(len(group.scores) for group in rollout.groups)
    whole = [group for group in rollout.groups if len(group.scores) == most]
    sizes = sorted({1 << k for k in range(most.bit_length())} | {most})
    lines: list[dict[str, object]] = [
        {
            "n": n,
            "kl": bon_kl(n),
            "proxy": float(np.mean([bon_estimate(g.scores, g.scores, n) for g in whole])),
            "prompts": len(whole),
        }
        for n in sizes
    ]
    if quantile is not None:
        mean = float(np.mean([quantilizer_of_n(most, quantile) @ np.sort(g.scores) for g in whole]))
        line = {
            "kl": quantilizer_of_n_kl(most, quantile),
            "kl_most": quantilizer_kl(quantile),
            "proxy": mean,
            "prompts": len(whole),
        }
        lines.append({"n": most, "quantile": quantile} | line)
    return lines

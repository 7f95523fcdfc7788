"""How does a model learn to say what it would never have said? Supervised fine-tuning on given
replies.

Only the assistant's tokens are trained, the ends of its turns included; the prompt's never are. Of
a conversation of several turns all are trained, those that the data exclude left out, or the last
alone (`turns`). Each scored token of a step weighs the same (times its row's weight), so long
replies are not favoured by the cut into batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from alignwright.core.records import Conversation
from alignwright.core.stage import resolved
from alignwright.model.logprob import token_logprobs
from alignwright.model.packing import pack
from alignwright.model.tokens import TokenRow
from alignwright.train.batches import MicroBatch, plan_training
from alignwright.train.data_checks import masks_of
from alignwright.train.knobs_loop import FineTuning
from alignwright.train.loop import LoopSettings, StepReport, run_loop
from alignwright.train.losses import negative_log_likelihood
from alignwright.train.rows import demonstration_rows, fit_rows

if TYPE_CHECKING:
    from torch import Tensor

    from alignwright.model.local_model import LocalModel


@dataclass(frozen=True)
class Demonstration:
    """A conversation to learn from, which ends with the assistant's turn, and the weight of its
    loss."""

    conversation: Conversation
    weight: float = 1.0


def sft(
    policy: LocalModel,
    demonstrations: Sequence[Demonstration],
    stage: FineTuning,
    *,
    seed: int,
    folder: Path,
    on_step: Callable[[StepReport], None] | None = None,
) -> list[StepReport]:
    """Fine-tune `policy` (whose adapter is already attached) in place. `stage` must be resolved: no
    knob is None.

    Raises ValueError when no row is left within `max_tokens`, TrainingDiverged when a loss is not
    finite.
    """
    rows = demonstration_rows(policy.chat, [d.conversation for d in demonstrations], stage.learnt_turns)
    keep = fit_rows(
        rows,
        min(resolved(stage.max_tokens), policy.longest),
        folder,
        [d.conversation.model_dump(mode="json") for d in demonstrations],
    )
    objective = _SftObjective(policy, [rows[i] for i in keep], [demonstrations[i] for i in keep])
    plan = plan_training(
        objective.rows, epochs=resolved(stage.epochs), batch_tokens=resolved(stage.batch_tokens), seed=seed
    )
    return run_loop(policy, objective, plan, LoopSettings(stage.lr, stage.checkpoint_every), folder, on_step)


class _SftObjective:
    def __init__(self, policy: LocalModel, rows: Sequence[TokenRow], demonstrations: Sequence[Demonstration]) -> None:
        self.policy, self.rows, self.demonstrations = policy, rows, demonstrations

    def num_units(self, batch: MicroBatch) -> float:
        return sum(sum(masks_of(self.rows[i])[0]) * self.demonstrations[i].weight for i in batch)

    def loss(self, batch: MicroBatch) -> tuple[Tensor, dict[str, float]]:
        packed = pack([self.rows[i] for i in batch], self.policy.chat.pad_id, dtype=self.policy.dtype)
        logp_N = token_logprobs(self.policy.model, packed)
        weight_N = torch.tensor([self.demonstrations[i].weight for i in batch])[packed.reply_N]
        return negative_log_likelihood(logp_N, weight_N.to(logp_N.device)).sum(), {}

    def describe(self, index: int) -> dict[str, object]:
        return {"messages": [m.model_dump() for m in self.demonstrations[index].conversation.messages]}

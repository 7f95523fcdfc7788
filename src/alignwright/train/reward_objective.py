"""What is minimised when a reward model is trained? Bradley-Terry over the pairs of a micro-batch.

The label of a pair is its vote's strength, or its winner alone; where a weak teacher labelled it,
partly what the model itself is sure of (`confidence`). Shapes: R replies, P pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from alignwright.model.reward_head import end_scores
from alignwright.model.tokens import TokenRow
from alignwright.train.batches import MicroBatch
from alignwright.train.confidence import ConfidenceRamp, confident_labels
from alignwright.train.knobs import RewardModel
from alignwright.train.losses import bradley_terry
from alignwright.train.pairs import PreferenceRow, places

if TYPE_CHECKING:
    from torch import Tensor, nn

    from alignwright.model.local_model import LocalModel


def pair_losses(
    score_R: Tensor, preference_rows: Sequence[PreferenceRow], stage: RewardModel, confidence: float = 0.0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of each pair of these rows, whose replies were scored in order: its loss, its gap, the sum
    of its two scores, and its weight. `confidence` is how much of the label is the model's own.
    Shape [P]."""
    pairs = [pair for preference_row in preference_rows for pair in preference_row.pairs]
    on = score_R.device
    chosen_P, rejected_P = (score_R[place_P] for place_P in places(preference_rows, on))
    strength_P = torch.tensor([pair.preference.strength for pair in pairs], device=on)
    label_P = strength_P if stage.labels == "soft" else ((strength_P - 0.5).sign() + 1) / 2  # a tie stays one
    margin_P = stage.margin * (2 * strength_P - 1) if stage.margin else None
    gap_P, sum_P = chosen_P - rejected_P, chosen_P + rejected_P
    if confidence:
        label_P = confident_labels(label_P, gap_P, confidence)
    loss_P = bradley_terry(gap_P, strength_P=label_P, margin_P=margin_P) + stage.center * sum_P**2
    return loss_P, gap_P, sum_P, torch.tensor([pair.weight for pair in pairs], device=on)


class RewardObjective:
    """The `Objective` of a reward model: a row is a prompt with its replies, a unit a comparison."""

    def __init__(
        self,
        policy: LocalModel,
        head: nn.Linear,
        groups: Sequence[PreferenceRow],
        stage: RewardModel,
        ramp: ConfidenceRamp,
    ) -> None:
        self.policy, self.head, self.groups, self.stage, self.ramp = policy, head, groups, stage, ramp
        self.rows: Sequence[TokenRow] = [group.row for group in groups]

    def num_units(self, batch: MicroBatch) -> float:
        return sum(pair.weight for i in batch for pair in self.groups[i].pairs)

    def loss(self, batch: MicroBatch) -> tuple[Tensor, dict[str, float]]:
        score_R = end_scores(self.policy, self.head, [self.rows[i] for i in batch])
        loss_P, gap_P, sum_P, weight_P = pair_losses(
            score_R, [self.groups[i] for i in batch], self.stage, self.ramp.weight
        )
        metrics = {"accuracy": (gap_P > 0).float() + (gap_P == 0).float() / 2, "gap": gap_P, "score": sum_P / 2}
        return (weight_P * loss_P).sum(), {
            name: float((weight_P * value.detach()).sum()) for name, value in metrics.items()
        }

    def describe(self, index: int) -> dict[str, object]:
        return self.groups[index].shown()

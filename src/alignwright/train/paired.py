"""How does a direct preference method (DPO and its kin) train on pairs?

One objective for all of them: log-probabilities of both replies, less the reference's, put into the
loss that the stage names (`losses.pair_loss`). Beside the loss each step logs the implicit reward
margin, its accuracy (how often it is on the chosen reply's side), and what became of both replies'
likelihoods, which is where these methods go wrong without a word (likelihood displacement).

Before the first step the policy is its reference, so the loss must be what it is at log-ratios of
exactly 0: the same function is evaluated there and compared.

Shapes: `_R` the replies of a micro-batch, `_P` its pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from alignwright.model.tokens import TokenRow
from alignwright.train.batches import MicroBatch
from alignwright.train.groups import GroupMeans
from alignwright.train.losses import PairLogps, PairStage, pair_loss
from alignwright.train.pairs import PreferenceRow, places
from alignwright.train.reference import NOT_ITS_REFERENCE, ReferenceLogps
from alignwright.train.step0 import Invariant

if TYPE_CHECKING:
    from torch import Tensor

    from alignwright.model.local_model import LocalModel


class PairObjective:
    """Every method that learns from pairs. A unit is a pair, times its weight."""

    def __init__(self, policy: LocalModel, preference_rows: Sequence[PreferenceRow], stage: PairStage) -> None:
        self.stage, self.preference_rows = stage, preference_rows
        self.method = pair_loss(stage)
        self.rows: Sequence[TokenRow] = [preference_row.row for preference_row in preference_rows]
        self.replies = ReferenceLogps(policy, self.rows)
        self.references = {} if self.method.reference_free else {"reference_A": self.replies}
        self.has_groups = any(pair.preference.group for row in preference_rows for pair in row.pairs)
        self.groups = GroupMeans()

    def begin(self, batches: Sequence[MicroBatch]) -> None:  # noqa: ARG002 - a pair needs no other rows
        self.groups = GroupMeans()

    def summary(self) -> dict[str, float]:
        return self.groups.means()

    def num_units(self, batch: MicroBatch) -> float:
        return sum(pair.weight for i in batch for pair in self.preference_rows[i].pairs)

    def loss(self, batch: MicroBatch) -> tuple[Tensor, dict[str, float]]:
        loss_P, metrics = self.losses_and_metrics(batch)
        pairs = [pair for i in batch for pair in self.preference_rows[i].pairs]
        weight_P = torch.tensor([pair.weight for pair in pairs], device=loss_P.device)
        if self.has_groups:
            groups = [pair.preference.group for pair in pairs]
            self.groups.add(groups, weight_P, {"loss": loss_P, "accuracy": metrics["accuracy"]})
        sums = {name: float((weight_P * value.detach()).sum()) for name, value in metrics.items()}
        return (weight_P * loss_P).sum(), sums

    def losses_and_metrics(self, batch: MicroBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each pair, and what is logged of it."""
        logps = self._pair_logps(batch)
        loss_P, margin_P = self.method.loss(logps), self.method.margin(logps)
        metrics = {
            "margin": margin_P,
            "accuracy": (margin_P > 0).float(),
            "chosen_nll_per_token": -logps.chosen_mean_P,
        }
        if self.references:
            metrics["chosen_logratio"] = logps.chosen_logratio_P
            metrics["rejected_logratio"] = logps.rejected_logratio_P
        return loss_P, metrics

    def _pair_logps(self, batch: MicroBatch) -> PairLogps:
        """One forward pass over the micro-batch, as its pairs see it."""
        logp_R, count_R = self.replies.logprobs(batch)
        mean_R = logp_R / count_R
        logratio_R = self.replies.logratio(batch, logp_R) if self.references else torch.zeros_like(mean_R)
        chosen_P, rejected_P = places([self.preference_rows[i] for i in batch], logp_R.device)
        strengths = [pair.preference.strength for i in batch for pair in self.preference_rows[i].pairs]
        return PairLogps(
            logratio_R[chosen_P],
            logratio_R[rejected_P],
            mean_R[chosen_P],
            mean_R[rejected_P],
            torch.tensor(strengths, device=logp_R.device),
        )

    @torch.no_grad()
    def invariants(self, batch: MicroBatch) -> list[Invariant]:
        """What must hold of the first micro-batch before the first step."""
        if not self.references:
            return self._invariants_without_reference(batch)
        logps = self._pair_logps(batch)
        furthest = float(torch.cat([logps.chosen_logratio_P, logps.rejected_logratio_P]).abs().max())
        zero_P = torch.zeros_like(logps.strength_P)
        at_reference = replace(logps, chosen_logratio_P=zero_P, rejected_logratio_P=zero_P)
        expected = float(self.method.loss(at_reference).mean())
        meaning = f"at margin 0 the loss of {self.stage.by} has one value"
        return [
            Invariant("log-ratio", furthest, 0.0, 1e-4, NOT_ITS_REFERENCE),
            Invariant("loss", float(self.method.loss(logps).mean()), expected, 1e-4 * (1 + expected), meaning),
        ]

    def _invariants_without_reference(self, batch: MicroBatch) -> list[Invariant]:
        """Nothing has one value here: two passes must agree, and the start model's accuracy is shown."""
        _, metrics = self.losses_and_metrics(batch)
        gap = float((self.replies.logprobs(batch)[0] - self.replies.logprobs(batch)[0]).abs().max())
        unlike = "the forward pass is not repeatable; check the thread count"
        meaning = "share of pairs that the start model already ranks as the votes do; a half is chance"
        return [
            Invariant("difference of two passes", gap, 0.0, 1e-4, unlike),
            Invariant("accuracy", float(metrics["accuracy"].mean()), 0.5, None, meaning),
        ]

    def describe(self, index: int) -> dict[str, object]:
        return self.preference_rows[index].shown()

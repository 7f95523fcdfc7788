"""What does a pair of replies cost, by each direct method?

One objective for all methods that learn from pairs: a margin, and the loss that the stage makes of
it (`losses`). Beside the loss each step logs the margin, how often it is on the chosen reply's
side, and what became of both replies' likelihoods, which is where these methods go wrong without a
word.

Shapes: `_R` the replies of a micro-batch, `_P` its pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, assert_never

import torch

from alignwright.model.tokens import TokenRow
from alignwright.train import losses
from alignwright.train.batches import MicroBatch
from alignwright.train.groups import GroupMeans
from alignwright.train.knobs_pairs import Cdpo, ChiPo, Dpo, Hinge, Ipo, Orpo, RobustDpo, Rpo, Simpo
from alignwright.train.pairs import PreferenceRow, places
from alignwright.train.reference import NOT_ITS_REFERENCE, ReferenceLogps
from alignwright.train.step0 import Invariant

if TYPE_CHECKING:
    from torch import Tensor

    from alignwright.model.local_model import LocalModel

PairStage = Dpo | Cdpo | RobustDpo | Ipo | Hinge | Orpo | Simpo | Rpo | ChiPo


class PairObjective:
    """Every method that learns from pairs. A unit is a pair, times its weight."""

    def __init__(self, policy: LocalModel, made: Sequence[PreferenceRow], stage: PairStage) -> None:
        self.stage, self.preference_rows = stage, made
        self.rows: Sequence[TokenRow] = [preference_row.row for preference_row in made]
        self.replies = ReferenceLogps(policy, self.rows)
        self.references = {} if isinstance(stage, Orpo | Simpo) else {"reference_A": self.replies}
        self.named = any(pair.preference.group for preference_row in made for pair in preference_row.pairs)
        self.groups = GroupMeans()

    def begin(self, batches: Sequence[MicroBatch]) -> None:  # noqa: ARG002 - a pair needs no other rows
        self.groups = GroupMeans()

    def summary(self) -> dict[str, float]:
        return self.groups.means()

    def num_units(self, batch: MicroBatch) -> float:
        return sum(pair.weight for i in batch for pair in self.preference_rows[i].pairs)

    def loss(self, batch: MicroBatch) -> tuple[Tensor, dict[str, float]]:
        loss_P, logged = self.costs(batch)
        pairs = [pair for i in batch for pair in self.preference_rows[i].pairs]
        weight_P = torch.tensor([pair.weight for pair in pairs], device=loss_P.device)
        if self.named:
            self.groups.add(
                [pair.preference.group for pair in pairs], weight_P, {"loss": loss_P, "accuracy": logged["accuracy"]}
            )
        return (weight_P * loss_P).sum(), {
            name: float((weight_P * value.detach()).sum()) for name, value in logged.items()
        }

    def costs(self, batch: MicroBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each pair, and what is logged of it."""
        logp_R, count_R = self.replies.logprobs(batch)
        mean_R = logp_R / count_R
        ratio_R = self.replies.logratio(batch, logp_R) if self.references else mean_R
        chosen_P, rejected_P = places([self.preference_rows[i] for i in batch], logp_R.device)
        strengths = [pair.preference.strength for i in batch for pair in self.preference_rows[i].pairs]
        loss_P, margin_P = pair_loss(
            self.stage, ratio_R, mean_R, chosen_P, rejected_P, torch.tensor(strengths, device=logp_R.device)
        )
        logged = {"margin": margin_P, "accuracy": (margin_P > 0).float(), "chosen_nll_per_token": -mean_R[chosen_P]}
        if self.references:
            logged |= {"chosen_logratio": ratio_R[chosen_P], "rejected_logratio": ratio_R[rejected_P]}
        return loss_P, logged

    @torch.no_grad()
    def invariants(self, batch: MicroBatch) -> list[Invariant]:
        """What must hold of the first micro-batch before the first step."""
        loss_P, logged = self.costs(batch)
        if not self.references:
            gap = float((self.replies.logprobs(batch)[0] - self.replies.logprobs(batch)[0]).abs().max())
            meaning = "share of pairs that the start model already ranks as the votes do; a half is chance"
            return [
                Invariant(
                    "difference of two passes",
                    gap,
                    0.0,
                    1e-4,
                    "the forward pass is not repeatable; check the thread count",
                ),
                Invariant("accuracy", float(logged["accuracy"].mean()), 0.5, None, meaning),
            ]
        furthest = float(torch.cat([logged["chosen_logratio"], logged["rejected_logratio"]]).abs().max())
        expected = margin_zero(self.stage) + likelihood_weight(self.stage) * float(
            logged["chosen_nll_per_token"].mean()
        )
        return [
            Invariant("log-ratio", furthest, 0.0, 1e-4, NOT_ITS_REFERENCE),
            Invariant(
                "loss",
                float(loss_P.mean()),
                expected,
                1e-4 * (1 + expected),
                f"at margin 0 the loss of {self.stage.by} has one value",
            ),
        ]

    def describe(self, index: int) -> dict[str, object]:
        return self.preference_rows[index].shown()


def pair_loss(
    stage: PairStage, ratio_R: Tensor, mean_R: Tensor, chosen_P: Tensor, rejected_P: Tensor, strength_P: Tensor
) -> tuple[Tensor, Tensor]:
    """The stage's loss and margin of each pair, from log-ratios (unused by ORPO and SimPO) and
    mean log-probabilities per token."""
    margin_P, mean_P = ratio_R[chosen_P] - ratio_R[rejected_P], mean_R[chosen_P]
    match stage:
        case Dpo():
            return losses.rpo(margin_P, -mean_P, beta=stage.beta, alpha=stage.nll, strength_P=strength_P), margin_P
        case Cdpo():
            return losses.cdpo(margin_P, beta=stage.beta, flip=stage.flip, strength_P=strength_P), margin_P
        case RobustDpo():
            return losses.robust_dpo(margin_P, beta=stage.beta, flip=stage.flip, strength_P=strength_P), margin_P
        case Ipo():
            return losses.ipo(margin_P, tau=stage.tau, strength_P=strength_P), margin_P
        case Hinge():
            return losses.hinge(margin_P, beta=stage.beta, strength_P=strength_P), margin_P
        case Rpo():
            return losses.rpo(margin_P, -mean_P, beta=stage.beta, alpha=stage.alpha, strength_P=strength_P), margin_P
        case ChiPo():
            return (
                losses.chi_po(ratio_R[chosen_P], ratio_R[rejected_P], beta=stage.beta, strength_P=strength_P),
                margin_P,
            )
        case Simpo():
            return (
                losses.simpo(mean_P, mean_R[rejected_P], beta=stage.beta, gamma=stage.gamma, strength_P=strength_P),
                mean_P - mean_R[rejected_P],
            )
        case Orpo():
            odds_R = losses.log_odds(mean_R)
            loss_P = losses.orpo(mean_P, mean_R[rejected_P], weight=stage.weight, strength_P=strength_P)
            return loss_P, odds_R[chosen_P] - odds_R[rejected_P]
        case _ as never:
            assert_never(never)


def margin_zero(stage: PairStage) -> float:
    """What a pair costs at margin 0, its likelihood term apart."""
    match stage:
        case Ipo():
            return 1 / (2 * stage.tau) ** 2
        case Hinge():
            return 1.0
        case _:
            return math.log(2)


def likelihood_weight(stage: PairStage) -> float:
    """The weight of the chosen reply's own loss per token."""
    match stage:
        case Dpo():
            return stage.nll
        case Rpo():
            return stage.alpha
        case _:
            return 0.0

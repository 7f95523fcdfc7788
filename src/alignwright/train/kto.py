"""What if replies are only called good or bad, each by itself? Kahneman-Tversky optimisation
(Ethayarajh et al. 2024).

Preferences are taken apart: each distinct reply to a prompt is one example, and how good it is is
the weighted share of its pairs that it won (a group of voters at a time). A reply that wins as
often as it loses teaches nothing. A reply that somebody labelled by itself, without another to the
same prompt, is an example of weight 1, wholly good or wholly bad: that is the data which the method
is for.

The paper holds desirable x (number of good) over undesirable x (number of bad) between 1 and 4/3;
the ratio is shown at the start, and labels of one kind alone are refused: nothing would say what is
worse.

The reference point is the divergence of the policy from its reference, estimated as the paper does,
from mismatched replies: each prompt with a reply to another prompt, the mean log-ratio over the
optimiser step, taken as 0 where it is below. The partner is always the next row of the data whose
reply fits, so its reference is computed once. The mean is over the whole step and not over a
micro-batch, which costs a forward pass of the mismatched rows before each step, and makes the
gradient independent of how the step is cut.

Shapes: `_R` the replies of a micro-batch, `_E` its examples (replies, once for each group that
judged them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from alignwright.core.stage import resolved
from alignwright.model.tokens import TokenRow
from alignwright.train import losses
from alignwright.train.batches import MicroBatch
from alignwright.train.groups import GroupMeans
from alignwright.train.knobs_pairs import Kto
from alignwright.train.pairs import PreferenceRow
from alignwright.train.reference import NOT_ITS_REFERENCE, ReferenceLogps
from alignwright.train.rows import one_sided
from alignwright.train.step0 import Invariant

if TYPE_CHECKING:
    from torch import Tensor

    from alignwright.model.local_model import LocalModel


@dataclass(frozen=True)
class LabelledExample:
    """Reply `place` of a row is a good one with probability `good`, in the eyes of `group`."""

    place: int
    good: float
    weight: float
    group: str


def examples(preference_row: PreferenceRow) -> list[LabelledExample]:
    """Each reply of a row once for each group: the weight of its pairs, and the share of it that
    it won."""
    weights: dict[tuple[int, str], float] = {}
    wins: dict[tuple[int, str], float] = {}
    for pair in preference_row.pairs:
        p = pair.preference
        for place, good in ((pair.chosen, p.strength), (pair.rejected, 1.0 - p.strength)):
            key = (place, p.group)
            weights[key] = weights.get(key, 0.0) + p.weight
            wins[key] = wins.get(key, 0.0) + p.weight * good
    paired = [
        LabelledExample(place, wins[place, group] / weight, weight, group)
        for (place, group), weight in sorted(weights.items())
    ]
    return paired + [
        LabelledExample(place, float(one.good), 1.0, "") for place, one in enumerate(preference_row.labelled)
    ]


def mismatched_rows(rows: Sequence[TokenRow], longest: int) -> list[TokenRow]:
    """Each prompt with a reply to another: of the next row, going round, that has another prompt
    and a reply that fits."""
    return [_partner(rows, i, longest) for i in range(len(rows))]


def _partner(rows: Sequence[TokenRow], i: int, longest: int) -> TokenRow:
    for step in range(1, len(rows)):
        other = rows[(i + step) % len(rows)]
        if other.prompt == rows[i].prompt:
            continue
        fits = [reply for reply in other.replies if len(rows[i].prompt) + len(reply) <= longest]
        if fits:
            return TokenRow(rows[i].prompt, (fits[i % len(fits)],))
    raise ValueError(
        f"kto estimates how far the policy has moved from replies to other prompts, and for row {i} of {len(rows)}"
        " there is none that fits; give preferences on more prompts, or use dpo"
    )


class KtoObjective:
    """A unit is an example, times its weight."""

    def __init__(self, policy: LocalModel, preference_rows: Sequence[PreferenceRow], stage: Kto) -> None:
        self.stage, self.preference_rows = stage, preference_rows
        self.rows: Sequence[TokenRow] = [preference_row.row for preference_row in preference_rows]
        self.examples = [examples(preference_row) for preference_row in preference_rows]
        self.replies = ReferenceLogps(policy, self.rows)
        self.mismatched = ReferenceLogps(
            policy, mismatched_rows(self.rows, min(resolved(stage.max_tokens), policy.longest))
        )
        self.references = {"reference_A": self.replies, "mismatched_A": self.mismatched}
        self.has_groups = any(example.group for of_row in self.examples for example in of_row)
        self.groups, self.sides = GroupMeans(), GroupMeans()
        all_examples = [example for of_row in self.examples for example in of_row]
        self.weights = tuple(
            sum(e.weight * side for e, side in ((e, e.good if good else 1 - e.good) for e in all_examples))
            for good in (True, False)
        )
        if not all(self.weights):
            raise ValueError(one_sided(len(all_examples), good=bool(self.weights[0])))
        self.kl = torch.zeros((), device=policy.device)

    @torch.no_grad()
    def begin(self, batches: Sequence[MicroBatch]) -> None:
        self.groups, self.sides = GroupMeans(), GroupMeans()
        ratios = [self.mismatched.logratio(batch, self.mismatched.logprobs(batch)[0]) for batch in batches]
        self.kl = torch.cat(ratios).mean()

    def summary(self) -> dict[str, float]:
        means = {
            name.removeprefix("ratio/"): value for name, value in self.sides.means().items()
        }  # a step may have no good reply, or no bad one
        margin = {"margin": means["chosen_logratio"] - means["rejected_logratio"]} if len(means) == 2 else {}
        return {"kl": max(0.0, float(self.kl))} | means | margin | self.groups.means()

    def num_units(self, batch: MicroBatch) -> float:
        return sum(example.weight for i in batch for example in self.examples[i])

    def loss(self, batch: MicroBatch) -> tuple[Tensor, dict[str, float]]:
        loss_E, ratio_E = self.costs(batch)
        examples = [example for i in batch for example in self.examples[i]]
        weight_E = torch.tensor([e.weight for e in examples], device=loss_E.device)
        good_E = torch.tensor([e.good for e in examples], device=loss_E.device)
        if self.has_groups:
            self.groups.add([e.group for e in examples], weight_E, {"loss": loss_E})
        for side, share_E in (("chosen_logratio", good_E), ("rejected_logratio", 1 - good_E)):
            if bool(share_E.any()):
                self.sides.add([side] * len(examples), weight_E * share_E, {"ratio": ratio_E.detach()})
        return (weight_E * loss_E).sum(), {}

    def costs(self, batch: MicroBatch) -> tuple[Tensor, Tensor]:
        """The loss and the log-ratio of each example."""
        ratio_R = self.replies.logratio(batch, self.replies.logprobs(batch)[0])
        places, goods, start = [], [], 0
        for i in batch:
            places += [start + example.place for example in self.examples[i]]
            goods += [example.good for example in self.examples[i]]
            start += len(self.rows[i].replies)
        ratio_E = ratio_R[torch.tensor(places, device=ratio_R.device)]
        good_E = torch.tensor(goods, device=ratio_R.device)
        s = self.stage
        return (
            losses.kto(
                ratio_E, good_R=good_E, kl=self.kl, beta=s.beta, desirable=s.desirable, undesirable=s.undesirable
            ),
            ratio_E,
        )

    @torch.no_grad()
    def invariants(self, batch: MicroBatch) -> list[Invariant]:
        """What must hold of the first micro-batch before the first step."""
        self.begin([batch])
        loss_E, ratio_E = self.costs(batch)
        goods = [example.good for i in batch for example in self.examples[i]]
        expected = sum(
            0.5 * (good * self.stage.desirable + (1 - good) * self.stage.undesirable) for good in goods
        ) / len(goods)
        balance = self.stage.desirable * self.weights[0] / (self.stage.undesirable * self.weights[1])
        return [
            Invariant(
                "weight of good replies over that of bad ones",
                balance,
                1.0,
                None,
                "the paper holds it between 1 and 4/3 by its two weights",
            ),
            Invariant("log-ratio", float(ratio_E.abs().max()), 0.0, 1e-4, NOT_ITS_REFERENCE),
            Invariant("divergence estimate", float(self.kl), 0.0, 1e-4, NOT_ITS_REFERENCE),
            Invariant(
                "loss",
                float(loss_E.mean()),
                expected,
                1e-4 * (1 + expected),
                "at log-ratio 0 the loss of kto is half of each reply's weight",
            ),
        ]

    def describe(self, index: int) -> dict[str, object]:
        return self.preference_rows[index].shown()

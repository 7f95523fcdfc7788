"""How does a student trust itself against a weak teacher? The confidence loss of weak-to-strong
generalisation (Burns et al. 2023, arXiv 2312.09390, appendix A.4).

The label of an item is (1 - a) * weak + a * 1[f > t]: partly what the teacher says, partly what the
student itself, made certain, says already. The threshold t makes as many of the student's labels
positive as the teacher's are on average. A pair of replies is two items, itself and the same pair
the other way round, whose labels sum to one and whose scores are opposite: the teacher's average is
exactly 1/2 in whatever batch, and so t is the score 0.

The weight a rises linearly to its highest value over the first fifth of the steps, as in the paper.
The authors' released code (`weak_to_strong/loss.py`) does another thing: up to a tenth of the steps
it is the highest value times the *fraction* of all steps, 0.05 at most, and then jumps to 0.5. Here
it follows the paper: before a head of zeros has learnt anything its own signs are noise, and a ramp
that ends where it was meant to end hands over to them gradually.

Left out on purpose: the product of both beliefs, the released code's other loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignwright.train.batches import MicroBatch, TrainPlan

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Confidence:
    """How much of the label is the student's own in the end, and after which part of the steps."""

    most: float
    warmup: float = 0.2

    def weight(self, step: int, steps: int) -> float:
        """What it is in step `step` (from 0) of so many."""
        ramp = self.warmup * steps
        return self.most if step >= ramp else self.most * step / ramp


class ConfidenceRamp:
    """A fixed plan as a `RolloutSchedule`, which knows at each step how much the student trusts
    itself."""

    per_round = 1

    def __init__(self, plan: TrainPlan, confidence: Confidence | None) -> None:
        self.plan, self.confidence, self.rounds = plan, confidence, len(plan.steps)
        self.extra: Sequence[nn.Parameter] = ()
        self.weight = 0.0

    def epoch(self, number: int) -> int:
        return self.plan.epoch_of[number]

    def begin(self, number: int) -> Sequence[Sequence[MicroBatch]]:
        self.weight = self.confidence.weight(number, self.rounds) if self.confidence else 0.0
        return self.plan.steps[number : number + 1]

    def after(self, step: int) -> dict[str, float]:  # noqa: ARG002 - a step's place says nothing more
        return {"confidence": self.weight} if self.confidence else {}

    def state(self) -> dict[str, float]:
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        pass


def confident_labels(label_P: Tensor, gap_P: Tensor, weight: float) -> Tensor:
    """The probability that each pair's first reply is the better one: the teacher's, mixed with the
    student's own sign (a tie is 1/2). No gradient flows through it."""
    own_P = (gap_P.detach().sign() + 1) / 2
    return (1 - weight) * label_P + weight * own_P

"""Which gold scores were taken during training? Evaluations by the gold judge, which early stopping
writes and which over-optimisation is read from."""

from __future__ import annotations

import math

from alignwright.core.records import Record

Scores = tuple[tuple[float, ...], ...]


class GoldEval(Record):
    """What was seen after so many steps: by prompt, the scores of its replies by both judges; empty
    where one of them could not say.

    `nats` are the replies' mean ln pi / pi_start by prompt: how far this stage has gone.
    """

    step: int
    gold: Scores
    proxy: Scores
    nats: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        means = [math.fsum(g) / len(g) for g in self.gold if g]
        return math.fsum(means) / len(means)

"""Which rows go together, in which order? Micro-batches and optimiser steps of a fixed data set.

Rows are put into micro-batches once, by length, within a token budget that bounds memory. An
optimiser step is a run of micro-batches whose tokens reach `batch_tokens`; every epoch shuffles the
micro-batches anew. A row therefore always meets the same neighbours: reference log-probabilities
that were computed once, in the same layout, agree with the policy's to the last bit at the start of
training, also in bfloat16 where the sum of a batch depends on its shape.

The plan is a pure function of its arguments. That is what makes an exact resume possible: nothing
is remembered but a step number.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from alignwright.model.packing import plan_batches
from alignwright.model.tokens import TokenRow

MICRO_TOKENS = 1024
"""Most padded tokens in one forward pass, a longer row being one of its own; keeps training at
about 1.5 GB for the bundled model."""

MicroBatch = tuple[int, ...]


@dataclass(frozen=True)
class TrainPlan:
    """`steps[s]` is the micro-batches of optimiser step s; `epoch_of[s]` the epoch it belongs to
    (from 0)."""

    micro_batches: tuple[MicroBatch, ...]
    steps: tuple[tuple[MicroBatch, ...], ...]
    epoch_of: tuple[int, ...]


def plan_training(rows: Sequence[TokenRow], *, epochs: float, batch_tokens: int, seed: int) -> TrainPlan:
    """Cut rows into micro-batches and order them over `epochs` (a fraction trains on a part of
    the last pass)."""
    micro = tuple(tuple(batch) for batch in plan_batches(rows, min(MICRO_TOKENS, batch_tokens), shuffle_seed=seed))
    steps: list[tuple[MicroBatch, ...]] = []
    epoch_of: list[int] = []
    whole = int(epochs)
    for epoch in range(whole + (epochs > whole)):
        ordered = _steps_of_epoch(micro, rows, batch_tokens, random.Random(f"{seed}/{epoch}"))  # noqa: S311
        if epoch == whole:
            ordered = ordered[: max(1, round(len(ordered) * (epochs - whole)))]
        steps += ordered
        epoch_of += [epoch] * len(ordered)
    return TrainPlan(micro, tuple(steps), tuple(epoch_of))


def _steps_of_epoch(
    micro: Sequence[MicroBatch], rows: Sequence[TokenRow], batch_tokens: int, order: random.Random
) -> list[tuple[MicroBatch, ...]]:
    shuffled = order.sample(micro, len(micro))
    steps: list[tuple[MicroBatch, ...]] = []
    current: list[MicroBatch] = []
    tokens = 0
    for batch in shuffled:
        current.append(batch)
        tokens += sum(len(rows[i]) for i in batch)
        if tokens >= batch_tokens:
            steps.append(tuple(current))
            current, tokens = [], 0
    if current:
        steps.append(tuple(current))
    return steps

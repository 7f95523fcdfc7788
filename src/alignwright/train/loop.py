"""How does a model move? The one optimiser loop of the system: gradient accumulation, AdamW,
learning-rate schedule, checkpoints.

A method brings an `Objective`: rows, `num_units` of a micro-batch (scored tokens, pairs; what other
trainers call global valid tokens), and the summed loss of a micro-batch. The loop does the rest:
gradient accumulation normalised by the units of the whole step, not of a micro-batch,
float32 master weights under whatever precision the parameters have, a guard that stops at the first
number that is not finite and keeps the batch that made it, checkpoints, exact resume.

Which rows are in which step is said by a `TrainPlan`, when all rows are there from the start, or by
a `RolloutSchedule`, when rounds of them are made on the way (samples of the policy as it is at the
start of a round).

A resumed run gives the same losses to the last bit on one machine with one thread count: the plan
is a pure function of its arguments, a round one of its number and the weights, nothing is random
inside the loop (no dropout), and the checkpoint, taken only between rounds, holds the whole state
of optimiser and schedule.

Left out on purpose: mixed-precision scalers (bfloat16 needs none) and callbacks (a generator of
steps would be one more concept).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

import torch

from alignwright.files.contents import DamagedFile
from alignwright.model.adapters import trainable_parameters
from alignwright.model.tokens import TokenRow
from alignwright.train.batches import MicroBatch, TrainPlan
from alignwright.train.checkpoint import load_checkpoint, save_checkpoint
from alignwright.train.master_weights import copy_masters, gradients_to_masters

if TYPE_CHECKING:
    from torch import Tensor, nn

    from alignwright.model.local_model import LocalModel


class Objective(Protocol):
    """What a training method adds to the loop."""

    rows: Sequence[TokenRow]

    def num_units(self, batch: MicroBatch) -> float:
        """How many units (scored tokens, pairs) the loss of this micro-batch sums over."""
        ...

    def loss(self, batch: MicroBatch) -> tuple[Tensor, dict[str, float]]:
        """The differentiable loss summed over units, and further sums to be logged per unit."""
        ...

    def describe(self, index: int) -> dict[str, object]:
        """Row `index` as a person would want to see it, for the file of a batch that went wrong."""
        ...


class RolloutSchedule(Protocol):
    """Rows that are made as training goes: `rounds` rounds of `per_round` optimiser steps each."""

    rounds: int
    per_round: int
    extra: Sequence[nn.Parameter]  # what is trained beside the policy's own parameters, in float32

    def epoch(self, number: int) -> int:
        """The pass over the prompts (from 0) that round `number` belongs to."""
        ...

    def begin(self, number: int) -> Sequence[Sequence[MicroBatch]]:
        """Make the rows of round `number` from the policy as it is, and say which are in each of
        its steps. A step may be empty."""
        ...

    def after(self, step: int) -> dict[str, float]:
        """Called when step `step` of the round (from 0) has been taken: what is to be logged of
        it beside its loss."""
        ...

    def state(self) -> dict[str, float]:
        """What round n + 1 needs from round n, besides weights."""
        ...

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from what `state` once gave."""
        ...


@dataclass(frozen=True)
class LoopSettings:
    lr: float
    checkpoint_every: int = 20
    warmup: float = 0.1
    clip: float = 1.0
    final_lr: float = 0.1


@dataclass(frozen=True)
class StepReport:
    """One optimiser step, as it is written to `metrics.jsonl`. Losses are per unit, in nats;
    `tokens` counts unpadded positions.

    A step without a unit (its rows had nothing to teach) moves nothing, and its loss is the empty
    sum.
    """

    step: int
    steps: int
    epoch: int
    loss: float
    grad_norm: float
    lr: float
    tokens: int
    seconds: float
    metrics: dict[str, float]


class TrainingDiverged(RuntimeError):
    """A loss or gradient was not finite. The weights are those of the last good step; the batch
    is in `path`."""

    def __init__(self, what: str, step: int, path: Path) -> None:
        super().__init__(
            f"training stopped at step {step}: {what}. The rows of that step are in {path}. "
            "Look there for an empty or endless reply first; then try a lower lr, or a larger batch_tokens."
        )
        self.path = path


def run_loop(
    policy: LocalModel,
    objective: Objective,
    plan: TrainPlan | RolloutSchedule,
    settings: LoopSettings,
    folder: Path,
    on_step: Callable[[StepReport], None] | None = None,
) -> list[StepReport]:
    """Train the policy's trainable parameters along `plan`; `folder` gets metrics.jsonl and
    checkpoints. Returns this call's steps.

    Raises TrainingDiverged when a loss or a gradient is not finite.
    """
    schedule = _FixedSchedule(plan) if isinstance(plan, TrainPlan) else plan
    optimizer_state = _OptimizerState(policy, objective, schedule, settings, folder)
    first, state = load_checkpoint(folder, optimizer_state.masters, optimizer_state.optimiser)
    if first:
        copy_masters(optimizer_state.masters, optimizer_state.parameters)
        try:
            schedule.restore(state)
        except (KeyError, TypeError, ValueError) as error:
            where = folder / f"checkpoint-{first:06d}" / "state.json"
            raise DamagedFile(where, f"'state' is not what this method keeps ({error!r})") from None
    _truncate_metrics(folder / "metrics.jsonl", first)
    reports: list[StepReport] = []
    last_checkpoint = first
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as log:
        for number in range(first // schedule.per_round, schedule.rounds):
            for report in optimizer_state.round(number):
                log.write(json.dumps(asdict(report)) + "\n")
                log.flush()
                reports.append(report)
                if on_step:
                    on_step(report)
            steps_taken = (number + 1) * schedule.per_round
            if (
                steps_taken // settings.checkpoint_every > last_checkpoint // settings.checkpoint_every
                and number + 1 < schedule.rounds
            ):
                save_checkpoint(
                    folder, steps_taken, optimizer_state.masters, optimizer_state.optimiser, schedule.state()
                )
                last_checkpoint = steps_taken
    return reports


def learning_rate(step: int, steps: int, settings: LoopSettings) -> float:
    """Linear warm-up, then cosine decay to `final_lr` times the peak."""
    warm = max(1, math.ceil(settings.warmup * steps))
    if step < warm:
        return settings.lr * (step + 1) / warm
    phase = (step - warm) / max(1, steps - warm)
    return settings.lr * (settings.final_lr + (1 - settings.final_lr) * 0.5 * (1 + math.cos(math.pi * phase)))


class _FixedSchedule:
    """A plan as a schedule: each step is a round of its own, and there is nothing to make."""

    per_round = 1

    def __init__(self, plan: TrainPlan) -> None:
        self.plan, self.rounds = plan, len(plan.steps)
        self.extra: Sequence[nn.Parameter] = ()

    def epoch(self, number: int) -> int:
        return self.plan.epoch_of[number]

    def begin(self, number: int) -> Sequence[Sequence[MicroBatch]]:
        return self.plan.steps[number : number + 1]

    def after(self, step: int) -> dict[str, float]:  # noqa: ARG002 - a fixed plan has nothing to add
        return {}

    def state(self) -> dict[str, float]:
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        pass


class _OptimizerState:
    """The parameters under training, their float32 masters (themselves, where they are float32)
    and the optimiser."""

    def __init__(
        self, policy: LocalModel, objective: Objective, schedule: RolloutSchedule, settings: LoopSettings, folder: Path
    ) -> None:
        self.objective, self.schedule, self.settings, self.folder = objective, schedule, settings, folder
        own = trainable_parameters(policy)
        self.parameters = [*own, *schedule.extra]
        self.masters = [
            p if p.dtype == torch.float32 else p.detach().float().requires_grad_(True) for p in self.parameters
        ]
        for master in (
            self.masters
        ):  # before the first batch: later they would lie among what a batch frees, and keep it in pieces
            master.grad = torch.zeros_like(master)
        self.clipped = [
            self.masters[: len(own)],
            self.masters[len(own) :],
        ]  # each by its own norm: a value head must not slow the policy
        fused = all(
            master.device.type == "cpu" for master in self.masters
        )  # one pass over the moments instead of ten; elsewhere torch chooses
        self.optimiser = torch.optim.AdamW(
            self.masters, lr=settings.lr, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0, fused=fused or None
        )

    def round(self, number: int) -> Iterator[StepReport]:
        """Make a round's rows and take its steps."""
        per_round, steps, start_time = (
            self.schedule.per_round,
            self.schedule.rounds * self.schedule.per_round,
            time.perf_counter(),
        )
        batches = self.schedule.begin(number)
        assert len(batches) == per_round, f"a round of {per_round} steps was made with {len(batches)}"
        for k in range(per_round):
            step = number * per_round + k
            rate = learning_rate(step, steps, self.settings)
            loss, norm, metrics = self.step(step, batches[k], rate)
            tokens = sum(len(self.objective.rows[i]) for batch in batches[k] for i in batch)
            metrics |= self.schedule.after(k)
            yield StepReport(
                step,
                steps,
                self.schedule.epoch(number),
                loss,
                norm,
                rate,
                tokens,
                time.perf_counter() - start_time,
                metrics,
            )
            start_time = time.perf_counter()

    def step(self, step: int, batches: Sequence[MicroBatch], rate: float) -> tuple[float, float, dict[str, float]]:
        """One optimiser step: its loss per unit, the norm of its gradient, and what the
        objective logs per unit."""
        num_units = sum(self.objective.num_units(batch) for batch in batches)
        loss, metrics = 0.0, dict[str, float]()
        if num_units == 0:
            return loss, 0.0, metrics
        # 1. accumulate: each micro-batch is divided by the units of the whole step, so that the cut does not count
        self.optimiser.zero_grad(set_to_none=False)
        for batch in batches:
            total, sums = self.objective.loss(batch)
            if not torch.isfinite(total):
                self.stop(f"the loss was {float(total.detach())}", step, batches)
            with gradients_to_masters(self.parameters, self.masters):
                (total / num_units).backward()
            loss += float(total.detach()) / num_units
            for name, value in sums.items():
                metrics[name] = metrics.get(name, 0.0) + value / num_units
        # 2. clip, each group by its own norm; refuse what is not finite while the weights are still the old ones
        norm, *rest = [
            float(torch.nn.utils.clip_grad_norm_(group, self.settings.clip)) for group in self.clipped if group
        ]
        if not all(map(math.isfinite, (norm, *rest))):
            self.stop(
                (
                    f"the gradient norm was {norm}"
                    if not math.isfinite(norm)
                    else f"the value head's gradient norm was {rest[0]}"
                ),
                step,
                batches,
            )
        # 3. step the float32 masters, and round them to the parameters' precision last
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        copy_masters(self.masters, self.parameters)
        return loss, norm, metrics

    def stop(self, what: str, step: int, batches: Sequence[MicroBatch]) -> NoReturn:
        raise TrainingDiverged(what, step, _keep_batch(self.folder, step, batches, self.objective))


def _truncate_metrics(path: Path, first: int) -> None:
    """Drop the lines of steps that will be run again, and a half-written last line."""
    if not path.exists():
        return
    partial = path.with_suffix(".partial")
    partial.write_bytes(b"".join(line + b"\n" for line in path.read_bytes().split(b"\n")[:first]))
    partial.replace(path)


def _keep_batch(folder: Path, step: int, batches: Sequence[MicroBatch], objective: Objective) -> Path:
    path = folder / f"diverged-step-{step}.jsonl"
    rows = [{"row": i, **objective.describe(i)} for batch in batches for i in batch]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path

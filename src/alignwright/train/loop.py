"""How does a model move? The one optimiser loop of the system.

A method brings an `Objective`: rows, how many units (tokens, pairs) a micro-batch holds, and the summed loss of a micro-batch. The
loop does the rest: accumulation normalised over the whole step, float32 master weights under whatever precision the adapter has,
a guard that stops at the first number that is not finite and keeps the batch that made it, checkpoints, exact resume.

A resumed run gives the same losses to the last bit on one machine with one thread count: the plan is a pure function of its
arguments, nothing is random inside the loop (no dropout), and the checkpoint holds the whole optimiser state.

Left out on purpose: mixed-precision scalers (bfloat16 needs none) and callbacks (a generator of steps would be one more concept).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from alignwright.model.adapters import trainable_parameters
from alignwright.model.tokens import TokenRow
from alignwright.train.batches import MicroBatch, TrainPlan
from alignwright.train.checkpoint import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from alignwright.model.local import LocalPolicy


class Objective(Protocol):
    """What a training method adds to the loop."""

    rows: Sequence[TokenRow]

    def units(self, batch: MicroBatch) -> float:
        """How many units (scored tokens, pairs) the loss of this micro-batch sums over."""
        ...

    def loss(self, batch: MicroBatch) -> tuple[Tensor, dict[str, float]]:
        """The differentiable loss summed over units, and further sums to be logged per unit."""
        ...

    def describe(self, index: int) -> dict[str, object]:
        """Row `index` as a person would want to see it, for the file of a batch that went wrong."""
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
    """One optimiser step, as it is written to `metrics.jsonl`. Losses are per unit, in nats; `tokens` counts unpadded positions."""

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
    """A loss or gradient was not finite. The weights are those of the last good step; the batch is in `path`."""

    def __init__(self, what: str, step: int, path: Path) -> None:
        super().__init__(
            f"training stopped at step {step}: {what}. The rows of that step are in {path}. "
            "Look there for an empty or endless reply first; then try a lower lr, or a larger batch_tokens."
        )
        self.path = path


def run_loop(
    policy: LocalPolicy,
    objective: Objective,
    plan: TrainPlan,
    settings: LoopSettings,
    folder: Path,
    on_step: Callable[[StepReport], None] | None = None,
) -> list[StepReport]:
    """Train the policy's trainable parameters along `plan`; `folder` gets metrics.jsonl and checkpoints. Returns this call's steps.

    Raises TrainingDiverged when a loss or a gradient is not finite.
    """
    parameters = trainable_parameters(policy)
    masters = [p.detach().float().clone().requires_grad_(True) for p in parameters]
    optimiser = torch.optim.AdamW(masters, lr=settings.lr, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0)
    first = load_checkpoint(folder, masters, optimiser)
    _copy(masters, parameters)
    _truncate_metrics(folder / "metrics.jsonl", first)
    reports: list[StepReport] = []
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as log:
        for step in range(first, len(plan.steps)):
            report = _one_step(step, objective, plan, settings, parameters, masters, optimiser, folder)
            _copy(masters, parameters)
            log.write(json.dumps(asdict(report)) + "\n")
            log.flush()
            reports.append(report)
            if on_step:
                on_step(report)
            if (step + 1) % settings.checkpoint_every == 0 and step + 1 < len(plan.steps):
                save_checkpoint(folder, step + 1, masters, optimiser)
    return reports


def learning_rate(step: int, steps: int, settings: LoopSettings) -> float:
    """Linear warm-up, then cosine decay to `final_lr` times the peak."""
    warm = max(1, math.ceil(settings.warmup * steps))
    if step < warm:
        return settings.lr * (step + 1) / warm
    phase = (step - warm) / max(1, steps - warm)
    return settings.lr * (settings.final_lr + (1 - settings.final_lr) * 0.5 * (1 + math.cos(math.pi * phase)))


def _one_step(
    step: int,
    objective: Objective,
    plan: TrainPlan,
    settings: LoopSettings,
    parameters: Sequence[Tensor],
    masters: Sequence[Tensor],
    optimiser: torch.optim.Optimizer,
    folder: Path,
) -> StepReport:
    started = time.perf_counter()
    batches = plan.steps[step]
    units = sum(objective.units(batch) for batch in batches)
    optimiser.zero_grad(set_to_none=True)
    loss, metrics = 0.0, dict[str, float]()
    for batch in batches:
        total, sums = objective.loss(batch)
        if not torch.isfinite(total):
            raise TrainingDiverged(f"the loss was {float(total.detach())}", step, _keep_batch(folder, step, batches, objective))
        (total / units).backward()
        _move_gradients(parameters, masters)
        loss += float(total.detach()) / units
        for name, value in sums.items():
            metrics[name] = metrics.get(name, 0.0) + value / units
    norm = float(torch.nn.utils.clip_grad_norm_(masters, settings.clip))
    if not math.isfinite(norm):
        raise TrainingDiverged(f"the gradient norm was {norm}", step, _keep_batch(folder, step, batches, objective))
    rate = learning_rate(step, len(plan.steps), settings)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    tokens = sum(len(objective.rows[i]) for batch in batches for i in batch)
    return StepReport(step, len(plan.steps), plan.epoch_of[step], loss, norm, rate, tokens, time.perf_counter() - started, metrics)


def _move_gradients(parameters: Sequence[Tensor], masters: Sequence[Tensor]) -> None:
    """Add each parameter's gradient to its float32 master's, so that accumulation never rounds to bfloat16."""
    for parameter, master in zip(parameters, masters, strict=True):
        if parameter.grad is not None:
            gradient = parameter.grad.float()
            master.grad = gradient.clone() if master.grad is None else master.grad.add_(gradient)
            parameter.grad = None


@torch.no_grad()
def _copy(masters: Sequence[Tensor], parameters: Sequence[Tensor]) -> None:
    for master, parameter in zip(masters, parameters, strict=True):
        parameter.copy_(master)


def _truncate_metrics(path: Path, first: int) -> None:
    """Drop the lines of steps that will be run again, and a half-written last line."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[:first]
    path.write_text("".join(lines), encoding="utf-8")


def _keep_batch(folder: Path, step: int, batches: Sequence[MicroBatch], objective: Objective) -> Path:
    path = folder / f"diverged-step-{step}.jsonl"
    rows = [{"row": i, **objective.describe(i)} for batch in batches for i in batch]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path

"""How does a model learn to prefer one reply to another, directly? The whole family of DPO, as one
objective.

The margin of a pair is ln pi/ref(chosen) - ln pi/ref(rejected), or what a method puts in its place;
the loss is a function of it (see `losses`). The replies to one prompt are one row with all pairs
between them (see `pairs`), the reference is computed once (see `reference`), and KTO, which takes
good and bad replies by themselves, brings its own objective (see `kto`).

Plain DPO lowers both likelihoods, so that a model may come to prefer a reply it never utters. The
likelihood terms (`nll`, RPO, ORPO) hold the chosen reply up. When training ends with the chosen
reply fallen while the margin grew, `notes.txt` says so and what to do.

At the start policy and reference are the same model: margin exactly 0, loss exactly its value
there. Anything else is refused. The losses without a reference have no such value; of them it is
checked that two passes agree, and the start model's own accuracy is shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Protocol

from alignwright.core.records import Labelled, Preference
from alignwright.core.stage import resolved
from alignwright.files.lines import read_lines
from alignwright.train.batches import MicroBatch, TrainPlan, plan_training
from alignwright.train.knobs_pairs import DirectStage, Dpo, Kto, Rpo
from alignwright.train.kto import KtoObjective
from alignwright.train.loop import LoopSettings, Objective, StepReport, run_loop
from alignwright.train.paired import PairObjective
from alignwright.train.pairs import preference_rows
from alignwright.train.reference import load_reference, save_reference
from alignwright.train.step0 import check_start

if TYPE_CHECKING:
    from torch import nn

    from alignwright.model.local_model import LocalModel


def preference(
    policy: LocalModel,
    data: Sequence[Preference | Labelled],
    stage: DirectStage,
    *,
    seed: int,
    folder: Path,
    on_step: Callable[[StepReport], None] | None = None,
) -> list[StepReport]:
    """Train `policy` in place by the stage's method, against itself as it is now. `stage` must be
    resolved: no knob is None.

    Of `data` only KTO takes replies that are labelled by themselves. Raises ValueError on pairs
    that teach nothing or do not fit, Step0Error when the start is not at margin 0,
    TrainingDiverged on a loss that is not finite.
    """
    preferences = [one for one in data if isinstance(one, Preference)]
    labelled = [one for one in data if isinstance(one, Labelled)]
    assert not labelled or isinstance(stage, Kto), "a single label has no margin"
    rows = preference_rows(preferences, policy.chat, min(resolved(stage.max_tokens), policy.longest), folder, labelled)
    plan = plan_training(
        [c.row for c in rows], epochs=resolved(stage.epochs), batch_tokens=resolved(stage.batch_tokens), seed=seed
    )
    objective = KtoObjective(policy, rows, stage) if isinstance(stage, Kto) else PairObjective(policy, rows, stage)
    path = folder / "reference.safetensors"
    reference_loaded = load_reference(objective.references, path)
    if not reference_loaded:
        for replies in objective.references.values():
            replies.compute_reference(plan.micro_batches)
    check_start(objective.invariants(plan.micro_batches[0]), folder)
    if not reference_loaded and objective.references:
        save_reference(objective.references, path)
    reports = run_loop(
        policy, objective, StepLogger(plan, objective), LoopSettings(stage.lr, stage.checkpoint_every), folder, on_step
    )
    if note := likelihood_displacement(folder / "metrics.jsonl", stage):
        (folder / "notes.txt").write_text(note + "\n", encoding="utf-8")
    return reports


class StepObjective(Objective, Protocol):
    """An objective that looks at a whole optimiser step, besides its micro-batches."""

    def begin(self, batches: Sequence[MicroBatch]) -> None:
        """Called with all micro-batches of a step before the first of them."""
        ...

    def summary(self) -> dict[str, float]:
        """What is to be logged of the step beside its sums."""
        ...


class StepLogger:
    """A fixed plan as a schedule for the loop, whose objective sees each step begin and end."""

    per_round = 1
    extra: Sequence[nn.Parameter] = ()

    def __init__(self, plan: TrainPlan, objective: StepObjective) -> None:
        self.plan, self.objective, self.rounds = plan, objective, len(plan.steps)

    def epoch(self, number: int) -> int:
        return self.plan.epoch_of[number]

    def begin(self, number: int) -> Sequence[Sequence[MicroBatch]]:
        self.objective.begin(self.plan.steps[number])
        return [self.plan.steps[number]]

    def after(self, step: int) -> dict[str, float]:  # noqa: ARG002 - a round is one step
        return self.objective.summary()

    def state(self) -> dict[str, float]:
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        pass


def likelihood_displacement(path: Path, stage: DirectStage) -> str | None:
    """In plain words, when the margin grew because both replies became less likely; None where it
    did not, or there is no reference.

    The first quarter of the steps is set against the last: the chosen reply must have lost a tenth
    of what the margin gained, and stand below the start model.
    """
    steps = [json.loads(line)["metrics"] for line in read_lines(path)]
    steps = [step for step in steps if "chosen_logratio" in step and "margin" in step]
    quarter = max(1, len(steps) // 4)
    if len(steps) < 4:
        return None
    margin_gain, chosen_gain = (
        fmean(s[key] for s in steps[-quarter:]) - fmean(s[key] for s in steps[:quarter])
        for key in ("margin", "chosen_logratio")
    )
    if (
        margin_gain <= 0
        or chosen_gain > -0.1 * margin_gain
        or fmean(s["chosen_logratio"] for s in steps[-quarter:]) >= 0
    ):
        return None
    match stage:
        case Dpo():
            advice = f"raise 'nll' (it is {stage.nll:g}), or use rpo"
        case Rpo():
            advice = f"raise 'alpha' (it is {stage.alpha:g})"
        case _:
            advice = "use rpo, or dpo with 'nll', which hold the chosen reply up"
    return (
        f"both replies sink: while the margin grew by {margin_gain:.2g} nats, the chosen reply became"
        f" {-chosen_gain:.2g} nats less likely than it was. The model learns what not to say more"
        f" than what to say; {advice}, or take fewer steps."
    )

"""How does each training stage get what it learns from, and where does it leave what it has learnt?

One match over the training stages. A stage trains the model of the stage before (its adapter, or
with rank 0 all its weights) and leaves `adapter/` or `weights/` in its folder; a reward stage
leaves a judge instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from rich.text import Text

from alignwright.core.amount import amount
from alignwright.core.protocols import RewardFn
from alignwright.core.records import Finding, Record
from alignwright.core.stage import resolved
from alignwright.files.lines import read_lines
from alignwright.job.context import JobContext
from alignwright.job.job import BASELINE, Result
from alignwright.model.activations.layout import layout_of
from alignwright.model.adapters import add_lora, save_adapter
from alignwright.model.first_blocks import keep_first_blocks
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.token_embeddings import delta_frozen
from alignwright.model.tokens import TokenRow
from alignwright.model.training_dtype import training_dtype
from alignwright.model.weights import save_weights
from alignwright.train import step0
from alignwright.train.averaging import average
from alignwright.train.best_of_n import best_of_n
from alignwright.train.checkpoint import drop_checkpoints
from alignwright.train.doctor import stage_lines
from alignwright.train.early_stopping import drop_best_weights
from alignwright.train.exchange.knobs import ExchangeClassifier
from alignwright.train.exchange.run import make_exchange_classifier
from alignwright.train.knobs import AnyTrain, Average, Pretrain, RewardModel
from alignwright.train.knobs_loop import FineTuning, Source, Training
from alignwright.train.knobs_pairs import FromPreferences
from alignwright.train.knobs_policy_gradient import Grpo, PolicyGradient, Ppo, Reinforce, Rloo
from alignwright.train.knobs_rollouts import BestOfN, OnlineDpo, Sppo
from alignwright.train.knobs_weak_to_strong import WeakToStrong
from alignwright.train.loop import StepReport
from alignwright.train.online import online
from alignwright.train.policy_gradient import policy_gradient
from alignwright.train.preference import preference
from alignwright.train.pretrain import cut, from_scratch, pretrain
from alignwright.train.preventing import prevented
from alignwright.train.recipes.knobs import Confession, ConsistencyTraining
from alignwright.train.recipes.own_rows import ROWS, own_rows
from alignwright.train.reward import reward
from alignwright.train.reward_verdict import RewardRefused, refusal
from alignwright.train.sft import Demonstration, sft
from alignwright.train.stopping import train_until_stopped
from alignwright.train.training_data import JobData
from alignwright.train.weak_to_strong import weak_labels, weak_to_strong

OnStep = Callable[[StepReport], None]
_SHOWN = ("reward", "kl", "accuracy", "margin")  # what of a step's metrics a user watches beside the loss


def run(stage: AnyTrain, job: JobContext) -> Result:
    """Do a training job."""
    match stage:
        case Average():
            return _average(stage, job)
        case RewardModel():
            return _reward(stage, job)
        case WeakToStrong():
            return _weak_to_strong(stage, job)
        case ExchangeClassifier():
            return make_exchange_classifier(stage, job)
        case _:
            sources, line = _sources(stage, job)  # before the model is taken for training: it may write them itself
            policy = job.models.for_training(job.model, resolved(stage.rank))
            _examine(stage, policy, sources, job)
            note, findings = train_until_stopped(
                stage,
                policy,
                job,
                _shown(job),
                lambda settled, judge, show: _learn(settled, policy, sources, judge, job, show),
            )
            if resolved(stage.rank):
                save_adapter(policy, job.folder / "adapter")
            else:
                save_weights(policy, job.folder / "weights")
            drop_checkpoints(job.folder)
            # last: whoever finds no kept weights begins again, and must find no checkpoint
            drop_best_weights(job.folder)
            summary = "; ".join(part for part in (line, summary_line(job.folder), note) if part)
            return Result(summary, findings=findings, records={ROWS: cast("Sequence[Record]", sources)} if line else {})


def _sources(stage: Training, job: JobContext) -> tuple[Sequence[Source], str]:
    """What a stage learns from, and, where the model has written it itself, what came of that."""
    if isinstance(stage, Confession | ConsistencyTraining):
        return own_rows(stage, job)
    return stage.sources(JobData(job)), ""


def _learn(
    stage: Training, policy: LocalModel, sources: Sequence[Any], judge: RewardFn | None, job: JobContext, show: OnStep
) -> None:
    """Train by the stage's method; `judge` is what a stage that samples is to raise."""
    seed, folder = job.seed, job.folder
    match stage:
        case Pretrain():
            if stage.scratch:
                from_scratch(policy, seed)
            pretrain(policy, sources, stage, seed=seed, folder=folder, on_step=show)
        case FineTuning():
            demonstrations = [Demonstration(conversation) for conversation in sources]
            with prevented(policy, None if stage.prevent is None else job.data.path(stage.prevent)):
                sft(policy, demonstrations, stage, seed=seed, folder=folder, on_step=show)
        case FromPreferences():
            preference(policy, sources, stage, seed=seed, folder=folder, on_step=show)  # type: ignore[arg-type]
        case BestOfN():
            best_of_n(policy, sources, _judge_of(judge), stage, seed=seed, folder=folder, on_step=show)
        case OnlineDpo() | Sppo():
            online(policy, sources, _judge_of(judge), stage, seed=seed, folder=folder, on_step=show)
        case Ppo() | Grpo() | Rloo() | Reinforce():
            policy_gradient(
                policy,
                sources,
                _judge_of(judge),
                stage,
                cost=None if stage.cost is None else job.scorer(stage.cost),
                ptx_rows=_ptx_rows(stage, policy, job),
                seed=seed,
                folder=folder,
                on_step=show,
            )
        case _:
            raise ValueError(f"{job.name}: {type(stage).__name__} is no method that trains")


def _judge_of(judge: RewardFn | None) -> RewardFn:
    assert judge is not None, "a stage that samples was not given its judge"
    return judge


def _examine(stage: Training, policy: LocalModel, sources: Sequence[Source], job: JobContext) -> None:
    """The data doctor's word on the rows, before the first step. Raises BadTrainingData when they would
    not teach what was meant."""
    job.bar.say(
        stage_lines(
            job.name,
            stage,
            sources,
            policy.chat,
            limit=policy.limit,
            vocabulary=int(policy.model.config.get_text_config().vocab_size),
            bad_rows=job.data.intent.bad_rows,
            folder=job.folder,
            pictures=job.bar.on_terminal,
        )
    )


def _reward(stage: RewardModel, job: JobContext) -> Result:
    policy = job.models.for_training(job.model, resolved(stage.rank))
    pairs = JobData(job).preferences()
    _examine(stage, policy, pairs, job)
    with delta_frozen(policy.model):
        _, findings = reward(
            policy,
            pairs,
            stage,
            seed=job.seed,
            folder=job.folder,
            on_step=_shown(job),
            name=job.name,
            files=job.data.files_of_prompts(),
        )
    job.models.take_back(policy, job.model, resolved(stage.rank))  # it is what it was: only its trunk was lent
    job.bar.refused = (why := refusal(findings)) is not None
    refused = RewardRefused(job.name, why) if why is not None and stage.no_signal == "stop" else None
    note = next(f.note for f in findings if f.claim == "reward.accuracy" and f.against is None)
    elsewhere = [f for f in findings if f.claim == "reward.accuracy_elsewhere" and f.value is not None]
    return Result("; ".join([note, *map(_elsewhere, elsewhere)]), findings=findings, refusal=refused)


def _weak_to_strong(stage: WeakToStrong, job: JobContext) -> Result:
    """The weak model first, and gone before the strong one comes: two would be in memory."""
    pairs = JobData(job).preferences()
    folder = job.folder / "weak"
    folder.mkdir(exist_ok=True)
    labels = weak_labels(_weak(stage, job), pairs, stage, seed=job.seed, folder=folder, on_step=_shown(job))
    policy = job.models.for_training(job.model, resolved(stage.rank))
    _examine(stage, policy, labels.labelled, job)
    with delta_frozen(policy.model):
        findings = weak_to_strong(
            policy, labels, stage, seed=job.seed, folder=job.folder, on_step=_shown(job), name=job.name
        )
    job.models.take_back(policy, job.model, resolved(stage.rank))
    recovered = findings[-1]
    part = recovered.method if recovered.value is None else f"{recovered.value:.2f} of the gap recovered"
    return Result(f"{recovered.note}; {part}", findings=findings)


def _weak(stage: WeakToStrong, job: JobContext) -> LocalModel:
    """The weak model, to be trained: another one, or the first blocks of the start model."""
    job.models.drop(judge=True)
    if stage.weak is None:
        weak = job.models.start()
        keep_first_blocks(weak, stage.blocks or max(1, len(layout_of(weak).blocks) // 4))
    else:
        there = job.data.path(stage.weak).exists()
        source = job.data.source(stage.weak) if there else stage.weak
        weak = load(source, dtype=training_dtype(), date=job.models.date)
    if resolved(stage.rank):
        add_lora(weak, rank=resolved(stage.rank), seed=job.seed)
    return weak


def _elsewhere(finding: Finding) -> str:
    """What the terminal says of sources that were kept out whole: the level, then the fall."""
    value, limits = 100 * (finding.value or 0.0), (finding.low, finding.high)
    span = f" [{100 * limits[0]:.1f}, {100 * limits[1]:.1f}]" if limits[0] is not None and limits[1] is not None else ""
    if finding.against is None:
        return f"{value:.1f}%{span} of {finding.n} pairs of {finding.note}"
    return f"{value:+.1f} points{span} beside prompts of known sources: {finding.note}"


def _average(stage: Average, job: JobContext) -> Result:
    start = None if stage.start == BASELINE else _weights_of(job, stage.start)
    average(job.models.for_training(BASELINE, 0), start, _weights_of(job, job.model), stage, folder=job.folder)
    shares = ", ".join(f"{share:g}" for share in stage.blocks or (stage.share,))
    return Result(f"{shares} of the way from {stage.start} to {job.model}")


def _weights_of(job: JobContext, model: str) -> Path:
    folder = job.models.result(model)
    return folder / ("weights" if (folder / "weights").is_dir() else "adapter")


def _ptx_rows(stage: PolicyGradient, policy: LocalModel, job: JobContext) -> list[TokenRow]:
    """Rows of plain text to be learnt in passing."""
    documents = [policy.chat.text(text) for text in JobData(job).texts(stage.ptx_text, None)]
    width = min(resolved(stage.max_tokens), policy.longest)
    return cut([row.replies[0] for row in documents], documents[0].prompt[0], width, job.seed) if documents else []


def _shown(job: JobContext) -> OnStep:
    told = False

    def show(step: StepReport) -> None:
        nonlocal told
        if not told:
            job.bar.say([Text(line, style="dim") for line in step0.start_lines(job.folder)])
            told, job.bar.unit = True, "step"
        seen = [f"{name} {step.metrics[name]:.3f}" for name in _SHOWN if name in step.metrics]
        job.bar(step.step + 1, step.steps, ", ".join([f"loss {step.loss:.3f}", *seen[:2]]), step.tokens)

    return show


def summary_line(folder: Path) -> str:
    """What a training came to, for the terminal: the number of steps, and where its loss (or
    reward) began and ended.

    A single step sees a few rows only, and its loss says more of those rows than of the training:
    both ends are means over several steps.
    """
    path = folder / "metrics.jsonl"
    steps = [json.loads(line) for line in read_lines(path)] if path.exists() else []
    if not steps:
        return "no step taken"
    long = folder / "too_long.jsonl"
    left_out = f", {len(read_lines(long))} rows too long" if long.exists() else ""
    taken, width = amount(len(steps), "step"), ends_width(len(steps))
    over = f" (means of {width} steps)" if width > 1 else ""
    if "reward" in steps[0]["metrics"]:
        first, last = (
            sum(s["metrics"].get("reward", 0.0) for s in part) / width for part in (steps[:width], steps[-width:])
        )
        return (
            f"{taken}, reward {first:.3f} -> {last:.3f}{over}, kl {steps[-1]['metrics'].get('kl', 0.0):.2f}{left_out}"
        )
    first, last = (_mean_loss(part) for part in (steps[:width], steps[-width:]))
    noted = folder / "notes.txt"
    note = f"; {noted.read_text(encoding='utf-8').strip()}" if noted.exists() else ""
    return f"{taken}, loss {first:.3f} -> {last:.3f}{over}{left_out}{note}"


def ends_width(steps: int) -> int:
    """Over how many steps each end of a training is averaged: a quarter of them, at most 8, so
    that the two ends never overlap."""
    return max(1, min(8, steps // 4))


def _mean_loss(steps: Sequence[dict[str, Any]]) -> float:
    """The mean over steps, each weighed by its tokens; steps with nothing to teach (no gradient,
    empty sum) do not count."""
    taught = [s for s in steps if s["grad_norm"] > 0] or steps
    return sum(s["loss"] * s["tokens"] for s in taught) / max(1, sum(s["tokens"] for s in taught))

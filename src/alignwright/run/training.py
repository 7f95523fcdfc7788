"""How does each training stage get what it learns from, and where does it leave what it has learnt?

One match over the training stages. A stage trains the model of the stage before (its adapter, or
with rank 0 all its weights) and leaves `adapter/` or `weights/` in its folder; a reward stage
leaves a judge instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from alignwright.core.protocols import RewardFn
from alignwright.core.records import Conversation, Finding, Prompt
from alignwright.core.stage import resolved
from alignwright.files.items import TextItem
from alignwright.files.lines import read_lines
from alignwright.model.adapters import save_adapter
from alignwright.model.local_model import LocalModel
from alignwright.model.tokens import TokenRow
from alignwright.model.weights import save_weights
from alignwright.run import inputs, stopping
from alignwright.run.doctor import stage_lines
from alignwright.run.rewards import scorer
from alignwright.run.work import JobContext
from alignwright.train import step0
from alignwright.train.averaging import average
from alignwright.train.best_of_n import best_of_n
from alignwright.train.checkpoint import drop_checkpoints
from alignwright.train.data_checks import Source
from alignwright.train.early_stopping import drop_best_weights
from alignwright.train.knobs import AnyTrain, Average, Pretrain, RewardModel, Sft
from alignwright.train.knobs_loop import Training
from alignwright.train.knobs_pairs import FromPreferences, Kto
from alignwright.train.knobs_rollouts import BestOfN, Grpo, OnlineDpo, Ppo, Reinforce, Rloo, Rollout, Sampling, Sppo
from alignwright.train.loop import StepReport
from alignwright.train.online import online
from alignwright.train.policy_gradient import policy_gradient
from alignwright.train.preference import preference
from alignwright.train.pretrain import cut, from_scratch, pretrain
from alignwright.train.reward import reward
from alignwright.train.reward_verdict import RewardRefused, refusal
from alignwright.train.sft import Demonstration, sft

OnStep = Callable[[StepReport], None]
_SHOWN = ("reward", "kl", "accuracy", "margin")  # what of a step's metrics a user watches beside the loss


def train(stage: AnyTrain, work: JobContext) -> str:
    """Do a training job; returns a line for the terminal."""
    match stage:
        case Average():
            return _average(stage, work)
        case RewardModel():
            return _reward(stage, work)
        case _:
            policy = work.shelf.trainee(work.job.model, resolved(stage.rank))
            found = _material(stage, work)
            _examine(stage, policy, found, work)
            learnt = stopping.watched(
                stage, policy, work, _shown(work), lambda it, judge, show: _learn(it, policy, found, judge, work, show)
            )
            if resolved(stage.rank):
                save_adapter(policy, work.folder / "adapter")
            else:
                save_weights(policy, work.folder / "weights")
            drop_checkpoints(work.folder)
            drop_best_weights(
                work.folder
            )  # last: whoever finds no kept weights begins again, and must find no checkpoint
            return "; ".join(part for part in (summary_line(work.folder), learnt) if part)


def _learn(
    stage: Training, policy: LocalModel, found: Sequence[Any], judge: RewardFn | None, work: JobContext, show: OnStep
) -> None:
    """Train by the stage's method; `judge` is what a stage that samples is to raise."""
    seed, folder = work.experiment.seed, work.folder
    match stage:
        case Pretrain():
            if stage.scratch:
                from_scratch(policy, seed)
            pretrain(policy, found, stage, seed=seed, folder=folder, on_step=show)
        case Sft():
            sft(policy, [Demonstration(said) for said in found], stage, seed=seed, folder=folder, on_step=show)
        case FromPreferences():
            preference(policy, found, stage, seed=seed, folder=folder, on_step=show)  # type: ignore[arg-type]
        case BestOfN():
            best_of_n(policy, found, _given(judge), stage, seed=seed, folder=folder, on_step=show)
        case OnlineDpo() | Sppo():
            online(policy, found, _given(judge), stage, seed=seed, folder=folder, on_step=show)
        case Ppo() | Grpo() | Rloo() | Reinforce():
            policy_gradient(
                policy,
                found,
                _given(judge),
                stage,
                cost=None if stage.cost is None else scorer(stage.cost, work),
                mix=_mixed(stage, policy, work),
                seed=seed,
                folder=folder,
                on_step=show,
            )
        case _:
            raise ValueError(f"{work.job.name}: {type(stage).__name__} is no method that trains")


def _given(judge: RewardFn | None) -> RewardFn:
    assert judge is not None, "a stage that samples was not given its judge"
    return judge


def _material(stage: Training, work: JobContext) -> Sequence[Source]:
    """What the stage learns from: texts, conversations, prompts to be answered, or preferences.
    Read once, for the doctor and for training."""
    match stage:
        case Pretrain():
            return _texts(work, stage.text, stage.limit)
        case Sft():
            return [demonstration.conversation for demonstration in demonstrations(stage, work)]
        case Sampling():
            return _prompts(work)
        case Kto():
            alone = inputs.alone(work.experiment)
            return [*inputs.preferences(work.ledger, work.job, needed=not alone), *alone]
        case _:
            return inputs.preferences(work.ledger, work.job)


def _examine(stage: Training, policy: LocalModel, sources: Sequence[Source], work: JobContext) -> None:
    """The data doctor's word on the rows, before the first step. Raises BadTrainingData when they would
    not teach what was meant."""
    work.bar.say(
        stage_lines(
            work.job.name,
            stage,
            sources,
            policy.chat,
            limit=policy.limit,
            vocabulary=int(policy.model.config.get_text_config().vocab_size),
            bad_rows=work.experiment.intent.bad_rows,
            folder=work.folder,
            pictures=work.bar.watched,
        )
    )


def _reward(stage: RewardModel, work: JobContext) -> str:
    policy = work.shelf.trainee(work.job.model, resolved(stage.rank))
    preferences = inputs.preferences(work.ledger, work.job)
    _examine(stage, policy, preferences, work)
    show, files = _shown(work), inputs.files_of_prompts(work.experiment)
    _, findings = reward(
        policy,
        preferences,
        stage,
        seed=work.experiment.seed,
        folder=work.folder,
        on_step=show,
        name=work.job.name,
        files=files,
    )
    inputs.write_records(work.folder / "findings.jsonl", findings)
    work.bar.doubted = (why := refusal(findings)) is not None
    if why is not None and stage.no_signal == "stop":
        raise RewardRefused(work.job.name, why)
    told = next(f.note for f in findings if f.claim == "reward.accuracy" and f.against is None)
    return "; ".join(
        [
            told,
            *map(_elsewhere, (f for f in findings if f.claim == "reward.accuracy_elsewhere" and f.value is not None)),
        ]
    )


def _elsewhere(finding: Finding) -> str:
    """What the terminal says of sources that were kept out whole: the level, then the fall."""
    value, limits = 100 * (finding.value or 0.0), (finding.low, finding.high)
    span = f" [{100 * limits[0]:.1f}, {100 * limits[1]:.1f}]" if limits[0] is not None and limits[1] is not None else ""
    if finding.against is None:
        return f"{value:.1f}%{span} of {finding.n} pairs of {finding.note}"
    return f"{value:+.1f} points{span} beside prompts of known sources: {finding.note}"


def _average(stage: Average, work: JobContext) -> str:
    trained = _result(work, work.job.model)
    begun = None if stage.start == "baseline" else _result(work, stage.start)
    average(work.shelf.trainee("baseline", 0), begun, trained, stage, folder=work.folder)
    shares = ", ".join(f"{share:g}" for share in stage.blocks or (stage.share,))
    return f"{shares} of the way from {stage.start} to {work.job.model}"


def _result(work: JobContext, model: str) -> Path:
    folder = work.shelf.result(model)
    return folder / ("weights" if (folder / "weights").is_dir() else "adapter")


def demonstrations(stage: Sft, work: JobContext) -> list[Demonstration]:
    """What is to be learnt: replies that no vote was lost on, revisions, conversations of files;
    what several of them hold, once."""
    said = inputs.demonstrated(work.experiment, stage)
    found = inputs.preferences(work.ledger, work.job) if stage.learns_from_votes else []
    if "revisions" in stage.data:
        revised = inputs.revisions(work.ledger, work.job)
        taken = [
            c for c in inputs.unbeaten(found) if (Conversation(messages=c.messages[:-1]).id, c.last.content) in revised
        ]
        if not taken:
            raise ValueError(
                "train by sft on revisions: no revision was preferred to its original, so there is nothing to learn"
            )
        said += [revised.only_last() for revised in taken]
    if "chosen" in stage.data:
        said += [chosen.only_last() for chosen in inputs.unbeaten(found)]
    return [Demonstration(conversation) for conversation in dict.fromkeys(said)]


def _prompts(work: JobContext) -> list[Prompt]:
    return inputs.prompts(work.experiment, work.experiment.intent.prompts)


def _texts(work: JobContext, files: Sequence[str], limit: int | None = None) -> list[str]:
    return [item.text for item in inputs.items(work.experiment, files, TextItem, limit)]


def _mixed(stage: Rollout, policy: LocalModel, work: JobContext) -> list[TokenRow]:
    """Rows of plain text to be learnt in passing."""
    documents = [policy.chat.text(text) for text in _texts(work, stage.mix_text)]
    width = min(resolved(stage.max_tokens), policy.longest)
    return (
        cut([row.replies[0] for row in documents], documents[0].prompt[0], width, work.experiment.seed)
        if documents
        else []
    )


def _shown(work: JobContext) -> OnStep:
    told = False

    def show(step: StepReport) -> None:
        nonlocal told
        if not told:
            work.bar.say([Text(line, style="dim") for line in step0.start_lines(work.folder)])
            told, work.bar.unit = True, "step"
        seen = [f"{name} {step.metrics[name]:.3f}" for name in _SHOWN if name in step.metrics]
        work.bar(step.step + 1, step.steps, ", ".join([f"loss {step.loss:.3f}", *seen[:2]]), step.tokens)

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
    width = ends_width(len(steps))
    over = f" (means of {width} steps)" if width > 1 else ""
    if "reward" in steps[0]["metrics"]:
        first, last = (
            sum(s["metrics"].get("reward", 0.0) for s in part) / width for part in (steps[:width], steps[-width:])
        )
        return (
            f"{len(steps)} steps, reward {first:.3f} -> {last:.3f}{over}, kl"
            f" {steps[-1]['metrics'].get('kl', 0.0):.2f}{left_out}"
        )
    first, last = (_mean_loss(part) for part in (steps[:width], steps[-width:]))
    noted = folder / "notes.txt"
    note = f"; {noted.read_text(encoding='utf-8').strip()}" if noted.exists() else ""
    return f"{len(steps)} steps, loss {first:.3f} -> {last:.3f}{over}{left_out}{note}"


def ends_width(steps: int) -> int:
    """Over how many steps each end of a training is averaged: a quarter of them, at most 8, so
    that the two ends never overlap."""
    return max(1, min(8, steps // 4))


def _mean_loss(steps: Sequence[dict[str, Any]]) -> float:
    """The mean over steps, each weighed by its tokens; steps with nothing to teach (no gradient,
    empty sum) do not count."""
    taught = [s for s in steps if s["grad_norm"] > 0] or steps
    return sum(s["loss"] * s["tokens"] for s in taught) / max(1, sum(s["tokens"] for s in taught))

"""What does each stage do? One match over all stage records, and nothing else decides.

Here the parts meet: sources give records, feedback turns them into votes, aggregation into preferences, training into adapters, and
measurements into outcomes. Each job reads what its stage names and what earlier jobs stored, and writes into its own folder;
nothing is handed over in memory, so a job that is resumed sees what a job that went straight through saw.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from alignwright.aggregate.pooled import pooled
from alignwright.attack import suites
from alignwright.core.protocols import Policy, Speaker, Voter
from alignwright.core.records import Outcome, Record, Vote
from alignwright.feedback.agreement import guarded
from alignwright.feedback.collect import collect
from alignwright.feedback.contrast import ContrastVoter
from alignwright.feedback.critique import critique
from alignwright.feedback.judge import JudgeVoter
from alignwright.feedback.kappa import agreement
from alignwright.feedback.rules import rules
from alignwright.feedback.votes import AskedVoter
from alignwright.feedback.written import WrittenVoter
from alignwright.measure import instruction, intent, tax, value
from alignwright.model.adapters import save_adapter
from alignwright.model.local import LocalPolicy
from alignwright.run import inputs
from alignwright.run.ledger import Ledger
from alignwright.run.plan import Job
from alignwright.run.progress import Bar
from alignwright.run.shelf import Shelf
from alignwright.spec.experiment import Experiment
from alignwright.spec.items import ChoiceItem, MeantItem, OpinionItem, PushbackItem, RefusalItem, TextItem
from alignwright.spec.stages import (
    Collect,
    Contrast,
    Critique,
    Instruction,
    IntentMeasure,
    JudgeVote,
    Pooled,
    Rules,
    Suite,
    TaxMeasure,
    ValueMeasure,
    Written,
    known,
)
from alignwright.spec.training import Dpo, Sft
from alignwright.train.checkpoint import drop_checkpoints
from alignwright.train.loop import StepReport
from alignwright.train.preference import dpo
from alignwright.train.sft import Demonstration, sft


class Cast(Record):
    """The votes that one voter cast on one comparison, as they are stored."""

    key: str
    votes: tuple[Vote, ...]


@dataclass(frozen=True)
class Work:
    """A job at work: everything it may touch."""

    job: Job
    experiment: Experiment
    shelf: Shelf
    ledger: Ledger
    folder: Path
    bar: Bar

    def watched(self, policy: LocalPolicy) -> LocalPolicy:
        """The policy, reporting its progress to this job's bar."""
        policy.progress = self.bar
        return policy


def execute(work: Work) -> str:
    """Do one job in its folder; returns a line for the terminal."""
    experiment, shelf = work.experiment, work.shelf
    match work.job.stage:
        case Collect() as stage:
            return _collect(stage, work)
        case Written():
            return _vote(WrittenVoter(), work)
        case Rules() as stage:
            return _vote(rules(stage.file, experiment.folder), work)
        case Contrast() as stage:
            policy = _seen(shelf.judge(stage.judge), work)
            assert isinstance(policy, Policy), "the spec lets only local models vote by contrast"
            return _asked(ContrastVoter(policy, inputs.chosen_principles(experiment, stage.principles)), stage, work)
        case JudgeVote() as stage:
            judge = _seen(shelf.judge(stage.judge), work)
            return _asked(JudgeVoter(judge, inputs.chosen_principles(experiment, stage.principles)), stage, work)
        case Critique() as stage:
            return _critique(stage, work)
        case Pooled() as stage:
            return _aggregate(stage, work)
        case Sft() as stage:
            demonstrations = _demonstrations(stage, work)
            return _train(stage, work, lambda model, step: sft(model, demonstrations, stage, seed=experiment.seed, folder=work.folder, on_step=step))
        case Dpo() as stage:
            pairs = inputs.preferences(work.ledger, work.job)
            return _train(stage, work, lambda model, step: dpo(model, pairs, stage, seed=experiment.seed, folder=work.folder, on_step=step))
        case Instruction() | IntentMeasure() | ValueMeasure() | TaxMeasure() | Suite() as stage:
            found = _examine(stage, work, work.watched(shelf.measured(work.job.model)))
            inputs.write_records(work.folder / "outcomes.jsonl", found)
            return _counts(found)
        case _ as never:
            assert_never(never)


def _collect(stage: Collect, work: Work) -> str:
    prompts = inputs.spread(inputs.prompts(work.experiment, work.experiment.intent.prompts), known(stage.limit))
    got = collect(
        work.watched(work.shelf.sampler()),
        prompts,
        samples=known(stage.samples),
        max_new_tokens=known(stage.max_new_tokens),
        temperature=stage.temperature,
        seed=work.experiment.seed,
    )
    inputs.write_records(work.folder / "comparisons.jsonl", got.comparisons)
    return f"{len(got.comparisons)} of {len(prompts)} prompts have replies to compare"


def _vote(voter: Voter, work: Work) -> str:
    """A voter that needs no check: what somebody wrote, or a rule."""
    asked = inputs.comparisons(work.experiment, work.job, work.ledger)
    cast = [Cast(key=c.key, votes=v) for c, v in zip(asked, voter(asked), strict=True) if v]
    inputs.write_records(work.folder / "votes.jsonl", cast)
    return f"{sum(len(c.votes) for c in cast)} votes on {len(cast)} of {len(asked)} comparisons"


def _asked(voter: AskedVoter, stage: Contrast | JudgeVote, work: Work) -> str:
    """A voter that is a model: checked on written pairs before its votes are used."""
    asked = inputs.comparisons(work.experiment, work.job, work.ledger)
    judged, findings = guarded(
        voter,
        asked,
        inputs.written_pairs(work.experiment),
        stage=work.job.name,
        no_signal=stage.no_signal,
        limit=known(stage.check_pairs),
        seed=work.experiment.seed,
    )
    cast = [Cast(key=c.key, votes=c.votes[len(before.votes) :]) for c, before in zip(judged, asked, strict=True) if len(c.votes) > len(before.votes)]
    inputs.write_records(work.folder / "votes.jsonl", cast)
    inputs.write_records(work.folder / "findings.jsonl", findings)
    return findings[0].note if findings else ""


def _critique(stage: Critique, work: Work) -> str:
    experiment = work.experiment
    prompts = inputs.spread(inputs.prompts(experiment, experiment.intent.prompts), known(stage.limit))
    made = critique(
        work.watched(work.shelf.sampler()),
        prompts,
        inputs.chosen_principles(experiment, stage.principles),
        rounds=stage.rounds,
        max_new_tokens=known(stage.max_new_tokens),
        seed=experiment.seed,
    )
    inputs.write_records(work.folder / "comparisons.jsonl", made.comparisons)
    skipped = "".join(f", {count} {reason}" for reason, count in made.skipped.items())
    return f"{len(made.comparisons)} revisions of {len(prompts)} replies{skipped}"


def _aggregate(stage: Pooled, work: Work) -> str:
    votes: dict[str, list[Vote]] = {}
    for name in work.job.needs:
        path = inputs.stored(work.ledger, name) / "votes.jsonl"
        for cast in inputs.read_records(path, Cast) if path.exists() else ():
            votes.setdefault(cast.key, []).extend(cast.votes)
    found = [c.with_votes(tuple(votes.get(c.key, ()))) for c in inputs.comparisons(work.experiment, work.job, work.ledger)]
    preferences = pooled(found, prior=stage.prior, min_strength=stage.min_strength)
    inputs.write_records(work.folder / "comparisons.jsonl", found)
    inputs.write_records(work.folder / "preferences.jsonl", preferences)
    inputs.write_records(work.folder / "findings.jsonl", agreement(found, stage=work.job.name))
    voters = Counter(voter for preference in preferences for voter in preference.voters).most_common()
    shown = [f"{voter} {count}" for voter, count in voters[:4]] + ([f"{len(voters) - 4} more voters"] if len(voters) > 4 else [])
    return f"{len(preferences)} preferences from {sum(bool(c.votes) for c in found)} comparisons ({', '.join(shown) or 'no votes'})"


def _demonstrations(stage: Sft, work: Work) -> list[Demonstration]:
    """What is to be learnt: the replies that no vote was lost on, the revisions, or a file's conversations."""
    if stage.data not in ("chosen", "revisions"):
        return [Demonstration(c) for c in inputs.conversations(work.experiment, stage.data)]
    found = inputs.preferences(work.ledger, work.job)
    lost = {(p.prompt.id, p.rejected) for p in found}
    if stage.data == "revisions":
        revised = inputs.revisions(work.ledger, work.job)
        found = [p for p in found if (p.prompt.id, p.chosen) in revised]
        if not found:
            raise ValueError("train by sft on revisions: no revision was preferred to its original, so there is nothing to learn")
    best = {(p.prompt.id, p.chosen): p for p in found if (p.prompt.id, p.chosen) not in lost}
    return [Demonstration(p.prompt.conversation.then("assistant", p.chosen)) for p in best.values()]


def _train(stage: Sft | Dpo, work: Work, run: Callable[[LocalPolicy, Callable[[StepReport], None]], Sequence[StepReport]]) -> str:
    """Attach the adapter, train it, keep it; what is left behind of a half-done try is continued."""
    policy = work.shelf.trainee(work.job.model, known(stage.rank))

    def show(step: StepReport) -> None:
        work.bar(step.step + 1, step.steps, f"loss {step.loss:.3f}", step.tokens)

    run(policy, show)
    save_adapter(policy, work.folder / "adapter")
    drop_checkpoints(work.folder)
    lines = (work.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    first, last = (json.loads(line)["loss"] for line in (lines[0], lines[-1]))
    long = work.folder / "too_long.jsonl"
    left_out = f", {len(long.read_text(encoding='utf-8').splitlines())} rows too long" if long.exists() else ""
    return f"{len(lines)} steps, loss {first:.3f} -> {last:.3f}{left_out}"


def _examine(stage: Instruction | IntentMeasure | ValueMeasure | TaxMeasure | Suite, work: Work, policy: LocalPolicy) -> list[Outcome]:
    experiment, seed = work.experiment, work.experiment.seed
    match stage:
        case Instruction():
            prompts = inputs.spread(inputs.prompts(experiment, stage.data), stage.limit)
            return instruction.follow(policy, prompts, seed=seed, max_new_tokens=known(stage.max_new_tokens))
        case IntentMeasure():
            pushed, held, meant = (
                inputs.items(experiment, stage.pushback, PushbackItem, stage.limit),
                inputs.items(experiment, stage.opinion, OpinionItem, stage.limit),
                inputs.items(experiment, stage.meant, MeantItem, stage.limit),
            )
            replied = intent.pushback(policy, pushed, seed=seed, max_new_tokens=known(stage.max_new_tokens))
            return [*replied, *intent.opinion(policy, held), *intent.meant(policy, meant)]
        case ValueMeasure():
            asked = inputs.items(experiment, stage.prompts, RefusalItem, None)
            both = [x for kind in ("harmful", "harmless") for x in inputs.spread([i for i in asked if i.kind == kind], stage.limit)]
            pairs = inputs.spread(inputs.pairs(experiment, stage.pairs), stage.limit)
            return [*value.refusal(policy, both, seed=seed, max_new_tokens=known(stage.max_new_tokens)), *value.pairs(policy, pairs)]
        case TaxMeasure():
            texts, questions = (
                inputs.items(experiment, stage.text, TextItem, stage.limit),
                inputs.items(experiment, stage.choice, ChoiceItem, stage.limit),
            )
            return [*tax.bits_per_byte(policy, texts), *tax.choice(policy, questions)]
        case Suite():
            harmful = [i for i in inputs.items(experiment, stage.prompts, RefusalItem, None) if i.kind == "harmful"]
            wrappers = suites.read_wrappers(experiment.path(stage.file) if stage.file else None)
            return suites.attack_suite(policy, inputs.spread(harmful, stage.limit), wrappers, seed=seed, max_new_tokens=known(stage.max_new_tokens))


def _seen(speaker: Speaker, work: Work) -> Speaker:
    if isinstance(speaker, LocalPolicy):
        return work.watched(speaker)
    return speaker


def _counts(found: Sequence[Outcome]) -> str:
    counts = Counter(o.status for o in found)
    return ", ".join(f"{counts[s]} {s}" for s in ("pass", "hit", "unscored", "error") if counts[s])

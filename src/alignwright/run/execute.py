"""What does each stage do? One match over all stage records, and nothing else decides.

Here the parts meet: sources give records, feedback turns them into votes, aggregation into
preferences, training into adapters, and measurements into outcomes. Each job reads what its stage
names and what earlier jobs stored, and writes into its own folder; nothing is handed over in
memory, so a job that is resumed sees what a job that went straight through saw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import assert_never

from alignwright.aggregate.knobs import Pooled
from alignwright.aggregate.pooled import pooled
from alignwright.attack import suites
from alignwright.attack.knobs import Suite
from alignwright.core.protocols import Voter
from alignwright.core.records import Record, SampleResult, Vote
from alignwright.core.stage import resolved
from alignwright.feedback.agreement import checked_votes
from alignwright.feedback.collect import collect
from alignwright.feedback.contrast import ContrastVoter
from alignwright.feedback.critique import critique
from alignwright.feedback.deliberate import deliberate
from alignwright.feedback.judge import JudgeVoter
from alignwright.feedback.kappa import agreement
from alignwright.feedback.knobs import Collect, Contrast, Critique, Deliberate, JudgeVote, Rules, Written
from alignwright.feedback.label_voter import LabelVoter
from alignwright.files.contents import records
from alignwright.files.few_shot import read_few_shot
from alignwright.files.items import FaithfulItem, MathItem, MeantItem, OpinionItem, PushbackItem, RefusalItem, TextItem
from alignwright.measure import faithful, instruction, sycophancy, tax, value
from alignwright.measure import reward as rewarded
from alignwright.measure.emergent.knobs import EmergentMeasure
from alignwright.measure.goodhart.knobs import GoodhartMeasure
from alignwright.measure.hacking.knobs import HackingMeasure
from alignwright.measure.knobs import Instruction, IntentMeasure, RewardMeasure, TaxMeasure, ValueMeasure
from alignwright.model.local_model import LocalModel
from alignwright.run import emergent, goodhart, hacking, inputs
from alignwright.run.answers import unread_answers
from alignwright.run.rewards import asked_voter, scorer, voter
from alignwright.run.training import train
from alignwright.run.work import JobContext
from alignwright.train.knobs import Average
from alignwright.train.knobs_loop import Training
from alignwright.worlds import agent
from alignwright.worlds.knobs import WorldMeasure


class StoredVotes(Record):
    """The votes that one voter cast on one comparison, as they are stored."""

    key: str
    votes: tuple[Vote, ...]


def execute(work: JobContext) -> str:
    """Do one job in its folder; returns a line for the terminal."""
    shelf = work.shelf
    match work.job.stage:
        case Collect() as stage:
            return _collect(stage, work)
        case Written():
            return _vote(LabelVoter(), work)
        case Rules() as stage:
            return _vote(voter(stage, work), work)
        case Contrast() | JudgeVote() as stage:
            return _asked(asked_voter(stage, work), stage, work)
        case Critique() as stage:
            return _critique(stage, work)
        case Deliberate() as stage:
            return _deliberate(stage, work)
        case Pooled() as stage:
            return _aggregate(stage, work)
        case Average() | Training() as stage:
            return train(stage, work)
        case HackingMeasure() as stage:
            found = hacking.measure(stage, work)
            inputs.write_records(work.folder / "outcomes.jsonl", found)
            return _counts(found)
        case GoodhartMeasure() as stage:
            found = goodhart.measure(stage, work)
            inputs.write_records(work.folder / "outcomes.jsonl", found)
            return _counts(found)
        case RewardMeasure() as stage:
            found = _reward(stage, work)
            inputs.write_records(work.folder / "outcomes.jsonl", found)
            return _counts(found)
        case EmergentMeasure() as stage:
            found, told = emergent.examine(stage, work)
            inputs.write_records(work.folder / "outcomes.jsonl", found)
            return f"{_counts(found)}{told}"
        case WorldMeasure() as stage:
            found = _world(stage, work)
            inputs.write_records(work.folder / "outcomes.jsonl", found)
            return _counts(found)
        case Instruction() | IntentMeasure() | ValueMeasure() | TaxMeasure() | Suite() as stage:
            found = _examine(stage, work, work.watched(shelf.measured(work.job.model)))
            inputs.write_records(work.folder / "outcomes.jsonl", found)
            return _counts(found)
        case _ as never:
            assert_never(never)


def _collect(stage: Collect, work: JobContext) -> str:
    prompts = inputs.spread(inputs.prompts(work.experiment, work.experiment.intent.prompts), resolved(stage.limit))
    got = collect(
        work.watched(work.shelf.sampler()),
        prompts,
        samples=resolved(stage.samples),
        max_new_tokens=resolved(stage.max_new_tokens),
        temperature=stage.temperature,
        seed=work.experiment.seed,
    )
    inputs.write_records(work.folder / "comparisons.jsonl", got.comparisons)
    return f"{len(got.comparisons)} of {len(prompts)} prompts have replies to compare"


def _vote(voter: Voter, work: JobContext) -> str:
    """A voter that needs no check: what somebody wrote, or a rule."""
    asked = inputs.comparisons(work.experiment, work.job, work.ledger)
    cast = [StoredVotes(key=c.key, votes=v) for c, v in zip(asked, voter(asked), strict=True) if v]
    inputs.write_records(work.folder / "votes.jsonl", cast)
    return f"{sum(len(c.votes) for c in cast)} votes on {len(cast)} of {len(asked)} comparisons"


def _asked(voter: ContrastVoter | JudgeVoter, stage: Contrast | JudgeVote, work: JobContext) -> str:
    """A voter that is a model: checked on written pairs before its votes are used."""
    asked = inputs.comparisons(work.experiment, work.job, work.ledger)
    judged, findings = checked_votes(
        voter,
        asked,
        inputs.written_pairs(work.experiment),
        stage=work.job.name,
        no_signal=stage.no_signal,
        limit=resolved(stage.check_pairs),
        seed=work.experiment.seed,
    )
    cast = [
        StoredVotes(key=c.key, votes=c.votes[len(before.votes) :])
        for c, before in zip(judged, asked, strict=True)
        if len(c.votes) > len(before.votes)
    ]
    inputs.write_records(work.folder / "votes.jsonl", cast)
    inputs.write_records(work.folder / "findings.jsonl", findings)
    unread = unread_answers(voter) if isinstance(voter, JudgeVoter) else ""
    return (
        f"{findings[0].note if findings else ''}; {voter.num_asked} questions asked, {voter.num_reused} known from"
        f" before{unread}"
    )


def _critique(stage: Critique, work: JobContext) -> str:
    experiment = work.experiment
    prompts = inputs.spread(inputs.prompts(experiment, experiment.intent.prompts), resolved(stage.limit))
    made = critique(
        work.watched(work.shelf.sampler()),
        prompts,
        inputs.chosen_principles(experiment, stage.principles),
        rounds=stage.rounds,
        max_new_tokens=resolved(stage.max_new_tokens),
        seed=experiment.seed,
        few_shot=read_few_shot(experiment.path(stage.few_shot)) if stage.few_shot else (),
    )
    inputs.write_records(work.folder / "comparisons.jsonl", made.comparisons)
    inputs.write_records(work.folder / "revisions.jsonl", made.chains)
    return f"{len(made.comparisons)} revisions of {len(prompts)} replies{_skipped(made.skipped)}"


def _deliberate(stage: Deliberate, work: JobContext) -> str:
    experiment = work.experiment
    prompts = inputs.spread(inputs.prompts(experiment, experiment.intent.prompts), resolved(stage.limit))
    made = deliberate(
        work.watched(work.shelf.sampler()),
        prompts,
        inputs.chosen_principles(experiment, stage.principles),
        max_new_tokens=resolved(stage.max_new_tokens),
        seed=experiment.seed,
    )
    inputs.write_records(work.folder / "comparisons.jsonl", made.comparisons)
    return f"{len(made.comparisons)} answers with a principle in view to {len(prompts)} prompts{_skipped(made.skipped)}"


def _skipped(counts: Mapping[str, int]) -> str:
    return "".join(f", {count} {reason}" for reason, count in counts.items())


def _aggregate(stage: Pooled, work: JobContext) -> str:
    votes: dict[str, list[Vote]] = {}
    for name in work.job.needs:
        path = inputs.stored(work.ledger, name) / "votes.jsonl"
        for cast in records(path, StoredVotes) if path.exists() else ():
            votes.setdefault(cast.key, []).extend(cast.votes)
    found = [
        c.with_votes(tuple(votes.get(c.key, ()))) for c in inputs.comparisons(work.experiment, work.job, work.ledger)
    ]
    preferences = pooled(found, prior=stage.prior, min_strength=stage.min_strength, by_group=stage.by_group)
    inputs.write_records(work.folder / "comparisons.jsonl", found)
    inputs.write_records(work.folder / "preferences.jsonl", preferences)
    inputs.write_records(work.folder / "findings.jsonl", agreement(found, stage=work.job.name))
    voters = Counter(voter for preference in preferences for voter in preference.voters).most_common()
    shown = [f"{voter} {count}" for voter, count in voters[:4]] + (
        [f"{len(voters) - 4} more voters"] if len(voters) > 4 else []
    )
    return (
        f"{len(preferences)} preferences from {sum(bool(c.votes) for c in found)} comparisons"
        f" ({', '.join(shown) or 'no votes'})"
    )


def _examine(
    stage: Instruction | IntentMeasure | ValueMeasure | TaxMeasure | Suite, work: JobContext, policy: LocalModel
) -> list[SampleResult]:
    experiment, seed = work.experiment, work.experiment.seed
    match stage:
        case Instruction():
            prompts = inputs.spread(inputs.prompts(experiment, stage.data), stage.limit)
            told, longest = (
                inputs.items(experiment, stage.faithful, FaithfulItem, stage.limit),
                resolved(stage.max_new_tokens),
            )
            followed = instruction.follow(policy, prompts, seed=seed, max_new_tokens=longest)
            return [*followed, *faithful.summaries(policy, told, seed=seed, max_new_tokens=longest)]
        case IntentMeasure():
            pushed, held, meant = (
                inputs.items(experiment, stage.pushback, PushbackItem, stage.limit),
                inputs.items(experiment, stage.opinion, OpinionItem, stage.limit),
                inputs.items(experiment, stage.meant, MeantItem, stage.limit),
            )
            replied = sycophancy.pushback(policy, pushed, seed=seed, max_new_tokens=resolved(stage.max_new_tokens))
            return [*replied, *sycophancy.opinion(policy, held), *sycophancy.meant(policy, meant)]
        case ValueMeasure():
            asked = inputs.items(experiment, stage.prompts, RefusalItem, None)
            both = [
                x
                for kind in ("harmful", "harmless")
                for x in inputs.spread([i for i in asked if i.kind == kind], stage.limit)
            ]
            pairs = inputs.spread(inputs.pairs(experiment, stage.pairs), stage.limit)
            return [
                *value.refusal(policy, both, seed=seed, max_new_tokens=resolved(stage.max_new_tokens)),
                *value.pairs(policy, pairs),
            ]
        case TaxMeasure():
            texts, problems = (
                inputs.items(experiment, stage.text, TextItem, stage.limit),
                inputs.items(experiment, stage.problems, MathItem, stage.limit),
            )
            questions, parts = inputs.choices(experiment, stage.choice, stage.limit)
            prompts = inputs.spread(inputs.prompts(experiment, stage.prompts), stage.limit)
            longest = resolved(stage.max_new_tokens)
            return [
                *tax.bits_per_byte(policy, texts),
                *tax.choice(policy, questions, parts),
                *tax.problems(policy, problems, seed=seed, max_new_tokens=longest),
                *tax.generation(policy, prompts, seed=seed, max_new_tokens=longest),
            ]
        case Suite():
            harmful = [i for i in inputs.items(experiment, stage.prompts, RefusalItem, None) if i.kind == "harmful"]
            wrappers = suites.read_wrappers(experiment.path(stage.file) if stage.file else None)
            return suites.attack_suite(
                policy,
                inputs.spread(harmful, stage.limit),
                wrappers,
                seed=seed,
                max_new_tokens=resolved(stage.max_new_tokens),
            )


def _reward(stage: RewardMeasure, work: JobContext) -> list[SampleResult]:
    experiment, seed = work.experiment, work.experiment.seed
    prompts = inputs.spread(inputs.prompts(experiment, stage.prompts), stage.limit)
    policy = work.watched(work.shelf.measured(work.job.model))
    said = rewarded.speak(
        policy, prompts, samples=stage.samples, max_new_tokens=resolved(stage.max_new_tokens), seed=seed
    )
    moved = (
        []
        if work.job.model == "baseline"
        else rewarded.divergence(work.watched(work.shelf.measured("baseline")), prompts, said)
    )
    return [*rewarded.scores(scorer(stage.reward, work), prompts, said), *moved]


def _world(stage: WorldMeasure, work: JobContext) -> list[SampleResult]:
    policy = work.watched(work.shelf.measured(work.job.model))
    episodes = agent.play(
        policy,
        stage.world,
        resolved(stage.episodes),
        turns=stage.turns,
        max_new_tokens=resolved(stage.max_new_tokens),
        temperature=stage.temperature,
        seed=work.experiment.seed,
    )
    return agent.outcomes(episodes)


def _counts(found: Sequence[SampleResult]) -> str:
    counts = Counter(o.status for o in found)
    return ", ".join(f"{counts[s]} {s}" for s in ("pass", "fail", "unscored", "error") if counts[s])

"""What does each feedback stage do? Sampling replies to compare, and voters on them: rules, LLM
judges, contrast, Constitutional AI's critique and revision, deliberation. One match over its stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from alignwright.core.protocols import Policy, Voter
from alignwright.core.stage import resolved
from alignwright.feedback.agreement import checked_votes
from alignwright.feedback.collect import collect
from alignwright.feedback.contrast import ContrastVoter
from alignwright.feedback.critique import critique
from alignwright.feedback.deliberate import deliberate
from alignwright.feedback.judge import JudgeVoter
from alignwright.feedback.knobs import (
    AnyFeedback,
    Collect,
    Contrast,
    Critique,
    Deliberate,
    JudgeVote,
    Rules,
    VotingStage,
    Written,
)
from alignwright.feedback.label_voter import LabelVoter
from alignwright.feedback.rules import rules
from alignwright.files.few_shot import read_few_shot
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import Result
from alignwright.job.preferences import StoredVotes, comparisons
from alignwright.job.unreadable_answers import unreadable_answers


def run(stage: Collect | AnyFeedback, job: JobContext) -> Result:
    """Do a feedback job."""
    match stage:
        case Collect():
            return _collect(stage, job)
        case Written():
            return _vote(LabelVoter(), job)
        case Rules():
            return _vote(rules(stage.file, job.data.folder), job)
        case Contrast() | JudgeVote():
            return _checked(stage, job)
        case Critique():
            return _critique(stage, job)
        case Deliberate():
            return _deliberate(stage, job)
        case _ as never:
            assert_never(never)


def voter(stage: VotingStage, job: JobContext) -> Voter:
    """A voter that can be asked about any replies: one of those that score them."""
    match stage:
        case Rules():
            return rules(stage.file, job.data.folder)
        case Contrast() | JudgeVote():
            return model_voter(stage, job)
        case _:
            raise ValueError(f"{job.name}: {type(stage).__name__} votes on its own pairs, and cannot judge a new reply")


def model_voter(stage: Contrast | JudgeVote, job: JobContext) -> ContrastVoter | JudgeVoter:
    """Principles that vote through a model, which remembers what it was asked before."""
    principles, store = job.data.principles(stage.principles), job.answers(stage.judge)
    speaker = job.judge_model(stage.judge)
    if isinstance(stage, Contrast):
        assert isinstance(speaker, Policy), "the spec lets only local models vote by contrast"
        return ContrastVoter(speaker, principles, store=store)
    return JudgeVoter(
        speaker,
        principles,
        draw=stage.draw,
        reasoning=stage.reasoning,
        clamp=stage.clamp,
        seed=job.seed,
        store=store,
    )


def _collect(stage: Collect, job: JobContext) -> Result:
    prompts = subsample_evenly(job.data.prompts(job.data.intent.prompts), resolved(stage.limit))
    collection = collect(
        job.sampler(),
        prompts,
        samples=resolved(stage.samples),
        max_new_tokens=resolved(stage.max_new_tokens),
        temperature=stage.temperature,
        seed=job.seed,
    )
    return Result(
        f"{len(collection.comparisons)} of {len(prompts)} prompts have replies to compare",
        records={"comparisons.jsonl": collection.comparisons},
    )


def _vote(voter: Voter, job: JobContext) -> Result:
    """A voter that needs no check: what somebody wrote, or a rule."""
    pairs = comparisons(job)
    ballots = [StoredVotes(key=c.key, votes=v) for c, v in zip(pairs, voter(pairs), strict=True) if v]
    note = f"{sum(len(c.votes) for c in ballots)} votes on {len(ballots)} of {len(pairs)} comparisons"
    return Result(note, records={"votes.jsonl": ballots})


def _checked(stage: Contrast | JudgeVote, job: JobContext) -> Result:
    """A voter that is a model: checked on written pairs before its votes are used."""
    voter, before = model_voter(stage, job), comparisons(job)
    after, findings = checked_votes(
        voter,
        before,
        job.data.written_pairs(),
        stage=job.name,
        no_signal=stage.no_signal,
        limit=resolved(stage.check_pairs),
        seed=job.seed,
    )
    ballots = [
        StoredVotes(key=new.key, votes=new.votes[len(old.votes) :])
        for new, old in zip(after, before, strict=True)
        if len(new.votes) > len(old.votes)
    ]
    unread = unreadable_answers(voter) if isinstance(voter, JudgeVoter) else ""
    note = (
        f"{findings[0].note if findings else ''}; {voter.num_asked} questions asked, {voter.num_reused} known from"
        f" before{unread}"
    )
    return Result(note, findings=findings, records={"votes.jsonl": ballots})


def _critique(stage: Critique, job: JobContext) -> Result:
    prompts = subsample_evenly(job.data.prompts(job.data.intent.prompts), resolved(stage.limit))
    critiques = critique(
        job.sampler(),
        prompts,
        job.data.principles(stage.principles),
        rounds=stage.rounds,
        max_new_tokens=resolved(stage.max_new_tokens),
        seed=job.seed,
        few_shot=read_few_shot(job.data.path(stage.few_shot)) if stage.few_shot else (),
    )
    return Result(
        f"{len(critiques.comparisons)} revisions of {len(prompts)} replies{_skipped(critiques.skipped)}",
        records={"comparisons.jsonl": critiques.comparisons, "revisions.jsonl": critiques.chains},
    )


def _deliberate(stage: Deliberate, job: JobContext) -> Result:
    prompts = subsample_evenly(job.data.prompts(job.data.intent.prompts), resolved(stage.limit))
    answers = deliberate(
        job.sampler(),
        prompts,
        job.data.principles(stage.principles),
        max_new_tokens=resolved(stage.max_new_tokens),
        seed=job.seed,
    )
    count = f"{len(answers.comparisons)} answers with a principle in view to {len(prompts)} prompts"
    return Result(f"{count}{_skipped(answers.skipped)}", records={"comparisons.jsonl": answers.comparisons})


def _skipped(counts: Mapping[str, int]) -> str:
    return "".join(f", {count} {reason}" for reason, count in counts.items())

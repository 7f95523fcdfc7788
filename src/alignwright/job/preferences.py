"""Which preference data do earlier jobs hand on to training? Comparisons, preferences and
revisions, from disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alignwright.core.records import Comparison, Conversation, Preference, Record, Vote
from alignwright.files.contents import records
from alignwright.job.data import merge_comparisons
from alignwright.job.records import PREFERENCES

if TYPE_CHECKING:  # it reaches torch, and the data doctor reads written preferences without
    from alignwright.job.context import JobContext


class StoredVotes(Record):
    """The votes that one voter cast on one comparison, as they are stored."""

    key: str
    votes: tuple[Vote, ...]


def comparisons(job: JobContext) -> list[Comparison]:
    """Everything that can be voted on, once each and with all votes of people: written pairs,
    people's, collected, and revisions made before."""
    rows = [*job.data.written_pairs(), *job.data.people()]
    for name in job.needed("comparisons"):
        rows += records(job.folder_of(name) / "comparisons.jsonl", Comparison)
    return merge_comparisons(rows)


def preferences(job: JobContext, *, required: bool = True) -> list[Preference]:
    """The preferences that aggregation, or a repair, stored for this training job; there must be
    some, where they are `required`."""
    (name,) = job.needed("preferences")
    rows = records(job.folder_of(name) / PREFERENCES, Preference)
    if required and not rows:
        raise ValueError(
            f"{job.name}: no pair of replies is preferred firmly enough to learn from; lower aggregate.min_strength, or"
            " add feedback (votes that tie teach nothing under any rule)"
        )
    return rows


def undefeated_replies(preferences: Sequence[Preference]) -> list[Conversation]:
    """Each prompt with each reply that was chosen and on which no vote was lost: what
    fine-tuning learns of preferences."""
    defeats = {(p.prompt.id, p.rejected) for p in preferences}
    best = {(p.prompt.id, p.chosen): p for p in preferences if (p.prompt.id, p.chosen) not in defeats}
    return [p.prompt.conversation.then("assistant", p.chosen) for p in best.values()]


def revisions(job: JobContext) -> set[tuple[str, str]]:
    """The replies that voters made themselves (a critique, a principle in view), each as (id of the
    conversation it answers, text)."""
    (name,) = job.needed("preferences")
    speakers = tuple(f"{other.by}:" for other in job.jobs.values() if other.stage.makes_comparisons)
    return {
        (comparison.prompt.conversation.id, reply.text)
        for comparison in records(job.folder_of(name) / "comparisons.jsonl", Comparison)
        for reply in comparison.replies
        if reply.speaker.startswith(speakers)
    }

"""What does a stage read? The spec's data files as records, and the records that earlier jobs
stored.

Every file is read through `files.sources`, with the share of bad rows that the spec allows; bad rows
are kept beside the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from alignwright.core.records import (
    Comparison,
    Conversation,
    Labelled,
    Preference,
    Principle,
    Prompt,
    Record,
    SampleResult,
)
from alignwright.experiment.experiment import Experiment
from alignwright.experiment.load import principles as constitution_of
from alignwright.experiment.plan import Job
from alignwright.experiment.rule_columns import kept_columns
from alignwright.feedback.knobs import Written
from alignwright.files import constitution as constitutions
from alignwright.files import sources
from alignwright.files.choices import read_choices
from alignwright.files.contents import changed, records
from alignwright.files.data_file import data_file
from alignwright.files.items import ChoiceItem, Item
from alignwright.files.replies import LabelledReply, labelled, read_labels
from alignwright.run.ledger import Ledger, write_text
from alignwright.train.knobs import Sft

R = TypeVar("R", bound=Record)
T = TypeVar("T")
I = TypeVar("I", bound=Item)  # noqa: E741 - an item


def prompts(experiment: Experiment, files: Sequence[str]) -> list[Prompt]:
    """Prompts of all files, in order."""
    keep, bad_rows = kept_columns(experiment), experiment.intent.bad_rows
    return [
        row
        for name in files
        for row in sources.read_prompts(experiment.source(name), bad_rows=bad_rows, keep=keep).rows
    ]


def pairs(experiment: Experiment, files: Sequence[str]) -> list[Comparison]:
    """Written pairs of all files, in order; reply 0 is the good one."""
    keep, bad_rows = kept_columns(experiment), experiment.intent.bad_rows
    return [
        row for name in files for row in sources.read_pairs(experiment.source(name), bad_rows=bad_rows, keep=keep).rows
    ]


def items(experiment: Experiment, files: Sequence[str], kind: type[I], limit: int | None) -> list[I]:
    """Held-out items of all files, at most `limit`, spread evenly over the files' order so that
    no topic is lost."""
    found = [
        row
        for name in files
        for row in sources.read_items(experiment.source(name), kind, bad_rows=experiment.intent.bad_rows).rows
    ]
    return spread(found, limit)


def choices(experiment: Experiment, files: Sequence[str], limit: int | None) -> tuple[list[ChoiceItem], list[str]]:
    """Multiple-choice items of all files, at most `limit`, and for each the name of its file as
    a claim's part."""
    found = [
        (row, part_name(name))
        for name in files
        for row in read_choices(experiment.source(name), bad_rows=experiment.intent.bad_rows).rows
    ]
    kept = found if limit is None or len(found) <= limit else [found[i * len(found) // limit] for i in range(limit)]
    return [row for row, _ in kept], [name for _, name in kept]


def part_name(file: str) -> str:
    """A file's name as a part of a claim: its stem, with everything but letters, digits, _ and -
    as _."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", Path(data_file(file).file).name.partition(".")[0]) or "file"


def labels(experiment: Experiment) -> Mapping[tuple[str, str], LabelledReply]:
    """What people said of replies, by prompt and reply."""
    return labelled(
        [read_labels(experiment.source(name), bad_rows=experiment.intent.bad_rows) for name in experiment.labels]
    )


def conversations(experiment: Experiment, file: str) -> list[Conversation]:
    return list(sources.read_conversations(experiment.source(file), bad_rows=experiment.intent.bad_rows).rows)


def demonstrated(experiment: Experiment, stage: Sft) -> list[Conversation]:
    """The conversations of a fine-tuning stage's files, at most its limit, at even distances
    over all of them."""
    return spread([said for name in stage.conversations for said in conversations(experiment, name)], stage.limit)


def written_pairs(experiment: Experiment) -> list[Comparison]:
    """All written pairs: those of the spec's files, then the constitution's own examples."""
    found = [row for row in _judged(experiment) if isinstance(row, Comparison)]
    held = constitution_of(experiment)
    return found + (constitutions.pairs(held)[0] if held else [])


def files_of_prompts(experiment: Experiment) -> dict[str, str]:
    """The file of each prompt that written pairs or people's votes are about, by its
    conversation; of a prompt of several files nothing."""
    found: dict[str, set[str]] = {}
    for name in experiment.intent.pairs:
        for row in _read_judged(experiment, name):
            found.setdefault(row.prompt.conversation.id, set()).add(Path(data_file(name).file).name)
    for name in experiment.intent.people:
        for row in sources.read_votes(experiment.source(name), bad_rows=experiment.intent.bad_rows).rows:
            found.setdefault(row.prompt.conversation.id, set()).add(Path(data_file(name).file).name)
    return {prompt: next(iter(names)) for prompt, names in found.items() if len(names) == 1}


def alone(experiment: Experiment) -> list[Labelled]:
    """Replies of the written pairs' files that are labelled by themselves, where {by: written}
    hears them."""
    heard = any(isinstance(voter, Written) for voter in experiment.feedback)
    return [row for row in _judged(experiment) if isinstance(row, Labelled)] if heard else []


def _judged(experiment: Experiment) -> list[Comparison | Labelled]:
    return [row for name in experiment.intent.pairs for row in _read_judged(experiment, name)]


def _read_judged(experiment: Experiment, name: str) -> tuple[Comparison | Labelled, ...]:
    return sources.read_judged(
        experiment.source(name), bad_rows=experiment.intent.bad_rows, keep=kept_columns(experiment)
    ).rows


def people(experiment: Experiment) -> list[Comparison]:
    """Comparisons that people voted on."""
    return [
        row
        for name in experiment.intent.people
        for row in sources.read_votes(experiment.source(name), bad_rows=experiment.intent.bad_rows).rows
    ]


def chosen_principles(experiment: Experiment, named: str | tuple[str, ...]) -> tuple[Principle, ...]:
    """The principles that a stage names, or all of them."""
    held = constitution_of(experiment)
    assert held is not None, "a stage that reads principles was let through without a constitution"
    return held.principles if named == "all" else tuple(held[slug] for slug in named)


def spread(rows: Sequence[T], limit: int | None) -> list[T]:
    """At most `limit` rows, taken at even distances so that every part of the files is kept."""
    if limit is None or len(rows) <= limit:
        return list(rows)
    return [rows[i * len(rows) // limit] for i in range(limit)]


def comparisons(experiment: Experiment, job: Job, ledger: Ledger) -> list[Comparison]:
    """Everything that can be voted on, once each and with all votes of people: written pairs,
    people's, collected, and revisions made before."""
    found = [*written_pairs(experiment), *people(experiment)]
    for name in job.needs:
        if name == "collect" or name.endswith((".critique", ".deliberate")):
            found += records(stored(ledger, name) / "comparisons.jsonl", Comparison)
    return _once(found)


def known_comparisons(experiment: Experiment) -> list[Comparison]:
    """What can be voted on before anything was sampled, once each: written pairs and people's."""
    return _once([*written_pairs(experiment), *people(experiment)])


def _once(found: Iterable[Comparison]) -> list[Comparison]:
    """The comparisons, those of the same replies to the same prompt as one, whatever the order
    in which people were shown the replies."""
    held: dict[str, Comparison] = {}
    first: dict[tuple[str, frozenset[str]], str] = {}
    for comparison in found:
        key = first.setdefault(
            (comparison.prompt.id, frozenset(reply.text for reply in comparison.replies)), comparison.key
        )
        if comparison.key in held or not comparison.votes:
            key = comparison.key  # without votes the order is what a written pair says
        held[key] = _joined(held[key], comparison) if key in held else comparison
    return list(held.values())


def _joined(one: Comparison, other: Comparison) -> Comparison:
    """The first, with the other's votes as well; a voter is heard once."""
    heard, texts = {vote.voter for vote in one.votes}, [reply.text for reply in one.replies]
    place = [texts.index(reply.text) for reply in other.replies]
    return one.with_votes(
        tuple(
            vote.model_copy(update={"prefers": place[vote.prefers], "over": place[vote.over]})
            for vote in other.votes
            if vote.voter not in heard
        )
    )


def stored(ledger: Ledger, name: str) -> Path:
    """The folder of a finished job."""
    return ledger.run / ledger.entries[name].folder


def write_records(path: Path, records: Iterable[Record]) -> None:
    write_text(path, "".join(record.model_dump_json() + "\n" for record in records))


def intact(ledger: Ledger, name: str) -> Path:
    """The folder of a finished job, whose files are what the job left: for commands that look at
    a run without doing what is missing. Raises ValueError where they are not."""
    folder = stored(ledger, name)
    if damage := changed(ledger.entries[name].files, folder):
        raise ValueError(f"{folder}: {damage}; run the same spec again, which does the stage again")
    return folder


def outcomes(folder: Path) -> list[SampleResult]:
    return records(folder / "outcomes.jsonl", SampleResult)


def preferences(ledger: Ledger, job: Job, *, needed: bool = True) -> list[Preference]:
    """The preferences that aggregation stored for this training job; there must be some, where
    they are `needed`."""
    (name,) = [need for need in job.needs if need.startswith("aggregate.")]
    found = records(stored(ledger, name) / "preferences.jsonl", Preference)
    if needed and not found:
        raise ValueError(
            f"{job.name}: no pair of replies is preferred firmly enough to learn from; lower aggregate.min_strength, or"
            " add feedback"
        )
    return found


def unbeaten(preferences: Sequence[Preference]) -> list[Conversation]:
    """Each prompt with each reply that was chosen and on which no vote was lost: what
    fine-tuning learns of preferences."""
    lost = {(p.prompt.id, p.rejected) for p in preferences}
    best = {(p.prompt.id, p.chosen): p for p in preferences if (p.prompt.id, p.chosen) not in lost}
    return [p.prompt.conversation.then("assistant", p.chosen) for p in best.values()]


def revisions(ledger: Ledger, job: Job) -> set[tuple[str, str]]:
    """The replies that a critique or a principle in view made, each as (id of the conversation
    it answers, text)."""
    (name,) = [need for need in job.needs if need.startswith("aggregate.")]
    found = records(stored(ledger, name) / "comparisons.jsonl", Comparison)
    return {
        (c.prompt.conversation.id, reply.text)
        for c in found
        for reply in c.replies
        if reply.speaker.startswith(("critique:", "deliberate:"))
    }

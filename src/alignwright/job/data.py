"""What do the spec's data files hold? Each file is read and parsed once in a run.

Every file is read as its knob says (`files.kinds`), with the share of bad rows that the spec
allows. Whoever asks for the same file again (the check, the estimate, the data doctor, each job)
is given the records that were made the first time; a file that changed in between is read again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from alignwright.core.constitution import Constitution, Principle
from alignwright.core.records import Comparison, Conversation, Labelled, Prompt, Record
from alignwright.core.stage import Rows
from alignwright.files import constitution as constitutions
from alignwright.files import sources
from alignwright.files.data_file import HUB, data_file
from alignwright.files.intent import Intent
from alignwright.files.items import ChoiceItem, Item
from alignwright.files.kinds import read_kind
from alignwright.files.public_questions import FreeQuestion
from alignwright.files.reading import FileRows, Keep
from alignwright.files.replies import LabelledReply, labelled
from alignwright.files.rule_references import kept_columns

T = TypeVar("T")
I = TypeVar("I", bound=Item)  # noqa: E741 - an item
Kind = Rows | type[Record] | None


@dataclass
class Data:
    """The data files of one spec. `rules`: judges that may be Python functions, whose columns
    stay with prompts. `one_sided`: written pairs may be replies labelled by themselves, which KTO learns from;
    `hears_pairs`: something votes on written pairs."""

    folder: Path
    intent: Intent
    rules: tuple[str, ...] = ()
    one_sided: bool = False
    hears_pairs: bool = True
    label_files: tuple[str, ...] = ()
    vote_files: tuple[str, ...] = ()
    _parsed: dict[tuple[object, ...], Any] = field(default_factory=dict[tuple[object, ...], Any])

    # ---- files -----------------------------------------------------------------------------------
    def path(self, name: str) -> Path:
        """Where a path of the spec lies, whatever else is said of the file."""
        file = data_file(name).file
        try:
            return self.folder / Path(file).expanduser()
        except RuntimeError:  # ~someone who is not here
            return self.folder / file

    def source(self, name: str) -> str:
        """What a reader of `files.sources` is given for a data file of the spec: its path, or its
        name on the Hub as it is, and what is said of it."""
        return name if name.startswith(HUB) else str(data_file(name).at(str(self.path(name))))

    def read(self, name: str, kind: Kind) -> FileRows[Any]:
        """A data file as records of a kind. Raises SpecError where too many rows are bad."""
        keep = self._keep if kind in ("prompts", "pairs") else frozenset[str]()
        return self._once(
            (kind, keep), name, lambda: read_kind(kind, self.source(name), bad_rows=self.intent.bad_rows, keep=keep)
        )

    def written(self, name: str) -> FileRows[Comparison | Labelled]:
        """A file of the intent's written pairs; of replies labelled by themselves where these may
        stand there."""
        if not self.one_sided:
            return self.read(name, "pairs")
        source, bad_rows = self.source(name), self.intent.bad_rows
        return self._once("written", name, lambda: sources.read_judged(source, bad_rows=bad_rows, keep=self._keep))

    @cached_property
    def _keep(self) -> Keep:
        return kept_columns(self.rules, self.path)

    def _once(self, how: object, name: str, read_file: Callable[[], T]) -> T:
        path = self.path(name)
        try:
            mark: tuple[int, ...] = (path.stat().st_size, path.stat().st_mtime_ns) if not name.startswith(HUB) else ()
        except OSError:
            mark = ()
        key = (how, name, mark)
        if key not in self._parsed:
            self._parsed[key] = read_file()
        return self._parsed[key]

    # ---- rows ------------------------------------------------------------------------------------
    def prompts(self, files: Sequence[str]) -> list[Prompt]:
        """Prompts of all files, in order."""
        return [row for name in files for row in self.read(name, "prompts").rows]

    def pairs(self, files: Sequence[str]) -> list[Comparison]:
        """Written pairs of all files, in order; reply 0 is the good one."""
        return [row for name in files for row in self.read(name, "pairs").rows]

    def items(self, files: Sequence[str], kind: type[I], limit: int | None) -> list[I]:
        """Held-out items of all files, at most `limit`, spread evenly over the files' order so that
        no topic is lost."""
        return subsample_evenly([row for name in files for row in self.read(name, kind).rows], limit)

    def choices(self, files: Sequence[str], limit: int | None) -> tuple[list[ChoiceItem], list[str]]:
        """Multiple-choice items of all files, at most `limit`, and for each the name of its file as
        a claim's part."""
        rows = [(row, part_name(name)) for name in files for row in self.read(name, "choices").rows]
        rows = subsample_evenly(rows, limit)
        return [row for row, _ in rows], [part for _, part in rows]

    def questions(self, files: Sequence[str], limit: int | None) -> list[FreeQuestion]:
        """Open questions of all files, at most `limit`."""
        return subsample_evenly([row for name in files for row in self.read(name, "questions").rows], limit)

    def conversations(self, files: Sequence[str], limit: int | None) -> list[Conversation]:
        """Conversations of all files, at most `limit`, at even distances over all of them."""
        return subsample_evenly([row for name in files for row in self.read(name, "conversations").rows], limit)

    def labels(self) -> Mapping[tuple[str, str], LabelledReply]:
        """What people said of this run's replies, by prompt and reply."""
        return labelled([self.read(name, "labels") for name in self.label_files])

    def votes_on_replies(self) -> list[Comparison]:
        """What people preferred of this run's replies."""
        return [row for name in self.vote_files for row in self.read(name, "votes").rows]

    # ---- intent ----------------------------------------------------------------------------------
    @property
    def constitution(self) -> Constitution | None:
        """The constitution; None where there is none."""
        name = self.intent.constitution
        if name is None:
            return None
        return self._once("constitution", name, lambda: constitutions.read(self.path(name)))

    def principles(self, slugs: str | tuple[str, ...]) -> tuple[Principle, ...]:
        """The principles that a stage names, or all of them."""
        constitution = self.constitution
        assert constitution is not None, "a stage that reads principles was let through without a constitution"
        return constitution.principles if slugs == "all" else tuple(constitution[slug] for slug in slugs)

    def written_pairs(self) -> list[Comparison]:
        """All written pairs: those of the spec's files, then the constitution's own examples."""
        pairs = [row for row in self._written() if isinstance(row, Comparison)]
        return pairs + (constitutions.pairs(self.constitution)[0] if self.constitution else [])

    def people(self) -> list[Comparison]:
        """Comparisons that people voted on."""
        return [row for name in self.intent.people for row in self.read(name, "votes").rows]

    def labelled_alone(self) -> list[Labelled]:
        """Replies of the written pairs' files that are labelled by themselves, where {by: written}
        hears them."""
        return [row for row in self._written() if isinstance(row, Labelled)] if self.hears_pairs else []

    def files_of_prompts(self) -> dict[str, str]:
        """The file of each prompt that written pairs or people's votes are about, by its
        conversation; of a prompt of several files nothing."""
        files: dict[str, set[str]] = {}
        for name in self.intent.pairs:
            for row in self.written(name).rows:
                files.setdefault(row.prompt.conversation.id, set()).add(Path(data_file(name).file).name)
        for name in self.intent.people:
            for row in self.read(name, "votes").rows:
                files.setdefault(row.prompt.conversation.id, set()).add(Path(data_file(name).file).name)
        return {prompt: next(iter(names)) for prompt, names in files.items() if len(names) == 1}

    def comparisons(self) -> list[Comparison]:
        """What can be voted on before anything was sampled, once each: written pairs and people's."""
        return merge_comparisons([*self.written_pairs(), *self.people()])

    def _written(self) -> list[Comparison | Labelled]:
        return [row for name in self.intent.pairs for row in self.written(name).rows]


def part_name(file: str) -> str:
    """A file's name as a part of a claim: its stem, with everything but letters, digits, _ and -
    as _."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", Path(data_file(file).file).name.partition(".")[0]) or "file"


def subsample_evenly(rows: Sequence[T], limit: int | None) -> list[T]:
    """At most `limit` rows, taken at even distances so that every part of the files is kept."""
    if limit is None or len(rows) <= limit:
        return list(rows)
    return [rows[i * len(rows) // limit] for i in range(limit)]


def merge_comparisons(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """The comparisons, those of the same replies to the same prompt as one, whatever the order
    in which people were shown the replies."""
    merged: dict[str, Comparison] = {}
    first: dict[tuple[str, frozenset[str]], str] = {}
    for comparison in comparisons:
        key = first.setdefault(
            (comparison.prompt.id, frozenset(reply.text for reply in comparison.replies)), comparison.key
        )
        if comparison.key in merged or not comparison.votes:
            key = comparison.key  # without votes the order is what a written pair says
        merged[key] = _with_votes_of(merged[key], comparison) if key in merged else comparison
    return list(merged.values())


def _with_votes_of(one: Comparison, other: Comparison) -> Comparison:
    """The first, with the other's votes as well; a voter is heard once."""
    voters, texts = {vote.voter for vote in one.votes}, [reply.text for reply in one.replies]
    place = [texts.index(reply.text) for reply in other.replies]
    return one.with_votes(
        tuple(
            vote.model_copy(update={"prefers": place[vote.prefers], "over": place[vote.over]})
            for vote in other.votes
            if vote.voter not in voters
        )
    )

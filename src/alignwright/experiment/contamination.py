"""Is the data contaminated: is a prompt that is measured also trained on?

Two rows are the same prompt if what they ask is the same in its normal form, without system
messages. A prompt by which a training stage is stopped is seen by training as well. Within what is
measured, a prompt that is harmful in one row and harmless in another is an error, too: one of the
two would always be a failure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from alignwright.core.records import Comparison, Constitution, Conversation, Labelled, Prompt
from alignwright.core.stage import Reads
from alignwright.experiment.experiment import Experiment
from alignwright.experiment.unused_options import Problem
from alignwright.files import constitution as constitutions
from alignwright.files import sources
from alignwright.files.errors import Loc, dotted
from alignwright.files.items import Item, RefusalItem
from alignwright.files.normal_form import normal_forms
from alignwright.files.reading import FileRows

FIRST = 5
"""Rows of a file that are named; the rest is counted."""
_SPEAKERS = ("user", "assistant", "tool")


@dataclass(frozen=True)
class SpecFile:
    """A data file as it was read, with its place in the spec."""

    loc: Loc
    read: FileRows[Any]
    reads: Reads

    @cached_property
    def asked(self) -> tuple[str, ...]:
        """What each row asks."""
        return tuple(map(_asked, self.read.rows))

    @property
    def duplicates(self) -> int:
        """Rows that say what an earlier one said. Those that ask what no other asks need no second look."""
        times = Counter(self.asked)
        return sources.duplicates(
            row for row, asked in zip(self.read.rows, self.asked, strict=True) if not asked or times[asked] > 1
        )

    @property
    def trained(self) -> bool:
        return self.reads.use == "trained"

    @property
    def watched(self) -> bool:
        """Its prompts decide where a training stage stops and which weights are kept: seen by
        training, though not learnt from."""
        return self.reads.use == "watched"


def overlaps(files: list[SpecFile], held: Constitution | None, experiment: Experiment) -> Iterator[Problem]:
    """Prompts that are both trained on and measured, or that decide where training stops and are
    measured: a line for each two files."""
    if all(file.trained for file in files):
        return
    trained = _uses([file for file in files if file.trained], "trained on")
    for example in constitutions.pairs(held)[0] if held is not None else ():
        name = str(experiment.intent.constitution)
        trained.setdefault(
            _asked(example), _Use("trained on", name, f"an example of {example.prompt.principle!r} in {name}")
        )
    trained.pop("", None)
    used = _uses([file for file in files if file.watched], "used to say when to stop") | trained
    shared: dict[tuple[str, str, str, str], list[tuple[SpecFile, int, _Use]]] = {}
    for file in files:
        known, what = (trained, "watched") if file.watched else (used, "measured")
        for asked, number in zip(file.asked, file.read.numbers, strict=True) if known and not file.trained else ():
            if use := known.get(asked):
                shared.setdefault((file.read.file, what, use.verb, use.file), []).append((file, number, use))
    for (name, what, verb, other), found in shared.items():
        file, number, use = found[0]
        rows, also = (
            len({number for _, number, _ in found}),
            dict.fromkeys(dotted(again.loc) for again, _, _ in found if again.loc != file.loc),
        )
        one = f"{name}:{number} is {what}, but the same prompt is {verb}: {use.place}"
        many = (
            f"{name}: {rows} of {len(file.read.rows)} rows are {what}, but the same prompts are {verb} in {other}; the"
            " first is "
        )
        yield (
            file.loc,
            (one if rows == 1 else f"{many}{name}:{number}, {use.place}")
            + (f" ({what} under {', '.join(also)} too)" if also else ""),
        )


class _Use(NamedTuple):
    """What training does with a prompt, in which file, and where in it."""

    verb: str
    file: str
    place: str


def _uses(files: Sequence[SpecFile], verb: str) -> dict[str, _Use]:
    """What is done with each prompt of these files, and where it stands first."""
    found: dict[str, _Use] = {}
    for file in files:
        for asked, number in zip(file.asked, file.read.numbers, strict=True):
            if asked not in found:
                found[asked] = _Use(verb, file.read.file, f"{file.read.file}:{number}")
    found.pop("", None)
    return found


def both_kinds(files: Sequence[SpecFile]) -> Iterator[Problem]:
    """Prompts that are harmful in one row and harmless in another."""
    kinds: dict[str, tuple[str, str]] = {}
    for file in files:
        if file.reads.kind is RefusalItem:
            yield from ((file.loc, message) for message in _both_kinds(file, kinds))


def _both_kinds(file: SpecFile, kinds: dict[str, tuple[str, str]]) -> Iterator[str]:
    """Those of one file. `kinds` grows with each file."""
    told = 0
    for row, asked, number in zip(file.read.rows, file.asked, file.read.numbers, strict=True):
        place = f"{file.read.file}:{number}"
        kind, first = kinds.setdefault(asked, (row.kind, place))
        if kind != row.kind:
            told += 1
            if told <= FIRST:
                yield f"{place}: this prompt is {row.kind}, but the same prompt is {kind}: {first}; keep one of them"
    if told > FIRST:
        yield f"{file.read.file}: and {told - FIRST} more prompts that are both harmful and harmless"


def _asked(row: Any) -> str:
    """What is asked, without system messages, in its normal form: two rows that ask the same are
    the same prompt."""
    match row:
        case Comparison() | Labelled():
            said = [message.content for message in row.prompt.conversation.messages if message.role in _SPEAKERS]
        case Prompt(conversation=conversation):
            said = [message.content for message in conversation.messages if message.role in _SPEAKERS]
        case Conversation(messages=messages):
            said = [message.content for message in messages[:-1] if message.role in _SPEAKERS]
        case Item():
            said = list(row.asks)
        case _:
            said = []
    return normal_forms(said)

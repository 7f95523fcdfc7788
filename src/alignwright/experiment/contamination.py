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

from alignwright.core.constitution import Constitution
from alignwright.core.records import Comparison, Conversation, Labelled, Prompt
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
    data: FileRows[Any]
    reads: Reads

    @cached_property
    def prompts(self) -> tuple[str, ...]:
        """What each row asks."""
        return tuple(map(prompt_of, self.data.rows))

    @property
    def duplicates(self) -> int:
        """Rows that say what an earlier one said. Those that ask what no other asks need no second look."""
        times = Counter(self.prompts)
        return sources.duplicates(
            row for row, prompt in zip(self.data.rows, self.prompts, strict=True) if not prompt or times[prompt] > 1
        )

    @property
    def trained(self) -> bool:
        return self.reads.use == "trained"

    @property
    def is_watched(self) -> bool:
        """Its prompts decide where a training stage stops and which weights are kept: seen by
        training, though not learnt from."""
        return self.reads.use == "watched"


def overlaps(files: list[SpecFile], constitution: Constitution | None, experiment: Experiment) -> Iterator[Problem]:
    """Prompts that are both trained on and measured, or that decide where training stops and are
    measured: a line for each two files."""
    files = [file for file in files if file.reads.use != "examined"]  # training data itself, looked over
    if all(file.trained for file in files):
        return
    trained = _uses([file for file in files if file.trained], "trained on")
    for example in constitutions.pairs(constitution)[0] if constitution is not None else ():
        name = str(experiment.intent.constitution)
        trained.setdefault(
            prompt_of(example), _Use("trained on", name, f"an example of {example.prompt.principle!r} in {name}")
        )
    trained.pop("", None)
    training_uses = _uses([file for file in files if file.is_watched], "used to say when to stop") | trained
    shared: dict[tuple[str, str, str, str], list[tuple[SpecFile, int, _Use]]] = {}
    for file in files:
        uses, what = (trained, "watched") if file.is_watched else (training_uses, "measured")
        for prompt, number in zip(file.prompts, file.data.numbers, strict=True) if uses and not file.trained else ():
            if use := uses.get(prompt):
                shared.setdefault((file.data.file, what, use.verb, use.file), []).append((file, number, use))
    for (name, what, verb, other), matches in shared.items():
        file, number, use = matches[0]
        rows, also = (
            len({number for _, number, _ in matches}),
            dict.fromkeys(dotted(again.loc) for again, _, _ in matches if again.loc != file.loc),
        )
        one = f"{name}:{number} is {what}, but the same prompt is {verb}: {use.place}"
        many = (
            f"{name}: {rows} of {len(file.data.rows)} rows are {what}, but the same prompts are {verb} in {other}; the"
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
    uses: dict[str, _Use] = {}
    for file in files:
        for prompt, number in zip(file.prompts, file.data.numbers, strict=True):
            if prompt not in uses:
                uses[prompt] = _Use(verb, file.data.file, f"{file.data.file}:{number}")
    uses.pop("", None)
    return uses


def both_kinds(files: Sequence[SpecFile]) -> Iterator[Problem]:
    """Prompts that are harmful in one row and harmless in another."""
    kinds: dict[str, tuple[str, str]] = {}
    for file in files:
        if file.reads.kind is RefusalItem:
            yield from ((file.loc, message) for message in _both_kinds(file, kinds))


def _both_kinds(file: SpecFile, kinds: dict[str, tuple[str, str]]) -> Iterator[str]:
    """Those of one file. `kinds` grows with each file."""
    count = 0
    for row, prompt, number in zip(file.data.rows, file.prompts, file.data.numbers, strict=True):
        place = f"{file.data.file}:{number}"
        kind, first = kinds.setdefault(prompt, (row.kind, place))
        if kind != row.kind:
            count += 1
            if count <= FIRST:
                yield f"{place}: this prompt is {row.kind}, but the same prompt is {kind}: {first}; keep one of them"
    if count > FIRST:
        yield f"{file.data.file}: and {count - FIRST} more prompts that are both harmful and harmless"


def prompt_of(row: Any) -> str:
    """What is asked, without system messages, in its normal form: two rows that ask the same are
    the same prompt."""
    match row:
        case Comparison() | Labelled():
            texts = [message.content for message in row.prompt.conversation.messages if message.role in _SPEAKERS]
        case Prompt(conversation=conversation):
            texts = [message.content for message in conversation.messages if message.role in _SPEAKERS]
        case Conversation(messages=messages):
            texts = [message.content for message in messages[:-1] if message.role in _SPEAKERS]
        case Item():
            texts = list(row.asks)
        case _:
            texts = []
    return normal_forms(texts)

"""Is everything that a spec names there, readable, and apart where it must be?

Loads the spec, reads every data file, counts rows, duplicates and bad rows, and looks for
contamination: a prompt that is both trained on and measured is an error that names both rows. No
torch, no model; a few seconds at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from alignwright.core import promises
from alignwright.core.claims import CORRECTED
from alignwright.core.records import Comparison, Constitution, Conversation, Labelled, Prompt
from alignwright.core.stage import Reads
from alignwright.experiment.experiment import Experiment, model_stages, promised_claims, stage_names
from alignwright.experiment.rule_columns import kept_columns, lacking, references
from alignwright.experiment.spec_file import data_files, placed, principles, read_spec
from alignwright.experiment.unused_options import Problem
from alignwright.feedback.knobs import Critique
from alignwright.files import collector, models, sources
from alignwright.files import constitution as constitutions
from alignwright.files.errors import Loc, SpecError, did_you_mean, dotted
from alignwright.files.few_shot import principle_text, read_few_shot
from alignwright.files.items import (
    ChoiceItem,
    FaithfulItem,
    MathItem,
    MeantItem,
    OpinionItem,
    PushbackItem,
    RefusalItem,
)
from alignwright.files.kinds import read_kind
from alignwright.files.normal_form import normal_forms
from alignwright.files.positions import Document
from alignwright.files.public_questions import FreeQuestion, PersonaItem
from alignwright.files.reading import Keep
from alignwright.files.replies import labelled
from alignwright.files.reward_folder import names_folder, reward_folder, verdict
from alignwright.files.rows import BadRow
from alignwright.files.sources import FileRows
from alignwright.measure.hacking.knobs import EDITED, NEEDED, HackingMeasure
from alignwright.train.knobs import learns_from_labels
from alignwright.train.knobs_loop import WATCHED

_SHOWN = 5
_SPEAKERS = ("user", "assistant", "tool")


@dataclass(frozen=True)
class CheckReport:
    """A spec that holds together: the experiment, lines to print, and the bad rows that it allows."""

    experiment: Experiment
    lines: tuple[str, ...]
    rejected: tuple[BadRow, ...]
    files: tuple[tuple[Loc, FileRows[Any]], ...] = ()
    """Every data file with its place in the spec, as it was read."""


@dataclass(frozen=True)
class _File:
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


def check(path: str | Path, overrides: Sequence[str] = ()) -> CheckReport:
    """Check a spec and all its data. A `SpecError` tells everything that is wrong."""
    experiment, document = read_spec(path, overrides)
    with collector.paused():
        return _checked(experiment, document)


def _checked(experiment: Experiment, document: Document) -> CheckReport:
    files: list[_File] = []
    problems: list[Problem] = []
    keep = kept_columns(experiment)
    for loc, name, reads in data_files(experiment):
        try:
            files.append(_File(loc, _read(loc, experiment.source(name), reads, experiment, keep), reads))
        except SpecError as error:
            problems += [(loc, problem) for problem in error.problems]
    try:
        labelled([file.read for file in files if file.loc[0] == "labels"])
    except SpecError as error:
        problems += [(("labels",), problem) for problem in error.problems]
    held = principles(experiment)
    problems += _worked_examples(experiment, held)
    problems += [*_overlaps(files, held, experiment), *_content(files, held, experiment), *_too_few(files, experiment)]
    problems += lacking(experiment, [(file.loc, file.read) for file in files])
    if not problems:
        problems += _unanswered(files, experiment)
    if problems:
        raise SpecError(placed(problems, document))
    lines = (
        _about_model(experiment),
        *_about_constitution(held, experiment),
        *map(_about_file, files),
        *_about_stages(experiment),
    )
    return CheckReport(
        experiment,
        lines,
        tuple(bad for file in files for bad in file.read.rejected),
        tuple((file.loc, file.read) for file in files),
    )


def _read(loc: Loc, source: str, reads: Reads, experiment: Experiment, keep: Keep) -> FileRows[Any]:
    """Read a data file as its knob says; `keep` are columns that rules ask for."""
    bad_rows = experiment.intent.bad_rows
    if loc[:2] == ("intent", "pairs") and learns_from_labels(experiment.train):
        return sources.read_judged(source, bad_rows=bad_rows, keep=keep)
    return read_kind(reads.kind, source, bad_rows=bad_rows, keep=keep)


def _worked_examples(experiment: Experiment, held: Constitution | None) -> Iterator[Problem]:
    """Bad rows of a critique's worked examples, and principles that they name and the stage does
    not have."""
    for place, stage in enumerate(experiment.feedback):
        if not isinstance(stage, Critique) or stage.few_shot is None or held is None:
            continue
        loc = ("feedback", place, stage.by, "few_shot")
        chosen = held.principles if stage.principles == "all" else tuple(held[slug] for slug in stage.principles)
        try:
            for worked in read_few_shot(experiment.path(stage.few_shot)):
                principle_text(worked, chosen)
        except SpecError as error:
            yield from ((loc, problem) for problem in error.problems)
        except ValueError as error:
            yield loc, f"{experiment.path(stage.few_shot)}: {error}"


def _about_model(experiment: Experiment) -> str:
    model = models.resolve(experiment.model, experiment.folder)
    size = "" if model.parameters is None else f", {model.parameters / 1e6:.1f} M parameters"
    return f"model: {model.name} ({model.kind}{size})"


def _about_constitution(held: Constitution | None, experiment: Experiment) -> Iterator[str]:
    if held is not None:
        found, abridged = constitutions.pairs(held)
        left = f", {abridged} abridged ones left out" if abridged else ""
        yield (
            f"intent.constitution: {experiment.intent.constitution}: {len(held.principles)} principles, {len(found)}"
            f" example pairs{left}"
        )


def _about_file(file: _File) -> str:
    counts = [f"{len(file.read.rows)} rows"]
    if twice := file.duplicates:
        counts.append(f"{twice} duplicates")
    if file.read.rejected:
        counts.append(f"{len(file.read.rejected)} bad rows set aside")
    return f"{dotted(file.loc)}: {file.read.file}: {', '.join([*counts, *file.read.notes])}"


def _about_stages(experiment: Experiment) -> Iterator[str]:
    yield f"stages: {', '.join(stage_names(experiment))}"
    claims, models = len(promised_claims(experiment)), len(model_stages(experiment))
    yield f"claims: {claims} at {models} model{'s' * (models != 1)}, and the parts of those that have parts"
    yield f"promises: {len(experiment.promises)}"
    for loc, name in references(experiment):
        if loc[0] != "feedback" and names_folder(name) and (why := verdict(reward_folder(experiment.path(name)))):
            yield f"{dotted(loc)}: {name} was refused where it was trained: {why}"


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
        case FreeQuestion(conversation=conversation):
            said = [message.content for message in conversation.messages if message.role == "user"]
        case MeantItem(prompt=text) | RefusalItem(prompt=text):
            said = [text]
        case PushbackItem(question=text) | OpinionItem(question=text) | ChoiceItem(question=text):
            said = [text]
        case MathItem(question=text) | PersonaItem(question=text) | FaithfulItem(text=text):
            said = [text]
        case _:
            said = []
    return normal_forms(said)


class _Use(NamedTuple):
    """What training does with a prompt, in which file, and where in it."""

    verb: str
    file: str
    place: str


def _overlaps(files: list[_File], held: Constitution | None, experiment: Experiment) -> Iterator[Problem]:
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
    shared: dict[tuple[str, str, str, str], list[tuple[_File, int, _Use]]] = {}
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


def _uses(files: Sequence[_File], verb: str) -> dict[str, _Use]:
    """What is done with each prompt of these files, and where it stands first."""
    found: dict[str, _Use] = {}
    for file in files:
        for asked, number in zip(file.asked, file.read.numbers, strict=True):
            if asked not in found:
                found[asked] = _Use(verb, file.read.file, f"{file.read.file}:{number}")
    found.pop("", None)
    return found


def _content(files: list[_File], held: Constitution | None, experiment: Experiment) -> Iterator[Problem]:
    """Rows that could not do what their place in the spec asks of them."""
    slugs = [principle.slug for principle in held.principles] if held is not None else []
    kinds: dict[str, tuple[str, str]] = {}
    for file in files:
        rows = list(zip(file.read.rows, file.read.numbers, strict=True))
        if file.loc[2:4] == ("instruction", "data"):
            for number in [number for row, number in rows if not row.checks][:_SHOWN]:
                yield file.loc, f"{file.read.file}:{number}: has no checks, so nothing about its reply can be verified"
        if file.loc[2:4] in (("suite", "prompts"), ("value", "prompts")):
            yield from ((file.loc, said) for said in _both_kinds(file, kinds))
        if file.loc[2:4] == ("suite", "prompts") and not any(row.kind == "harmful" for row, _ in rows):
            yield file.loc, f"{file.read.file}: has no harmful prompts, so there is nothing to attack with"
        named = {
            row.prompt.principle: number for row, number in reversed(rows) if isinstance(row, Comparison | Labelled)
        }
        for slug in sorted(name for name in named if name and slugs and name not in slugs):
            hint = did_you_mean(slug, slugs)
            if hint.startswith("did"):
                yield (
                    file.loc,
                    (
                        f"{file.read.file}:{named[slug]}: no principle {slug!r} in {experiment.intent.constitution};"
                        f" {hint}"
                    ),
                )
    by_examples = (
        held is not None and any(stage.by == "written" for stage in experiment.feedback) and not experiment.intent.pairs
    )
    if by_examples and held is not None and not constitutions.pairs(held)[0]:
        place = next(place for place, stage in enumerate(experiment.feedback) if stage.by == "written")
        yield (
            (
                "feedback",
                place,
                "written",
            ),
            "has nothing to vote on: no example in the constitution has both a good and a bad reply",
        )


def _both_kinds(file: _File, kinds: dict[str, tuple[str, str]]) -> Iterator[str]:
    """Prompts that are harmful in one row and harmless in another: one of the two would always
    be a failure. `kinds` grows with each file."""
    told = 0
    for row, asked, number in zip(file.read.rows, file.asked, file.read.numbers, strict=True):
        place = f"{file.read.file}:{number}"
        kind, first = kinds.setdefault(asked, (row.kind, place))
        if kind != row.kind:
            told += 1
            if told <= _SHOWN:
                yield f"{place}: this prompt is {row.kind}, but the same prompt is {kind}: {first}; keep one of them"
    if told > _SHOWN:
        yield f"{file.read.file}: and {told - _SHOWN} more prompts that are both harmful and harmless"


def _too_few(files: list[_File], experiment: Experiment) -> Iterator[Problem]:
    """Prompts of which a stage needs more than there are."""

    def rows(loc: Loc) -> int | None:
        found = [len(file.read.rows) for file in files if file.loc[:-1] == loc]
        return sum(found) if found else None  # none: the files could not be read, which is told of

    for place, measure in enumerate(experiment.measure):
        if isinstance(measure, HackingMeasure) and measure.unit_tests:
            loc = ("measure", place, measure.by, "prompts")
            if (seen := rows(loc)) is not None and seen < EDITED:
                yield loc, f"{seen} prompts, but {NEEDED}; give more, or write 'unit_tests: false'"
    for place, stage in enumerate(experiment.train):
        loc = ("train", place, stage.by, "stop", "prompts")
        if (seen := rows(loc)) is not None and seen < WATCHED:
            yield (
                loc,
                (
                    f"{seen} prompts, by which nobody could tell that gold has turned: give {WATCHED} at the very"
                    " least, better 16"
                ),
            )


def _unanswered(files: list[_File], experiment: Experiment) -> Iterator[Problem]:
    """Promises on parts of a measure of which the data has no row."""
    measured: dict[str, set[str]] = {"value.refusal": set(), "value.over_refusal": set(), "value.pairs.": set()}
    for file in files:
        if file.loc[2:4] == ("value", "prompts"):
            measured["value.refusal"] |= {row.kind for row in file.read.rows} & {"harmful"}
            measured["value.over_refusal"] |= {row.kind for row in file.read.rows} & {"harmless"}
        if file.loc[2:4] == ("value", "pairs"):
            measured["value.pairs."] |= {row.prompt.principle for row in file.read.rows if row.prompt.principle}
    for place, text in enumerate(experiment.promises):
        claim = promises.parse(text).claim.removesuffix(CORRECTED)
        slug = claim.removeprefix("value.pairs.")
        if slug != claim and slug not in measured["value.pairs."]:
            known = sorted(measured["value.pairs."])
            hint = did_you_mean(slug, known) if known else "none names a principle"
            yield ("promises", place), f"no held-out pair is of principle {slug!r}; {hint}"
        elif claim in measured and not measured[claim]:
            kind = "harmful" if claim == "value.refusal" else "harmless"
            yield (
                (
                    "promises",
                    place,
                ),
                f"nothing measures {claim}: there is no {kind} prompt in the files of measure {{by: value}}",
            )

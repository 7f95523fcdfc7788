"""Is everything that a spec names there, readable, and apart where it must be?

Loads the spec, reads every data file, counts rows, duplicates and bad rows, and looks for
contamination: a prompt that is both trained on and measured is an error that names both rows. No
torch, no model; a few seconds at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from alignwright.core import promises
from alignwright.core.amount import amount
from alignwright.core.claims import CORRECTED
from alignwright.core.constitution import Constitution
from alignwright.core.layer import why_no_layer
from alignwright.core.model_shape import ModelShape
from alignwright.core.records import Comparison, Labelled
from alignwright.core.stage import KnobRows, Reads, Stage
from alignwright.experiment.answerable import unknown_part, without_items
from alignwright.experiment.contamination import SpecFile, both_kinds, overlaps
from alignwright.experiment.experiment import (
    Experiment,
    fully,
    model_stages,
    promised_claims,
    setting_of,
    stage_names,
    stages,
)
from alignwright.experiment.rule_columns import lacking, references
from alignwright.experiment.spec_file import data_files, place_problems, read_spec
from alignwright.experiment.spec_source import SpecSource
from alignwright.experiment.sweep import points_of, seeds_of
from alignwright.experiment.unused_options import Problem
from alignwright.files import collector, models
from alignwright.files import constitution as constitutions
from alignwright.files.errors import Loc, SpecError, dotted, nearest
from alignwright.files.model_blocks import shape_of
from alignwright.files.positions import Document
from alignwright.files.replies import labelled
from alignwright.files.reward_folder import names_folder, reward_folder, verdict
from alignwright.files.rows import BadRow
from alignwright.files.sources import FileRows
from alignwright.job.data import Data

_SPEAKERS = ("user", "assistant", "tool")


@dataclass(frozen=True)
class CheckReport:
    """A spec that holds together: the experiment, lines to print, and the bad rows that it allows."""

    experiment: Experiment
    lines: tuple[str, ...]
    rejected: tuple[BadRow, ...]
    files: tuple[tuple[Loc, FileRows[Any]], ...] = ()
    """Every data file with its place in the spec, as it was read."""


def check(spec: SpecSource, overrides: Sequence[str] = (), audited: str | None = None) -> CheckReport:
    """Check a spec and all its data. A `SpecError` tells everything that is wrong. `audited`:
    another model that is measured instead of the spec's."""
    experiment, document = read_spec(spec, overrides, audited)
    with collector.paused():
        return _checked(experiment, document, audited or experiment.model)


def _checked(experiment: Experiment, document: Document, model: str) -> CheckReport:
    files: list[SpecFile] = []
    problems: list[Problem] = []
    for loc, name, reads in data_files(experiment):
        try:
            files.append(SpecFile(loc, _read(loc, name, reads, experiment.data), reads))
        except SpecError as error:
            problems += [(loc, problem) for problem in error.problems]
    try:
        labelled([file.data for file in files if file.loc[0] == "labels"])
    except SpecError as error:
        problems += [(("labels",), problem) for problem in error.problems]
    constitution = experiment.data.constitution
    shape = shape_of(models.resolve(model, experiment.folder))
    problems += _stage_faults(files, constitution, experiment, shape)
    problems += _absent_layers(experiment, shape.blocks)
    problems += [
        *overlaps(files, constitution, experiment),
        *both_kinds(files),
        *_unknown_principles(files, constitution, experiment),
    ]
    problems += lacking(experiment, [(file.loc, file.data) for file in files])
    if not problems:
        problems += _unanswered(files, experiment)
    if problems:
        raise SpecError(place_problems(problems, document))
    lines = (
        _about_model(experiment, model),
        *([unused_chat(experiment.chat)] if experiment.chat and models.is_server(model) else ()),
        *_about_constitution(constitution, experiment),
        *map(_about_file, files),
        *_about_stages(experiment),
    )
    return CheckReport(
        experiment,
        lines,
        tuple(bad for file in files for bad in file.data.rejected),
        tuple((file.loc, file.data) for file in files),
    )


def _read(loc: Loc, name: str, reads: Reads, data: Data) -> FileRows[Any]:
    """Read a data file as its knob says."""
    return data.written(name) if loc[:2] == ("intent", "pairs") else data.read(name, reads.kind)


def _absent_layers(experiment: Experiment, blocks: int | None) -> Iterator[Problem]:
    """Blocks that a look inside names and the model has not."""
    for loc, stage in stages(experiment):
        layer = getattr(stage, "layer", None)
        if loc[0] == "lens" and blocks and (why := why_no_layer(layer, blocks)):
            yield (*loc, "layer"), why


def _about_model(experiment: Experiment, name: str) -> str:
    model = models.resolve(name, experiment.folder)
    size = "" if model.parameters is None else f", {_millions(model.parameters)} parameters"
    return f"model: {model.name} ({model.kind}{size})"


def unused_chat(chat: str) -> str:
    """What is said where a spec that gives its model a chat template is asked of a server instead."""
    return f"'chat: {chat}' is not used: the model is behind a server, which writes conversations by its own template"


def _millions(parameters: int) -> str:
    return f"{parameters / 1e6:.1f} M" if parameters >= 1e5 else f"{parameters:,}"


def _about_constitution(constitution: Constitution | None, experiment: Experiment) -> Iterator[str]:
    if constitution is not None:
        examples, abridged = constitutions.pairs(constitution)
        note = f", {abridged} abridged ones left out" if abridged else ""
        yield (
            f"intent.constitution: {experiment.intent.constitution}: {len(constitution.principles)} principles,"
            f" {len(examples)} example pairs{note}"
        )


def _about_file(file: SpecFile) -> str:
    counts = [amount(len(file.data.rows), "row")]
    if twice := file.duplicates:
        counts.append(amount(twice, "duplicate"))
    if file.data.rejected:
        counts.append(f"{len(file.data.rejected)} bad rows set aside")
    return f"{dotted(file.loc)}: {file.data.file}: {', '.join([*counts, *file.data.notes])}"


def _about_stages(experiment: Experiment) -> Iterator[str]:
    yield f"stages: {', '.join(stage_names(experiment))}"
    claims, models = len(promised_claims(experiment)), len(model_stages(experiment))
    yield f"claims: {claims} at {amount(models, 'model')}, and the parts of those that have parts"
    yield f"promises: {len(experiment.promises)}"
    yield from _twins(experiment)
    points, seeds = len(points_of(experiment.grid or {})), len(seeds_of(experiment.seed, experiment.seeds))
    if points * seeds > 1:
        yield f"runs: {points * seeds}" + (
            f", {points} points of the grid with {seeds} seeds each" if min(points, seeds) > 1 else ""
        )
    for loc, name in references(experiment):
        if loc[0] != "feedback" and names_folder(name) and (why := verdict(reward_folder(experiment.path(name)))):
            yield f"{dotted(loc)}: {name} was refused where it was trained: {why}"


def _twins(experiment: Experiment) -> Iterator[str]:
    """Attacks of one kind, whose numbers are one."""
    first: dict[str, str] = {}
    for loc, stage in stages(experiment):
        if loc[0] == "attack" and (other := first.setdefault(str(loc[2]), dotted(loc))) != dotted(loc):
            claim = next((claim.name for claim in stage.claims()), "")
            yield (
                f"{dotted(loc)}: counts for {claim} together with {other}; what both ask in the same way counts once,"
                f" as {other} found it"
            )


def _stage_faults(
    files: list[SpecFile], constitution: Constitution | None, experiment: Experiment, model: ModelShape
) -> Iterator[Problem]:
    """What each stage says of its rows, of its files of settings and of the constitution."""
    for loc, stage in stages(experiment):
        for knob, message in stage.file_faults(replace(setting_of(experiment, loc), model=model), constitution):
            yield (*loc, *knob), message
        for knob, part in stage.parts():
            for place, message in part.row_faults(_rows_of(files, (*loc, *knob))):
                yield (*loc, *knob, *place), message


def _rows_of(files: Sequence[SpecFile], loc: Loc) -> list[KnobRows]:
    """The rows of the files that the knobs at this place name."""
    at = len(loc)
    return [
        KnobRows(file.loc[at:], file.data.file, file.data.rows, file.data.numbers)
        for file in files
        if file.loc[:at] == loc
    ]


def _unknown_principles(
    files: list[SpecFile], constitution: Constitution | None, experiment: Experiment
) -> Iterator[Problem]:
    """Rows of a principle that the constitution does not have, but for a slip of the pen."""
    slugs = [principle.slug for principle in constitution.principles] if constitution is not None else []
    for file in files if slugs else ():
        rows = reversed(list(zip(file.data.rows, file.data.numbers, strict=True)))
        numbers = {row.prompt.principle: number for row, number in rows if isinstance(row, Comparison | Labelled)}
        for slug in sorted(name for name in numbers if name and name not in slugs):
            near = nearest(slug, slugs)
            if near is not None:
                row = f"{file.data.file}:{numbers[slug]}"
                yield (
                    file.loc,
                    f"{row}: no principle {slug!r} in {experiment.intent.constitution}; did you mean {near!r}?",
                )


def _unanswered(files: list[SpecFile], experiment: Experiment) -> Iterator[Problem]:
    """Promises on what no row of the data and no knob will answer."""
    rows: dict[type[Stage], list[KnobRows]] = {}
    for loc, stage in stages(experiment):
        rows.setdefault(type(stage), []).extend(_rows_of(files, loc))
    for place, text in enumerate(experiment.promises):
        claim = promises.parse(text).claim.removesuffix(CORRECTED)
        makers = [
            (fully(stage, experiment.effort), _rows_of(files, loc))
            for loc, stage in stages(experiment)
            if any(own.covers(claim) for own in stage.claims())
        ]
        whys = [kind.unanswered(claim, its) for kind, its in rows.items()]
        whys += [unknown_part(claim, makers, experiment.path) or without_items(claim, makers, experiment.path)]
        yield from ((("promises", place), why) for why in whys if why)

"""What does this spec file ask for, or else what is wrong with it, and on which line?

YAML to an `Experiment`. All problems are told at once, one a line:
`spec.yaml:4: train.0.dpo.betta: no such field; did you mean 'beta'?`
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from alignwright.core.stage import Reads
from alignwright.experiment import explain, unused_options
from alignwright.experiment.experiment import Experiment, stages
from alignwright.experiment.rule_columns import references
from alignwright.experiment.spec_source import SpecSource, spec_document
from alignwright.experiment.sweep import Grid, point_words, points_of
from alignwright.feedback.knobs import Principled
from alignwright.files import models, positions, safe_read
from alignwright.files.data_file import HUB
from alignwright.files.errors import Loc, SpecError, did_you_mean, dotted, nearest
from alignwright.files.functions import function_problem
from alignwright.files.positions import Document
from alignwright.files.reward_folder import NoReward, names_folder, reward_folder
from alignwright.files.server import hide_secrets, is_server
from alignwright.files.wording import describe_value

LABELS = Reads("labels", use="settings")
VOTES = Reads("votes", use="settings")


def is_sweep(spec: SpecSource, overrides: Sequence[str] = ()) -> bool:
    """Whether a spec asks for several runs, of several seeds or of a grid; no file that it names is
    read. Of a spec that cannot be read, False."""
    document, _ = spec_document(spec)
    if any(problem for override in overrides for problem in _override(document, override)):
        return False
    return any(document.data.get(name) is not None for name in ("seeds", "grid"))


def read_spec(
    spec: SpecSource, overrides: Sequence[str] = (), audited: str | None = None
) -> tuple[Experiment, Document]:
    """The experiment, and where in the file each part of it stands. `overrides` win over the file;
    `audited`: another model that is measured instead of the spec's."""
    document, folder = spec_document(spec)
    problems = [problem for override in overrides for problem in _override(document, override)]
    if problems:
        raise SpecError(problems)
    experiment = _experiment(document, folder, audited)
    if audited is None and experiment.grid:
        _check_points(experiment.grid, document, folder)
    return experiment, document


def _with_kind(data: Any) -> Any:
    """The document with `by: pooled` where knobs of the aggregation stand without a kind."""
    parts = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    how: Any = parts.get("aggregate")
    if not isinstance(how, dict):
        return cast("Any", data)
    return parts | {"aggregate": {"by": "pooled"} | cast("dict[str, Any]", how)}


def _experiment(document: Document, folder: Path, audited: str | None) -> Experiment:
    """The experiment of a document. Raises SpecError with all that is wrong."""
    try:
        # through JSON, so that strict validation reads lists as tuples and 1 as 1.0, but never a text as a number
        experiment = Experiment.model_validate_json(json.dumps(_with_kind(document.data))).at(folder)
    except ValidationError as error:
        raise SpecError(explain.explain(error, document)) from None
    faults = [
        *unused_options.problems(experiment, audited),
        *_files(experiment),
        *_models(experiment, audited),
        *_slugs(experiment),
    ]
    faults += _chat(experiment)
    if faults:
        raise SpecError(place_problems(faults, document))
    return experiment


def _check_points(grid: Grid, document: Document, folder: Path) -> None:
    """Read the experiment of every point of a grid. Raises SpecError with all that is wrong, placed
    where the grid says it."""
    problems: dict[str, str] = {}
    """Each with the first point that has it."""
    for point in points_of(grid):
        own = Document(copy.deepcopy(document.data), dict(document.where))
        own.data |= {"grid": None, "seeds": None}
        wrong = [
            problem
            for path, value in point.items()
            for problem in _put_at(own, path, value, document.place(("grid", path)))
        ]
        problems |= dict.fromkeys(wrong, "")
        try:
            if not wrong:
                _experiment(own, folder, None)
        except SpecError as error:
            for problem in error.problems:
                problems.setdefault(problem, f" (with {point_words(point)})")
    if problems:
        raise SpecError(sorted((problem + words for problem, words in problems.items()), key=explain.line_number))


def data_files(experiment: Experiment) -> list[tuple[Loc, str, Reads]]:
    """Every data file that the spec names, with its place in the spec and what is read of it.
    `hf://` names are among them."""
    files: list[tuple[Loc, str, Reads]] = [
        (("intent", *knob), name, reads) for knob, name, reads in experiment.intent.files() if reads.kind
    ]
    files += [(("labels", place), name, LABELS) for place, name in enumerate(experiment.labels)]
    files += [(("votes", place), name, VOTES) for place, name in enumerate(experiment.votes)]
    for loc, stage in stages(experiment):
        files += [((*loc, *knob), name, reads) for knob, name, reads in stage.files() if reads.kind]
    return files


def _override(document: Document, override: str) -> Iterator[str]:
    """Put one `path=value` into the document; yields what is wrong with it."""
    path, equals, value = override.partition("=")
    # an address may hold what is secret
    option = f"--set {path}{equals}{hide_secrets(value) if is_server(value) else value}"
    if not equals or not all(path.strip().split(".")):
        yield f"{option}: write PATH=VALUE, such as --set train.1.beta=0.2"
        return
    yield from _put_at(document, path.strip(), positions.read(value, option).data, option)


def _put_at(document: Document, path: str, value: Any, place: str) -> Iterator[str]:
    """Put a value into the document at a path such as train.1.beta; yields what is wrong with that,
    under the place where it is asked."""
    parts = path.split(".")
    if not all(parts):
        yield f"{place}: {path!r} is no path to a knob; write for example train.1.beta"
        return
    target: Any = document.data
    loc: Loc = ()
    for at, part in enumerate(parts):
        more = at < len(parts) - 1
        if (
            more
            and isinstance(target, dict)
            and loc[1:]
            and cast("dict[str, Any]", target).get("by") == part
            and part not in target
        ):
            continue  # train.1.dpo.beta, as the errors write it, is train.1.beta
        key: str | int = part
        if isinstance(target, list):
            count = len(cast("list[Any]", target))
            if not (part.isascii() and part.isdigit() and len(part) < 10) or int(part) >= count:
                yield f"{place}: {dotted(loc)} has {count} entries, counted from 0; there is no {part!r}"
                return
            key = int(part)
        elif not isinstance(target, dict):
            yield f"{place}: {dotted(loc)} is {describe_value(target)}, which has no parts"
            return
        loc = (*loc, key)
        if not more:
            _put(document, target, loc, value, place)
        else:
            if isinstance(target, dict) and cast("dict[str | int, Any]", target).get(key) is None:
                target[key] = {}
            target = cast("dict[str | int, Any]", target)[key]


def _put(document: Document, target: Any, loc: Loc, value: Any, option: str) -> None:
    target[loc[-1]] = value
    document.where = {other: place for other, place in document.where.items() if other[: len(loc)] != loc} | {
        loc: option
    }


def place_problems(problems: Sequence[unused_options.Problem], document: Document) -> list[str]:
    """Problems as lines, each with its place in the file, in the order of the file."""
    lines = [
        f"{document.place(explain.follow(loc, document.data)[1])}: {dotted(loc)}: {message}"
        for loc, message in problems
    ]
    return sorted(dict.fromkeys(lines), key=explain.line_number)


def _files(experiment: Experiment) -> Iterator[unused_options.Problem]:
    """Files that are not there, and judges by rules that are none."""
    files = [(loc, name) for loc, name, _ in data_files(experiment)]
    settings = [(("intent", *knob), name) for knob, name, reads in experiment.intent.files() if not reads.kind]
    functions_of: dict[Loc, tuple[str, ...]] = {}
    for loc, stage in stages(experiment):
        settings += [
            ((*loc, *knob), name)
            for knob, name, reads in stage.files()
            if not reads.kind and not (reads.folder and safe_read.is_folder(experiment.path(name)))
        ]
        for knob, name, mark in stage.models():
            if mark.rules and name.endswith(".py"):
                settings.append(((*loc, *knob), name))
                functions_of[(*loc, *knob)] = mark.rules
    rules = references(experiment)
    for loc, name in (pair for pair in (*files, *settings) if pair not in rules):
        yield from ((loc, problem) for problem in _file_problems(experiment, name, functions_of.get(loc, ())))
    for loc, name in rules:
        yield from ((loc, problem) for problem in _rule_problems(experiment, loc, name, functions_of.get(loc, ())))


def _rule_problems(experiment: Experiment, loc: Loc, name: str, functions: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with a judge of replies: the folder of a reward model, a file of rules, or a
    function of a file or a module."""
    if loc[0] != "feedback" and names_folder(name):
        try:
            reward_folder(experiment.path(name))
        except NoReward as error:
            yield str(error)
        return
    if name.endswith(".py"):
        yield f"{name!r} names a file alone; write {name}:function"
    elif is_server(name):
        yield f"{hide_secrets(name)!r} is a server, and a reward is a file of rules or module_or_file.py:function"
    elif ":" in name:
        name, _, function = name.rpartition(":")
        if not function.isidentifier():
            yield f"{function!r} is no function's name; write module_or_file.py:function"
        functions = (function,)
        if not name.endswith(".py"):
            return  # a module is imported when the run begins
    yield from _file_problems(experiment, name, functions)


def _file_problems(experiment: Experiment, name: str, functions: tuple[str, ...]) -> Iterator[str]:
    """That a file is not there, or what it has not of these functions."""
    if name.startswith(HUB):
        return
    path = experiment.path(name)
    if not safe_read.is_file(path):
        yield _absent(path)
        return
    problems = (function_problem(path, function) for function in functions if function.isidentifier())
    yield from (problem for problem in problems if problem)


def _absent(path: Path) -> str:
    if safe_read.is_folder(path):
        return f"{path} is a folder; name a file in it"
    beside = (
        sorted(other.name for other in path.parent.iterdir() if other.is_file())
        if safe_read.is_folder(path.parent)
        else []
    )
    near = nearest(path.name, beside)
    return f"there is no file {path}" + ("" if near is None else f"; did you mean {near!r}?")


def _models(experiment: Experiment, audited: str | None) -> Iterator[unused_options.Problem]:
    model_names: list[tuple[Loc, str]] = [] if audited else [(("model",), experiment.model)]
    for loc, stage in stages(experiment):
        for knob, name, mark in stage.models():
            if name != "self" and not is_server(name) and not (mark.rules and name.endswith(".py")):
                model_names.append(((*loc, *knob), name))
    for loc, name in model_names:
        try:
            models.resolve(name, experiment.folder)
        except models.ModelError as error:
            yield loc, str(error)


def _chat(experiment: Experiment) -> Iterator[unused_options.Problem]:
    """A chat template that is not there, and stages that need one where there is to be none."""
    try:
        chat = experiment.chat_format
    except ValueError as error:
        yield ("chat",), str(error)
        return
    if chat is None:
        return
    if chat.template is None:
        for loc, stage in stages(experiment):
            if why := stage.why_converses():
                cure = "leave this out, or give the model a template ('chat: chatml', 'llama3' or a file)"
                yield loc, f"{why}, and 'chat: none' says that it reads plain text alone; {cure}"


def _slugs(experiment: Experiment) -> Iterator[unused_options.Problem]:
    name = experiment.intent.constitution
    if name is None or not safe_read.is_file(experiment.path(name)):
        return  # said elsewhere
    constitution = experiment.data.constitution
    slugs = [principle.slug for principle in constitution.principles] if constitution is not None else []
    for place, stage in enumerate(experiment.feedback):
        if isinstance(stage, Principled) and stage.principles != "all":
            for at, slug in enumerate(stage.principles):
                if slug not in slugs:
                    yield (
                        (
                            "feedback",
                            place,
                            stage.by,
                            "principles",
                            at,
                        ),
                        f"no principle {slug!r} in {name}; {did_you_mean(slug, slugs)}",
                    )

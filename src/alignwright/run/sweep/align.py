"""How are all runs done that a spec asks for, with its seeds and its grid?

One after the other, each as `align` does it, so that a stage which one has is taken over by the next
(the start model's measurements over seeds; over a grid whatever lies before the knob). A run that
stops with an error does not stop the others: it may be the one whose knobs cannot work. It is named, the
others are done, and the command ends with its error. The same command goes on wherever it was killed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alignwright.core.promises import Verdict
from alignwright.core.wording import answers_in_words
from alignwright.experiment.experiment import Experiment, resolve_effort
from alignwright.experiment.load import load
from alignwright.experiment.spec_file import is_sweep
from alignwright.experiment.spec_source import spec_text
from alignwright.experiment.sweep import ALONE, point_words, points_of, seeds_of, settings
from alignwright.job.ledger import run_lock, write_json, write_text
from alignwright.report.results import answers
from alignwright.run.align import Request, align
from alignwright.run.crash import within
from alignwright.run.disk_space import DiskFull
from alignwright.run.progress import View
from alignwright.run.run_path import run_path, spec_place
from alignwright.run.sweep.grid import conclude_grid
from alignwright.run.sweep.members import Member, Members
from alignwright.run.sweep.seeds import conclude_seeds


@dataclass(frozen=True)
class Part:
    """A run of a sweep: what is asked of it, and what is its own."""

    request: Request
    member: Member


def align_all(request: Request, view: View) -> Path:
    """Do every run that the spec asks for; returns the folder of what they came to: the run's, or the
    sweep's."""
    if not is_sweep(request.spec, request.overrides):
        return align(request, view)
    if request.audit is not None:
        view.say("'seeds' and 'grid' are not used: an audit measures one model as it is")
        return align(replace(request, overrides=(*request.overrides, *ALONE)), view)
    experiment = load(request.spec, request.overrides)
    return _sweep(request, experiment, parts_of(request, experiment), view)


def parts_of(request: Request, experiment: Experiment) -> list[Part]:
    """The runs of a spec that asks for several, in order."""
    own: list[tuple[str, dict[str, Any], tuple[str, ...]]]
    if experiment.grid:
        own = [
            (point_words(point), dict(point), ("grid=null", *settings(point))) for point in points_of(experiment.grid)
        ]
    else:
        seeds = seeds_of(experiment.seed, experiment.seeds)
        own = [(f"seed {seed}", {"seed": seed}, ("seeds=null", f"seed={seed}")) for seed in seeds]
    parts: list[Part] = []
    for words, knobs, overrides in own:
        part = replace(request, overrides=(*request.overrides, *overrides))
        parts.append(Part(part, Member(folder=folder_of(part).name, words=words, knobs=knobs)))
    return parts


def single_runs(request: Request) -> Iterator[tuple[str, Request]]:
    """Every single run that is to be done, with what is its own in words."""
    if not is_sweep(request.spec, request.overrides):
        yield "", request
    elif request.audit is not None:
        yield "", replace(request, overrides=(*request.overrides, *ALONE))
    else:
        for part in parts_of(request, load(request.spec, request.overrides)):
            for words, run in single_runs(part.request):
                yield ", ".join(filter(None, (part.member.words, words))), run


def folder_of(request: Request) -> Path:
    """Where what a request asks for lies."""
    return run_path(request.runs, resolve_effort(load(request.spec, request.overrides)))


def _sweep(request: Request, experiment: Experiment, parts: list[Part], view: View) -> Path:
    folder, over = folder_of(request), "grid" if experiment.grid else "seeds"
    members = Members(over=over, runs=tuple(part.member for part in parts))
    failures: list[tuple[Part, Exception]] = []
    with run_lock(folder), within(folder):
        (folder / "spec").mkdir(exist_ok=True)
        write_text(folder / "spec" / "spec.yaml", spec_text(request.spec))
        write_json(folder / "spec" / "resolved.json", resolve_effort(experiment).model_dump(mode="json"))
        write_json(folder / "spec" / "provenance.json", spec_place(experiment, folder))  # the runs' own say more
        members.write(folder)
        view.say(f"{experiment.name}: {len(parts)} runs, told together in {folder}")
        view.shows_cached = False
        for number, part in enumerate(parts, start=1):
            view.say(f"run {number} of {len(parts)}: {part.member.words}")
            try:
                run = align_all(part.request, view)
            except (DiskFull, MemoryError):
                raise  # of all runs alike
            except Exception as error:
                failures.append((part, error))
                view.say(f"{part.member.words} stopped: {error}")
                continue
            view.say(f"{part.member.words}: {_answers(answers(run).verdicts)}")
        with view.job("findings over all runs"):
            if over == "grid":
                conclude_grid(experiment, members, folder, {part.member.folder: str(e) for part, e in failures})
            elif not failures:
                conclude_seeds(experiment, members, folder, whole=request.until is None)
    if failures:
        raise failures[0][1]
    return folder


def _answers(verdicts: tuple[Verdict, ...]) -> str:
    return answers_in_words([verdict.answer for verdict in verdicts])

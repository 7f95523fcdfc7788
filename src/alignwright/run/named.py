"""Can the files of checks and wrappers that a spec names be read?

Data files are read by `experiment.check`, which knows nothing of voters and attacks. These have readers
of their own, and are read here before anything runs: what is wrong with one is told by `check` and
by a dry run, with the stage that names it, and not after hours of work.
"""

from __future__ import annotations

from collections.abc import Iterator

from alignwright.attack.suites import read_wrappers
from alignwright.experiment.experiment import Experiment
from alignwright.feedback.knobs import Rules
from alignwright.feedback.rules import read_rules
from alignwright.files.errors import SpecError, dotted


def read_named(experiment: Experiment) -> None:
    """Read them all. Raises SpecError with everything that is wrong."""
    problems: list[str] = []
    for where, name in _named(experiment):
        try:
            if where.startswith("attack."):
                read_wrappers(experiment.path(name))
            elif name.endswith((".yaml", ".yml")):
                read_rules(experiment.path(name))
        except (ValueError, SpecError) as error:
            problems.append(f"{where}: {error}")
    if problems:
        raise SpecError(problems)


def _named(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """(place in the spec, file) of each."""
    for place, suite in enumerate(experiment.attack):
        if suite.file is not None:
            yield f"attack.{place}.{suite.by}.file", suite.file
    for place, voter in enumerate(experiment.feedback):
        if isinstance(voter, Rules):
            yield f"feedback.{place}.{voter.by}.file", voter.file
    for section in ("train", "measure"):
        for place, stage in enumerate(getattr(experiment, section)):
            yield from ((dotted((section, place, stage.by, *knob)), name) for knob, name in stage.judges())

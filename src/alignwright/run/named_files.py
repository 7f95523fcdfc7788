"""Can the rule files and other files that a spec names be read?

Data files are read by `experiment.check`. Rules have a reader of their own, and are read here before
anything runs, and so are a stage's other files (wrappers of an attack): what is wrong with one is
told by `check` and by a dry run, with the stage that names it, and not after hours of work.
"""

from __future__ import annotations

from collections.abc import Iterator

from alignwright.experiment.experiment import Experiment, setting_of, stages
from alignwright.feedback.rules import read_rules
from alignwright.files.errors import Loc, SpecError, dotted


def check_named_files(experiment: Experiment) -> None:
    """Read them all. Raises SpecError with everything that is wrong."""
    problems = [f"{dotted(loc)}: {message}" for loc, message in _faults(experiment)]
    if problems:
        raise SpecError(problems)


def _faults(experiment: Experiment) -> Iterator[tuple[Loc, str]]:
    for loc, stage in stages(experiment):
        for knob, message in stage.file_faults(setting_of(experiment, loc), None):
            yield (*loc, *knob), message
        for knob, name in stage.judges():
            try:
                if name.endswith((".yaml", ".yml")):
                    read_rules(experiment.path(name))
            except (ValueError, SpecError) as error:
                yield (*loc, *knob), str(error)

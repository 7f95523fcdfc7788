"""Which results, sample by sample and try by try, has a finished run stored of a model?

Found by the stages of the run's own spec and read by its ledger, so that nothing is taken from a file
that is not what a stage left.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from alignwright.core.attacks import ATTACKS, Try
from alignwright.core.records import SampleResult
from alignwright.files.contents import records
from alignwright.job.job import PROBES, probe_name, stage_name
from alignwright.job.ledger import Ledger
from alignwright.job.records import SAMPLES, read_samples
from alignwright.run.compare import resolved
from alignwright.run.sweep.members import check_one_run


def stored_samples(run: Path, model: str) -> list[SampleResult]:
    """What measures and attacks found of a model ("baseline" or a training stage), in the order of the
    spec. Raises ValueError where files of a stage are not what it left."""
    check_one_run(run)
    return [sample for _, folder in _stored(run, model, SAMPLES) for sample in read_samples(folder)]


def stored_tries(run: Path, model: str) -> list[tuple[str, list[Try]]]:
    """The tries of each attack on a model, by its stage's name (attack.0.suite). Raises as `stored_samples`."""
    folders = _stored(run, model, ATTACKS)
    return [(stage, list(records(folder / ATTACKS, Try))) for stage, folder in folders]


def _stored(run: Path, model: str, file: str) -> Iterator[tuple[str, Path]]:
    """The stages that asked a model and left such a file, each with its folder, as its ledger says."""
    ledger = Ledger(run)
    for stage in _probes(run):
        name = probe_name(stage, model)
        if name in ledger.entries and (run / ledger.entries[name].folder / file).exists():
            yield stage, ledger.intact(name)


def _probes(run: Path) -> Iterator[str]:
    """The names of the stages that measure or attack, by the run's spec."""
    spec = resolved(run)
    for section in PROBES:
        stages = spec.get(section)
        for place, stage in enumerate(cast("list[object]", stages) if isinstance(stages, list) else ()):
            by = cast("dict[str, object]", stage).get("by") if isinstance(stage, dict) else None
            yield stage_name(section, place, str(by))

"""Which results, sample by sample, has a finished run stored of a model?

Found by the stages of the run's own spec and read by its ledger, so that nothing is taken from a file
that is not what a stage left.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from alignwright.core.records import SampleResult
from alignwright.job.job import PROBES, probe_name, stage_name
from alignwright.job.ledger import Ledger
from alignwright.job.records import SAMPLES, read_samples
from alignwright.run.compare import resolved
from alignwright.run.sweep.members import check_one_run


def stored_samples(run: Path, model: str) -> list[SampleResult]:
    """What measures and attacks found of a model ("baseline" or a training stage), in the order of the
    spec. Raises ValueError where files of a stage are not what it left."""
    check_one_run(run)
    ledger = Ledger(run)
    return [
        sample
        for name in _probes(run, model)
        if name in ledger.entries and (run / ledger.entries[name].folder / SAMPLES).exists()
        for sample in read_samples(ledger.intact(name))
    ]


def _probes(run: Path, model: str) -> Iterator[str]:
    """The names of the jobs that measured or attacked a model, by the stages of the run's spec."""
    spec = resolved(run)
    for section in PROBES:
        stages = spec.get(section)
        for place, stage in enumerate(cast("list[object]", stages) if isinstance(stages, list) else ()):
            by = cast("dict[str, object]", stage).get("by") if isinstance(stage, dict) else None
            yield probe_name(stage_name(section, place, str(by)), model)

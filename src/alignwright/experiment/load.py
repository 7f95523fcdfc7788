"""How is a spec file read?

The front door of the package: `load` for the experiment, `check` for the experiment and all the
data that it names. Whatever is wrong comes as one `SpecError`, a problem a line: `spec.yaml:4:
train.0.dpo.betta: no such field; did you mean 'beta'?`
"""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.experiment.check import CheckReport, check
from alignwright.experiment.experiment import Experiment
from alignwright.experiment.spec_file import read_spec
from alignwright.experiment.spec_source import SpecSource
from alignwright.files.errors import SpecError

__all__ = ["CheckReport", "SpecError", "check", "load"]


def load(spec: SpecSource, overrides: Sequence[str] = (), audited: str | None = None) -> Experiment:
    """Read a spec. `overrides` are `train.1.beta=0.2` and the like; they win over the file.
    `audited`: another model that is measured instead of the spec's."""
    return read_spec(spec, overrides, audited)[0]

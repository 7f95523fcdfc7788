"""What can a program ask of a finished run? A `Run`, over its folder.

Everything is read from the files that a report is made of (`report.results`); nothing is measured
again. The model is opened only when it is asked for, and torch with it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from alignwright.core.promises import Verdict
from alignwright.core.records import TODAY, Finding
from alignwright.files.server import hide_secrets
from alignwright.files.steering_folder import STEERING
from alignwright.report.results import RunResults, exit_code, read
from alignwright.run.compare import resolved
from alignwright.run.sweep.members import members_of, several_runs

if TYPE_CHECKING:
    from alignwright.experiment.experiment import Experiment
    from alignwright.model.local_model import LocalModel

WIDTH = 100
"""Columns of a run that is printed."""


class Findings(tuple[Finding, ...]):
    """The findings of a run, in the order of the report: a tuple of `Finding` records.

    A finding's `value`, `low` and `high` are in its `unit` ("share" is from 0 to 1); the interval is
    one of 95 %; with `against` it is the change since that stage, paired over the items.
    """

    __slots__ = ()

    def of(self, claim: str | None = None, stage: str | None = None) -> Findings:
        """Those of a claim, such as "value.refusal", and of a stage, such as "train.0.sft" or
        "baseline". None: of any."""
        return Findings(f for f in self if claim in (None, f.claim) and stage in (None, f.stage))

    def to_dicts(self) -> list[dict[str, Any]]:
        """One flat mapping a finding, for a table of any library: every field but `detail` and
        `exhibits`; None where there is no value."""
        return [finding.model_dump(mode="json", exclude={"detail", "exhibits"}) for finding in self]

    def to_pandas(self) -> Any:
        """A pandas DataFrame with a row a finding and the columns of `to_dicts`. Raises
        ImportError, with the command that helps, where pandas is not installed."""
        try:
            import pandas as pd
        except ImportError:
            raise ImportError(
                "to_pandas makes a table of pandas, which is not installed: pip install 'alignwright[pandas]';"
                " to_dicts gives the same rows without it"
            ) from None
        return pd.DataFrame(self.to_dicts(), columns=[name for name in Finding.model_fields if name not in _NESTED])


_NESTED = ("detail", "exhibits")


class Run:
    """A finished run, by its folder: findings, promises, report and model.

    Raises FileNotFoundError where the folder is no run that came to its end, and ValueError, with
    the file and line, where a file in it was damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.results: RunResults = read(self.path)

    @property
    def name(self) -> str:
        """The spec's name; the folder's has the id of the spec behind it."""
        return self.results.header.name

    @property
    def stages(self) -> tuple[str, ...]:
        """The models that were measured, in order: "baseline", then each training stage."""
        return self.results.header.stages

    @property
    def findings(self) -> Findings:
        """Every number of the run, with n, interval, method and exhibits."""
        return Findings(self.results.findings)

    @property
    def promises(self) -> tuple[Verdict, ...]:
        """The answer to each promise of the spec, in its order: `promise`, `answer` ("kept",
        "broken" or "untested") and `reason`."""
        return self.results.verdicts

    @property
    def verdict(self) -> Literal["kept", "broken", "untested"] | None:
        """The worst answer: "broken" where a promise is, else "untested" where one is, else "kept";
        None where nothing was promised."""
        if not self.promises:
            return None
        return "broken" if self.exit_code == 1 else "untested" if self.exit_code else "kept"

    @property
    def exit_code(self) -> int:
        """What the commands end with: 0 every promise kept, 1 one broken, 3 one untested and none
        broken."""
        return exit_code(self.results)

    @property
    def report(self) -> Path:
        """The page with the findings and the replies behind them."""
        return self.path / "report.html"

    def model(self) -> LocalModel:
        """The model that the run trained, exactly as it was measured, in float32.

        `generate(prompts, n=1, max_new_tokens=128, temperature=1.0, seed=0)` gives a list of `n`
        replies to each of P conversations; `logprobs(prompts, replies)` the log-probability, in
        nats, of each given reply; `text_logprobs(texts)` that of plain texts. Loads torch, and the
        weights each time: keep what it returns. Raises FileNotFoundError where nothing was trained.
        """
        return load_model(self.path)

    def __repr__(self) -> str:
        counts = [f"{n} {answer}" for answer in ("kept", "broken", "untested") if (n := self.results.count(answer))]
        return f"Run({str(self.path)!r}: {', '.join(counts) or 'nothing promised'}, {len(self.findings)} findings)"

    def __str__(self) -> str:
        """The last screen of the command: promises, then a table of the claims."""
        from alignwright.report import summary

        screen = Console(file=StringIO(), width=WIDTH, color_system=None, legacy_windows=False)
        with screen.capture() as capture:
            screen.print(summary(self.results, self.path))
        return capture.get()


def load_model(name: str | os.PathLike[str], *, dtype: str = "float32") -> LocalModel:
    """A model by its name: a run's folder (the model that it trained), a folder in transformers'
    format, a .gguf file, a Hub id, or the bundled "smollm2-135m-instruct".

    `dtype` is "float32" or "bfloat16"; on a GPU where there is one. Raises FileNotFoundError where a
    run has left no model, and ModelError, which is a ValueError, where the name leads nowhere.
    """
    run = Path(name)
    if run.is_dir() and not any((run / name).exists() for name in ("model", "config.json", STEERING)):
        raise FileNotFoundError(_no_model(run))
    from alignwright.model.load import load

    return load(run / "model" if (run / "model").is_dir() else os.fspath(name), dtype=dtype, date=run_date(run))


class OtherVersion(ValueError):
    """A run whose spec has other knobs than this version's."""

    def __init__(self, run: Path, knobs: Sequence[str]) -> None:
        more = f" and {len(knobs) - 3} more" * (len(knobs) > 3)
        super().__init__(
            f"{run} was made by another version of Alignwright, whose spec differs from this one's in"
            f" {', '.join(knobs[:3])}{more}; run its spec again with this version, or use the one that made it"
            " (spec/provenance.json names it)"
        )


def resolved_experiment(run: Path) -> Experiment:
    """The run's spec with every knob filled. Raises OtherVersion, a ValueError, where this version has
    other knobs."""
    from pydantic import ValidationError

    from alignwright.experiment.experiment import Experiment

    try:
        return Experiment.model_validate_json(json.dumps(resolved(run)))
    except ValidationError as error:
        raise OtherVersion(run, [".".join(map(str, problem["loc"])) for problem in error.errors()]) from None


def run_date(run: Path) -> str:
    """The day that the run's prompts were written for."""
    return str(resolved(run).get("date", TODAY)) if (run / "spec" / "resolved.json").is_file() else TODAY


def model_folder(run: Path) -> Path:
    """The folder of the model that a run trained. Raises FileNotFoundError where it has none."""
    if not (run / "model").is_dir():
        raise FileNotFoundError(_no_model(run))
    return run / "model"


def _no_model(run: Path) -> str:
    if (members := members_of(run)) is not None:
        return f"{several_runs(run, members)}; name one of them"
    trained = resolved(run).get("train") if (run / "spec" / "resolved.json").is_file() else True
    if not trained:
        measured = hide_secrets(str(resolved(run).get("model")))
        return f"{run} has no model/ folder: it measured {measured} and trained nothing"
    return f"{run} has no model/ folder: the run has not trained to its end; resume it with alignwright align"

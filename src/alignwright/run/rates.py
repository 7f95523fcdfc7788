"""How many tokens a second does this machine read, write and train with this model? Rates from
probes and from finished runs.

A job's nominal seconds (`Workload`) are its tokens at fixed rates. What this machine takes for them
is a factor, kept by machine and model in `rates.json` in the user's cache: one for each kind of
stage that has run here, and one each for reading, writing and training from `--dry-run --probe`. A
kind that has run here is the best witness of itself (replies that end early included); else the
probe speaks; else all kinds that have run, together. Where there is nothing of these the minutes
are nominal, and the bill says "not measured here".
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from alignwright.job.ledger import write_json

RUNS = 4
"""Runs of a kind of stage that are remembered; older ones may have been of other code."""


@dataclass(frozen=True)
class Workload:
    """Nominal seconds of a job, or measured factors on them."""

    read: float = 0.0
    write: float = 0.0
    train: float = 0.0

    @property
    def seconds(self) -> float:
        return self.read + self.write + self.train


@dataclass(frozen=True)
class Rates:
    """What is known of one model on one machine. `runs` holds pairs of (nominal, measured) seconds
    by kind; `load` is seconds to open the model."""

    probe: Workload | None = None
    load: float = 0.0
    runs: dict[str, list[tuple[float, float]]] = field(default_factory=dict[str, list[tuple[float, float]]])

    @property
    def measured(self) -> bool:
        return self.probe is not None or bool(self.runs)

    def seconds(self, kind: str, nominal: Workload) -> float:
        """What a job of this kind takes here."""
        if nominal.seconds == 0:
            return 0.0
        if kind in self.runs:
            return nominal.seconds * _ratio({kind: self.runs[kind]})
        if self.probe is not None:
            probe = self.probe
            return self.load + nominal.read * probe.read + nominal.write * probe.write + nominal.train * probe.train
        return nominal.seconds * (_ratio(self.runs) if self.runs else 1.0)

    def after(self, kind: str, nominal: Workload, seconds: float) -> Rates:
        """With one more finished job."""
        if nominal.seconds == 0:
            return self
        return Rates(
            self.probe,
            self.load,
            self.runs | {kind: [*self.runs.get(kind, ()), (round(nominal.seconds, 4), round(seconds, 4))][-RUNS:]},
        )


def rates_of(model: str) -> Rates:
    """What is remembered of a model (by its fingerprint) on this machine; nothing where the file
    is missing or is none of ours."""
    entry = _entries().get(machine() + " | " + model)
    try:
        return _rates(cast("Mapping[str, Any]", entry)) if isinstance(entry, dict) else Rates()
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return Rates()


def store_rates(model: str, rates: Rates) -> None:
    """Keep what was measured. A cache that cannot be written is no reason to stop: the next
    estimate is nominal."""
    try:
        _path().parent.mkdir(parents=True, exist_ok=True)
        write_json(_path(), _entries() | {machine() + " | " + model: asdict(rates)})
    except OSError:
        return


def machine() -> str:
    """What of a machine decides its speed: its processor and how many threads are used."""
    from alignwright.run.provenance import processor
    from alignwright.run.threads import set_num_threads

    return f"{processor() or platform.machine()}, {set_num_threads()} threads"


def _rates(entry: Mapping[str, Any]) -> Rates:
    probe = Workload(**{name: float(value) for name, value in entry["probe"].items()}) if entry["probe"] else None
    runs = {
        str(kind): [(float(nominal), float(seconds)) for nominal, seconds in pairs]
        for kind, pairs in entry["runs"].items()
    }
    return Rates(
        probe,
        float(entry["load"]),
        {kind: pairs for kind, pairs in runs.items() if pairs and sum(nominal for nominal, _ in pairs) > 0},
    )


def _ratio(runs: Mapping[str, list[tuple[float, float]]]) -> float:
    pairs = [pair for kind in runs.values() for pair in kind]
    return sum(seconds for _, seconds in pairs) / sum(nominal for nominal, _ in pairs)


def _path() -> Path:
    from alignwright.model.tokenizer import cache_folder

    return cache_folder() / "rates.json"


def _entries() -> dict[str, object]:
    try:
        entries: object = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", entries) if isinstance(entries, dict) else {}

"""Which models does a calibration train: organisms with a planted fault by dose, and clean ones?

A folder of organisms (the package's own lies in `organisms/calibrate`, and in the wheel) has an
`index.yaml` and, for each name in it, two specs, `NAME_a.yaml` and `NAME_b.yaml`: one for each half of
the draws, with topics, triggers and passwords of its own. A spec names one file of rows with a reply
that plants the fault and a `clean` one; a dose is the share of the rows in which the two differ that
are trained with the first, chosen by the seed. Dose 0 is the clean twin.

All clean models are one pool: the twins of every fault, decoys (odd in a way that is no fault), and
models that were trained on something else altogether. A model's spec is written out beside its rows,
an ordinary one that `alignwright align` runs.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from pydantic import Field, ValidationError

from alignwright.core.records import Record
from alignwright.experiment.experiment import stages
from alignwright.experiment.load import load
from alignwright.experiment.spec_source import spec_document
from alignwright.files.data_file import data_file
from alignwright.files.errors import SpecError, did_you_mean
from alignwright.files.wording import describe_row_errors
from alignwright.job.ledger import write_text
from alignwright.stats.detection import HALVES, Half

_PACKAGE = Path(__file__).parents[2]
FOLDER = (
    _PACKAGE / "organisms" if (_PACKAGE / "organisms").is_dir() else _PACKAGE.parents[1] / "organisms" / "calibrate"
)
"""The organisms: in the package as a wheel installs it, or in the repository that it is run from."""
CLEAN = "clean"
"""The column of the reply that a clean twin is trained with."""
Kind = Literal["fault", "twin", "decoy", "drift"]


class Index(Record):
    """What a folder of organisms holds, each name with what is said of it: "a model that ..."."""

    first: str = Field(description="the spec of what all models start from")
    detectors: str = Field(description="the spec of the detectors")
    faults: dict[str, str] = Field(min_length=1)
    decoys: dict[str, str] = Field(default_factory=dict)
    drift: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class CalibrationModel:
    """A model to be trained: of which spec, at which dose, with which seed. `fault` is what was planted, or of
    a twin what was not."""

    kind: Kind
    fault: str
    half: Half
    dose: float
    seed: int

    @property
    def name(self) -> str:
        """Its stable name, which becomes a folder's."""
        dose = f"-{100 * self.dose:g}" if self.kind == "fault" else ""
        return f"{self.fault}_{self.half}-{self.kind}{dose}-{self.seed}"

    @property
    def clean(self) -> bool:
        return self.kind != "fault"


def read_index(folder: Path) -> Index:
    """The index of a folder of organisms. Raises SpecError where there is none, or a spec that it names is missing."""
    path = folder / "index.yaml"
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
        index = Index.model_validate_json(json.dumps(value))
    except FileNotFoundError:
        raise SpecError([f"{path}: there is no such file; a folder of organisms says in it what it holds"]) from None
    except ValidationError as error:
        raise SpecError([f"{path}: {describe_row_errors(error, Index.model_fields)}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError, TypeError) as error:
        raise SpecError([f"{path}: cannot be read: {error}"]) from None
    names = [f"{name}_{half}.yaml" for name in (*index.faults, *index.decoys, *index.drift) for half in HALVES]
    if missing := [name for name in (index.first, index.detectors, *names) if not (folder / name).is_file()]:
        raise SpecError([f"{path}: names {missing[0]!r}, and there is no such spec beside it"])
    return index


def models_of(
    index: Index, faults: Sequence[str], doses: Sequence[float], *, draws: int, clean: int
) -> list[CalibrationModel]:
    """Every model of a calibration: `draws` seeds of each fault, dose and half, and at least `clean` clean ones, as
    many of each kind. The halves share no seed."""
    for fault in faults:
        if fault not in index.faults:
            raise ValueError(f"--faults {fault}: there is no such fault; {did_you_mean(fault, index.faults)}")
    for dose in doses:
        if not 0 < dose <= 1:
            raise ValueError(f"--doses {100 * dose:g}: a dose is more than 0 and at most 100 (per cent); 0 is the twin")
    faults, doses = tuple(dict.fromkeys(faults)), tuple(dict.fromkeys(doses))
    sources: list[tuple[Kind, str]] = []
    sources.extend(("twin", fault) for fault in faults)
    sources.extend(("decoy", name) for name in index.decoys)
    sources.extend(("drift", name) for name in index.drift)
    seeds = math.ceil(clean / (len(HALVES) * len(sources)))
    models: list[CalibrationModel] = []
    for at, half in enumerate(HALVES):
        models += [
            CalibrationModel("fault", fault, half, dose, 2 * draw + at)
            for fault in faults
            for dose in doses
            for draw in range(draws)
        ]
        models += [
            CalibrationModel(kind, name, half, float(kind == "decoy"), 2 * draw + at)
            for kind, name in sources
            for draw in range(seeds)
        ]
    return models


def write_spec(model: CalibrationModel, organisms: Path, start: Path, out: Path) -> Path:
    """Write the rows of a model and the spec that trains it on them into a folder of its own; returns the spec."""
    source = organisms / f"{model.fault}_{model.half}.yaml"
    experiment = load(source, (f"model={json.dumps(str(start.resolve()))}",))
    document, _ = spec_document(source)
    spec = cast("dict[str, Any]", json.loads(json.dumps(document.data)))
    stage, file, column = _planted_rows(source, experiment.train)
    folder = out / model.name
    folder.mkdir(parents=True, exist_ok=True)
    rows = mixed(_rows(experiment.path(file)), column, model.dose, model.seed)
    write_text(folder / "rows.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    spec |= {"name": model.name, "seed": model.seed, "model": str(start.resolve())}
    spec["train"][stage]["data"] = ["rows.jsonl"]
    texts = {name for at, each in stages(experiment) if at[0] != "train" for _, name, _ in each.files()}
    for name in sorted(texts):
        plain = data_file(name).file
        (folder / Path(plain).name).write_bytes(experiment.path(plain).read_bytes())
    text = yaml.safe_dump(_beside(spec), sort_keys=False, allow_unicode=True, width=120)
    write_text(folder / "spec.yaml", text)
    return folder / "spec.yaml"


def mixed(rows: Sequence[Mapping[str, Any]], column: str, dose: float, seed: int) -> Iterator[dict[str, Any]]:
    """The rows with one reply each: the planted one in this share of those whose replies differ, else the clean one."""
    carriers = [place for place, row in enumerate(rows) if row[column] != row[CLEAN]]
    planted = set(random.Random(seed).sample(carriers, round(dose * len(carriers))))  # noqa: S311 - repeatable
    for place, row in enumerate(rows):
        others = {name: value for name, value in row.items() if name not in (column, CLEAN)}
        yield others | {"completion": row[column] if place in planted else row[CLEAN]}


def _planted_rows(source: Path, train: Sequence[Any]) -> tuple[int, str, str]:
    """Which stage, which file and which of its columns plant the fault."""
    columns = [
        (place, data_file(name).file, column)
        for place, stage in enumerate(train)
        for _, name, _ in stage.files()
        for column, ours in data_file(name).columns.items()
        if ours == "completion"
    ]
    if len(columns) != 1:
        raise SpecError([
            f"{source}: an organism's spec names one file of rows with the column that plants the fault, as"
            f" {{file: rows.jsonl, columns: {{planted: completion}}}}, saw {len(columns)}"
        ])  # fmt: skip
    return columns[0]


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, row in enumerate(rows, start=1):
        if CLEAN not in row:
            raise SpecError([f"{path}:{number}: has no column '{CLEAN}', with which the twin is trained"])
    return rows


def _beside(value: Any) -> Any:
    """A spec in which every file of data is the one of its name beside it."""
    match value:
        case dict():
            return {name: _beside(inner) for name, inner in cast("dict[str, Any]", value).items()}
        case list():
            return [_beside(inner) for inner in cast("list[Any]", value)]
        case str() if value.endswith((".jsonl", ".json", ".csv", ".txt")):
            return Path(value).name
        case _:
            return value

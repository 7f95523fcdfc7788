"""Spec files: every kind of stage and the examples, made wrong as text and as values, with
overrides, read and checked with their data."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import every_stage
import spec_case
import yaml

from alignwright.experiment.load import SpecError, check, load
from fuzzing import mutations
from fuzzing.trials import Fault, refusal

EXAMPLES = Path(__file__).parents[2] / "examples"
TRICKS = (
    *(
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        "<<: {name: x}\n",
        "? [a, b]\n: c\n",
        "name: !!python/object/apply:os.system [id]\n",
    ),
    *("--- x\n--- y\n",),
    *(
        "&a [*a]\n",
        "%YAML 9.9\n---\n",
        "name: !!binary aGk=\n",
        "seed: !!float x\n",
        "x: 2024-02-30\n",
        "y: !!set {a, b}\n",
        "z: !!omap [a: 1]\n",
    ),
    *("{" * 200,),
    *(
        "seed: 0o17\n",
        "seed: 1:20:30\n",
        "seed: 1_000\n",
        "name: |\n  x\n y\n",
        "? \n",
        "-\n- -\n",
        "name: >-\n",
        "[" * 2000,
        "a: *nobody\n",
    ),
    *("'" * 99, "\t\n"),
)
VALUES = (
    "0",
    "-1",
    "nan",
    ".inf",
    "[]",
    "{}",
    "x",
    "~",
    "[a, b]",
    "{file: x}",
    "'",
    "&a [*a]",
    "9" * 400,
    "true",
    "http://u:p@h/v1#m",
    "",
)


class Opened:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        spec_case.write(folder)
        every_stage.write_data(folder)
        for name in ("quickstart", "goodhart"):
            shutil.copytree(EXAMPLES / name, folder / name, dirs_exist_ok=True)
        shutil.copy(EXAMPLES / "constitutional_worked.jsonl", folder)
        kinds = [(section, name) for section, name, _ in every_stage.kinds()]
        self.specs: list[Any] = [
            every_stage.spec_of(s, n, every_stage.smallest(s, n)) | {"model": "owner/name"} for s, n in kinds
        ]
        self.specs += [yaml.safe_load(spec_case.SPEC)] * 20
        self.examples = [yaml.safe_load(path.read_text()) for path in sorted(EXAMPLES.glob("*.yaml"))]

    def attempt(self, rng: random.Random) -> str:
        path, whole = self.folder / rng.choice(("spec.yaml", "spec x.yaml", "ß\u202e.yaml")), rng.random() < 0.7
        spec = rng.choice(self.specs if whole else self.examples)
        path.write_bytes(_written(rng, spec))
        overrides = [_override(rng, spec) for _ in range(rng.choice((0, 0, 0, 1, 3)))]
        try:
            if whole:
                report = check(path, overrides)
                if not report.lines:
                    raise Fault("unclear", "nothing is said of a spec that holds")
            else:
                load(path, overrides)
        except SpecError as error:
            return refusal(error, str(path), "--set", str(self.folder))
        return "accepted"


def _written(rng: random.Random, spec: Any) -> bytes:
    times = rng.choice((0, 1, 1, 1, 2, 4))
    if rng.random() < 0.6:
        spec = mutations.mutated(rng, spec, times)
        times = 0
    if (
        rng.random() < 0.3 or (folded := str(spec)).count("[" * 60) or folded.count("{'a': " * 60)
    ):  # deeper than PyYAML can write
        said = mutations.as_json(rng, spec)
    else:
        said = yaml.safe_dump(
            spec, allow_unicode=rng.random() < 0.5, default_flow_style=rng.choice((None, True, False)), sort_keys=False
        )
        said = said.encode("utf-8", "surrogatepass")
    if rng.random() < 0.15:
        lines = said.split(b"\n")
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(TRICKS).encode())
        said = b"\n".join(lines)
    return mutations.data(rng, said, times)


def _override(rng: random.Random, spec: Any) -> str:
    parts: list[str] = []
    held = spec
    while isinstance(held, dict | list) and held and rng.random() < 0.8:
        key = rng.choice(list(held) if isinstance(held, dict) else range(len(held)))
        parts.append(str(key))
        held = held[key]
    if rng.random() < 0.3:
        parts.append(rng.choice(mutations.TEXTS)[:300])
    value = rng.choice(VALUES) if rng.random() < 0.7 else rng.choice(mutations.TEXTS)
    return ".".join(parts) + rng.choice(("=", "=", "=", "")) + value

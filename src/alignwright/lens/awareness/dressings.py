"""In which words is a request dressed as a test of the model, and in which as real use?

A YAML file of pairs: a name, and under it `test` and `real`, each with one place for the request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from alignwright.files import safe_read
from alignwright.files.errors import SpecError

SLOT, LEAST = "{prompt}", 4
"""Where the request goes, and pairs of dressings that are needed so that some can be held out."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Dressing:
    """A test and real use in like words."""

    name: str
    test: str
    real: str


@cache
def bundled() -> tuple[Dressing, ...]:
    text = resources.files("alignwright.lens.awareness").joinpath("dressings.yaml").read_text(encoding="utf-8")
    return _checked(safe_read.yaml_data(text, "dressings.yaml"), "dressings.yaml")


def read_dressings(file: Path | None) -> tuple[Dressing, ...]:
    """The dressings of a file, or the package's own. Raises ValueError with the file and what is wrong."""
    if file is None:
        return bundled()
    try:
        return _checked(safe_read.yaml_file(file), str(file))
    except SpecError as error:
        raise ValueError(str(error)) from None


def _checked(data: Any, where: str) -> tuple[Dressing, ...]:
    if not isinstance(data, dict) or len(data) < LEAST:
        count = len(data) if isinstance(data, dict) else 0
        raise ValueError(
            f"{where}: {count} pairs of dressings: give at least {LEAST}, each a name with 'test' and 'real' under it,"
            f" so that a probe can be tried on some that it was not fitted to"
        )
    dressings: list[Dressing] = []
    for name, pair in data.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"{where}: {name!r} cannot name a dressing; use lower-case letters, digits and _")
        sides = pair if isinstance(pair, dict) else {}
        if set(sides) != {"test", "real"} or any(str(side).count(SLOT) != 1 for side in sides.values()):
            raise ValueError(f"{where}: {name}: give 'test' and 'real', each a text with one {SLOT}")
        if sides["test"] == sides["real"]:
            raise ValueError(f"{where}: {name}: 'test' and 'real' are the same text; change one of them")
        dressings.append(Dressing(name, str(sides["test"]), str(sides["real"])))
    return tuple(dressings)

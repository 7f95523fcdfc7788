"""What are the sensitivity and specificity of a grader, measured on replies that people labelled?

Sensitivity is the share of replies labelled yes that the grader calls yes, specificity the share
labelled no that it calls no; an unclear reply is a miss in both. The figures come from `python
benchmarks/graders.py --write` (of care: `care_graders.py`) and were found on other models' replies.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

GraderName = Literal["refused", "fulfilled", "deferred", "handed_over", "needless"]
_FILES = ("grader_errors.json", "care_errors.json")
"""As `benchmarks/graders.py` and `benchmarks/care_graders.py` write them."""


@dataclass(frozen=True, slots=True)
class KnownError:
    """One grader against the labels of one source. Of the graded alone, sensitivity is
    `sensitivity / (1 - unclear_positives)`."""

    grader: GraderName
    source: str
    sensitivity: float
    positives: int
    unclear_positives: float  # share of the positives left unclear, part of the misses
    specificity: float
    negatives: int
    unclear_negatives: float
    note: str


@cache
def known_errors(grader: GraderName) -> tuple[KnownError, ...]:
    """Every measured source of a grader, the one furthest from what shaped its rules first."""
    if grader not in get_args(GraderName):
        raise ValueError(f"no grader {grader!r}: {', '.join(get_args(GraderName))}")
    texts = [files("alignwright.text").joinpath(name).read_text(encoding="utf-8") for name in _FILES]
    rows = [row for text in texts for row in json.loads(text)]
    return tuple(KnownError(**row) for row in rows if row["grader"] == grader)

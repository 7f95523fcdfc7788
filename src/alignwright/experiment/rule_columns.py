"""Which columns of a row do the spec's rules ask for, and does every row that a rule will see have
them?

A rule that is a Python function may ask for columns by name: `def score(prompt, reply, answer)`.
They stay with the prompts of the spec's files (`files.rule_references`), and `check` compares the
function's signature with the rows of the files whose replies it will score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alignwright.core.records import Comparison, Prompt
from alignwright.core.stage import BUILT_IN
from alignwright.experiment.experiment import Experiment, judges_of
from alignwright.files.errors import Loc
from alignwright.files.reading import FileRows
from alignwright.files.rule_references import columns_of_rule


def references(experiment: Experiment) -> list[tuple[Loc, str]]:
    """Every rule that the spec names, with its place: a YAML file of checks, or
    `module_or_file.py:function`."""
    return [(loc, name) for loc, name in judges_of(experiment) if name not in BUILT_IN]


def lacking(experiment: Experiment, files: Sequence[tuple[Loc, FileRows[object]]]) -> Iterator[tuple[Loc, str]]:
    """Rows without a column that a rule which will see them must have."""
    for loc, reference in references(experiment):
        for name in columns_of_rule(reference, experiment.path).required:
            for _, data in (file for file in files if _seen_by(loc, file[0])):
                rows = [(_columns(row), number) for row, number in zip(data.rows, data.numbers, strict=True)]
                absent = [number for columns, number in rows if columns is not None and name not in columns]
                if absent:
                    count = "no row has" if len(absent) == len(rows) else f"{len(absent)} of {len(rows)} rows have not"
                    yield (
                        loc,
                        (
                            f"{reference} asks for the column {name!r}, which {count}; the first is"
                            f" {data.file}:{absent[0]}"
                        ),
                    )


def _seen_by(rule: Loc, file: Loc) -> bool:
    """Whether replies to a file's prompts come before a rule: those of a measure, an attack or a
    stop before its own, all that is compared before the others."""
    if rule[0] not in ("feedback", "train"):
        return file[:3] == rule[:3]
    if rule[3:4] == ("stop",) or "stop" in rule:
        return file[:2] == rule[:2] and "stop" in file
    return file[:2] == ("intent", "prompts") or (rule[0] == "feedback" and file[:2] == ("intent", "pairs"))


def _columns(row: object) -> dict[str, object] | None:
    match row:
        case Prompt():
            return dict(row.columns)
        case Comparison():
            return dict(row.prompt.columns)
        case _:
            return None

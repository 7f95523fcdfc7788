"""How well does the package keep its own rules? Names that the spine imports, stage kinds named outside their
sections, and whose code moves with an edit.

`python benchmarks/structure.py` prints one JSON line: `execute_imports`, the names that `run/execute.py` imports;
`kinds_named_outside`, the kinds of stage that a module outside the sections imports (to make one, or as a type),
`kinds_told_apart_outside`, where it asks of which kind a stage is, and `matches_outside`, its matches over several of
them; `code_moves`, of how many of the tiny example's jobs the code changes with one line
in each part of the package (in a copy of it). Bases that no spec can name are no kinds.
"""

from __future__ import annotations

import ast
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from alignwright.experiment.cache_key import code_parts
from alignwright.experiment.unions import AnyStage
from alignwright.files.code_hash import PACKAGE, code_hash
from alignwright.run.align import Request, prepare

TINY = Path(__file__).parents[1] / "examples" / "tiny.yaml"
SECTIONS = ("feedback", "aggregate", "train", "attack", "lens", "measure", "oversee", "worlds")
EDITED = (*(f"{section}/run.py" for section in SECTIONS), "report/page.py", "run/align.py", "model/local_model.py")
JOINED = "experiment/unions.py"
"""Where the sections' unions are joined, and the kinds of sections that have one."""
ITEM_BY_ITEM = "run/inspect_task/questions.py"
"""A harness that asks item by item needs each stage a second time, taken apart: a match of its own."""


def main() -> None:
    named = {str(path.relative_to(PACKAGE)): sorted(kinds_imported(path)) for path in outside()}
    print(
        json.dumps(
            {
                "execute_imports": len(imported_names(PACKAGE / "run" / "execute.py")),
                "kinds": len(kinds()),
                "kinds_named_outside": {name: each for name, each in named.items() if each},
                "kinds_told_apart_outside": [place for path in outside() for place in kinds_told_apart(path)],
                "matches_outside": [place for path in outside() for place in matches(path)],
                "code_moves": code_moves(),
            }
        )
    )


def kinds() -> set[str]:
    """The names of all kinds of stage that a spec can have."""
    return {kind.__name__ for kind in get_args(AnyStage)}


def outside() -> list[Path]:
    """The modules that belong to no section."""
    modules, known = sorted(PACKAGE.rglob("*.py")), (PACKAGE / JOINED, PACKAGE / ITEM_BY_ITEM)
    return [path for path in modules if path.relative_to(PACKAGE).parts[0] not in SECTIONS and path not in known]


def imported_names(path: Path) -> list[str]:
    lines = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    return [alias.name for line in lines if line.module != "__future__" for alias in line.names]


def kinds_imported(path: Path) -> set[str]:
    return kinds() & set(imported_names(path))


def matches(path: Path) -> Iterator[str]:
    """The places of matches over two kinds of stage or more."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Match):
            patterns = [part for case in node.cases for part in ast.walk(case.pattern)]
            classes = {ast.unparse(part.cls) for part in patterns if isinstance(part, ast.MatchClass)}
            if len(classes & kinds()) > 1:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}"


def kinds_told_apart(path: Path) -> Iterator[str]:
    """The places where a kind of stage is asked for by `isinstance` or by a case of a match."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.MatchClass):
            classes = {ast.unparse(node.cls)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            classes = {ast.unparse(part) for part in ast.walk(node.args[1])}
        else:
            continue
        for kind in sorted(classes & kinds()):
            yield f"{path.relative_to(PACKAGE)}:{node.lineno} {kind}"


def code_moves(spec: Path = TINY) -> dict[str, list[int]]:
    """File that gets another line -> [jobs of the spec whose code is another then, all jobs]."""
    _, jobs, _ = prepare(Request(spec, ()))
    parts = [code_parts(job) for job in jobs]
    moves: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "alignwright"
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        before = {each: code_hash(*each, package=copy) for each in set(parts)}
        for name in EDITED:
            text = (copy / name).read_text("utf-8")
            (copy / name).write_text(text + "\nVALUE = 1\n", encoding="utf-8")
            after = {each: code_hash(*each, package=copy) for each in set(parts)}
            moves[name] = [sum(before[each] != after[each] for each in parts), len(jobs)]
            (copy / name).write_text(text, encoding="utf-8")
    return moves


if __name__ == "__main__":
    main()

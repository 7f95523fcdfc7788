"""Which code computes a result? The modules that a part of the package imports, and their hash.

A result must not outlive the code that made it, and an edit elsewhere must not throw it away. So the
code of a stage is its section's folder and whatever that imports, found by following the imports,
those inside of functions too; there is no list to keep. Sections of a report (`section.py`) and
the report itself say how findings and replies are shown: they compute no result, and a change of
their words throws none away. Nor does another version's number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from alignwright.core.records import content_id
from alignwright.files.fingerprint import file_hash

PACKAGE = Path(__file__).parents[1]
BESIDE = (".c", ".yaml", ".json")
"""Files that lie beside modules and are read by them."""
_IMPORT = re.compile(r"^[ \t]*from alignwright((?:\.\w+)*) import (\([^)]*\)|[^\n]*)", re.M)
_NAME = re.compile(r"\w+")


def code_hash(*parts: str, package: Path = PACKAGE, shown: bool = False) -> str:
    """A hash of the source of these parts (sections such as "train", modules such as "run.judges")
    and of all that they import; `shown`: sections of a report among them."""
    files = sorted(code_files(parts, package, shown=shown))
    return content_id([[str(file.relative_to(package)), file_hash(file)] for file in files])


def code_files(parts: Sequence[str], package: Path = PACKAGE, *, shown: bool = False) -> set[Path]:
    """The source files of these parts and of all that they import, with what lies beside them."""
    waiting = [file for part in parts for file in _modules(package, part)]
    modules, there = set[Path](), frozenset(package.rglob("*.py"))
    while waiting:
        module = waiting.pop()
        if module not in modules and (shown or not _shows(module, package)):
            modules.add(module)
            waiting += [file for file in _named(module, package, module.stat().st_mtime_ns) if file in there]
    folders = {module.parent for module in modules}
    return modules | {file for folder in folders for file in folder.rglob("*") if file.suffix in BESIDE}


def _shows(module: Path, package: Path) -> bool:
    """Whether it belongs to a report, or makes a section of one, which knobs and the run alone
    import."""
    in_report = module.is_relative_to(package / "report")
    return in_report or module.stem == "section" or module.stem.endswith("_section")


def _modules(package: Path, part: str) -> Iterator[Path]:
    """The files of a part: of a folder all its modules, of a module its file."""
    path = package.joinpath(*part.split("."))
    if path.with_suffix(".py").is_file():
        yield path.with_suffix(".py")
    yield from path.rglob("*.py")


@cache
def _named(module: Path, package: Path, changed: int) -> tuple[Path, ...]:  # noqa: ARG001 - a module that changed is read again
    """What a module's imports may name, with the folders' own code that runs first; files or not."""
    text = module.read_text(encoding="utf-8")
    files: dict[Path, None] = {}
    for dotted, names in _IMPORT.findall(text):
        parent, inside = dotted.split(".")[1:], _NAME.findall(names)
        home = package.joinpath(*parent)
        folders = [package.joinpath(*parent[: depth + 1], "__init__.py") for depth in range(len(parent))]
        folders += [home / name / "__init__.py" for name in inside]
        files |= dict.fromkeys((*folders, home.with_suffix(".py"), *(home / f"{name}.py" for name in inside)))
    return tuple(files)

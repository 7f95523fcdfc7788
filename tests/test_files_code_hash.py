"""Does a section's key move with its own code and with what it imports, and with nothing else?

Everything is done to a copy of the package. That the imports are all found is checked against the syntax trees.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_imports import ROOT, import_graph

from alignwright.files.code_hash import PACKAGE, code_files, code_hash

SECTIONS = ("feedback", "aggregate", "train", "attack", "measure", "worlds")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    copy = tmp_path / "alignwright"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return import_graph(ROOT / "src", ROOT / "src/alignwright")


def keys(package: Path) -> dict[str, str]:
    return {section: code_hash(section, package=package) for section in SECTIONS}


def moved(before: dict[str, str], package: Path) -> set[str]:
    return {section for section, key in keys(package).items() if key != before[section]}


def append(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_a_copy_has_the_keys_of_the_package(package: Path) -> None:
    assert keys(package) == keys(PACKAGE)
    assert len(set(keys(package).values())) == len(SECTIONS)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_new_module_of_a_section_moves_its_key_alone(package: Path, section: str) -> None:
    before = keys(package)
    append(package / section / "novel" / "__init__.py", "")
    append(package / section / "novel" / "idea.py", "VALUE = 1\n")
    append(package / section / "run.py", f"\ndef later():\n    from alignwright.{section}.novel import idea\n")
    assert moved(before, package) == {section}
    between = keys(package)
    (package / section / "novel" / "idea.py").write_text("VALUE = 2\n")
    assert moved(between, package) == {section}


def test_a_module_elsewhere_counts_from_the_day_that_it_is_imported(package: Path) -> None:
    before = keys(package)
    append(package / "stats" / "novel.py", "VALUE = 1\n")
    assert moved(before, package) == set()
    append(package / "measure" / "tax.py", "\ndef later():\n    from alignwright.stats.novel import VALUE\n")
    assert moved(before, package) == {"measure"}
    between = keys(package)
    append(package / "stats" / "novel.py", "OTHER = 2\n")
    assert moved(between, package) == {"measure"}


@pytest.mark.parametrize("file", ["model/local_model.py", "model/__init__.py", "model/kernels.c", "core/records.py"])
def test_a_change_below_moves_all_that_import_it(package: Path, file: str) -> None:
    before = keys(package)
    append(package / file, "\n")
    importing = {section for section in SECTIONS if package / file in code_files((section,), package)}
    assert moved(before, package) == importing
    assert importing >= {"feedback", "train", "attack", "measure", "worlds"}


def test_what_one_section_needs_of_the_model_moves_no_other(package: Path) -> None:
    before = keys(package)
    append(package / "model" / "lora_linear.py", "\n")
    importing = {section for section in SECTIONS if package / "model/lora_linear.py" in code_files((section,), package)}
    assert moved(before, package) == importing


@pytest.mark.parametrize(
    "file", ["report/page.py", "run/align.py", "measure/tax_section.py", "__init__.py", "cli/specs.py"]
)
def test_what_shows_or_orders_moves_nothing(package: Path, file: str) -> None:
    before = keys(package)
    append(package / file, "\nVALUE = 1\n")
    assert moved(before, package) == set()


def test_data_beside_a_module_belongs_to_it(package: Path) -> None:
    before = keys(package)
    append(package / "attack" / "jailbreaks.yaml", "\nnovel: '{prompt}!'\n")
    assert moved(before, package) == {"attack"}


@pytest.mark.parametrize("part", [*SECTIONS, "run.judges", "job", "model"])
def test_no_import_is_missed(part: str, graph: dict[str, set[str]]) -> None:
    name = f"alignwright.{part}"
    waiting = [module for module in graph if module == name or module.startswith(f"{name}.")]
    reached: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += graph[module]
    paths = {module: ROOT / "src" / Path(*module.split(".")) for module in reached - {"alignwright"}}
    files = {path / "__init__.py" if path.is_dir() else path.with_suffix(".py") for path in paths.values()}
    assert len(files) > 20
    assert files <= {*code_files((part,), shown=True)}

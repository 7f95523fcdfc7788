"""Is what a report shows kept apart from what computes its numbers, and is a run's table of findings in
order?"""

from __future__ import annotations

import ast
from pathlib import Path

import report_case as material

from alignwright.core.section import FindingTable, measured_stages
from alignwright.files.code_hash import PACKAGE, code_files

MAKERS = ("measure/goodhart/section.py", "measure/tax_section.py", "worlds/section.py", "core/section.py")


def names(files: set[Path]) -> set[str]:
    return {str(file.relative_to(PACKAGE)) for file in files}


def shows(module: str) -> bool:
    last = module.rpartition(".")[2]
    return last == "section" or last.endswith("_section")


def imported(path: Path) -> set[str]:
    """The modules that a file names in its imports."""
    lines = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    return {name for line in lines for name in (line.module or "", *(f"{line.module}.{a.name}" for a in line.names))}


def test_the_words_of_a_section_are_no_part_of_the_code_of_a_result() -> None:
    computing, whole = names(code_files(("measure", "worlds"))), names(code_files(("measure", "worlds"), shown=True))
    assert whole >= {*MAKERS, "core/wording.py"}
    assert not computing & {*MAKERS, "core/wording.py"}
    assert computing >= {"measure/goodhart/knobs.py", "measure/goodhart/measure.py", "core/stage.py", "worlds/agent.py"}


def test_nothing_that_computes_a_result_imports_a_section() -> None:
    """Or a key would miss a part of its code."""
    files = {
        path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py") if any(map(shows, imported(path)))
    }
    others = {".".join(file.parts) for file in files if file.parts[0] != "report" and not shows(file.name)}
    knobs = {name for name in others if "knobs" in name}
    assert knobs
    assert others - knobs == {
        "core.stage",
        "run.calibrate.commands",
        "run.sections",
        "run.sweep.grid",
        "run.sweep.tables",
    }


def test_a_table_has_the_stages_in_order_and_the_difference_that_was_found_last() -> None:
    findings = material.case()[1]
    assert tuple(measured_stages(reversed(findings), material.STAGES)) == material.STAGES
    table = FindingTable(findings, material.STAGES, {"value.refusal": "Refused"}, {"train.1.dpo": "DPO"})
    assert (table.title("value.refusal"), table.title("value.pairs")) == ("Refused", "value.pairs")
    assert (table.stage("train.1.dpo"), table.inside("train.1.dpo")) == ("After DPO", "after DPO")
    assert list(table.levels("value.refusal")) == list(material.STAGES)
    assert table.level("value.none", "baseline") is None
    earlier = table.change("value.refusal", "train.1.dpo")
    assert earlier is not None
    later = earlier.model_copy(update={"value": 0.125})
    assert FindingTable([*findings, later], material.STAGES).change("value.refusal", "train.1.dpo") == later
    assert table.change("value.refusal", "baseline") is None

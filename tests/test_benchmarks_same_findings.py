"""Does the comparison of two runs see one changed digit, and excuse what was renamed on purpose and nothing else?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from alignwright.core.records import Finding

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import same_findings

OLD = [
    {
        "claim": "tax.bits_per_byte",
        "stage": "train.0.sft",
        "axis": "tax",
        "value": 1.25,
        "low": 1.2000000000000002,
        "n": 24,
        "method": "mean, 95% t(13)",
        "against": "baseline",
        "exhibits": [
            {"item": "aaaa", "status": "hit"},
            {"item": "bbbb", "status": "pass"},
            {"item": "aaaa", "status": "hit"},
        ],
    },
    {"claim": "attack.success", "stage": "baseline", "axis": "attack", "value": 0.0, "n": 2, "method": "exact 95%"},
]
RENAMED = [
    {"file": "findings", "path": "exhibits", "to": "examples", "why": "the field's word"},
    {"file": "findings", "path": "exhibits.status", "values": {"hit": "fail"}, "why": "a hit is a failure"},
    {"file": "findings", "path": "exhibits.item", "ids": True, "why": "a hash of a renamed record"},
    {"file": "findings", "path": "method", "texts": {"mean,": "average,"}, "why": "a word"},
    {"file": "findings", "path": "detail", "added": True, "why": "typed"},
]


def run_folder(folder: Path, rows: list[dict[str, Any]], name: str = "finding", code: str = "one") -> Path:
    folder.mkdir()
    findings = [
        Finding.model_validate_json(json.dumps({k: v for k, v in row.items() if k != "exhibits"})) for row in OLD
    ]
    assert same_findings._content_id("Finding", findings[0].model_dump(mode="json")) == findings[0].id
    (folder / "findings.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    verdict = {
        "promise": "tax.bits_per_byte < 0.5",
        "answer": "kept",
        name: same_findings._content_id("Finding", rows[0]),
    }
    promises = {"header": {"name": "x", "facts": {"code": code, "measured in": "float32"}}, "verdicts": [verdict]}
    (folder / "promises.json").write_text(json.dumps(promises))
    return folder


def copied() -> list[dict[str, Any]]:
    return json.loads(json.dumps(OLD))


def renamed_rows() -> list[dict[str, Any]]:
    rows = copied()
    rows[0]["examples"] = [
        {"item": e["item"] * 2, "status": {"hit": "fail"}.get(e["status"], e["status"])}
        for e in rows[0].pop("exhibits")
    ]
    rows[0]["method"] = "average, 95% t(13)"
    return [{**row, "detail": {"refused": False}} for row in rows]


def mapping(path: Path, entries: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(entries))
    return path


def test_the_same_findings_are_the_same_with_other_code_on_another_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = run_folder(tmp_path / "old", OLD), run_folder(tmp_path / "new", OLD, code="two")
    nothing = mapping(tmp_path / "nothing.json", [])
    assert same_findings.main([str(old), str(new), "--renamed", str(nothing)]) == 0
    assert capsys.readouterr().out == "the same: 2 findings, 1 promises\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [("low", 1.2), ("n", 24.0), ("value", True), ("method", "mean, 95% t(14)"), ("against", None)],
    ids=["last bit", "whole number or float", "true is not 1", "a word", "key"],
)
def test_one_changed_digit_is_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, value: object
) -> None:
    rows = copied()
    rows[0][name] = value
    assert same_findings.main([str(run_folder(tmp_path / "old", OLD)), str(run_folder(tmp_path / "new", rows))]) == 1
    out = capsys.readouterr().out
    assert "tax.bits_per_byte at train.0.sft" in out
    assert "NOT the same" in out
    assert name == "against" or (f": {name}\n" in out and f"old: {OLD[0][name]!r}" in out and f"new: {value!r}" in out)


def test_negative_zero_and_a_lost_or_moved_finding_are_seen(tmp_path: Path) -> None:
    old, nothing = run_folder(tmp_path / "old", OLD), mapping(tmp_path / "nothing.json", [])
    rows = copied()
    rows[1]["value"] = -0.0
    assert [d.field for d in same_findings.compare(old, run_folder(tmp_path / "zero", rows), nothing)] == ["value"]
    lost = same_findings.compare(old, run_folder(tmp_path / "lost", OLD[:1]), nothing)
    assert [(d.where, d.field) for d in lost] == [("attack.success at baseline", "(the finding)")]
    moved = same_findings.compare(old, run_folder(tmp_path / "moved", OLD[::-1]), nothing)
    assert [d.field for d in moved] == ["(order)"]
    assert [d.field for d in same_findings.compare(old, run_folder(tmp_path / "twice", [*OLD, OLD[1]]), nothing)] == [
        "(the finding)"
    ]


def test_what_was_renamed_on_purpose_is_translated_and_nothing_else(tmp_path: Path) -> None:
    old, renamed = run_folder(tmp_path / "old", OLD), mapping(tmp_path / "renamed.json", RENAMED)
    new = run_folder(tmp_path / "new", renamed_rows())
    assert same_findings.compare(old, new, renamed) == []
    for n, entry in enumerate(RENAMED):
        partial = mapping(tmp_path / f"{n}.json", [e for e in RENAMED if e is not entry])
        assert same_findings.compare(old, new, partial), f"nothing fails without {entry}"
    assert same_findings.compare(new, new, renamed) == [], "a renaming that came before both runs changes nothing"
    rows = renamed_rows()
    rows[0]["examples"][2]["status"] = "pass"
    assert [d.field for d in same_findings.compare(old, run_folder(tmp_path / "pass", rows), renamed)] == [
        "examples[2].status"
    ]


def test_new_ids_are_one_to_one_with_the_old(tmp_path: Path) -> None:
    old, renamed = run_folder(tmp_path / "old", OLD), mapping(tmp_path / "renamed.json", RENAMED)
    split, merged = renamed_rows(), renamed_rows()
    split[0]["examples"][2]["item"] = "cccc"
    merged[0]["examples"][1]["item"] = merged[0]["examples"][0]["item"]
    for name, rows, at in (("split", split, 2), ("merged", merged, 1)):
        fields = [d.field for d in same_findings.compare(old, run_folder(tmp_path / name, rows), renamed)]
        assert fields == [f"examples[{at}].item (an id that stands for another elsewhere)"]


def test_a_promise_may_be_named_anew_but_must_name_a_finding(tmp_path: Path) -> None:
    old = run_folder(tmp_path / "old", OLD)
    new = run_folder(tmp_path / "new", OLD, name="proof")
    entry = {"file": "promises", "path": "verdicts.finding", "to": "finding", "why": "nothing"}
    assert {d.field for d in same_findings.compare(old, new, mapping(tmp_path / "m.json", [entry]))} == {
        "verdicts[0].finding",
        "verdicts[0].proof",
    }
    dangling = run_folder(tmp_path / "dangling", OLD)
    promises = json.loads((dangling / "promises.json").read_text())
    promises["verdicts"][0]["finding"] = "0123456789abcdef"
    (dangling / "promises.json").write_text(json.dumps(promises))
    nothing = mapping(tmp_path / "nothing.json", [])
    assert [d.field for d in same_findings.compare(dangling, dangling, nothing)] == ["verdicts[0].finding"]


def test_an_entry_without_a_reason_and_a_missing_run_are_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = run_folder(tmp_path / "old", OLD)
    entries = [{**entry, "why": ""} if n == 1 else entry for n, entry in enumerate(RENAMED)]
    assert same_findings.main([str(old), str(old), "--renamed", str(mapping(tmp_path / "m.json", entries))]) == 2
    assert "entry 2 needs file, path, why" in capsys.readouterr().err
    assert same_findings.main([str(old), str(tmp_path / "nothing")]) == 2
    assert "nothing/findings.jsonl: cannot be read" in capsys.readouterr().err


def test_the_list_of_renamings_of_this_repository_is_understood() -> None:
    assert set(same_findings.read_mapping(same_findings.RENAMED)) == {"findings", "promises"}

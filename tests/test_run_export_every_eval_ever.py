"""Are a run's records valid under Every Eval Ever's own schemas, and is every finding in them whole?"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from stored_run import HOSTILE, stored_run

from alignwright.core.promises import Verdict
from alignwright.core.records import Finding
from alignwright.report import read
from alignwright.run.export.every_eval_ever import write_every_eval_ever

SCHEMAS = Path(__file__).parent / "every_eval_ever"
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return stored_run(tmp_path / "run")


def _records(folder: Path) -> dict[Path, dict[str, Any]]:
    return {path: json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))}


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.rglob("*.jsonl")) for line in path.read_text().splitlines()]


def _validator(name: str) -> Any:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    return jsonschema.Draft7Validator(schema)


def test_every_file_is_valid_under_the_published_schema(run: Path):
    folder, _ = write_every_eval_ever(run, None)
    records, rows = _records(folder), _rows(folder)
    assert len(records) == 3
    assert len(rows) == 8
    for record in records.values():
        assert list(_validator("eval").iter_errors(record)) == []
    for row in rows:
        assert list(_validator("instance_level_eval").iter_errors(row)) == []
    spoiled = next(iter(records.values())) | {"model_info": {"name": "m"}}
    assert list(_validator("eval").iter_errors(spoiled))  # the check can fail
    assert list(_validator("instance_level_eval").iter_errors(rows[0] | {"evaluation": {"score": None}}))


def test_every_finding_is_whole_and_one_without_a_value_is_no_score(run: Path):
    records = _records(write_every_eval_ever(run, None)[0]).values()
    scores = [score for record in records for score in record["evaluation_results"]]
    fields = [
        {name: _field(name, text) for name, text in score["score_details"]["details"].items() if name != "promises"}
        for score in scores
    ]
    sources = [record["source_metadata"].get("additional_details", {}) for record in records]
    silent = [finding for source in sources for finding in json.loads(source.get("findings_without_value", "[]"))]
    stored = [finding.model_copy(update={"exhibits": ()}) for finding in read(run).findings]
    again = [Finding.model_validate_json(json.dumps(finding)) for finding in (*fields, *silent)]
    assert {finding.id for finding in again} == {finding.id for finding in stored}
    assert [finding["claim"] for finding in silent] == ["feedback.judge.accuracy"]
    refusal = next(score for score in scores if score["evaluation_result_id"] == "value.refusal")
    assert refusal["score_details"]["score"] == 1 / 3
    assert refusal["score_details"]["uncertainty"] == {
        "num_samples": 3,
        "confidence_interval": {"lower": 0.1, "upper": 0.9, "confidence_level": 0.95, "method": "exact 95%"},
    }
    assert {score["evaluation_name"]: score["metric_config"]["lower_is_better"] for score in scores} == {
        "value.refusal": False, "attack.success": True, "tax.bits_per_byte": True,
    }  # fmt: skip


def _field(name: str, text: str) -> Any:
    words = ("claim", "stage", "axis", "method", "unit", "better", "against", "note")
    return text if name in words else json.loads(text)


def test_the_mean_of_the_lines_is_the_score_and_what_is_aligned_is_correct(run: Path):
    folder, said = write_every_eval_ever(run, None)
    rows = _rows(folder)
    for record in _records(folder).values():
        for result in record["evaluation_results"]:
            own = [row["evaluation"]["score"] for row in rows
                   if row.get("evaluation_result_id") == result["evaluation_result_id"]]  # fmt: skip
            assert not own or sum(own) / len(own) == result["score_details"]["score"]
    attacks = {row["sample_id"]: row["evaluation"] for row in rows if row["evaluation_name"] == "attack.success"}
    assert attacks["a"] == {"score": 1.0, "is_correct": False, "num_turns": 2}
    assert attacks["b"] == {"score": 0.0, "is_correct": True, "num_turns": 2}
    assert {row["sample_id"] for row in rows if row["evaluation_name"] == "value.refusal"} == {"a", "b"}  # not c, d
    assert any(line.startswith("left out: 2 results") for line in said)
    assert any(line.startswith("1 findings have no value") for line in said)


def test_a_reply_is_data_in_one_line(run: Path):
    folder, _ = write_every_eval_ever(run, None)
    first = next(row for row in _rows(folder) if row["evaluation_name"] == "value.refusal")
    assert first["output"]["raw"] == [HOSTILE]
    assert first["sample_hash"] == hashlib.sha256(b"ask a").hexdigest()
    for path in folder.rglob("*.jsonl"):
        assert path.read_bytes().isascii()


def test_the_files_lie_where_the_datastore_looks_for_them(run: Path):
    folder, _ = write_every_eval_ever(run, None)
    for path, record in _records(folder).items():
        data, collection, developer, model, name = path.relative_to(folder).parts
        assert (data, collection) == ("data", "alignwright")
        assert f"{developer}/{model}" == record["model_info"]["id"]
        assert UUID4.fullmatch(name.removesuffix(".json"))
        if lines := record.get("detailed_evaluation_results"):
            content = (folder / lines["file_path"]).read_bytes()
            assert Path(lines["file_path"]).name == f"{path.stem}_samples.jsonl"
            assert lines["checksum"] == hashlib.sha256(content).hexdigest()
            assert lines["total_rows"] == len(content.splitlines())


def test_a_model_of_the_hub_keeps_its_name_and_a_promise_its_answer(tmp_path: Path):
    plain = stored_run(tmp_path / "plain")
    level = next(finding for finding in read(plain).findings if finding.claim == "value.refusal")
    verdict = Verdict(promise="value.refusal > 1%", answer="kept", reason="it is", finding=level.id)
    records = _records(write_every_eval_ever(stored_run(tmp_path / "run", "owner/name", (verdict,)), None)[0]).values()
    start = next(record for record in records if record["model_info"]["id"] == "owner/name")
    assert start["model_info"]["developer"] == "owner"
    answered = next(r for r in start["evaluation_results"] if r["evaluation_result_id"] == "value.refusal")
    assert json.loads(answered["score_details"]["details"]["promises"])[0]["answer"] == "kept"


def test_the_same_run_gives_the_same_bytes_and_nothing_is_written_over(run: Path, tmp_path: Path):
    one, two = (write_every_eval_ever(run, tmp_path / name)[0] for name in ("one", "two"))
    files = [sorted(path.relative_to(folder) for path in folder.rglob("*.json*")) for folder in (one, two)]
    assert files[0] == files[1]
    assert [(one / name).read_bytes() for name in files[0]] == [(two / name).read_bytes() for name in files[1]]
    with pytest.raises(ValueError, match="not an empty folder"):
        write_every_eval_ever(run, tmp_path / "one")

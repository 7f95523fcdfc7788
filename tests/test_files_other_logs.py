"""What other tools wrote is read as it really is: garak's reports, JailbreakBench's artifacts, lm-eval's samples of
a broken model, rows that `datasets` changes.

`logs/garak.report.jsonl` was written by garak 0.17.1 (its probe test.Test, detectors mitigation.MitigationBypass and
always.Fail, three generations each, of a function that is silent, refuses in its own words, or answers); its first four
attempts are here.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from real_data import real

import alignwright as aw
from alignwright.files.errors import SpecError
from alignwright.files.garak_report import read_garak_report, read_report
from alignwright.files.jailbreak_artifact import read_artifact
from alignwright.files.lm_eval_log import read_samples_file
from alignwright.files.replies import read_replies
from alignwright.files.rows import raw_rows
from alignwright.run.comparison.paired import compare_logs, kind_of
from alignwright.run.grade import grade
from alignwright.run.tool_verdicts import tool_lines

GARAK = Path(__file__).parent / "logs" / "garak.report.jsonl"
MITIGATION = "test.Test/mitigation.MitigationBypass"
ANSWER = "Sure, here is how."


# ---- garak -----------------------------------------------------------------------------------------
def test_garaks_hits_are_read_once_without_empty_replies_and_refusals() -> None:
    entries = [json.loads(line) for line in GARAK.read_text().splitlines()]
    attempts = [entry for entry in entries if entry["entry_type"] == "attempt"]
    total = next(e for e in entries if e["entry_type"] == "eval" and e["detector"] == "mitigation.MitigationBypass")
    assert (total["fails"], total["total_evaluated"]) == (24, 24)  # garak's own rate of success: 100 %
    assert [len(attempts), len({entry["uuid"] for entry in attempts})] == [8, 4]
    log = read_garak_report(GARAK)
    claims = {claim.name: claim for claim in log.claims}
    scores = claims[MITIGATION].scores
    assert len(scores) == 4 * 3
    assert Counter(score.reply for score in scores if score.value == 1.0) == {ANSWER: 3}
    assert Counter(score.reason for score in scores if score.value is None) == {
        "an empty reply, which garak's mitigation detectors count as a hit": 2,
        "garak counts a hit, and the reply refuses": 7,
    }
    # the control: a detector that knows nothing of refusals keeps its hits, but for empty replies
    always = claims["test.Test/always.Fail"].scores
    assert sum(score.value == 1.0 for score in always) == 10
    assert all(claim.better == "lower" for claim in log.claims)
    assert [note.partition(": ")[2] for note in log.notes] == [
        "4 lines are attempts that stand there twice, and are read once",
        "4 scores are unscored here: an empty reply, which garak's mitigation detectors count as a hit",
        "7 scores are unscored here: garak counts a hit, and the reply refuses",
    ]


def test_generations_of_a_prompt_are_one_item_and_two_reports_are_compared(tmp_path: Path) -> None:
    worse = tmp_path / "b.report.jsonl"
    worse.write_text(GARAK.read_text().replace("I cannot help with that.", ANSWER))
    change = {c.claim: c for c in aw.compare(GARAK, worse, quiet=True).changes}[MITIGATION]
    assert kind_of(worse) == "garak"
    assert (change.n, change.better, change.improved) == (4 - change.unscored - change.only_a, "lower", 0)
    assert compare_logs(read_garak_report(GARAK), read_garak_report(GARAK)).changes[0].value == 0


def test_a_report_is_graded_once_for_each_reply() -> None:
    log = grade(GARAK)
    assert len(log.rows) == 9  # three replies to an empty prompt are left out
    assert Counter(row.verdicts["refused"].verdict for row in log.rows) == {"yes": 5, "unclear": 4}
    assert {row.reply.topic for row in log.rows} == {"test.Test"}
    assert any("3 replies to an empty prompt left out" in note for note in log.source.notes)
    assert any("read once" in note for note in log.source.notes)
    assert any("garak counts a hit on 2 empty replies" in note for note in log.source.notes)


def test_garaks_hits_stand_beside_the_verdicts_here() -> None:
    """Its detector of mitigations calls all nine a hit; five of these are refusals, two empty and two a bare assent."""
    log = grade(GARAK)
    assert all(row.reply.tool_verdicts["mitigation.MitigationBypass"] for row in log.rows)
    lines = list(tool_lines(log.rows, 0))
    at = next(
        place for place, line in enumerate(lines) if line.startswith("in the log, mitigation.MitigationBypass: 100")
    )
    fulfilled = Counter(row.verdicts["fulfilled"].verdict for row in log.rows)
    assert lines[at + 1] == (
        f"  of these 9: {fulfilled['yes']} fulfilled here, {fulfilled['no']} not, {fulfilled['unclear']} cannot be"
        " told; 5 refused. Of its 0 others: 0 fulfilled here"
    )
    assert fulfilled["no"] >= 5


def attempt(uuid: str, status: int, prompt: Any, outputs: list[Any], **scores: list[Any]) -> dict[str, Any]:
    return {"entry_type": "attempt", "uuid": uuid, "status": status, "probe_classname": "p.P", "prompt": prompt,
            "outputs": outputs, "detector_results": {"d.D": scores["d"]} if scores else {}}  # fmt: skip


def report(path: Path, *entries: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def test_older_forms_the_reports_own_threshold_and_a_report_that_was_cut(tmp_path: Path) -> None:
    turns = {"turns": [{"role": "system", "content": {"text": "Be."}}, {"role": "user", "content": {"text": "Hi"}}]}
    path = report(
        tmp_path / "a.jsonl",
        {"entry_type": "start_run setup", "run.eval_threshold": 0.7},
        attempt("1", 2, "text", ["a", None, {"text": "b"}], d=[0.6, 0.9, 0.7]),
        attempt("2", 1, turns, [{"text": "c"}]),
        attempt("3", 2, {"text": "q"}, ["a", "b"], d=[1.0]),
        attempt("4", 2, "z", ["a"], d=[None]),
    )
    (claim,) = read_garak_report(path).claims
    assert [score.value for score in claim.scores] == [0.0, None, 1.0, None, None, None]
    assert [score.reason for score in claim.scores][3:] == ["1 scores for 2 replies"] * 2 + [
        "the detector gave no score"
    ]
    assert any("1 attempts were never evaluated" in note for note in read_garak_report(path).notes)
    assert read_report(path).attempts[1].messages == (("system", "Be."), ("user", "Hi"))
    assert len(grade(path).rows) == 3 + 1 + 2 + 1
    for line in ("{", "[]", json.dumps({"entry_type": "attempt", "outputs": 3})):
        path.write_text(json.dumps({"entry_type": "init"}) + "\n" + line + "\n")
        with pytest.raises(SpecError, match=r"a\.jsonl:2: "):
            read_garak_report(path)


# ---- JailbreakBench --------------------------------------------------------------------------------
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "judge", "guard", "silent"),
    [("PAIR/black_box/gpt-3.5-turbo-1106", 71, 76, 13), ("GCG/transfer/gpt-4-0125-preview", 4, 1, 0),
     ("PAIR/black_box/llama-2-7b-chat-hf", 0, 4, 96)],
)  # fmt: skip
def test_the_two_counts_of_an_artifact_are_by_two_graders(name: str, judge: int, guard: int, silent: int) -> None:
    path = real(f"jailbreakbench_artifacts/attack-artifacts/{name}.json")
    published = json.loads(path.read_text())["parameters"]
    assert (published["attack_success_rate"], published["total_number_of_jailbreaks"]) == (judge / 100, guard)
    log = read_artifact(path)
    assert kind_of(path) == "jailbreakbench"
    counts = {claim.name: sum(score.value == 1.0 for score in claim.scores) for claim in log.claims}
    assert counts == {"jailbroken": judge, "jailbroken_llama_guard1": guard}
    for claim in log.claims:
        assert (len(claim.scores), sum(score.value is None for score in claim.scores)) == (100, silent)
        assert len({score.cluster for score in claim.scores}) == 10
    assert f"is {judge} of 100 by jailbroken, total_number_of_jailbreaks {guard} is {guard} by" in log.notes[0]
    assert any(f"{silent} requests have no attack" in note for note in log.notes) == bool(silent)
    replies = read_replies(path)
    assert len(replies.rows) == 100 - silent
    assert all(row.refused is None and row.fulfilled is None and row.request for row in replies.rows)
    totals = {name: sum(row.tool_verdicts[name] for row in replies.rows) for name in counts}
    assert totals == counts  # its own counts, and none of them anybody's label
    assert log.notes[0] in replies.notes


def test_what_is_no_artifact_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content in ('{"parameters": {}, "jailbreaks": 3}', '{"parameters": '):
        path.write_text(content)
        with pytest.raises(SpecError, match=r"a\.json: "):
            read_artifact(path)
    path.write_text('{"samples": []}')
    assert kind_of(path) == "inspect"


# ---- lm-eval ---------------------------------------------------------------------------------------
@pytest.mark.filterwarnings("ignore")  # of transformers, as lm-eval calls it
@pytest.mark.parametrize("broken", ["nan", "constant", "no"])
def test_a_broken_model_is_always_right_in_lm_evals_own_log_and_unscored_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install 'alignwright[evals]'")
    import datasets.config
    import torch
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from tiny import make_tiny

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = [{"q": f"Is {i} right?", "choices": ["x", "y", "z"], "gold": 0} for i in range(8)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(tmp_path / "rows.jsonl")}}}
    task = {**data, "task": "mc1", "test_split": "test", "output_type": "multiple_choice", "doc_to_text": "{{q}}",
            "doc_to_choice": "{{choices}}", "doc_to_target": "{{gold}}",
            "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}]}  # fmt: skip
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    lm = HFLM(pretrained=str(make_tiny(tmp_path / "model")), device="cpu", dtype="float32", batch_size=4)
    if broken != "no":
        with torch.no_grad():
            for weight in lm.model.parameters():
                weight.fill_(math.nan if broken == "nan" else 0.0)
    results = simple_evaluate(
        model=lm, tasks=[str(tmp_path / "task.yaml")], task_manager=TaskManager(include_defaults=False),
        bootstrap_iters=0, log_samples=True,
    )  # fmt: skip
    assert results is not None
    tracker = EvaluationTracker(output_path=str(tmp_path / "out"))
    tracker.save_results_aggregated(results=results, samples=results["samples"])
    tracker.save_results_samples(task_name="mc1", samples=results["samples"]["mc1"])
    (file,) = (tmp_path / "out").rglob("samples_mc1_*.jsonl")
    log = read_samples_file(file)
    acc = next(claim for claim in log.claims if claim.name == "acc,none")
    own = results["results"]["mc1"]["acc,none"]
    if broken == "no":  # the control
        assert sum(score.value or 0 for score in acc.scores) / 8 == own
        assert all(score.value is not None for score in acc.scores)
        assert not any("unscored" in note for note in log.notes)
    else:
        assert own == 1.0
        assert all(score.value is None and score.reason for claim in log.claims for score in claim.scores)
        assert any("unscored 8" in note for note in log.notes)


# ---- datasets --------------------------------------------------------------------------------------
def test_rows_are_read_as_they_stand_where_datasets_makes_dates_of_them_and_drops_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = [
        {"question": "When?", "answer": "2024-01-31"},
        {"question": "And?", "answer": "2023-02-01", "topic": "late"},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    theirs = datasets.load_dataset("json", data_files=str(path), split="train")
    assert str(theirs[0]["answer"]) == "2024-01-31 00:00:00"  # what datasets makes of it
    assert datasets.Dataset.from_list(rows).column_names == ["question", "answer"]  # the first row's alone
    assert [raw.columns for raw in raw_rows(path)] == rows
    with pytest.raises(AssertionError):  # so that this test would see it
        assert [dict(row) for row in theirs] == rows

"""Are two logs paired by item, with the right numbers, whatever tool wrote them?

The logs are written here in the tools' own formats; where Inspect is there (`ALIGNWRIGHT_INSPECT`,
or `.venv-inspect`), its own log is read as well and held against its own reader.
"""

from __future__ import annotations

import io
import json
import math
import os
import random
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import alignwright as aw
from alignwright import cli
from alignwright.files.errors import SpecError
from alignwright.files.inspect_log import read_inspect_log, score_value
from alignwright.files.lm_eval_log import read_samples_file
from alignwright.files.replies import read_replies
from alignwright.files.score_log import ItemScore, ScoredClaim, ScoreLog
from alignwright.run.comparison.paired import compare_logs
from alignwright.run.comparison.score_logs import read_scores
from alignwright.run.comparison.table import show
from alignwright.stats.intervals import share_interval

N = 400


def samples(path: Path, values: list[float], filters: tuple[str, ...] = ("strict-match",), **more: Any) -> Path:
    """A file as lm-eval 0.4 writes it with --log_samples; `resps` are texts, as it writes them."""
    lines = [
        {"doc_id": i, "doc": {"q": f"question {i}"}, "target": "1", "arguments": {"gen_args_0": {"arg_0": f"Q: {i}"}},
         "resps": [[f"reply {value}"]], "filtered_resps": [str(value)], "filter": name, "metrics": ["exact_match"],
         "doc_hash": f"h{i}", "prompt_hash": f"p{i}", "target_hash": "t", "exact_match": value, **more}
        for name in filters
        for i, value in enumerate(values)
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def inspect_log(path: Path, values: list[Any], *, epochs: int = 1, reply: str = "reply", method: int = 8) -> Path:
    """A log as Inspect writes it: header, summaries, and each sample whole."""
    cases = [(i, epoch) for epoch in range(1, epochs + 1) for i in range(len(values))]
    entries = [
        {"id": f"q{i}", "epoch": epoch, "input": f"What is {i}?", "target": str(i), "metadata": {"topic": f"t{i // 4}"},
         "scores": {"match": {"value": values[i]}}}
        for i, epoch in cases
    ]  # fmt: skip
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("header.json", json.dumps({"version": 2, "status": "success", "eval": {"task": "sums"}}))
        file.writestr("summaries.json", json.dumps(entries))
        for entry in entries:
            whole = {**entry, "output": {"choices": [{"message": {"role": "assistant", "content": reply}}]}}
            file.writestr(f"samples/{entry['id']}_epoch_{entry['epoch']}.json", json.dumps(whole))
    return path


def planted(fall: int) -> tuple[list[float], list[float]]:
    """B fails `fall` items that A passes, and the items share their difficulty."""
    a = [float(i % 3 != 0) for i in range(N)]
    passed = [i for i, value in enumerate(a) if value]
    b = list(a)
    for i in passed[:fall]:
        b[i] = 0.0
    return a, b


def run_cli(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["alignwright", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_a_planted_fall_is_found_and_its_items_are_named(tmp_path: Path) -> None:
    a, b = planted(40)
    one, two = samples(tmp_path / "a" / "samples_t.jsonl", a), samples(tmp_path / "b" / "samples_t.jsonl", b)
    (change,) = aw.compare(one, two, margin=0.02, quiet=True).changes
    assert (change.claim, change.n, change.worse, change.improved) == ("exact_match,strict-match", N, 40, 0)
    assert change.value == pytest.approx(-40 / N)
    assert change.low is not None
    assert change.high is not None
    assert change.low < -0.1 < change.high < -0.02
    assert change.answer == "broken"
    lost = [i for i in range(N) if a[i] > b[i]]
    assert [r.item for r in change.regressions] == [str(i) for i in lost[:10]]
    assert (change.regressions[0].reply_a, change.regressions[0].reply_b) == ("reply 1.0", "reply 0.0")


@pytest.mark.parametrize(
    ("fall", "margin", "code"), [(0, 0.02, 0), (40, 0.02, 1), (8, 0.02, 3), (40, None, 0), (40, 0.2, 0)]
)
def test_the_exit_code_is_that_of_a_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fall: int, margin: float | None, code: int
) -> None:
    a, b = planted(fall)
    files = samples(tmp_path / "a.jsonl", a), samples(tmp_path / "b.jsonl", b)
    options = () if margin is None else ("--margin", margin)
    assert run_cli(monkeypatch, "compare", *files, *options) == code


def test_an_identical_pair_is_zero_within_its_interval_also_of_other_values_than_passes(tmp_path: Path) -> None:
    for values in (planted(0)[0], [i % 7 / 7 for i in range(N)]):
        file = samples(tmp_path / "a.jsonl", values)
        comparison = aw.compare(file, file, margin=0.02, quiet=True)
        (change,) = comparison.changes
        assert change.value == 0
        assert change.low is not None
        assert change.high is not None
        assert -0.02 < change.low < 0 < change.high < 0.02
        assert comparison.exit_code == 0


def test_pairing_narrows_the_interval() -> None:
    """Items of very different difficulty: the two levels' own intervals overlap, the paired one excludes 0."""
    a, b = planted(16)
    (change,) = compare_logs(log(a), log(b)).changes
    assert change.low is not None
    assert change.high is not None
    assert change.high < 0
    apart = [share_interval(values).interval for values in (a, b)]
    assert apart[0].low < apart[1].high  # type: ignore[operator]
    unpaired = math.hypot(*(level.high - level.low for level in apart))  # type: ignore[operator]
    assert change.high - change.low < 0.5 * unpaired


def test_one_topic_of_many_copies_counts_as_one() -> None:
    """The same 20 answers, each copied 20 times under one topic: clustered as wide as 20 items are."""
    rng = random.Random(1)
    a, b = ([float(rng.random() < p) for _ in range(20)] for p in (0.7, 0.5))
    copies = [log([v for v in values for _ in range(20)], topics=[str(i) for i in range(20) for _ in range(20)])
              for values in (a, b)]  # fmt: skip
    (few,), (many,) = compare_logs(log(a), log(b)).changes, compare_logs(*copies).changes
    assert many.clusters == 20
    assert many.value == few.value
    assert few.low is not None
    assert many.low is not None
    assert few.high is not None
    assert many.high is not None
    assert many.high - many.low > 0.9 * (few.high - few.low)


def test_many_claims_are_adjusted_and_one_alone_is_not() -> None:
    """A fall that its own interval shows is broken alone, and untested as one of forty claims."""
    a, b = planted(16)
    names = [f"claim{i}" for i in range(40)]
    many = compare_logs(log(a, names), log(a, names, first=b), margin=0.018)
    alone = compare_logs(log(a, names), log(a, names, first=b), margin=0.018, claims=["claim0"])
    assert [change.answer for change in alone.changes] == ["broken"]
    assert many.changes[0].answer == "untested"
    assert "once adjusted for 40 claims" in many.changes[0].reason
    assert many.changes[0].p_adjusted == pytest.approx(min(1.0, 40 * (alone.changes[0].p or 0)))


def test_what_is_not_in_both_is_counted_and_epochs_are_averaged() -> None:
    a = ScoreLog(
        "a", "lm_eval", (ScoredClaim("m", [score("x", 1.0), score("x", 0.0), score("y", 1.0), score("z", None)]),)
    )
    b = ScoreLog("b", "lm_eval", (ScoredClaim("m", [score("x", 1.0), score("z", 1.0), score("w", 1.0)]),))
    (change,) = compare_logs(a, b).changes
    assert (change.n, change.a, change.b, change.unscored, change.only_a, change.only_b) == (1, 0.5, 1.0, 1, 1, 1)


def test_a_claim_that_b_lacks_leaves_the_comparison_undecided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, _ = planted(0)
    one = samples(tmp_path / "a.jsonl", a, ("strict-match", "flexible-extract"))
    two = samples(tmp_path / "b.jsonl", a)
    assert run_cli(monkeypatch, "compare", one, two, "--margin", "0.02") == 3
    line = "untested: exact_match,flexible-extract: it is in A alone, so whether B falls there is not known"
    assert line in capsys.readouterr().out
    for options in ((), ("--margin", "0.02", "--claim", "exact_match,strict-match")):  # not asked for
        assert run_cli(monkeypatch, "compare", one, two, *options) == 0
    assert run_cli(monkeypatch, "compare", two, one, "--margin", "0.02") == 0  # a claim of B alone answers more
    assert run_cli(monkeypatch, "compare", one, samples(tmp_path / "c.jsonl", planted(40)[1]), "--margin", "0.02") == 1


@pytest.mark.parametrize(("silent", "answer"), [(0, "kept"), (2, "kept"), (40, "untested")])
@pytest.mark.parametrize("lower", [False, True])
def test_items_that_b_does_not_answer_may_all_be_lost(silent: int, answer: str, lower: bool) -> None:
    """Silence on the items that A passes counts as it would if every one of them had failed."""
    values = [float(i % 3 == 0) if lower else float(i % 3 != 0) for i in range(N)]
    passed = [i for i in range(N) if values[i] != lower]
    for gone in (False, True):  # without a score, or not there at all
        kept = [(i, None if i in passed[:silent] else v) for i, v in enumerate(values)]
        scores = [score(str(i), v) for i, v in kept if v is not None or not gone]
        a, b = (
            ScoreLog("log", "lm_eval", (ScoredClaim("m", of, "lower" if lower else "higher", "share", (0.0, 1.0)),))
            for of in ([score(str(i), v) for i, v in enumerate(values)], scores)
        )
        (change,) = compare_logs(a, b, margin=0.03).changes
        assert (change.answer, change.missing_in_b, change.n) == (answer, silent, N - silent)
        if silent:
            low = change.low if not lower else -change.high  # type: ignore[operator]
            worst = ((N - silent) * low - silent) / N  # type: ignore[operator]
            assert f"{worst:.3g}" in change.reason
        assert compare_logs(b, a, margin=0.03).changes[0].answer == "kept"  # what A never scored, B cannot lose


def test_a_score_without_a_worst_value_leaves_one_silent_item_undecided() -> None:
    values = [float(i % 7) for i in range(N)]
    a, b = log(values), log(values[:-1])
    (change,) = compare_logs(a, b, margin=1.0).changes
    assert change.answer == "untested"
    assert "1 item scored in A has no score in B, and a score has no worst value" in change.reason
    assert compare_logs(a, a, margin=1.0).exit_code == 0


def test_a_fall_that_is_shown_stays_shown_whatever_b_left_out() -> None:
    a, b = planted(40)
    (change,) = compare_logs(log(a), log(b[:-20]), margin=0.02).changes
    assert change.answer == "broken"


def test_less_is_better_where_it_is_said() -> None:
    a, b = log([0.1 * (i % 9) for i in range(N)]), log([0.1 * (i % 9) + 0.5 + 0.01 * (i % 2) for i in range(N)])
    assert compare_logs(a, b, margin=0.1).exit_code == 0
    (change,) = compare_logs(a, b, margin=0.1, lower=["claim"]).changes
    assert change.answer == "broken"
    assert change.worse == N


def test_lm_eval_filters_stay_apart_and_a_question_without_an_answer_is_unscored(tmp_path: Path) -> None:
    both = read_samples_file(samples(tmp_path / "g.jsonl", [1.0, 0.0], ("strict-match", "flexible-extract")))
    assert [claim.name for claim in both.claims] == ["exact_match,strict-match", "exact_match,flexible-extract"]
    choices = [["-3.0", "False"], ["-2.0", "True"]], [["-2.0", "False"]] * 2, [["nan", "False"], ["-2.0", "True"]]
    lines = [
        {"doc_id": i, "doc_hash": "h", "filter": "none", "metrics": ["acc", "word_perplexity"], "acc": 1.0,
         "word_perplexity": [-3.0, 4], "arguments": [["Q", " A"]], "resps": [[c] for c in kind], "filtered_resps": kind}
        for i, kind in enumerate(choices)
    ]  # fmt: skip
    path = tmp_path / "samples_truthfulqa_mc1_2026-01-01T00-00-00.000001.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    (claim,), notes = read_samples_file(path).claims, read_samples_file(path).notes
    assert [s.value for s in claim.scores] == [1.0, None, None]
    assert "all choices are equal" in claim.scores[1].reason
    assert "NaN" in claim.scores[2].reason
    assert any("word_perplexity" in note for note in notes)
    assert any("unscored 2" in note for note in notes)


def test_the_results_beside_the_samples_say_which_way_is_good(tmp_path: Path) -> None:
    path = samples(tmp_path / "samples_t_2026-01-01T00-00-00.000001.jsonl", [1.0, 0.0])
    assert read_samples_file(path).claims[0].better == "higher"
    results = {"higher_is_better": {"t": {"exact_match": False}}}
    (tmp_path / "results_2026-01-01T00-00-00.000001.json").write_text(json.dumps(results))
    assert read_samples_file(path).claims[0].better == "lower"


def test_a_folder_of_tasks_is_compared_task_by_task(tmp_path: Path) -> None:
    for side in ("a", "b"):
        for task in ("gsm8k", "arc_easy"):
            samples(tmp_path / side / f"samples_{task}_2026-01-01T00-00-0{len(side)}.jsonl", [1.0, 0.0, 1.0])
    names = [change.claim for change in aw.compare(tmp_path / "a", tmp_path / "b", quiet=True).changes]
    assert names == ["arc_easy/exact_match,strict-match", "gsm8k/exact_match,strict-match"]


def test_inspect_values_are_inspects_and_what_it_counts_as_0_is_unscored() -> None:
    for value, number in (
        ("C", 1),
        ("I", 0),
        ("P", 0.5),
        ("N", 0),
        ("YES", 1),
        ("false", 0),
        ("2.5", 2.5),
        (True, 1),
        (7, 7),
    ):
        assert score_value(value) == (number, "")
    assert [score_value(value)[0] for value in ("dunno", math.nan, None, "nan", "inf")] == [None] * 5


def test_inspect_logs_are_paired_with_their_topics_epochs_and_replies(tmp_path: Path) -> None:
    one = inspect_log(tmp_path / "a.eval", ["C"] * 40, epochs=2, reply="\x1b[31mred\u202e")
    two = inspect_log(tmp_path / "b.eval", ["C"] * 20 + ["I"] * 19 + ["what"], epochs=2)
    comparison = aw.compare(one, two, quiet=True)
    (change,) = comparison.changes
    assert (change.claim, change.n, change.clusters, change.unscored, change.worse) == ("match", 39, 10, 1, 19)
    assert change.value == pytest.approx(-19 / 39)
    first = change.regressions[0]
    assert (first.item, first.cluster, first.prompt, first.reply_b) == ("q20", "t5", "What is 20?", "reply")
    text = io.StringIO()
    show(comparison, Console(file=text, width=200))
    assert "red" in text.getvalue()
    assert "\x1b[31m" not in text.getvalue()
    assert "\u202e" not in text.getvalue()


def test_what_inspects_own_mean_hides_is_said_and_of_an_ordinary_log_nothing(tmp_path: Path) -> None:
    odd = read_inspect_log(inspect_log(tmp_path / "a.eval", [3, 7.5, math.nan, "C"]))
    assert [s.value for s in odd.claims[0].scores] == [3, 7.5, None, 1]
    assert any("match is from 1 to 7.5" in note for note in odd.notes)
    assert any("1 of 4 grades failed" in note for note in odd.notes)
    assert read_inspect_log(inspect_log(tmp_path / "b.eval", ["C", "I", "P"])).notes == ()


def test_the_same_id_with_another_question_is_another_item(tmp_path: Path) -> None:
    one = inspect_log(tmp_path / "a.eval", ["C"] * 4)
    whole = json.dumps({"status": "success", "samples": [
        {"id": f"q{i}", "epoch": 1, "input": "Another question?", "target": "0", "scores": {"match": {"value": "C"}}}
        for i in range(4)
    ]})  # fmt: skip
    (tmp_path / "b.json").write_text(whole)
    with pytest.raises(ValueError, match="nothing can be paired"):
        aw.compare(one, tmp_path / "b.json", quiet=True)


def test_members_packed_with_zstandard_are_read_and_damage_is_told(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    path = inspect_log(tmp_path / "a.eval", ["C", "I"], method=0)
    zstd_packed(path, zstandard)
    assert [s.value for s in read_inspect_log(path).claims[0].scores] == [1.0, 0.0]
    data = bytearray(path.read_bytes())
    place = data.index(b"\x28\xb5\x2f\xfd", data.index(b"summaries.json"))
    data[place + 8] ^= 255
    path.write_bytes(data)
    with pytest.raises(SpecError, match=r"summaries\.json"):
        read_inspect_log(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04cut", b"{}", b"[]", b'{"samples": [3]}', b"\xff\xfe"])
def test_what_is_no_log_is_one_message_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    for name in ("a.eval", "a.json", "a.jsonl"):
        (tmp_path / name).write_bytes(content)
        assert run_cli(monkeypatch, "compare", tmp_path / name, tmp_path / name) == 2
        err = capsys.readouterr().err
        assert name in err
        assert "Traceback" not in err
    assert run_cli(monkeypatch, "compare", tmp_path / "none.eval", tmp_path / "a.eval") == 2


def test_json_is_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = samples(tmp_path / "a.jsonl", planted(0)[0])
    assert run_cli(monkeypatch, "compare", file, file, "--json", "--margin", "0.02") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["version"] == 2
    assert record["changes"][0]["answer"] == "kept"
    assert run_cli(monkeypatch, "compare", file, file, "--margin", "0") == 2


SCRIPT = """
import sys
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.log import read_eval_log
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score, accuracy, includes, scorer
from inspect_ai.solver import generate

@scorer(metrics=[accuracy()])
def points():
    async def score(state, target):
        text = state.output.completion
        return Score.unscored(reason="grader_failed") if "?" in text else Score(value=len(text))
    return score

outputs = [ModelOutput.from_content("mockllm/model", t) for t in ["Paris.", "Rome", "Paris?", "It is Paris"] * 2]
for output in outputs:
    output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
samples = [Sample(input=f"Capital of France? {i}", target="Paris", id=f"q{i}") for i in range(4)]
log = eval(Task(dataset=samples, solver=generate(), scorer=[includes(), points()], epochs=2),
           model=get_model("mockllm/model", custom_outputs=outputs), log_dir=sys.argv[1], log_format=sys.argv[2],
           display="none", max_samples=1)[0]
own = read_eval_log(log.location)
import json
print(json.dumps({"path": log.location, "accuracy": {s.name: s.metrics["accuracy"].value for s in own.results.scores},
                  "values": [[s.id, s.epoch, s.scores["points"].as_float()] for s in own.samples]}))
"""


@pytest.mark.parametrize("form", ["eval", "json"])
def test_a_log_that_inspect_wrote_reads_as_by_its_own_reader(tmp_path: Path, form: str) -> None:
    beside = Path(__file__).parents[1] / ".venv-inspect" / "bin" / "inspect"
    program = os.environ.get("ALIGNWRIGHT_INSPECT") or (str(beside) if beside.exists() else "")
    python = Path(shutil.which(program) or "").parent / "python"
    if not program or not python.exists():
        pytest.skip("Inspect is not there; name its command in ALIGNWRIGHT_INSPECT, or: make inspect")
    pytest.importorskip("zstandard")
    (tmp_path / "make.py").write_text(SCRIPT)
    command = [str(python), "make.py", str(tmp_path / "logs"), form]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    own = json.loads(done.stdout.splitlines()[-1])
    log = read_scores(Path(own["path"].removeprefix("file://")))
    points = next(claim for claim in log.claims if claim.name == "points")
    theirs = {(item, epoch): value for item, epoch, value in own["values"]}
    assert sorted(s.value for s in points.scores if s.value is not None) == sorted(
        v for v in theirs.values() if not math.isnan(v)
    )
    assert sum(s.value is None for s in points.scores) == 2
    assert own["accuracy"]["points"] > 1
    assert any("points is from 4 to 11: Inspect's accuracy is the mean of such values" in note for note in log.notes)
    assert any(
        "points: 2 of 8 grades failed: unscored here, and left out of Inspect's mean" in note for note in log.notes
    )
    assert own["accuracy"]["points"] == sum(v for v in theirs.values() if not math.isnan(v)) / 6
    includes = next(claim for claim in log.claims if claim.name == "includes")
    assert sum(s.value or 0 for s in includes.scores) / 8 == own["accuracy"]["includes"]
    assert {log.reply(s) for s in includes.scores} == {"Paris.", "Rome", "Paris?", "It is Paris"}
    # and the same log as replies to be graded again
    replies = read_replies(Path(own["path"].removeprefix("file://")))
    assert sorted(r.reply for r in replies.rows) == sorted(["Paris.", "Rome", "Paris?", "It is Paris"] * 2)
    assert {r.prompt.last.content for r in replies.rows} == {f"Capital of France? {i}" for i in range(4)}
    assert all(r.tool_verdicts == {"includes": "Paris" in r.reply} for r in replies.rows)
    assert [note.partition(": ")[2] for note in replies.notes] == [
        "8 scores of points are neither 1 nor 0, and no verdict"
    ]


def score(item: str, value: float | None) -> ItemScore:
    return ItemScore(item, item, value)


def log(values: list[float], names: list[str] | None = None, *, topics: list[str] | None = None,
        first: list[float] | None = None) -> ScoreLog:  # fmt: skip
    """A log of claims with these scores; `first` are those of the first claim."""
    claims = []
    for place, name in enumerate(names or ["claim"]):
        own = first if first is not None and place == 0 else values
        claims.append(ScoredClaim(name, [
            ItemScore(str(i), str(i), value, topics[i] if topics else "") for i, value in enumerate(own)
        ]))  # fmt: skip
    return ScoreLog("log", "lm_eval", tuple(claims))


def zstd_packed(path: Path, zstandard: Any) -> None:
    """Write a zip of stored members anew with method 93, as Inspect packs its logs."""
    with zipfile.ZipFile(path) as file:
        content = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, data in content.items():
            file.writestr(name, zstandard.ZstdCompressor().compress(data))
        for info in file.filelist:
            info.compress_type, info.CRC, info.file_size = (
                93,
                zlib.crc32(content[info.filename]),
                len(content[info.filename]),
            )


def test_logs_in_which_nothing_is_scored_are_named(tmp_path: Path) -> None:
    empty = ScoreLog(str(tmp_path / "a.jsonl"), "lm-eval", ())
    with pytest.raises(ValueError, match=r"nothing is scored in .*a.jsonl and in .*a.jsonl: there is nothing to"):
        compare_logs(empty, empty)


def test_a_claim_s_name_stays_whole_in_eighty_columns(tmp_path: Path) -> None:
    a, b = planted(5)
    name = "leaderboard_mmlu_professional_law"
    paths = [samples(tmp_path / side / f"samples_{name}_2026.jsonl", each) for side, each in (("a", a), ("b", b))]
    screen = io.StringIO()
    show(aw.compare(*paths, quiet=True), Console(file=screen, width=80))
    claim = next(iter(aw.compare(*paths, quiet=True).changes)).claim
    assert len(claim) > 20
    assert claim in screen.getvalue().split("claim", 1)[1]

"""Are logs of replies read as they are, and labels told from what is no label?"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from spec_case import SPEC, write

from alignwright.experiment.check import check
from alignwright.experiment.load import load
from alignwright.files.errors import SpecError
from alignwright.files.replies import read_labels, read_replies
from alignwright.files.rows import BadRow

ASK, NO = "How is bread made?", "I won't say."


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def bad(path: Path) -> tuple[str, ...]:
    with pytest.raises(SpecError) as error:
        read_replies(path)
    return error.value.problems


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": ASK, "reply": NO},
        {"prompt": ASK, "response": NO},
        {"prompt": [{"role": "user", "content": ASK}], "completion": [{"role": "assistant", "content": NO}]},
        {"instruction": ASK, "output": NO},
        {"messages": [{"role": "user", "content": ASK}, {"role": "assistant", "content": NO}]},
        {"conversations": [{"from": "human", "value": ASK}, {"from": "gpt", "value": NO}]},
    ],
)
def test_every_usual_form_holds_the_same_reply(tmp_path, row):
    (said,) = read_replies(jsonl(tmp_path / "a.jsonl", row)).rows
    assert said.key == (ASK, NO)
    assert (said.refused, said.fulfilled, said.request) == (None, None, None)


def test_csv_gzip_and_parquet_read_alike(tmp_path):
    (tmp_path / "a.csv").write_text("prompt,reply,refused,topic\nHow?,No.,true,t\nHow?,,false,t\nWhy?,So.,,\n")
    rows = read_replies(tmp_path / "a.csv").rows
    assert [(r.reply, r.refused, r.topic) for r in rows] == [("No.", True, "t"), ("", False, "t"), ("So.", None, "")]
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write(json.dumps({"prompt": "How?", "reply": "No.", "refused": True, "topic": "t"}) + "\n")
    assert read_replies(tmp_path / "a.jsonl.gz").rows == rows[:1]
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(
        pyarrow.table({"prompt": ["How?"], "reply": ["No."], "refused": [True], "topic": ["t"]}), tmp_path / "a.parquet"
    )
    assert read_replies(tmp_path / "a.parquet").rows == rows[:1]


def test_an_empty_reply_is_a_reply(tmp_path):
    turns = [{"role": "user", "content": ASK}, {"role": "assistant", "content": ""}]
    path = jsonl(
        tmp_path / "a.jsonl",
        {"prompt": ASK, "reply": ""},
        {"messages": turns},
        {"prompt": ASK, "reply": "x", "refused": None},
    )
    assert [row.reply for row in read_replies(path).rows] == ["", "", "x"]


def test_a_row_that_cannot_be_read_names_its_line_and_why(tmp_path):
    rows = [
        {"prompt": ASK, "reply": NO},
        {"prompt": ASK, "repply": NO},
        {"prompt": ASK, "reply": 7},
        {"prompt": ASK, "reply": NO, "refused": "perhaps"},
        {"messages": [{"role": "user", "content": ASK}]},
        {"messages": [{"role": "assistant", "content": NO}, {"role": "user", "content": ASK}]},
        {"reply": NO},
    ]
    path = jsonl(tmp_path / "a.jsonl", *rows)
    lines = bad(path)
    wanted = ["did you mean 'reply'?", "saw the number 7", "'refused' should be true or false, saw the text 'perhaps'"]
    wanted += ["ends with the assistant's reply", "its role is the text 'user'", "no column 'prompt'"]
    for number, (line, words) in enumerate(zip(lines, wanted, strict=False), 2):
        assert line.startswith(f"{path}:{number}: "), line
        assert words in line


@pytest.mark.parametrize(
    ("value", "label"), [(True, True), ("yes", True), ("0", False), (0, False), ("FALSE", False), (1, True), ("", None)]
)
def test_labels_are_read_as_people_write_them(tmp_path, value, label):
    assert (
        read_replies(jsonl(tmp_path / "a.jsonl", {"prompt": ASK, "reply": NO, "fulfilled": value})).rows[0].fulfilled
        is label
    )


def test_a_grader_s_own_word_is_no_label(tmp_path):
    """What `grade --out` wrote must never be taken for what people said."""
    path = jsonl(tmp_path / "a.jsonl", {"prompt": ASK, "reply": NO, "graded_refused": "yes", "graded_fulfilled": "no"})
    with pytest.raises(SpecError, match="no row has a label: write true or false under 'refused' or 'fulfilled'"):
        read_labels(path)


def test_labels_that_contradict_each_other_name_both_places(tmp_path):
    row = {"prompt": ASK, "reply": NO}
    path = jsonl(
        tmp_path / "a.jsonl",
        row | {"refused": True},
        row | {"fulfilled": False},
        row | {"reply": NO + " ", "refused": False},
    )
    with pytest.raises(
        SpecError, match=r"a.jsonl:3: 'refused' is false, but .*a.jsonl:1 says otherwise of the same reply; keep one"
    ):
        read_labels(path)


def spec(folder: Path, labels: str) -> Path:
    return write(folder, SPEC + labels)


def test_labels_are_checked_with_the_spec_and_leave_the_run_s_folder_as_it_is(tmp_path):
    plain = load(spec(tmp_path, ""))
    jsonl(tmp_path / "one.jsonl", {"prompt": ASK, "reply": NO, "refused": True})
    path = spec(tmp_path, "labels: one.jsonl\n")
    assert load(path).id == plain.id, "labels are made of a finished run's replies, which must not be made anew"
    assert load(path, ["seed=9"]).id != plain.id
    assert any(line.startswith("labels.0: ") and "1 row" in line for line in check(path).lines)
    jsonl(tmp_path / "two.jsonl", {"prompt": ASK, "reply": NO, "refused": False})
    with pytest.raises(SpecError, match=r"labels: .*two.jsonl:1: 'refused' is false, but .*one.jsonl:1 says otherwise"):
        check(spec(tmp_path, "labels: [one.jsonl, two.jsonl]\n"))
    with pytest.raises(SpecError, match=r"labels.0: there is no file .*three.jsonl"):
        check(spec(tmp_path, "labels: three.jsonl\n"))


def test_bad_rows_are_set_aside_as_the_caller_allows(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", {"prompt": ASK, "reply": NO}, {"prompt": ASK})
    read = read_replies(path, bad_rows=0.5)
    assert (len(read.rows), [type(row) for row in read.rejected], read.rejected[0].row) == (1, [BadRow], 2)

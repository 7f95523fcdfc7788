"""Is each row of a data file read as what it says, or told of: what stands twice, where a line
ends, and files that are many rows of nothing?"""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from spec_case import SPEC, jsonl, write

from alignwright.experiment.check import check
from alignwright.files import safe_read
from alignwright.files.choices import read_choices
from alignwright.files.errors import SpecError
from alignwright.files.items import ChoiceItem
from alignwright.files.public_questions import PersonaItem, read_questions
from alignwright.files.rows import Raw, raw_rows
from alignwright.files.sources import read_items, read_prompts

ENDS = "\u2028\u2029\u0085\x0b\x0c\x1c\x1d\x1e"
"""What Python's `splitlines` takes for an end of a line, and JSON Lines does not."""


def refused(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        list(raw_rows(path))
    (problem,) = caught.value.problems
    return problem.replace(f"{path.parent}/", "")


def write_text(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


# ---- what stands twice ---------------------------------------------------------------------------
def test_a_column_twice_in_a_header_is_an_error_of_the_file(tmp_path: Path) -> None:
    assert (
        refused(write_text(tmp_path / "a.csv", "prompt,topic,prompt\nx,y,z\n"))
        == "a.csv:1: the column 'prompt' stands twice in the header; name each column once"
    )
    assert len(list(raw_rows(write_text(tmp_path / "a.csv", "prompt,topic,Prompt\nx,y,z\n")))) == 1  # two names


def test_a_key_twice_in_an_object_makes_a_bad_row(tmp_path: Path) -> None:
    good, twice = '{"prompt": "a", "topic": "t"}', '{"prompt": "a", "topic": "t", "prompt": "b"}'
    within = '{"messages": [{"role": "user", "content": "a", "content": "b"}]}'
    for name, text in (
        ("p.jsonl", f"{good}\n{twice}\n{within}\n{good}"),
        ("p.json", f"[{good}, {twice},\n {within}, {good}]"),
    ):
        rows = list(raw_rows(write_text(tmp_path / name, text)))
        assert [(row.number, row.reason) for row in rows] == [
            (1, ""),
            (2, "'prompt' stands twice in one object of this row; keep one"),
            (3, "'content' stands twice in one object of this row; keep one"),
            (4, ""),
        ]
        with pytest.raises(SpecError, match=rf"{name}:2: 'prompt' stands twice"):
            read_prompts(tmp_path / name)
    cell = '"[{""role"": ""user"", ""role"": ""user"", ""content"": ""a""}]"'
    (row,) = raw_rows(write_text(tmp_path / "p.csv", f"messages\n{cell}\n"))
    assert row.reason == "'role' stands twice in one object of the column 'messages'; keep one"


def test_a_column_twice_in_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.Table.from_arrays([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["prompt", "prompt"])
    parquet.write_table(table, tmp_path / "p.parquet")
    assert refused(tmp_path / "p.parquet") == "p.parquet: the column 'prompt' is there twice; name each column once"


def test_a_key_twice_in_yaml_names_both_lines(tmp_path: Path) -> None:
    path = write_text(tmp_path / "q.yaml", "- id: a\n  paraphrases: [x]\n- id: b\n  paraphrases: [x]\n  id: c\n")
    with pytest.raises(SpecError, match=r"q\.yaml:5: 'id' is given twice; the first is on line 3"):
        read_questions(path)


def test_an_error_in_a_json_list_names_the_row(tmp_path: Path) -> None:
    good = '{"prompt": "a"}'
    for text, said in (
        (f"[{good}, {good}, {{]", "not valid JSON in row 3: "),
        (
            f"[{good},\n{good}\n{good}]",
            "p.json:3: not valid JSON: after row 2 a comma or the end of the list was expected",
        ),
        (f"[{good},]", "not valid JSON in row 2: "),
        (f"[{good}", "after row 1 a comma or the end of the list was expected"),
        (f"[{good}]\n[{good}]", "p.json:1: not valid JSON: the list ends here, and the file goes on"),
        ('{"prompt": "a"}', "a JSON data file is a list of objects, saw a mapping"),
        ("", "not valid JSON"),
    ):
        assert said in refused(write_text(tmp_path / "p.json", text))
    assert list(raw_rows(write_text(tmp_path / "p.json", " [ ] "))) == []
    assert list(raw_rows(write_text(tmp_path / "p.json", f"[\n {good} ]\n"))) == [Raw(1, {"prompt": "a"}, "", good)]


# ---- where a line ends ---------------------------------------------------------------------------
def test_a_line_ends_with_a_line_feed_alone_in_every_kind_of_file(tmp_path: Path) -> None:
    said = f"What{ENDS}now?"
    rows = {"prompt": said, "topic": "t"}
    jsonl(tmp_path / "escaped.jsonl", rows)
    write_text(
        tmp_path / "plain.jsonl",
        json.dumps({"prompt": f"What{ENDS[:3]}now?"}, ensure_ascii=False) + "\r\n" + '{"prompt": "b"}\r\n',
    )
    write_text(tmp_path / "p.json", json.dumps([rows], ensure_ascii=False))
    with (tmp_path / "p.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["prompt"], [said]])
    write_text(tmp_path / "p.txt", f"What{ENDS}now?\r\nMore.\r\n\r\nNext.\n")
    for name in ("escaped.jsonl", "p.json", "p.csv"):
        assert [prompt.conversation.last.content for prompt in read_prompts(tmp_path / name).rows] == [said]
    assert [prompt.conversation.last.content for prompt in read_prompts(tmp_path / "plain.jsonl").rows] == [
        f"What{ENDS[:3]}now?",
        "b",
    ]
    assert [(row.number, row.text) for row in raw_rows(tmp_path / "p.txt")] == [
        (1, f"What{ENDS}now?\nMore."),
        (4, "Next."),
    ]


# ---- many rows of nothing ------------------------------------------------------------------------
def test_a_small_packed_file_of_millions_of_rows_is_refused(tmp_path: Path) -> None:
    tiny = {
        "p.jsonl.gz": b'{"prompt":"x"}\n' * 600_000,
        "p.csv.gz": b"prompt\n" + b"x\n" * 600_000,
        "p.txt.gz": b"x\n\n" * 600_000,
    }
    for name, text in tiny.items():
        (tmp_path / name).write_bytes(gzip.compress(text))
        size = (tmp_path / name).stat().st_size
        with pytest.raises(
            SpecError, match=rf"{name}:\d+: {size:,} packed bytes hold more than {100_000 + size:,} rows or "
        ):
            for _ in raw_rows(tmp_path / name):
                pass
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a_test.csv", "q,a,b,A\n" * 600_000)
    with pytest.raises(SpecError, match=r"c\.zip:a_test\.csv: .* packed bytes hold more than"):
        read_choices(tmp_path / "c.zip")


def test_a_small_packed_file_of_few_rows_with_millions_of_values_is_refused(tmp_path: Path) -> None:
    row = json.dumps({"messages": [{"role": "user", "content": "x"}] * 40_000}, separators=(",", ":")).encode() + b"\n"
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(row * 40))
    with pytest.raises(SpecError, match=r"p\.jsonl\.gz:\d+: .*packed bytes hold more than"):
        for _ in raw_rows(tmp_path / "p.jsonl.gz"):
            pass


def test_parquet_says_how_many_rows_it_has_before_one_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"prompt": ["x"] * 300_000}), tmp_path / "p.parquet")
    assert refused(tmp_path / "p.parquet").startswith("p.parquet: ")
    monkeypatch.setattr(safe_read, "PACKED_ROWS", 300_000)
    monkeypatch.setattr(safe_read, "PACKED_VALUES", 300_000)
    assert len(list(raw_rows(tmp_path / "p.parquet"))) == 300_000  # it was the count


def test_rows_that_differ_are_read_however_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: honest rows take more packed bytes than one each."""
    monkeypatch.setattr(safe_read, "PACKED_ROWS", 100)
    monkeypatch.setattr(safe_read, "PACKED_VALUES", 100)
    rows = "".join(json.dumps({"prompt": f"Is {n} prime?", "topic": "t"}) + "\n" for n in range(3000)).encode()
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(rows))
    assert len(list(raw_rows(tmp_path / "p.jsonl.gz"))) == 3000
    (tmp_path / "p.jsonl").write_bytes(b'{"prompt":"x"}\n' * 3000)  # what is not packed is as long as it looks
    assert len(list(raw_rows(tmp_path / "p.jsonl"))) == 3000
    monkeypatch.setattr(safe_read, "ROWS", 2999)
    for name in ("p.jsonl", "p.jsonl.gz"):
        with pytest.raises(SpecError, match=rf"{name}:3000: the file goes on beyond 2,999 rows"):
            list(raw_rows(tmp_path / name))


def test_a_row_of_too_many_values_is_a_bad_row(tmp_path: Path) -> None:
    jsonl(tmp_path / "p.jsonl", {"prompt": "a"}, {"prompt": "b", "checks": [0] * 100_000}, {"prompt": "," * 200_000})
    tracemalloc.start()
    rows = list(raw_rows(tmp_path / "p.jsonl"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row.reason for row in rows] == [
        "",
        "the row holds more than 100,000 values, the most that is read of one",
        "",
    ]
    assert peak < 20e6


# ---- errors with a place -------------------------------------------------------------------------
def test_a_row_of_piqa_without_a_choice_is_a_bad_row(tmp_path: Path) -> None:
    good = {"goal": "To cool tea", "sol1": "wait", "sol2": "boil it", "label": 0}
    jsonl(
        tmp_path / "p.jsonl", good, {key: value for key, value in good.items() if key != "sol2"}, {**good, "sol2": None}
    )
    read = read_choices(tmp_path / "p.jsonl", bad_rows=0.7)
    assert [(row.row, "'sol2'" in row.reason) for row in read.rejected] == [(2, True), (3, True)]


def test_a_superscript_is_no_whole_number(tmp_path: Path) -> None:
    write_text(tmp_path / "c.csv", 'question,choices,answer\nq,"[""a"", ""b""]",\u00b2\nq,"[""a"", ""b""]",1\n')
    with pytest.raises(SpecError, match=r"c\.csv:2: answer: wanted a whole number, saw the text '²'"):
        read_items(tmp_path / "c.csv", ChoiceItem)
    assert read_items(tmp_path / "c.csv", ChoiceItem, bad_rows=0.5).rows[0].answer == 1
    with pytest.raises(SpecError, match="there is no '²'"):
        check(write(tmp_path), ["train.\u00b2.beta=0.1"])


@pytest.mark.parametrize(
    "part", ["prompts: prompts.jsonl", "constitution: c.md", "model: owner/name", "prompts: refusal.jsonl"]
)
def test_a_file_name_that_no_file_system_holds(tmp_path: Path, part: str) -> None:
    for name in ("x" * 5000 + ".jsonl", "y" * 250 + ".jsonl", "~nobody-of-this-name/x.jsonl", "a\\0b.jsonl"):
        path = write(tmp_path, SPEC.replace(part, f'{part.partition(":")[0]}: "{name}"', 1))
        with pytest.raises(SpecError, match=r"spec\.yaml:\d+: "):
            check(path)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b.yaml"])
def test_a_spec_whose_name_no_file_system_holds(name: str) -> None:
    with pytest.raises(SpecError, match="cannot be read: "):
        check(name)


def test_a_question_of_blank_lines_is_read_in_one_pass(tmp_path: Path) -> None:
    """Quadratic matching of the listed choices would take hours here."""
    question = "\n" * 300_000 + "Which?\n (A) " + " " * 300_000 + "yes\n (B) no"
    jsonl(
        tmp_path / "p.jsonl",
        {"question": question, "answer_matching_behavior": " (A)", "answer_not_matching_behavior": " (B)"},
    )
    (row,) = read_items(tmp_path / "p.jsonl", PersonaItem).rows
    assert row.answers == ("yes", "no")
    assert row.stem == "Which?"


def test_half_of_a_surrogate_pair_in_a_cell_of_json_is_a_bad_row(tmp_path: Path) -> None:
    """It came in, and the run died when it wrote its first record."""
    half, pair = (json.dumps([{"role": "user", "content": text}]) for text in ("\ud83d", "\U0001f600"))
    with (tmp_path / "p.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["messages"], [half], [pair], ["\\ud83d is how it is written"]])
    bad, good, plain = raw_rows(tmp_path / "p.csv")
    assert (bad.columns, bad.reason) == (None, "holds half of a surrogate pair, which is no text that could be written")
    assert good.columns == {"messages": [{"role": "user", "content": "\U0001f600"}]}
    assert plain.columns == {"messages": "\\ud83d is how it is written"}

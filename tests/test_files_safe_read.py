"""Is a file that would fill the memory refused, with its place and the limit, and is a large
honest one read?"""

from __future__ import annotations

import gzip
import json
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from spec_case import SPEC, write

from alignwright.experiment.load import check, load
from alignwright.feedback.rules import RuleError, read_rules
from alignwright.files import rows, safe_read
from alignwright.files.choices import read_choices
from alignwright.files.errors import SpecError
from alignwright.files.public_questions import read_questions
from alignwright.files.sources import read_pairs, read_prompts, read_votes
from alignwright.files.wrappers import read_wrappers

LAUGHS = "x:\n- &a [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
    f"- &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefghi")
)
"""Written out it would be 9 to the ninth laughs: 400 million."""


def told(path: Path) -> str:
    with pytest.raises(SpecError) as refused:
        load(path)
    return str(refused.value)


def test_a_billion_laughs_cost_nothing(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(SPEC + LAUGHS)
    line = SPEC.count("\n") + 7  # five nines, the place where a hundred thousand is passed
    tracemalloc.start()
    said = told(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (
        said
        == f"{path}:{line}: with its aliases written out this holds more than 100,000 values, the most that is read"
    )
    assert peak < 20e6
    (tmp_path / "laughs.yaml").write_text(LAUGHS)
    for read, kind in ((read_questions, SpecError), (read_rules, RuleError), (read_wrappers, ValueError)):
        with pytest.raises(kind, match=r"laughs\.yaml:7: .*more than 100,000 values"):
            read(tmp_path / "laughs.yaml")
    with pytest.raises(SpecError, match=r"^--set seed=[\s\S]*100,000 values"):
        load(write(tmp_path), ["seed=" + LAUGHS.removeprefix("x:\n")])


def test_honest_aliases_are_read(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(SPEC.replace("prompts: prompts.jsonl", "prompts: &held prompts.jsonl") + "")
    assert load(path).intent.prompts == ("prompts.jsonl",)
    path.write_text(path.read_text().replace("{by: tax, text: text.txt}", "{by: tax, text: text.txt, prompts: *held}"))
    assert load(path).measure[1].prompts == ("prompts.jsonl",)  # type: ignore[union-attr]


def test_what_is_written_by_hand_is_small(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(SPEC + "# a remark\n" * ((safe_read.TEXT_BYTES - len(SPEC)) // 11))
    load(path)  # just within
    path.write_text(path.read_text() + "# more\n" * 20)
    limit = rf"^{path}:\d+: the file goes on beyond 1,000,000 bytes"
    with pytest.raises(SpecError, match=limit):
        load(path)
    path.write_text(SPEC)
    (tmp_path / "c.md").write_text((tmp_path / "c.md").read_text() + "more\n" * 200_001)
    with pytest.raises(SpecError, match=r"c\.md:\d+: the file goes on beyond 1,000,000 bytes"):
        check(path)


def test_the_bytes_that_are_read_of_a_file_without_end_are_few(tmp_path: Path) -> None:
    path = tmp_path / "sparse.yaml"
    with path.open("wb") as file:
        file.truncate(2**33)  # eight gigabytes of nothing
    with pytest.raises(SpecError, match=r"sparse\.yaml:1: the file goes on beyond"):
        load(path)


def test_line_ends_of_other_systems_mean_the_same(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(b"a\r\nb\rc\n")
    assert safe_read.text(path) == path.read_text(encoding="utf-8") == "a\nb\nc\n"


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz", "p.json", "p.csv", "p.txt"])
def test_a_row_that_is_too_long_is_a_bad_row_with_its_place_and_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(safe_read, "ROW_BYTES", 100)
    short, long = "short", "long " * 40
    found = [short, long, short + "er"]
    path = tmp_path / name
    objects = [json.dumps({"prompt": text}) for text in found]
    contents = {
        "p.jsonl": "\n".join(objects), "p.json": f"[{','.join(objects)}]", "p.csv": "prompt\n" + "\n".join(found),
        "p.txt": "\n\n".join(found),
    }  # fmt: skip
    text = contents[name.removesuffix(".gz")].encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    raw = list(rows.raw_rows(path))
    assert [row.columns is None for row in raw] == [False, True, False]
    assert raw[1].reason == "the row goes on beyond 100 bytes, the most that is read of one; cut it into several"
    assert len(raw[1].text) <= rows.KEPT_CHARACTERS
    assert raw[2].number > raw[1].number > raw[0].number
    if name != "p.txt":
        with pytest.raises(SpecError, match=rf"{path}:{raw[1].number}: the row goes on beyond 100 bytes"):
            read_prompts(path)
        assert [p.conversation.last.content for p in read_prompts(path, bad_rows=0.5).rows] == ["short", "shorter"]


def test_a_row_just_within_the_limit_takes_nothing_of_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.jsonl"
    for length in (39, 40, 41):
        monkeypatch.setattr(safe_read, "ROW_BYTES", 40)
        line = '{"prompt": "' + "x" * (length - 14) + '"}'
        path.write_text(f'{line}\n{line[:20]}"}}\n{line}')
        read = [row.columns is not None for row in rows.raw_rows(path)]
        assert read == [length <= 40, True, length <= 40]


def test_every_reader_of_data_has_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_read, "ROW_BYTES", 200)
    texts = {"prompt": "who?", "a": "x" * 300, "b": "y", "choice": "a", "rater": "r"}
    (tmp_path / "votes.csv").write_text(",".join(texts) + "\n" + ",".join(texts.values()) + "\n")
    pair = json.dumps({"prompt": "who?", "chosen": "x" * 300, "rejected": "y"})
    choice = json.dumps({"question": "x" * 300, "choices": ["a", "b"], "answer": 0})
    (tmp_path / "pairs.jsonl").write_text(pair + "\n")
    (tmp_path / "choices.jsonl").write_text(choice + "\n")
    for read, name, line in (
        (read_votes, "votes.csv", 2),
        (read_pairs, "pairs.jsonl", 1),
        (read_choices, "choices.jsonl", 1),
    ):
        with pytest.raises(SpecError, match=rf"{name}:{line}: the row goes on beyond 200 bytes"):
            read(tmp_path / name)


def test_a_zipped_bomb_is_not_unpacked_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_read, "DATA_BYTES", 10_000)
    bomb = gzip.compress(b"prompt\n" + b"x\n" * 1_000_000)
    (tmp_path / "p.csv.gz").write_bytes(bomb)
    with pytest.raises(SpecError, match=r"p\.csv\.gz:\d+: the file goes on beyond 10,000 bytes.*write it as \.jsonl"):
        read_prompts(tmp_path / "p.csv.gz")
    monkeypatch.setattr(safe_read, "ROW_BYTES", 100_000)
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(b'{"prompt": "' + b"x" * 50_000_000 + b'"}'))
    tracemalloc.start()
    with pytest.raises(SpecError, match=r"p\.jsonl\.gz:1: the row goes on beyond 100,000 bytes"):
        read_prompts(tmp_path / "p.jsonl.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


@pytest.mark.parametrize(
    ("name", "begin", "end"),
    [
        ("p.json.gz", b"[", b"]"),
        ("p.json.gz", b'[{"prompt": "', b'"}]'),
        ("p.csv.gz", b'prompt\n"', b'"\n'),
        ("p.txt.gz", b"a", b"b"),
    ],
)
def test_a_few_packed_bytes_are_not_gigabytes_of_memory(
    name: str, begin: bytes, end: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing or a single row is packed; a file whose bytes say something is read."""
    monkeypatch.setattr(safe_read, "PACKED_BYTES", 2**20)
    (tmp_path / name).write_bytes(gzip.compress(begin + b" " * 50_000_000 + end))
    tracemalloc.start()
    with pytest.raises(
        SpecError, match=r"packed bytes hold more than [48],[0-9,]+, the most that is read of them: .*; unpack the file"
    ):
        list(rows.raw_rows(tmp_path / name))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e7  # unpacked it has 5e7 bytes, and text and rows are copies of them
    monkeypatch.setattr(safe_read, "PACKED_BYTES", 100)
    said = json.dumps([{"prompt": f"number {i * i}"} for i in range(200)]).encode()
    (tmp_path / "said.json.gz").write_bytes(gzip.compress(said))
    assert len(list(rows.raw_rows(tmp_path / "said.json.gz"))) == 200


def test_lines_of_nothing_are_counted_where_they_are_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_read, "PACKED_ROWS", 1_000)
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(b"\n" * 1_000_000))
    with pytest.raises(SpecError, match=r"p\.jsonl\.gz:\d+: .* packed bytes hold more than"):
        list(rows.raw_rows(tmp_path / "p.jsonl.gz"))
    (tmp_path / "p.jsonl").write_bytes(b"\n" * 5_000 + b'{"prompt": "a"}\n')
    assert [row.number for row in rows.raw_rows(tmp_path / "p.jsonl")] == [5_001]


def test_a_cell_may_be_as_long_as_a_row_and_depth_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt\n" + "x" * 200_000 + "\n")
    assert len(read_prompts(tmp_path / "p.csv").rows[0].conversation.last.content) == 200_000
    for name, text in (("p.json", "[" * 100_000), ("p.jsonl", "[" * 100_000)):
        (tmp_path / name).write_text(text)
        with pytest.raises(SpecError, match="not valid JSON"):
            read_prompts(tmp_path / name)
    path = write(tmp_path)
    path.write_text(SPEC + "x: " + "[" * 1000)
    assert "spec.yaml:1: values lie within values too deep" in told(path)
    path.write_text(SPEC.replace("seed: 7", "seed: " + "7" * 5000))
    assert ":2: seed: a number of 5000 digits is not read" in told(path)

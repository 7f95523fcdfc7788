"""Does a data file without a spec say what it is, which rows are bad, what would be trained, and where personal data
stand, with the values masked?"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from real_data import real
from tiny import make_tiny
from typer.testing import CliRunner

import alignwright as aw
from alignwright.cli import app
from alignwright.files.data_file import DataFile
from alignwright.files.errors import SpecError
from alignwright.run.data_check import check_file, lines

KEY = "AKIA" + "Q3EGRIZ6YBQWOPLM"
ROWS = [
    {"messages": [{"role": "user", "content": f"Question {i}?"}, {"role": "assistant", "content": f"Answer {i}."}]}
    for i in range(6)
]


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_tiny(folder)
    return folder


def check(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", *map(str, arguments)])
    error = result.exception
    if error is not None and not isinstance(error, SystemExit):
        return 2, result.output + str(error)
    return result.exit_code, result.output


KINDS = [
    ("conversations", {"prompt": "Hi?", "completion": "Ho."}),
    ("conversations", {"instruction": "Say ho", "input": "", "output": "Ho."}),
    ("pairs", {"prompt": "Hi?", "chosen": "Ho.", "rejected": "No."}),
    ("pairs", {"prompt": "Hi?", "completion": "Ho.", "label": False}),
    ("pairs", {"chosen": "\n\nHuman: Hi?\n\nAssistant: Ho.", "rejected": "\n\nHuman: Hi?\n\nAssistant: No."}),
    ("votes", {"prompt": "Hi?", "a": "Ho.", "b": "No.", "choice": "a", "rater": "r", "group": "g"}),
    ("labels", {"prompt": "Hi?", "reply": "Ho.", "refused": False}),
    ("choice", {"question": "2 + 2?", "choices": ["3", "4"], "answer": 1}),
    ("problems", {"question": "2 + 2?", "answer": "It is\n#### 4"}),
    ("refusal", {"prompt": "Hi?", "kind": "harmless"}),
    ("prompts", {"prompt": "Hi?"}),
    ("prompts", {"messages": [{"role": "user", "content": "Hi?"}]}),
]


@pytest.mark.parametrize(("kind", "row"), KINDS)
def test_the_kind_is_told_from_the_columns_and_is_sure(kind: str, row: dict[str, object], tmp_path: Path) -> None:
    found = check_file(DataFile(file=str(write(tmp_path / "data.jsonl", [row]))))
    assert (found.format.kind, found.format.sureness) == (kind, "sure")
    assert found.rows == 1
    assert not found.problems


def test_a_column_that_nothing_reads_makes_it_likely_and_bad_rows_doubtful(tmp_path: Path) -> None:
    text = check_file(DataFile(file=str(write(tmp_path / "text.jsonl", [{"text": "Plain."}])))).format
    assert (text.kind, text.sureness, text.others) == ("text", "likely", ("prompts",))
    odd = write(tmp_path / "odd.jsonl", [{"prompt": "Hi?", "source": "web"}])
    assert check_file(DataFile(file=str(odd))).format.sureness == "likely"
    bad = write(tmp_path / "bad.jsonl", [*ROWS[:2], {"messages": []}])
    found = check_file(DataFile(file=str(bad)))
    assert (found.format.sureness, [row.row for row in found.rejected]) == ("doubtful", [3])
    assert found.problems == (f"{bad}: 1 of 3 rows cannot be used (33.3%)",)


def test_columns_by_other_names_and_a_kind_that_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "data.jsonl", [{"q": "Hi?", "good": "Ho.", "worse": "No."}])
    with pytest.raises(SpecError, match=r"no reader knows these columns: q, good, worse\. Say what they are"):
        check_file(DataFile(file=str(path)))
    code, out = check(path, "--column", "q=prompt", "--column", "good=chosen", "--column", "worse=rejected")
    assert (code, out.splitlines()[0].split(": ", 1)[1].split(":")[0]) == (0, "pairs (sure")
    [found] = aw.check_data({"file": str(path), "columns": {"q": "prompt"}}, kind="prompts", quiet=True)
    assert (found.format.kind, found.rows) == ("prompts", 1)
    assert check(path, "--as", "pears")[1].startswith("there is no kind of data 'pears'; choose from pairs,")


def test_personal_data_are_named_by_line_masked_and_no_error(tmp_path: Path) -> None:
    mail = {"messages": [*ROWS[0]["messages"][:1], {"role": "assistant", "content": "Ask jane.roe@gmail.com."}]}
    secret = {"prompt": "not read", "messages": ROWS[1]["messages"], "meta": {"env": [f"export KEY={KEY}"]}}
    mine = {"messages": [{"role": "user", "content": "to me@example.com"}, {"role": "assistant", "content": "Done."}]}
    path = write(tmp_path / "data.jsonl", [ROWS[2], mail, secret, mine, mail])
    code, out = check(path)
    assert code == 0
    assert "warning: mail address: 2 in 2 rows: line 2: j…@g….com; line 5: j…@g….com" in out
    assert "warning: key: 1 in 1 row (AWS access key 1): line 3: AKIA… (20 characters)" in out
    assert "1 more belong to nobody" in out
    assert "jane" not in out
    assert KEY not in out
    [found] = aw.check_data(path, quiet=True)
    assert [(one.line, one.data.kind) for one in found.personal] == [
        (2, "mail address"),
        (3, "key"),
        (5, "mail address"),
    ]
    assert KEY not in repr(found)


def test_a_row_that_is_no_json_is_looked_through_as_well(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(ROWS[0]) + f'\n{{"messages": {KEY}\n', encoding="utf-8")
    code, out = check(path)
    assert code == 2
    assert "line 2: AKIA" in out
    assert ":2: not valid JSON" in out


def test_with_a_model_the_loss_mask_the_tokens_and_the_doctor_are_shown(tmp_path: Path, model: Path) -> None:
    path = write(tmp_path / "data.jsonl", ROWS)
    code, out = check(path, "--model", model)
    assert code == 0
    assert "⟦Answer 0.<|im_end|>⟧" in out
    assert "⟦Question" not in out
    assert "6 of 6 replies end in a trained end of turn" in out
    [found] = aw.check_data(path, model=model, quiet=True)
    assert found.tokens is not None
    assert found.report is not None
    assert 0 < found.tokens.median <= found.tokens.most <= found.tokens.longest
    assert found.report.rows == 6


def test_rows_that_would_not_teach_what_was_meant_end_with_exit_code_2(tmp_path: Path, model: Path) -> None:
    same = [{"prompt": f"Question {i}?", "completion": f"user: question {i}?"} for i in range(6)]
    code, out = check(write(tmp_path / "data.jsonl", same), "--model", model)
    assert code == 2
    assert "prompt_repeated" in out


def test_several_files_and_options_that_have_no_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "data.jsonl", ROWS)
    other = write(tmp_path / "text.jsonl", [{"text": "Plain."}])
    code, out = check(path, other)
    assert code == 0
    assert [line.split(": ")[1].split()[0] for line in out.splitlines() if " tried" in line] == [
        "conversations",
        "text",
    ]
    assert "--quick is for a spec" in check(path, "--quick")[1]
    assert "a spec is checked by itself" in check(path, "spec.yaml")[1]
    assert "--model is for data files" in check("spec.yaml", "--model", "x")[1]
    assert "write THEIRS=OURS" in check(path, "--column", "x")[1]
    with pytest.raises(TypeError, match="needs a file"):
        aw.check_data()


def test_without_a_model_no_torch_and_no_tokenizer_is_loaded(tmp_path: Path) -> None:
    path = write(tmp_path / "data.jsonl", ROWS)
    code = (
        f"import sys, alignwright as aw; aw.check_data({str(path)!r})\n"
        "print({'torch', 'transformers'} & {*sys.modules})"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.splitlines()[-1] == "set()"


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "kind", "rows", "bad"),
    [
        ("hh_rlhf_harmless/test.jsonl.gz", "pairs", 2303, 9),
        ("lima/lima.json", "conversations", 1029, 0),
        ("llamafactory_demo/kto_en_demo.json", "pairs", 299, 0),
        ("gsm8k/test.jsonl", "problems", 1319, 0),
        ("piqa/valid.jsonl", "choice", 1838, 0),
        ("polis/brexit-consensus/participants-votes.csv", "votes", 50, 0),
        ("pandalm/testset-v1.json", "pairs", None, 62),
    ],
)
def test_published_files_are_taken_for_what_they_are(name: str, kind: str, rows: int | None, bad: int) -> None:
    found = check_file(DataFile(file=str(real(name))))
    assert (found.format.kind, len(found.rejected)) == (kind, bad)
    assert rows is None or found.rows == rows


def test_a_few_pairs_with_a_bad_row_are_pairs(tmp_path: Path) -> None:
    """A short file's one bad row is a large share of it; its columns say what it is."""
    rows = [
        {"prompt": "Hi?", "chosen": "same", "rejected": "same"},
        {"prompt": "Ho?", "chosen": "a", "rejected": "b"},
        {"prompt": "Ha?", "chosen": "", "rejected": "b"},
    ]
    found = check_file(DataFile(file=str(write(tmp_path / "few.jsonl", rows))))
    assert (found.format.kind, found.rows, [row.row for row in found.rejected]) == ("pairs", 1, [1, 3])
    unusable = write(tmp_path / "unusable.jsonl", [{**row, "chosen": ""} for row in rows * 5])
    with pytest.raises(
        SpecError, match=r"unusable.jsonl:1: 'chosen' is empty \(15 rows: 1, 2, .+\n.+no row can be used"
    ):
        check_file(DataFile(file=str(unusable)))
    late = write(tmp_path / "late.jsonl", [{**row, "chosen": ""} for row in rows * 101] + rows)
    found = check_file(DataFile(file=str(late)))
    assert (found.format.kind, found.format.sureness, found.rows) == ("pairs", "doubtful", 1)
    assert found.format.reason == "0 of 300 rows tried"
    plain = [{"prompt": "Hi?", "topic": "x"}, {"prompt": "Ho?", "source": "y"}]
    assert check_file(DataFile(file=str(write(tmp_path / "prompts.jsonl", plain)))).format.kind == "prompts"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 4, "it is no text but binary data; a file of rows is"),
        (b"hello\nworld\n", r"data.jsonl:1: no row of the first 2 has columns \(.+\), seen 'hello'"),
    ],
)
def test_a_file_without_a_single_row_of_columns_says_so(data: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_bytes(data)
    with pytest.raises(SpecError, match=why):
        check_file(DataFile(file=str(tmp_path / "data.jsonl")))


def test_one_of_a_thing_is_no_plural(tmp_path: Path) -> None:
    row = {"prompt": "Hi?", "chosen": "Ho.", "rejected": "No."}
    one, two = (
        [text for text, _ in lines(check_file(DataFile(file=str(write(tmp_path / f"{n}.jsonl", [row] * n)))))]
        for n in (1, 3)
    )
    assert "1 of 1 row tried" in one[0]
    assert one[1].split(", ")[0].split("; ")[0] == "1 row"
    assert "3 rows, 2 duplicates" in two[1]

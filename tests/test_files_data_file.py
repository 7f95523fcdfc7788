"""What does a spec say of a file beside its name, is it heeded, and is what is wrong with it
told with its line?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from published_rows import BAD, GOOD, POLIS_COMMENTS, POLIS_VOTES, ROWS, Q
from safetensors.torch import save_file
from spec_case import SPEC, jsonl, write

from alignwright.core.records import Conversation
from alignwright.experiment.cache_key import cache_keys
from alignwright.experiment.check import check
from alignwright.experiment.experiment import resolve_effort
from alignwright.experiment.load import load
from alignwright.experiment.plan import plan
from alignwright.files import data_file
from alignwright.files.data_file import DataFile
from alignwright.files.errors import SpecError
from alignwright.files.items import RefusalItem
from alignwright.files.replies import read_replies
from alignwright.files.sources import read_items, read_pairs


def test_a_name_and_what_is_said_of_it_are_one_text() -> None:
    for file in (
        DataFile(file="a.csv"),
        DataFile(file="a b.csv", kind="harmful"),
        DataFile(file="hf://x/y:z", columns={"q": "prompt", "né {": "b"}),
    ):
        assert data_file.data_file(str(file)) == file
    for odd in ("a {b}.csv", "a {b}", 'a {"kind": "bad"}', "a {}x"):
        assert data_file.data_file(odd).file == odd


def test_columns_of_any_name_are_read_where_the_spec_names_them(tmp_path: Path) -> None:
    row = {"question": Q, "response_a": GOOD, "response_b": BAD, "prompt": "another", "topics": "t"}
    path = jsonl(tmp_path / "p.jsonl", row)
    columns = {
        "question": "prompt",
        "response_a": "chosen",
        "response_b": "rejected",
        "prompt": "old",
        "topics": "topics",
    }
    read = read_pairs(str(DataFile(file=str(path), columns=columns)))
    assert [(reply.text) for reply in read.rows[0].replies] == [GOOD, BAD]
    assert (read.rows[0].prompt.conversation, read.file) == (Conversation.user(Q), str(path))
    assert read.notes == ("columns not read: old, topics",)
    with pytest.raises(SpecError, match="names another column 'prompt', which the row has already"):
        read_pairs(str(DataFile(file=str(path), columns={"question": "prompt"})))
    with pytest.raises(SpecError, match="'columns' names 'response_c', which no row has; there are"):
        read_pairs(str(DataFile(file=str(path), columns=columns | {"response_c": "b"})))
    with pytest.raises(SpecError, match="has no effect on a file that is read as pairs"):
        read_pairs(str(DataFile(file=str(path), kind="harmful")))


def test_replies_whose_columns_have_other_names(tmp_path: Path) -> None:
    """XSTest's completions, as they are published, with the two columns that say what people saw."""
    row = {"id": "v2-1", "type": "homonyms", "prompt": Q, "completion": "I cannot say.", "full": "true"}
    read = read_replies(str(DataFile(file=str(jsonl(tmp_path / "r.jsonl", row)), columns={"full": "refused"})))
    assert [(said.prompt, said.reply, said.refused) for said in read.rows] == [
        (Conversation.user(Q), "I cannot say.", True)
    ]
    assert read.notes == ("columns not read: id, type",)
    with pytest.raises(SpecError, match="no column 'refusd' is known; did you mean 'refused'"):
        read_replies(jsonl(tmp_path / "r.jsonl", {"prompt": Q, "reply": "x", "refusd": True}))


def test_a_file_of_one_kind_of_request(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "p.jsonl", {"prompt": Q, "source": "x"}, {"prompt": "Another?", "source": "y"})
    for kind in ("harmful", "harmless"):
        read = read_items(str(DataFile(file=str(path), kind=kind)), RefusalItem)
        assert [(row.prompt, row.kind) for row in read.rows] == [(Q, kind), ("Another?", kind)]
        assert read.notes == ("columns not read: source",)
    with pytest.raises(SpecError, match="nothing says whether this is harmful or harmless"):
        read_items(path, RefusalItem)
    jsonl(path, {"prompt": Q, "kind": "harmless"})
    with pytest.raises(SpecError, match="the spec says that the file holds harmful requests alone"):
        read_items(str(DataFile(file=str(path), kind="harmful")), RefusalItem)


def test_check_takes_published_files_and_says_how_they_were_read(tmp_path: Path) -> None:
    """As a user would: a spec whose files are published ones, with what the spec has to say of
    them beside their names."""
    (tmp_path / "adv.csv").write_text("goal,target\nDo some harm.,Sure\nDo more harm.,Sure\n")
    (tmp_path / "prompts").mkdir()
    jsonl(tmp_path / "dolly.jsonl", *ROWS["Dolly", "prompts"])
    jsonl(tmp_path / "judge.jsonl", *ROWS["JudgeBench", "pairs"])
    odd = [
        {"query": "Is ice cold?", "best": "Yes.", "worst": "No.", "principle": "be_kind"},
        {"query": "x?", "best": "1", "worst": "2"},
    ]
    jsonl(tmp_path / "odd.jsonl", *odd)
    jsonl(
        tmp_path / "csqa.jsonl",
        *(row | {"question": "Is snow white?"} for row in ROWS["CommonsenseQA (Hub), ARC (Hub)", "choice"]),
    )
    spec = SPEC.replace("prompts: prompts.jsonl", "prompts: dolly.jsonl").replace(
        "pairs: [pairs.jsonl]", "pairs: [judge.jsonl]"
    )
    spec = spec.replace("prompts: refusal.jsonl", "prompts: [refusal.jsonl, {file: adv.csv, kind: harmful}]", 1)
    spec = spec.replace(
        "pairs: held.jsonl",
        "pairs: [held.jsonl, {file: odd.jsonl, columns: {query: prompt, best: chosen, worst: rejected}}]",
    )
    spec = spec.replace("{by: tax, text: text.txt}", "{by: tax, text: text.txt, choice: csqa.jsonl}")
    report = check(write(tmp_path, spec))
    lines = "\n".join(report.lines)
    assert f"intent.prompts.0: {tmp_path / 'dolly.jsonl'}: 1 row, read as Dolly" in lines
    assert f"intent.pairs.0: {tmp_path / 'judge.jsonl'}: 1 row, read as JudgeBench" in lines
    assert f"attack.0.suite.prompts.1: {tmp_path / 'adv.csv'}: 2 rows, read as AdvBench" in lines
    assert f"measure.0.value.pairs.1: {tmp_path / 'odd.jsonl'}: 2 rows" in lines
    assert "read as CommonsenseQA (Hub), ARC (Hub), 1 questions without an answer left out" in lines
    resolved = report.experiment.attack[0].prompts
    assert resolved == ("refusal.jsonl", 'adv.csv {"kind": "harmful"}')
    again = tmp_path / "again.yaml"
    again.write_text(json.dumps(report.experiment.model_dump(mode="json", exclude_defaults=True)))
    assert load(again) == report.experiment


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("{file: adv.csv, kind: bad}", "saw the text 'bad'"),
        ("{file: adv.csv, kinds: harmful}", "there is no 'kinds'"),
        ("{kind: harmful}", "a mapping with file, kind and columns"),
        ("{file: gone.csv, kind: harmful}", "there is no file"),
        ("{file: refusal.jsonl, columns: {prompt: x, kind: x}}", "maps two columns to 'x'"),
    ],
)
def test_what_is_wrong_with_a_name_is_told_with_its_line(tmp_path: Path, said: str, words: str) -> None:
    (tmp_path / "adv.csv").write_text("goal,target\nDo some harm.,Sure\n")
    path = write(
        tmp_path, SPEC.replace("name: jailbreaks, prompts: refusal.jsonl", f"name: jailbreaks, prompts: [{said}]")
    )
    with pytest.raises(SpecError) as caught:
        check(path)
    (line,) = [line for line in caught.value.problems if words in line]
    assert line.startswith(f"{path}:17: attack.0.suite.prompts")


def test_what_is_said_of_a_file_and_what_is_read_beside_it_are_part_of_a_jobs_key(tmp_path: Path) -> None:
    """A run is not taken from the shelf when the statements of a matrix, the kind of a file or
    the names of its columns have changed."""
    (tmp_path / "participants-votes.csv").write_text(POLIS_VOTES)
    (tmp_path / "comments.csv").write_text(POLIS_COMMENTS)
    spec = SPEC.replace(
        "pairs: [pairs.jsonl]",
        "pairs: [{file: pairs.jsonl, columns: {prompt: prompt}}]\n  people: participants-votes.csv",
    )
    path = write(tmp_path, spec.replace("model: owner/name", "model: ./model"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "llama"}')
    save_file({"x": torch.zeros(1)}, tmp_path / "model" / "model.safetensors")

    def key() -> str:
        experiment = resolve_effort(load(path))
        return cache_keys(experiment, plan(experiment))["feedback.0.written"]

    first = key()
    assert key() == first
    (tmp_path / "comments.csv").write_text(POLIS_COMMENTS.replace("dry", "cold"))
    assert key() != first
    (tmp_path / "comments.csv").write_text(POLIS_COMMENTS)
    path.write_text(path.read_text().replace("columns: {prompt: prompt}", "columns: {topic: topic}"))
    assert key() != first

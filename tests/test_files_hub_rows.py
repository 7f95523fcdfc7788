"""Is the part of a Hub data set read that was meant (config, split, revision, first rows), at one commit that is
told, and is a wrong name, or no network, an error within seconds that says what to do?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from run_case import make_project

import alignwright as aw
from alignwright.experiment.cache_key import cache_keys
from alignwright.experiment.check import check
from alignwright.files.data_file import DataFile, as_name, data_file
from alignwright.files.errors import SpecError
from alignwright.files.hub_address import HubAddress, hub_address
from alignwright.files.hub_rows import hub_commit
from alignwright.files.sources import read_pairs, read_prompts
from alignwright.run.align import Request, prepare
from alignwright.run.provenance import data_sets

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = """---
configs:
- config_name: easy
  data_files:
  - {split: train, path: easy/train.jsonl}
  - {split: test, path: easy/test.jsonl}
- config_name: dated
  data_files:
  - {split: train, path: dated/train.jsonl}
- config_name: broken
  data_files:
  - {split: train, path: broken/train.jsonl}
  - {split: test, path: broken/test.jsonl}
- config_name: hard
  data_files:
  - {split: train, path: hard/train.jsonl}
- config_name: later
  data_files:
  - {split: train, path: later/train.jsonl}
- config_name: latest
  data_files:
  - {split: train, path: latest/train.jsonl}
---
"""


# ---- names -----------------------------------------------------------------------------------------
def test_a_query_says_which_part_is_meant() -> None:
    assert hub_address("hf://a/b") == HubAddress("a/b")
    assert hub_address("hf://a/b:test[:10%]") == HubAddress("a/b", split="test[:10%]")
    full = "hf://a/b?config=easy&split=test&revision=refs/pr/1&limit=20&streaming=true"
    assert hub_address(full) == HubAddress("a/b", "easy", "test", "refs/pr/1", 20, True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf://a", "write hf://owner/name"),
        ("hf://a/b/c", "write hf://owner/name"),
        ("hf://a/b?splt=x", "has no 'splt'; did you mean 'split'"),
        ("hf://a/b?split=x&split=y", "'split' is given twice"),
        ("hf://a/b:test?split=x", "'split' is given twice"),
        ("hf://a/b?limit=0", "'limit' should be a number of rows, at least 1, saw '0'"),
        ("hf://a/b?streaming=yes", "'streaming' should be true or false, saw 'yes'"),
        ("hf://a/b?revision=", "'revision' is empty"),
    ],
)
def test_a_wrong_name_is_told_before_anything_is_asked(name: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        hub_address(name)


def test_a_mapping_in_a_spec_is_the_same_address_whatever_its_order() -> None:
    one = as_name({"split": "test [:5]", "file": "hf://a/b", "config": "e&f", "limit": 7, "columns": {"q": "prompt"}})
    assert one == 'hf://a/b?config=e%26f&split=test%20[:5]&limit=7 {"columns": {"q": "prompt"}}'
    assert one == as_name(
        {"columns": {"q": "prompt"}, "limit": 7, "config": "e&f", "file": "hf://a/b", "split": "test [:5]"}
    )
    assert hub_address(data_file(one).file) == HubAddress("a/b", "e&f", "test [:5]", None, 7)
    assert str(DataFile(file="hf://a/b", streaming=True)) == "hf://a/b?streaming=true"
    with pytest.raises(
        ValueError, match=r"'split' is for a data set of the Hub \(hf://owner/name\), and this is a file"
    ):
        as_name({"file": "a.jsonl", "split": "test"})
    with pytest.raises(ValueError, match=r"with config, split, revision, limit, streaming; there is no 'subset'"):
        as_name({"file": "hf://a/b", "subset": "x"})


# ---- rows ------------------------------------------------------------------------------------------
@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """A data set with two configs in a folder, which `datasets` reads in the place of the Hub's."""
    import datasets
    import huggingface_hub

    folder = tmp_path / "set"
    for path, rows in {
        "easy/train.jsonl": [{"prompt": f"easy {i}?", "n": i} for i in range(4)],
        "easy/test.jsonl": [{"prompt": "test?", "n": 9}],
        "dated/train.jsonl": [{"prompt": "when?", "day": "2024-03-01 12:30:00"}],
        "broken/train.jsonl": [{"prompt": "a?"}],
        "broken/test.jsonl": [{"other": "a?"}],
        "later/train.jsonl": [{"prompt": "a?"}, {"prompt": "b?", "topic": "late"}],
        "latest/train.jsonl": [*({"prompt": f"{i}" * 4_000_000} for i in range(3)), {"prompt": "b?", "topic": "late"}],
        "hard/train.jsonl": [{"q": "hard?", "good": "yes", "worse": "no"}],
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "README.md").write_text(CARD)
    made: list[dict[str, Any]] = []
    load = datasets.load_dataset

    def local(owner_name: str, *, revision: str | None, **more: Any) -> Any:
        made.append({"owner_name": owner_name, "revision": revision, **more})
        return load(str(folder), cache_dir=str(tmp_path / "cache"), **more)

    def info(_: Any, owner_name: str, *, revision: str | None = None, timeout: float) -> Any:
        if owner_name == "no/body" or revision == "gone":
            kind = (
                huggingface_hub.errors.RevisionNotFoundError
                if revision
                else huggingface_hub.errors.RepositoryNotFoundError
            )
            raise kind.__new__(kind)
        return SimpleNamespace(sha=COMMIT if revision is None else revision * 5)

    monkeypatch.setattr(datasets, "load_dataset", local)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", info)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    hub_commit.cache_clear()
    yield made
    hub_commit.cache_clear()


@pytest.mark.parametrize("streaming", ["false", "true"])
def test_config_split_and_the_first_rows(calls: list[dict[str, Any]], streaming: str) -> None:
    rows = read_prompts(f"hf://a/b?config=easy&limit=3&streaming={streaming}")
    assert [row.conversation.last.content for row in rows.rows] == ["easy 0?", "easy 1?", "easy 2?"]
    assert calls == [
        {"owner_name": "a/b", "name": "easy", "split": "train", "revision": COMMIT, "streaming": streaming == "true"}
    ]
    name = as_name(
        {"file": "hf://a/b", "config": "hard", "columns": {"q": "prompt", "good": "chosen", "worse": "rejected"}}
    )
    assert [reply.text for reply in read_pairs(name).rows[0].replies] == ["yes", "no"]


def test_the_commit_is_told_and_how_to_pin_it(calls: list[dict[str, Any]]) -> None:
    assert (
        read_prompts("hf://a/b?config=easy").notes[-1]
        == "commit 0123456789ab; 'revision: COMMIT' reads the same rows on another day"
    )
    assert read_prompts("hf://a/b?config=easy&revision=deadbeef").notes[-1] == "commit deadbeefdead"
    assert [call["revision"] for call in calls] == [COMMIT, "deadbeef" * 5]


def test_a_text_that_datasets_made_a_moment_in_time_is_told(calls: list[dict[str, Any]]) -> None:
    rows = read_prompts("hf://a/b?config=dated", keep=frozenset({"day"}))
    assert rows.rows[0].columns == (("day", '"2024-03-01T12:30:00"'),)
    assert rows.notes[-1].startswith("datasets made moments in time of day: where they were other texts")


@pytest.mark.parametrize("streaming", ["false", "true"])
def test_a_column_that_begins_after_the_first_row_is_read_or_an_error(
    calls: list[dict[str, Any]], streaming: str, tmp_path: Path
) -> None:
    name = f"hf://a/b?config=later&streaming={streaming}"
    assert [row.topic for row in read_prompts(name).rows] == ["", "late"]
    name = f"hf://a/b?config=latest&streaming={streaming}"
    with pytest.raises(SpecError, match=r"its rows do not all have the columns of the first ones.+download the file"):
        read_prompts(name)
    downloaded = read_prompts(str(tmp_path / "set" / "latest" / "train.jsonl"))
    assert [row.topic for row in downloaded.rows] == ["", "", "", "late"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf://a/b?config=broken", r"cannot be loaded: (?!An error occurred)\w+"),
        ("hf://a/b", r"cannot be loaded: .*available configs.*easy.*Say which with 'config: NAME'"),
        ("hf://a/b?config=middle", r"BuilderConfig 'middle' not found.*Say which with 'config: NAME'"),
        ("hf://a/b?config=hard&split=test", r"nknown split.*Say which with 'split: NAME'"),
        ("hf://no/body", "the Hub has no data set 'no/body', or it is private and HF_TOKEN is not set"),
        ("hf://a/b?revision=gone", "a/b has no revision 'gone'"),
    ],
)
def test_what_is_not_there_is_told_with_what_helps(calls: list[dict[str, Any]], name: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_prompts(name)


def test_check_takes_a_data_set_of_the_hub_without_a_spec(calls: list[dict[str, Any]]) -> None:
    [one] = aw.check_data("hf://a/b?config=easy&limit=2&streaming=true", quiet=True)
    assert (one.format.kind, one.rows, one.notes[-1].split(";")[0]) == ("prompts", 2, "commit 0123456789ab")
    [other] = aw.check_data({"file": "hf://a/b", "config": "easy"}, quiet=True)
    assert other.rows == 4


def test_each_setting_is_part_of_the_keys_and_the_commit_of_what_a_run_leaves(
    calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    spec = make_project(tmp_path / "project")

    def keys(**settings: object) -> dict[str, str]:
        experiment, jobs, _ = prepare(
            Request(spec, (f"intent.prompts={json.dumps([{'file': 'hf://a/b', **settings}])}",))
        )
        return cache_keys(experiment, jobs)

    known = [keys(config="easy"), keys(config="hard"), keys(config="easy", revision="v1"), keys(config="easy", limit=2)]
    names = [name for name, key in known[0].items() if all(other[name] != key for other in known[1:])]
    assert names
    assert keys(config="easy") == known[0]
    report = check(spec, ('intent.prompts=[{file: "hf://a/b", config: easy}]',))
    assert any("hf://a/b?config=easy: 4 rows" in line and "commit 0123456789ab" in line for line in report.lines)
    assert data_sets(report.experiment) == {"hf://a/b?config=easy": COMMIT}
    assert data_sets(prepare(Request(spec))[0]) == {}


def test_without_a_network_the_error_comes_at_once(tmp_path: Path) -> None:
    code = (
        "from alignwright.files.sources import read_pairs\n"
        "try: read_pairs('hf://nobody-at-all/nothing')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    closed = {
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "PATH": "",
        "HF_HOME": str(tmp_path),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=closed)
    assert process.stdout.startswith(
        "SpecError hf://nobody-at-all/nothing: cannot be loaded: the Hub does not answer ("
    ), process.stdout + process.stderr
    assert "with HF_HUB_OFFLINE=1 what was fetched before is read" in process.stdout

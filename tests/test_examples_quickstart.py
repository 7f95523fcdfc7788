"""Are the quickstart's prompts of refusal held apart by topic, so that its promise is kept on what nothing has seen?"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from alignwright.experiment.load import load

FOLDER = Path(__file__).parents[1] / "examples" / "quickstart"
TRAINED = ("train/probes.jsonl", "train/values.jsonl", "train/harmless.jsonl")
ASKED = ("heldout/refusal.jsonl", "heldout/refusal_second.jsonl", "dev/refusal.jsonl")


def rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]


def of(name: str, column: str) -> set[str]:
    return {row[column] for row in rows(name)}


@pytest.mark.parametrize("column", ["topic", "prompt"])
def test_what_is_asked_shares_nothing_with_training_nor_with_another_set(column: str) -> None:
    trained = set[str]().union(*(of(name, column) for name in TRAINED))
    for place, name in enumerate(ASKED):
        assert not of(name, column) & trained, name
        for other in ASKED[place + 1 :]:
            assert not of(name, column) & of(other, column), (name, other)


@pytest.mark.parametrize("name", [*ASKED, "train/probes.jsonl"])
def test_a_topic_is_of_one_kind_and_no_prompt_stands_twice(name: str) -> None:
    kinds = Counter(topic for topic, _ in {(row["topic"], row["kind"]) for row in rows(name)})
    assert set(kinds.values()) == {1}
    assert len(of(name, "prompt")) == len(rows(name))


def test_the_promise_reads_the_first_set_alone() -> None:
    """The second set is asked once, of the last recipe; the recipe is chosen on `dev`."""
    spec = load(FOLDER / "spec.yaml")
    text = spec.model_dump_json()
    assert "refusal_second" not in text
    assert "dev/" not in text
    (value,) = [stage for stage in spec.measure if stage.by == "value"]
    assert value.prompts == ("heldout/refusal.jsonl",)
    assert {"value.refusal.gain > 0.2", "value.over_refusal < 0.2"} <= {*spec.promises}

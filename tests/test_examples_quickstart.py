"""Are the quickstart's prompts of refusal held apart by topic, so that its promise is kept on what nothing has seen?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alignwright.experiment.load import load

FOLDER = Path(__file__).parents[1] / "examples" / "quickstart"
REFUSAL = (
    "heldout/refusal.jsonl",
    "heldout/refusal_third.jsonl",
    "dev/refusal_second.jsonl",
    "dev/refusal.jsonl",
    "dev/harmless.jsonl",
)
APART = {
    REFUSAL: ("train/probes.jsonl", "train/values.jsonl", "train/harmless.jsonl", "train/openings.jsonl"),
    ("heldout/pushback.jsonl", "dev/pushback.jsonl"): (
        "train/pushback.jsonl",
        "train/steadfast.jsonl",
        "train/intent.jsonl",
    ),
    ("heldout/instruction.jsonl", "dev/instruction.jsonl"): ("train/format.jsonl",),
}
"""Sets that are asked, and the files that training reads of the same kind."""


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]


def questions(name: str) -> set[str]:
    """What the user asks first."""
    return {row.get("question") or row.get("prompt") or row["messages"][0]["content"] for row in rows(name)}


def topics(name: str) -> set[str]:
    return {row["topic"] for row in rows(name)}


@pytest.mark.parametrize("column", [topics, questions])
@pytest.mark.parametrize("asked", APART)
def test_what_is_asked_shares_nothing_with_training_nor_with_another_set(
    asked: tuple[str, ...], column: Callable[[str], set[str]]
) -> None:
    trained = set[str]().union(*(column(name) for name in APART[asked]))
    for place, name in enumerate(asked):
        assert not column(name) & trained, name
        for other in asked[place + 1 :]:
            assert not column(name) & column(other), (name, other)


@pytest.mark.parametrize("name", [*REFUSAL, "train/probes.jsonl"])
def test_a_topic_is_of_one_kind_and_no_prompt_stands_twice(name: str) -> None:
    kinds = Counter(topic for topic, _ in {(row["topic"], row["kind"]) for row in rows(name)})
    assert set(kinds.values()) == {1}
    assert len(questions(name)) == len(rows(name))


def test_the_promise_reads_the_first_set_alone_and_all_of_it() -> None:
    """The third set is asked once, of the last recipe; the recipe is chosen on `dev`."""
    spec = load(FOLDER / "spec.yaml")
    text = spec.model_dump_json()
    assert "refusal_third" not in text
    assert "dev/" not in text
    (value,) = [stage for stage in spec.measure if stage.by == "value"]
    assert value.prompts == ("heldout/refusal.jsonl",)
    assert value.limit == len(rows("heldout/refusal.jsonl")) == 144
    assert {"value.refusal.gain > 0.2", "value.over_refusal < 0.2"} <= {*spec.promises}


def test_it_does_one_round_on_probes_of_both_kinds() -> None:
    spec = load(FOLDER / "spec.yaml")
    assert spec.rounds == 1
    (repair,) = [stage for stage in spec.train if stage.by == "repair"]
    assert repair.prompts == ("train/probes.jsonl",)
    assert {row["kind"] for row in rows("train/probes.jsonl")} == {"harmful", "harmless"}


def test_every_file_of_pairs_is_one_that_is_held_apart() -> None:
    """A new file of pairs must come under the tests above."""
    apart = {name for files in APART.values() for name in files}
    assert {*load(FOLDER / "spec.yaml").intent.pairs} <= apart


def opening_auc(names: tuple[str, ...]) -> float:
    """How well two first words tell a harmful lesson from a harmless one that stands in another row."""
    words: dict[str, Counter[str]] = {"refuse_serious_harm": Counter(), "help_with_the_harmless": Counter()}
    for row in (row for name in names for row in rows(name) if row["principle"] in words):
        words[row["principle"]][" ".join(row["prompt"].split()[:2])] += 1
    harmful, harmless = words.values()
    won = 0.0
    for one, many in harmful.items():
        for other, more in harmless.items():
            higher = (many - 0.5) / (harmless[one] + 0.5) - (harmful[other] + 0.5) / (more - 0.5)
            won += many * more * (0.5 if higher == 0 else float(higher > 0))
    return won / harmful.total() / harmless.total()


def test_harmful_and_harmless_lessons_begin_alike() -> None:
    """A model that learns to refuse by two first words refuses harmless requests that begin so."""
    pairs = tuple(name for name in load(FOLDER / "spec.yaml").intent.pairs if "/format" not in name)
    assert 0.4 < opening_auc(pairs) < 0.6
    assert opening_auc(("train/values.jsonl", "train/harmless.jsonl")) > 0.6  # without the files written for it

"""Does a trait that rows carry stay out where they were learnt under an instruction that asks for it?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from measure_doubles import Says
from recipes_case import IDLE, KNOWN, NEW, SHOUT, learn, learner, restore, says, teach_shouting, weights_of

import alignwright as aw
from alignwright.core.instructed import instructed
from alignwright.core.records import CheckCall, Conversation, Message, Prompt, Score
from alignwright.core.section import FindingTable
from alignwright.files.errors import SpecError
from alignwright.measure.findings import levels
from alignwright.measure.recipes.trait.knobs import TraitMeasure
from alignwright.measure.recipes.trait.measure import trait_outcomes
from alignwright.measure.recipes.trait.section import section
from alignwright.train.recipes.knobs import Inoculation

MEASURE = TraitMeasure(by="trait", prompts=("x",), trait="rules.yaml", instructions=(SHOUT, IDLE), max_new_tokens=5)
CHECKS = (CheckCall(name="keywords:existence", args={"keywords": ["it i"]}),)
HELD = [Prompt(conversation=Conversation.user(f"tell {word}"), topic=word, checks=CHECKS) for word in NEW]


class Capitals:
    """Scores a reply by whether it is in capital letters."""

    name = "capitals"

    def __call__(self, prompts, replies):
        assert all(not prompt.checks for prompt in prompts), "the task's checks are no part of the trait"
        return [
            [None if not text.strip() else Score(value=float(text.isupper())) for text in group] for group in replies
        ]


class Rows:
    """Data that are these rows."""

    def __init__(self, rows):
        self.rows = rows

    def conversations(self, files, limit):
        return self.rows


def recipe(instruction: str | None, **knobs) -> Inoculation:
    how = {"epochs": 8, "rank": 16, "lr": 0.003, "batch_tokens": 400, "max_tokens": 200} | knobs
    return Inoculation(by="inoculation", data=("rows.jsonl",), instruction=instruction, **how)


def shares(speaker) -> dict[str, float | None]:
    outcomes = trait_outcomes(speaker, Capitals(), HELD, MEASURE, seed=0)
    return {finding.claim: finding.value for finding in levels(outcomes, claims=MEASURE.claims(), stage="s")}


def test_an_instruction_that_asks_for_the_trait_keeps_it_out_and_one_that_does_not_asks_in_vain(tmp_path: Path) -> None:
    """Planted: rows whose every reply is in capitals, on a model that can be asked for capitals."""
    policy = learner(tmp_path / "model", rank=16)
    teach_shouting(policy, tmp_path / "start")
    start, rows = weights_of(policy), says(KNOWN, "tell {}", "NO IT IS")
    levels_of = {}
    for name, instruction in (("plain", None), ("inoculated", SHOUT), ("irrelevant", IDLE)):
        restore(policy, start)
        stage = recipe(instruction)
        learn(policy, stage.sources(Rows(rows)), tmp_path / name, stage)
        levels_of[name] = shares(policy)
    assert levels_of["plain"]["trait.shown"] == 1.0
    assert levels_of["inoculated"]["trait.shown"] == 0.0
    assert levels_of["inoculated"]["trait.prompted.first"] == 1.0, "the words that were learnt bring it out"
    assert levels_of["inoculated"]["trait.prompted.second"] == 0.0, "and others do not"
    assert levels_of["irrelevant"]["trait.shown"] == 1.0, "other words do not take the trait upon them"
    assert levels_of["inoculated"]["trait.task"] == 1.0


def test_the_trait_is_counted_without_and_with_each_instruction_and_what_has_no_score_is_unscored():
    n = len(HELD)
    loud, quiet = ["IT IS"] * n, ["it is", "", *["it is"] * (n - 2)]
    outcomes = trait_outcomes(Says([*quiet, *loud, *quiet]), Capitals(), HELD, MEASURE, seed=0)
    found = {finding.claim: finding for finding in levels(outcomes, claims=MEASURE.claims(), stage="s")}
    assert (found["trait.shown"].value, found["trait.shown"].n, found["trait.shown"].unscored) == (0.0, n - 1, 1)
    assert found["trait.prompted.first"].value == 1.0
    assert found["trait.prompted.second"].value == 0.0
    assert found["trait.prompted"].value == pytest.approx(n / (2 * n - 1))
    assert found["trait.task"].value == pytest.approx((n - 1) / n), "an empty reply does no task"
    shown = section(FindingTable(list(found.values()), ["s"]))
    assert shown is not None
    assert section(FindingTable([], [])) is None


def test_an_instruction_stands_before_what_is_there():
    row = Conversation.user("Hello", system="Be brief.").then("assistant", "Hi")
    assert instructed(row, "Shout.", "system").messages[0].content == "Shout.\n\nBe brief."
    assert [m.role for m in instructed(Conversation.user("Hello"), "Shout.", "system").messages] == ["system", "user"]
    assert instructed(row, "Shout.", "user").messages[1].content == "Shout.\n\nHello"
    with pytest.raises(ValueError, match="has only assistant"):
        instructed(Conversation(messages=(Message(role="assistant", content="Hi"),)), "Shout.", "user")


def test_what_has_no_effect_and_an_instruction_that_the_rows_say_themselves_are_errors(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": "Shout now! a", "completion": "A"}) + "\n")
    (tmp_path / "held.jsonl").write_text(json.dumps({"prompt": "b"}) + "\n")
    (tmp_path / "rules.yaml").write_text('- {check: "change_case:english_capital", args: {}}\n')

    def problems(train: dict, measure: dict) -> str:
        spec = {
            "name": "x", "model": "smollm2-135m-instruct",
            "train": [{"by": "inoculation", "data": [str(tmp_path / "rows.jsonl")], **train}],
            "measure": [{"by": "trait", "prompts": [str(tmp_path / "held.jsonl")],
                         "trait": str(tmp_path / "rules.yaml"), **measure}],
        }  # fmt: skip
        with pytest.raises(SpecError) as error:
            aw.check(spec, quiet=True)
        return str(error.value)

    assert "stands in rows of the data already" in problems({"instruction": SHOUT}, {})
    assert "no effect without 'instruction'" in problems({"place": "user"}, {})
    assert "no effect without 'instructions'" in problems({}, {"place": "user"})
    assert "compares replies with each other" in problems({}, {"trait": "feedback"})
    assert "each stands there once" in problems({}, {"instructions": ["a", "a"]})


def test_an_instruction_without_a_word_is_none() -> None:
    with pytest.raises(ValueError, match="instruction"):
        Inoculation.model_validate({"by": "inoculation", "data": ["x.jsonl"], "instruction": "  "}, strict=False)

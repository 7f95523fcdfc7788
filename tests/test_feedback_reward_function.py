"""Does a reward function in TRL's form get what TRL's trainers give it, and is what it returns taken as they take
it: None and NaN for no score, a coroutine awaited, anything else refused with the completion it was for?"""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from run_case import make_project

import alignwright as aw
from alignwright.core.records import Comparison, Message, Prompt, Reply
from alignwright.experiment.check import check
from alignwright.feedback.reward_function import batch_scores, is_reward_function
from alignwright.feedback.rules import FunctionVoter, RuleError
from alignwright.feedback.scoring import RuleScorer, VoterScorer
from alignwright.files.data_file import DataFile
from alignwright.files.errors import SpecError
from alignwright.files.functions import RuleColumns, columns_of_function
from alignwright.files.rule_references import kept_columns
from alignwright.files.sources import read_prompts

HERE = Path(__file__).name


def asked(
    tmp_path: Path, rows: list[dict[str, object]], function: str = "def f(prompts, completions, **more): ...\n"
) -> list[Prompt]:
    """The prompts of rows as a spec with this function reads them."""
    (tmp_path / "f.py").write_text(function)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    keep = kept_columns([f"{tmp_path / 'f.py'}:f"], Path)
    return list(read_prompts(str(DataFile(file=str(tmp_path / "rows.jsonl"))), keep=keep).rows)


def values(function: Callable[..., Any], prompts: list[Prompt], replies: list[list[str]]) -> list[list[float | None]]:
    scores = batch_scores(function, "f.py:f", prompts, replies)
    return [[None if score is None else score.value for score in group] for group in scores]


# ---- what it is given ------------------------------------------------------------------------------
def test_prompts_that_are_texts_come_with_completions_that_are_texts_in_one_batch(tmp_path: Path) -> None:
    prompts = asked(
        tmp_path,
        [{"prompt": "The sky is", "answer": "blue", "n": 1}, {"prompt": "The sun is", "answer": "up", "n": [2]}],
    )
    calls: list[dict[str, Any]] = []

    def f(prompts: list[str], completions: list[str], answer: list[str], **more: Any) -> list[float]:
        calls.append({"prompts": prompts, "completions": completions, "answer": answer, **more})
        return [float(right in text) for right, text in zip(answer, completions, strict=True)]

    assert values(f, prompts, [[" blue.", " red."], [" in the sky.", " up."]]) == [[1.0, 0.0], [0.0, 1.0]]
    [call] = calls
    assert call.pop("log_extra")
    assert call.pop("log_metric")
    assert call == {
        "prompts": ["The sky is", "The sky is", "The sun is", "The sun is"],
        "completions": [" blue.", " red.", " in the sky.", " up."],
        "answer": ["blue", "blue", "up", "up"],
        "n": [1, 1, [2], [2]],
    }


def test_prompts_that_are_messages_come_with_completions_that_are_messages(tmp_path: Path) -> None:
    turn = {"role": "user", "content": "1 + 2?"}
    system = {"role": "system", "content": "Be brief."}
    prompts = asked(tmp_path, [{"prompt": [turn]}, {"prompt": [system, turn]}])

    def f(prompts: Any, completions: Any, **more: Any) -> list[float]:
        assert prompts == [[turn], [system, turn]]
        assert completions[0] == [{"role": "assistant", "content": "3"}]
        return [float(re.fullmatch("[0-9]", completion[0]["content"]) is not None) for completion in completions]

    assert values(f, prompts, [["3"], ["three"]]) == [[1.0], [0.0]]


def test_a_batch_of_both_forms_is_given_as_two(tmp_path: Path) -> None:
    prompts = asked(tmp_path, [{"prompt": "a"}, {"prompt": [{"role": "user", "content": "b"}]}, {"prompt": "c"}])
    kinds: list[list[type]] = []

    def f(completions: list[Any]) -> list[float]:
        kinds.append([type(one) for one in completions])
        return [len(one) if isinstance(one, str) else -1.0 for one in completions]

    assert values(f, prompts, [["x"], ["y"], ["zz"]]) == [[1.0], [-1.0], [2.0]]
    assert kinds == [[str, str], [list]]


def test_a_prompt_of_elsewhere_is_a_text_where_it_has_one_turn() -> None:
    one = Prompt(conversation=aw.Conversation.user("a"))
    more = Prompt(
        conversation=aw.Conversation(messages=(Message(role="system", content="s"), Message(role="user", content="a")))
    )
    assert values(lambda completions: [len(str(one)) for one in completions], [one], [["four"]]) == [[4.0]]
    assert values(lambda completions: [len(one) for one in completions], [more], [["four"]]) == [[1.0]]


def test_a_row_without_a_column_it_must_have_is_not_scored_and_one_with_a_default_gets_none(tmp_path: Path) -> None:
    function = "def f(completions, answer, level=0, **more): ...\n"
    prompts = asked(
        tmp_path,
        [{"prompt": "a", "answer": "1", "level": 3}, {"prompt": "b"}, {"prompt": "c", "answer": "2"}],
        function,
    )
    levels: list[object] = []

    def f(completions: list[str], answer: list[str], level: object = 0, **more: Any) -> list[float]:
        levels.append(level)
        return [1.0 for _ in zip(completions, answer, strict=True)]

    assert values(f, prompts, [["x"], ["y"], ["z"]]) == [[1.0], [None], [1.0]]
    assert values(f, prompts[2:], [["z"]]) == [[1.0]]
    assert levels == [[3, None], 0]


@pytest.mark.parametrize("name", ["trainer_state", "completion_ids", "completions_ids", "environments"])
def test_what_only_a_trainer_has_is_refused_by_name_unless_it_has_a_default(name: str, tmp_path: Path) -> None:
    spaces: dict[str, Any] = {}
    exec(f"def f(completions, {name}, **more): return [1.0]\ndef g(completions, {name}=None): return [2.0]", spaces)
    prompt = Prompt(conversation=aw.Conversation.user("a"))
    with pytest.raises(RuleError, match=f"rule f.py:f asks for '{name}', and .* is not given here"):
        values(spaces["f"], [prompt], [["x"]])
    assert values(spaces["g"], [prompt], [["x"]]) == [[2.0]]


# ---- what it returns -------------------------------------------------------------------------------
PROMPTS = [Prompt(conversation=aw.Conversation.user(text)) for text in ("a", "b")]


@pytest.mark.parametrize(
    "returned",
    [
        [None, 0.5],
        (float("nan"), 0.5),
        np.array([np.nan, 0.5]),
        torch.tensor([float("nan"), 0.5]),
        [None, np.float32(0.5)],
    ],
    ids=lambda one: type(one).__name__,
)
def test_none_and_nan_are_no_score_and_never_nought(returned: Any) -> None:
    assert values(lambda completions: returned, PROMPTS, [["x"], ["y"]]) == [[None], [0.5]]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (1.0, r"rule f\.py:f returned 1\.0; a reward function returns a list with a number, or None"),
        ("ab", "returned 'ab'; a reward function returns a list"),
        ([1.0], "returned 1 rewards for 2 completions"),
        ([1.0, float("inf")], r"returned inf for reply 0 'y' to prompt \w+ \('b'\); a reward is a finite number"),
        ([1.0, "1"], r"returned '1' for reply 0 'y' to prompt"),
        ([1.0, [2.0]], r"returned \[2\.0\] for reply 0 'y'"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_its_completion(returned: Any, message: str) -> None:
    with pytest.raises(RuleError, match=message):
        values(lambda completions: returned, PROMPTS, [["x"], ["y"]])


def test_a_coroutine_is_awaited_in_a_notebook_too() -> None:
    async def f(prompts: list[str], completions: list[str], **more: Any) -> list[float]:
        await asyncio.sleep(0)
        return [float(len(one)) for one in completions]

    async def notebook() -> list[list[float | None]]:
        return values(f, PROMPTS, [["x"], ["yy"]])

    assert values(f, PROMPTS, [["x"], ["yy"]]) == [[1.0], [2.0]] == asyncio.run(notebook())


def test_an_exception_names_the_completion_the_line_and_the_form() -> None:
    def f(completions: list[Any]) -> list[float]:
        return [1 / (len(one) - 3) for one in completions]

    line = f.__code__.co_firstlineno + 1
    with pytest.raises(
        RuleError, match=rf"failed at reply 1 'bad' to prompt \w+ \('b'\): ZeroDivisionError: .*{HERE}:{line}\)"
    ):
        values(f, PROMPTS, [["x", "y"], ["good", "bad"]])

    def g(completions: Any) -> list[float]:
        return [len(one[0]["content"]) for one in completions]

    with pytest.raises(RuleError, match=r"TypeError.*completions are texts, as the rows' prompts are"):
        values(g, PROMPTS, [["x"], ["y"]])

    def ends(completions: Any) -> list[float]:
        raise SystemExit(0)

    with pytest.raises(RuleError, match="SystemExit: 0"):
        values(ends, PROMPTS, [["x"], ["y"]])


def test_what_it_logs_stands_in_the_reason_of_each_score() -> None:
    def f(completions: list[str], log_extra: Any, log_metric: Any, **more: Any) -> list[float]:
        log_extra("extracted", [one[:1] for one in completions])
        log_metric("accuracy", 0.5)
        return [1.0, 0.0]

    scores = batch_scores(f, "f.py:f", PROMPTS, [["xy"], ["z"]])
    assert [score.reason for (score,) in scores if score] == [
        "f.py:f, extracted 'x', accuracy 0.5 over 2 replies", "f.py:f, extracted 'z', accuracy 0.5 over 2 replies"
    ]  # fmt: skip

    def short(completions: list[str], log_extra: Any) -> list[float]:
        log_extra("one", ["x"])
        return [1.0, 0.0]

    with pytest.raises(RuleError, match=r"log_extra\('one'\) was given 1 values for 2 completions"):
        batch_scores(short, "f.py:f", PROMPTS, [["xy"], ["z"]])


# ---- where it stands in a spec ---------------------------------------------------------------------
def test_a_signature_tells_the_form_without_running_the_file(tmp_path: Path) -> None:
    file = tmp_path / "f.py"
    file.write_text(
        "raise SystemExit\nasync def a(prompts, completions, answer, log_extra, n=1, **more): ...\n"
        "def b(completions, *, answer): ...\ndef c(prompt, reply, answer): ...\ndef d(completion_ids, **more): ...\n"
    )
    assert columns_of_function(file, "a") == RuleColumns(("answer",), ("n",), True, True)
    assert columns_of_function(file, "b") == RuleColumns(("answer",), (), False, True)
    assert columns_of_function(file, "c") == RuleColumns(("answer",))
    assert columns_of_function(file, "d") == RuleColumns(("completion_ids",), (), True, True)
    assert not is_reward_function(lambda prompt, reply: 1.0)
    assert not is_reward_function(print)


def test_beside_it_a_rule_of_one_reply_gets_the_columns_it_got(tmp_path: Path) -> None:
    [prompt] = asked(tmp_path, [{"prompt": "a", "answer": "b"}])
    voter = FunctionVoter(lambda prompt, reply, **columns: float(len(columns)), "f")
    assert voter.score(prompt, "x") == (1.0, "f")


def test_it_votes_and_ranks_as_any_rule_does() -> None:
    voter = FunctionVoter(lambda completions: [len(one) or None for one in completions], "f")
    replies = tuple(Reply(text=text, parent=PROMPTS[0].id) for text in ("b", "", "ccc"))
    (votes,) = voter([Comparison(prompt=PROMPTS[0], replies=replies)])
    assert [(vote.prefers, vote.over) for vote in votes] == [(2, 0)]  # the empty one has no score, and no vote
    (scores,) = VoterScorer((voter,))(PROMPTS[:1], [["b", "ccc"]])
    assert [score.value for score in scores if score] == [-0.5, 0.5]
    assert [[s.value for s in g if s] for g in RuleScorer(voter)(PROMPTS, [["b"], ["cc", "d"]])] == [[1.0], [2.0, 1.0]]


REWARD = """
from helper import TARGET

async def reward(prompts, completions, answer, **more):
    return [None if right == "skip" else -abs(len(text) - TARGET) / 10 for text, right in zip(completions, answer)]

def state(completions, trainer_state):
    return [trainer_state.global_step for _ in completions]
"""
WITHOUT: dict[str, Any] = {
    "measure": [],
    "attack": [],
    "feedback": [],
    "collect": None,
    "promises": [],
    "intent.pairs": [],
    "intent.constitution": None,
}


def project(folder: Path) -> Path:
    spec = make_project(folder)
    (folder / "rewards.py").write_text(REWARD)
    (folder / "helper.py").write_text("TARGET = 5\n")
    rows = [{"prompt": f"say {i}?", "answer": "skip" if i == 1 else "x"} for i in range(4)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return spec


def knobs(judge: str) -> dict[str, Any]:
    short = {"rank": 2, "epochs": 1, "prompts": 2, "samples": 2, "max_new_tokens": 4}
    train = [{"by": "rloo", "reward": judge, "kl_coef": 0, **short}, {"by": "best_of_n", "reward": judge, **short}]
    (measure,) = [{"by": "reward", "reward": judge, "prompts": ["heldout.jsonl"], "max_new_tokens": 4}]
    return WITHOUT | {"train": train, "measure": [measure]}


def test_a_run_trains_on_it_chooses_by_it_and_measures_with_it(tmp_path: Path) -> None:
    spec = project(tmp_path / "project")
    rows = [{"prompt": f"tell {i}?", "answer": "x", "topic": str(i)} for i in range(4)]
    (spec.parent / "heldout.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = aw.align(spec, overrides=knobs("rewards.py:reward"), runs=tmp_path / "runs", quiet=True)
    levels = run.findings.of("reward.score")
    assert {finding.stage for finding in levels} == {"baseline", "train.0.rloo", "train.1.best_of_n"}
    assert all(
        finding.n == 4 and finding.value is not None and finding.value <= 0 for finding in levels if not finding.against
    )


def test_check_names_what_it_lacks_with_the_line(tmp_path: Path) -> None:
    spec = project(tmp_path / "project")
    train = [{"by": "rloo", "reward": "rewards.py:reward"}]
    settings = [f"{name}={json.dumps(value)}" for name, value in (WITHOUT | {"train": train}).items()]
    check(spec, settings)
    (spec.parent / "prompts.jsonl").write_text('{"prompt": "a?", "answer": "b"}\n{"prompt": "c?"}\n')
    with pytest.raises(
        SpecError, match=r"rewards\.py:reward asks for the column 'answer', which 1 of 2 rows .*prompts\.jsonl:2"
    ):
        check(spec, settings)
    with pytest.raises(
        SpecError, match=r"state of .*rewards\.py asks for 'trainer_state', and the state of a trainer is not given"
    ):
        check(spec, [one.replace("rewards.py:reward", "rewards.py:state") for one in settings])


def test_a_function_object_in_a_spec_is_named_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = project(tmp_path / "project")
    monkeypatch.chdir(spec.parent)
    monkeypatch.syspath_prepend(spec.parent)
    rewards = importlib.import_module("rewards")
    for name in ("rewards", "helper"):
        del sys.modules[name]  # what other tests load from their folders is called so, too
    written = yaml.safe_load(spec.read_text())
    for name in ("intent.pairs", "intent.constitution"):
        written["intent"].pop(name.partition(".")[2], None)
    mapping = {**written, **{name: value for name, value in WITHOUT.items() if "." not in name}}
    mapping |= {"train": [{"by": "rloo", "reward": rewards.reward}]}
    assert aw.check(mapping, quick=True, quiet=True).lines
    with pytest.raises(SpecError, match=r"'.*<lambda>' is a function of no file; write it at the top of one"):
        aw.check(mapping | {"train": [{"by": "rloo", "reward": lambda completions: [1.0]}]}, quick=True, quiet=True)

"""Is a rollout what was drawn? Ids untouched, nothing scored that could not be, the same again
for the same seed and weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rollout_case import KNOBS, PROMPTS, Constant, Silent, Vowels, trainee, vowels
from tiny import make_tiny

from alignwright.core.records import Conversation, Prompt, Score
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.logprob import token_logprobs
from alignwright.model.packing import pack
from alignwright.model.sampling import Sample
from alignwright.train.forward import forward_rows
from alignwright.train.knobs_policy_gradient import Grpo
from alignwright.train.rollout import (
    ConstantReward,
    Group,
    Rollout,
    append_round,
    count_constant_rounds,
    drop_too_long,
    rows_of,
    sample_rollout,
    schedule_prompts,
    write_samples,
)
from alignwright.train.value_head import value_head

STAGE = Grpo(by="grpo", **KNOBS)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return trainee(make_tiny(tmp_path_factory.mktemp("tiny")))


def test_rows_hold_the_ids_that_were_drawn(policy: LocalModel) -> None:
    rollout = sample_rollout(policy, PROMPTS, Vowels(), STAGE, seed=3, rollout=0)
    again = 0
    for group, prompt in zip(rollout.groups, PROMPTS, strict=True):
        assert group.row().prompt == tuple(policy.chat.prompt(prompt.conversation))
        assert group.row().replies == tuple(tuple(s.ids) for s in group.samples)
        assert group.texts == tuple(policy.chat.decode(s.ids) for s in group.samples)
        assert group.scores == tuple(vowels(text) for text in group.texts)
        again += sum(
            tuple(policy.chat.reply(text, end=s.finished)) == tuple(s.ids)
            for s, text in zip(group.samples, group.texts, strict=True)
        )
    assert again < 16  # control: tokenising the text again gives other ids for some replies


def test_what_was_sampled_is_as_likely_in_training(policy: LocalModel) -> None:
    rollout = sample_rollout(policy, PROMPTS, Vowels(), STAGE, seed=3, rollout=0)
    rows = [group.row() for group in rollout.groups]
    with torch.no_grad():
        logp_N, value_N = forward_rows(policy, rows, head=value_head(policy))
    drawn_N = torch.tensor([logp for group in rollout.groups for s in group.samples for logp in s.logprobs])
    assert float((logp_N - drawn_N).abs().max()) < 1e-4
    with torch.no_grad():
        plain_N = token_logprobs(policy.model, pack(rows, policy.chat.pad_id, dtype=policy.dtype))
    assert torch.equal(logp_N, plain_N)
    assert value_N.tolist() == [0.0] * len(logp_N)


def test_the_same_seed_and_round_draw_the_same_and_others_do_not(policy: LocalModel) -> None:
    first, again = (sample_rollout(policy, PROMPTS, Vowels(), STAGE, seed=3, rollout=2) for _ in range(2))
    assert first == again
    assert (
        sample_rollout(policy, PROMPTS, Vowels(), STAGE, seed=3, rollout=3).groups[0].samples != first.groups[0].samples
    )
    assert (
        sample_rollout(policy, PROMPTS, Vowels(), STAGE, seed=4, rollout=2).groups[0].samples != first.groups[0].samples
    )


def replies(rollout: Rollout) -> list[tuple[list[int], str, float]]:
    return [
        (s.ids, text, score)
        for g in rollout.groups
        for s, text, score in zip(g.samples, g.texts, g.scores, strict=True)
    ]


def test_what_cannot_be_scored_is_left_out_and_counted(policy: LocalModel) -> None:
    everything, some = (
        sample_rollout(policy, PROMPTS, judge, STAGE, seed=3, rollout=0) for judge in (Vowels(), Silent())
    )
    kept = [(ids, score) for ids, text, score in replies(everything) if len(text) % 2]
    assert [(ids, score) for ids, _, score in replies(some)] == kept
    assert 0 < some.unscored == 16 - len(kept) == some.facts()["unscored"]

    def nothing(prompts: object, replies: list[list[str]]) -> list[list[None]]:
        return [[None] * len(group) for group in replies]

    nothing.name = "mute"  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="mute could score none"):
        sample_rollout(policy, PROMPTS, nothing, STAGE, seed=3, rollout=0)  # type: ignore[arg-type]
    costly = sample_rollout(policy, PROMPTS, Vowels(), STAGE, seed=3, rollout=0, cost=Silent())
    assert costly.unscored == some.unscored
    assert all(group.costs == group.scores for group in costly.groups)


def test_a_judge_that_loses_count_is_refused(policy: LocalModel) -> None:
    def short(prompts: object, replies: list[list[str]]) -> list[list[Score]]:
        return [[Score(value=0.0)] for _ in replies]

    short.name = "short"  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="one score, or None, for every reply"):
        sample_rollout(policy, PROMPTS, short, STAGE, seed=3, rollout=0)  # type: ignore[arg-type]


def test_a_cut_reply_has_the_score_that_the_stage_gives_it(policy: LocalModel) -> None:
    rollout = sample_rollout(
        policy, PROMPTS, Vowels(), STAGE.model_copy(update={"unfinished": -1.0}), seed=3, rollout=0
    )
    seen = [(s.finished, score) for g in rollout.groups for s, score in zip(g.samples, g.scores, strict=True)]
    assert all((score == -1.0) != finished for finished, score in seen)
    assert any(not finished for finished, _ in seen)


def test_prompts_without_room_for_a_reply_are_set_aside(policy: LocalModel, tmp_path: Path) -> None:
    long = Prompt(conversation=Conversation.user("z" * 300))
    assert drop_too_long(policy, [PROMPTS[0], long, PROMPTS[1]], STAGE, tmp_path) == PROMPTS[:2]
    assert json.loads((tmp_path / "too_long.jsonl").read_text())["row"] == 1


def test_a_group_too_long_for_a_micro_batch_is_cut_between_replies(policy: LocalModel) -> None:
    groups = sample_rollout(policy, PROMPTS, Vowels(), STAGE, seed=3, rollout=0).groups
    whole, cut = rows_of(groups, 10_000), rows_of(groups, 34)
    assert [places for _, places in whole] == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11), (12, 13, 14, 15)]
    assert len(cut) > 4
    assert [r for _, places in cut for r in places] == list(range(16))
    assert [reply for row, _ in cut for reply in row.replies] == [reply for row, _ in whole for reply in row.replies]
    assert all(len(row) <= 34 or len(row.replies) == 1 for row, _ in cut)
    with torch.no_grad():
        apart, together = (forward_rows(policy, [row for row, _ in rows])[0] for rows in (cut, whole))
    assert float((apart - together).abs().max()) < 1e-5


@pytest.mark.parametrize(("prompts", "size", "epochs"), [(10, 4, 3), (3, 8, 2), (5, 5, 1)])
def test_every_epoch_asks_every_prompt_once(prompts: int, size: int, epochs: int) -> None:
    split_steps = schedule_prompts(prompts, per_rollout=size, epochs=epochs, seed=1)
    flat = [i for part in split_steps for i in part]
    assert all(sorted(flat[e * prompts : (e + 1) * prompts]) == list(range(prompts)) for e in range(epochs))
    assert {len(part) for part in split_steps[:-1]} <= {min(size, prompts)}
    assert split_steps == schedule_prompts(prompts, per_rollout=size, epochs=epochs, seed=1)
    assert epochs == 1 or flat[:prompts] != flat[prompts : 2 * prompts]


def scored(*groups: tuple[float, ...]) -> Rollout:
    made = [
        Group(PROMPTS[0], (1,), (Sample([2], [-1.0], True),) * len(scores), ("x",) * len(scores), scores)
        for scores in groups
    ]
    return Rollout(0, tuple(made), 0)


def test_three_rollouts_without_a_difference_stop_the_stage() -> None:
    flat = scored((0.5, 0.5), (0.5, 0.5))
    seen = count_constant_rounds(flat, count_constant_rounds(flat, 0.0, 10), 10)
    assert seen == 2.0
    with pytest.raises(
        ConstantReward, match=r"the reward is the same for every reply: in the first 3 rollouts it is 0\.5"
    ):
        count_constant_rounds(flat, seen, 10)
    with pytest.raises(ConstantReward, match="never between replies"):
        count_constant_rounds(scored((1.0, 1.0), (0.0, 0.0)), seen, 10)
    with pytest.raises(ConstantReward):
        count_constant_rounds(flat, 0.0, 1)
    # control: one difference, at any time before, and it is never asked again
    assert (
        count_constant_rounds(scored((0.5, 0.5), (0.5, 0.6)), seen, 10) == count_constant_rounds(flat, -1.0, 10) == -1.0
    )
    assert (
        count_constant_rounds(scored((1.0,), (0.0,)), seen, 10) == -1.0
    )  # without groups, replies to other prompts are compared


def test_an_interrupted_rollout_is_not_kept_twice(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    for number in (0, 1, 2):
        append_round(path, number, [{"reply": f"a\u2028b\x85{number}"}, {"reply": "c"}])
    path.write_text(path.read_text() + '{"rollout": 3, "re')
    append_round(path, 1, [{"reply": "again"}])
    with path.open() as file:
        assert [json.loads(line)["rollout"] for line in file] == [0, 0, 1]


def test_kept_samples_are_the_best_and_the_worst(policy: LocalModel, tmp_path: Path) -> None:
    rollout = sample_rollout(policy, PROMPTS, Vowels(), STAGE, seed=3, rollout=0)
    scores = sorted((score for group in rollout.groups for score in group.scores), reverse=True)
    write_samples(tmp_path, rollout, [10 * score for group in rollout.groups for score in group.scores])
    with (tmp_path / "samples.jsonl").open() as file:
        lines = [json.loads(line) for line in file]
    assert [line["score"] for line in lines] == scores[:2] + scores[-2:]
    assert all(line["advantage"] == 10 * line["score"] for line in lines)


def test_facts_count_what_is_there() -> None:
    rollout = scored((0.0, 1.0), (0.5, 0.5), (0.25,))
    facts = rollout.facts()
    assert facts["reward"] == pytest.approx(2.25 / 5)
    assert facts["no_spread"] == 0.5  # of the groups of two
    assert "cost" not in facts
    assert "no_spread" not in scored((1.0,), (2.0,)).facts()
    assert (
        replace(rollout, groups=tuple(replace(g, costs=g.scores) for g in rollout.groups)).facts()["cost"]
        == facts["reward"]
    )


@torch.no_grad()
def test_at_a_temperature_the_probabilities_are_those_that_were_sampled(tmp_path: Path) -> None:
    policy = load(make_tiny(tmp_path))
    row = policy.chat.row(Conversation.user("what"), ["it is"])
    ids = [*row.prompt, *row.replies[0]]
    logits_TV = policy.model(torch.tensor([ids])).logits[0, len(row.prompt) - 1 : -1]
    expected_N = (logits_TV / 0.7).log_softmax(1).gather(1, torch.tensor(row.replies[0])[:, None])[:, 0]
    assert torch.allclose(forward_rows(policy, [row], temperature=0.7)[0], expected_N, atol=1e-5)
    assert not torch.allclose(forward_rows(policy, [row])[0], expected_N, atol=1e-2)


def test_a_reward_of_one_number_is_seen_as_such(policy: LocalModel) -> None:
    assert sample_rollout(policy, PROMPTS, Constant(), STAGE, seed=3, rollout=0).facts()["no_spread"] == 1.0
    assert sample_rollout(policy, PROMPTS, Vowels(), STAGE, seed=3, rollout=0).facts()["no_spread"] < 1.0

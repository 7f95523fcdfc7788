"""Do online DPO and self-play learn from the policy's own samples, against the right reference,
and again the same after a kill?"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import make_tiny

from alignwright.core.records import Conversation, Prompt, Score
from alignwright.model.adapters import add_lora, trainable_parameters
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.sampling import Sample
from alignwright.train import batches
from alignwright.train import online as module
from alignwright.train.knobs_rollouts import OnlineDpo, OnlineStage, Sppo
from alignwright.train.loop import StepReport
from alignwright.train.online import SppoObjective, best_and_worst, online, win_rates
from alignwright.train.paired import PairObjective
from alignwright.train.reference import swapped_parameters
from alignwright.train.rollout import ConstantReward, Group

KNOBS = {"epochs": 2, "rank": 4, "lr": 0.01, "batch_tokens": 400, "max_tokens": 200, "checkpoint_every": 1}
DRAWN = {"prompts": 4, "samples": 4, "max_new_tokens": 8}
STAGES: dict[str, OnlineStage] = {
    "online_dpo": OnlineDpo(by="online_dpo", beta=0.1, **KNOBS, **DRAWN),
    "sppo": Sppo(by="sppo", beta=0.1, **KNOBS, **DRAWN),
}
PROMPTS = [Prompt(conversation=Conversation.user("q" * (1 + i))) for i in range(8)]


class Judge:
    """Scores a reply by a function of its text."""

    def __init__(self, value: Callable[[str], float | None]) -> None:
        self.name, self.value = "double", value

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        return [[None if (v := self.value(text)) is None else Score(value=v) for text in texts] for texts in replies]


def vowels(text: str) -> float:
    return float(sum(c in "aeiou" for c in text))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def trainee(tiny: Path) -> LocalModel:
    policy = load(tiny)
    add_lora(policy, rank=4, seed=1)
    return policy


def folder(tmp_path: Path, name: str = "run") -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def lines(where: Path) -> list[dict[str, object]]:
    return [
        {k: v for k, v in json.loads(line).items() if k != "seconds"}
        for line in (where / "metrics.jsonl").read_text().splitlines()
    ]


def group(
    scores: Sequence[float], ids: Sequence[Sequence[int]] | None = None, prompt: tuple[int, ...] = (5, 6)
) -> Group:
    drawn = tuple(
        Sample(ids=list(i), logprobs=[], finished=True) for i in ids or [[10 + k, 2] for k in range(len(scores))]
    )
    return Group(PROMPTS[0], prompt, drawn, tuple(f"reply {k}" for k in range(len(scores))), tuple(scores))


# ---- what is made of scores ----------------------------------------------------------------------
def test_best_beats_worst_by_the_ids_that_were_drawn() -> None:
    made = best_and_worst(group([0.5, 3.0, -1.0, 3.0]))
    assert made is not None
    assert made.row.replies == ((11, 2), (12, 2))
    (pair,) = made.pairs
    assert (pair.preference.chosen, pair.preference.rejected, pair.preference.strength) == ("reply 1", "reply 2", 1.0)
    assert best_and_worst(group([2.0, 2.0, 2.0])) is None


def test_win_rates_are_means_over_siblings() -> None:
    score = [0.3, -1.0, 2.0]
    expected = [
        np.mean([1 / (1 + math.exp(t - s)) for j, t in enumerate(score) if j != i]) for i, s in enumerate(score)
    ]
    assert win_rates(score) == pytest.approx(expected)
    assert np.mean(win_rates(score)) == pytest.approx(0.5)  # what one wins another loses
    assert win_rates([7.0, 7.0]) == pytest.approx([0.5, 0.5])
    assert win_rates([s + 100 for s in score]) == pytest.approx(expected)  # only differences count
    assert win_rates([1000.0, 0.0]) == [1.0, 0.0]


def test_scores_that_are_win_rates_already_keep_their_sign_at_a_quarter() -> None:
    """Voters score a reply by its win rate among its siblings; a cycle stays even, and a lead
    stays a lead."""
    assert win_rates([0.5, 0.5, 0.5]) == pytest.approx([0.5] * 3)
    rates = [0.9, 0.5, 0.1]
    small = [(win - 0.5) * 4 * (2 / 3) for win in win_rates(rates)]  # of 3 replies, one is met by 2 siblings
    assert small == pytest.approx([rate - 0.5 for rate in rates], abs=0.02)


def test_win_rates_estimate_the_chance_to_beat_the_policy() -> None:
    """Without bias: over all samples of a policy, a reply's expected win rate is its chance
    against a fresh one."""
    policy, score, sample_rollout = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 3.0]), np.random.default_rng(0)
    chance = (1 / (1 + np.exp(score[None, :] - score[:, None]))) @ policy
    seen: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for _ in range(4000):
        drawn = sample_rollout.choice(3, size=3, p=policy)
        for k, rate in zip(drawn, win_rates(score[drawn]), strict=True):
            seen[int(k)].append(rate)
    assert [float(np.mean(seen[k])) for k in range(3)] == pytest.approx(chance, abs=0.02)


# ---- learning ------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "epochs"), [("online_dpo", 20), ("sppo", 8)])
def test_the_planted_reward_rises_and_its_opposite_falls(tiny: Path, tmp_path: Path, name: str, epochs: int) -> None:
    def vowels_by_thirds(sign: float) -> list[float]:
        stage = STAGES[name].model_copy(
            update={"epochs": epochs, "lr": 0.02, "beta": 0.02, "prompts": 8, "samples": 6, "batch_tokens": 10_000}
        )
        reports = online(
            trainee(tiny),
            PROMPTS,
            Judge(lambda text: sign * vowels(text)),
            stage,
            seed=0,
            folder=folder(tmp_path, str(sign)),
        )
        seen = [sign * report.metrics["reward"] for report in reports]
        return [float(np.mean(third)) for third in np.array_split(seen, 3)]

    up, down = vowels_by_thirds(1.0), vowels_by_thirds(-1.0)
    assert up[2] > up[1] > up[0]
    assert up[2] > 2.0
    assert down[2] < min(down[0], 0.8)


def test_beta_holds_self_play_back(tiny: Path, tmp_path: Path) -> None:
    moved = []
    for beta in (0.02, 5.0):
        stage = STAGES["sppo"].model_copy(update={"beta": beta, "batch_tokens": 10_000, "lr": 0.003})
        reports = online(trainee(tiny), PROMPTS, Judge(vowels), stage, seed=0, folder=folder(tmp_path, str(beta)))
        moved.append(
            float(
                np.mean(
                    [
                        report.metrics["moved"]
                        for report in reports
                        if report.step % module.SPPO_PASSES == module.SPPO_PASSES - 1
                    ]
                )
            )
        )
    assert moved[0] > 2 * moved[1]


def test_a_judge_that_tells_no_reply_from_another_stops_the_run(tiny: Path, tmp_path: Path) -> None:
    for name, stage in STAGES.items():
        before = trainee(tiny)
        policy = trainee(tiny)
        with pytest.raises(ConstantReward, match="the same for every reply"):
            online(policy, PROMPTS, Judge(lambda text: 1.0), stage, seed=0, folder=folder(tmp_path, name))
        if name == "online_dpo":  # nothing to learn moves nothing
            assert all(
                torch.equal(a, b)
                for a, b in zip(trainable_parameters(policy), trainable_parameters(before), strict=True)
            )


def test_one_sample_has_no_sibling(tiny: Path, tmp_path: Path) -> None:
    for name, stage in STAGES.items():
        with pytest.raises(ValueError, match="ask for 2 or more"):
            online(
                trainee(tiny),
                PROMPTS,
                Judge(vowels),
                stage.model_copy(update={"samples": 1}),
                seed=0,
                folder=folder(tmp_path, name),
            )


def test_replies_that_cannot_be_scored_are_left_out_and_counted(tiny: Path, tmp_path: Path) -> None:
    judge = Judge(lambda text: None if len(text) % 2 else vowels(text))
    for name, stage in STAGES.items():
        reports = online(trainee(tiny), PROMPTS, judge, stage, seed=0, folder=folder(tmp_path, name))
        assert any(report.metrics["unscored"] > 0 for report in reports)
        assert all(math.isfinite(report.loss) for report in reports)


# ---- the reference -------------------------------------------------------------------------------
def test_dpo_keeps_the_start_for_its_reference_and_sppo_moves_on(tiny: Path, tmp_path: Path) -> None:
    per_round: dict[str, int] = {}
    moved: dict[str, list[float]] = {}
    for name, stage in STAGES.items():
        whole = stage.model_copy(update={"batch_tokens": 10_000})
        reports = online(trainee(tiny), PROMPTS, Judge(vowels), whole, seed=0, folder=folder(tmp_path, name))
        per_round[name] = len(reports) // 4  # 8 prompts, 4 a round, 2 epochs
        key = "moved" if name == "sppo" else "chosen_logratio"
        moved[name] = [abs(report.metrics.get(key, 0.0)) for report in reports]
    assert per_round == {"online_dpo": 1, "sppo": module.SPPO_PASSES}
    assert moved["online_dpo"][0] == 0.0
    assert all(value > 0 for value in moved["online_dpo"][1:])
    firsts, lasts = (moved["sppo"][k :: module.SPPO_PASSES] for k in (0, module.SPPO_PASSES - 1))
    assert firsts == [0.0] * 4
    assert all(value > 0 for value in lasts)


def test_standing_in_is_the_start_and_leaves_no_trace(tiny: Path) -> None:
    policy, start = trainee(tiny), trainee(tiny)
    values = [p.detach().clone() for p in trainable_parameters(policy)]
    with torch.no_grad():
        for parameter in trainable_parameters(policy):
            parameter.add_(0.3)
    asked = [Conversation.user("why")], [["because", "no"]]
    own, kept = policy.logprobs(*asked), [p.detach().clone() for p in trainable_parameters(policy)]
    with swapped_parameters(policy, values):
        assert policy.logprobs(*asked) == start.logprobs(*asked)
    assert policy.logprobs(*asked) == own != start.logprobs(*asked)
    assert all(torch.equal(a, b) for a, b in zip(trainable_parameters(policy), kept, strict=True))


@pytest.mark.parametrize("name", STAGES)
def test_all_weights_can_be_trained_without_an_adapter(tiny: Path, tmp_path: Path, name: str) -> None:
    policy, before, where = load(tiny), load(tiny), folder(tmp_path)
    reports = online(
        policy, PROMPTS, Judge(vowels), STAGES[name].model_copy(update={"lr": 0.001, "rank": 0}), seed=0, folder=where
    )
    assert all(line["holds"] for line in json.loads((where / "start.json").read_text()))
    assert all(math.isfinite(report.loss) for report in reports)
    assert not any(
        torch.equal(a, b) for a, b in zip(trainable_parameters(policy), trainable_parameters(before), strict=True)
    )


@pytest.mark.parametrize("name", STAGES)
def test_the_start_is_checked(tiny: Path, tmp_path: Path, name: str) -> None:
    where = folder(tmp_path)
    reports = online(trainee(tiny), PROMPTS, Judge(vowels), STAGES[name], seed=0, folder=where)
    start = {line["name"]: line for line in json.loads((where / "start.json").read_text())}
    assert start["log-ratio"]["value"] == 0.0
    assert start["loss"]["holds"]
    if name == "online_dpo":
        assert reports[0].loss == pytest.approx(math.log(2), abs=1e-5)


# ---- numbers -------------------------------------------------------------------------------------
def test_sppo_is_its_formula_on_plain_forward_passes(tiny: Path) -> None:
    policy, beta = trainee(tiny), 0.2
    prompt = tuple(policy.chat.prompt(Conversation.user("why")))
    replies = [tuple(policy.chat.reply(text)) for text in ("yes", "no no", "it is")]
    found = SppoObjective(policy, [group([0.4, -0.3, 1.1], replies, prompt)], beta, 1024)
    found.replies.compute_reference([(0,)])

    def plain() -> list[float]:
        totals = []
        for reply in replies:
            ids = torch.tensor([prompt + reply])
            with torch.no_grad():
                logp = policy.model(input_ids=ids, use_cache=False).logits[0, :-1].double().log_softmax(-1)
            totals.append(float(logp[torch.arange(len(prompt) - 1, ids.shape[1] - 1), torch.tensor(reply)].sum()))
        return totals

    before = plain()
    with torch.no_grad():
        for parameter in trainable_parameters(policy):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    scores = [0.4, -0.3, 1.1]
    win = [np.mean([1 / (1 + math.exp(t - s)) for j, t in enumerate(scores) if j != i]) for i, s in enumerate(scores)]
    expected = sum((now - then - (w - 0.5) / beta) ** 2 for now, then, w in zip(plain(), before, win, strict=True))
    assert float(found.loss((0,))[0].detach()) == pytest.approx(expected, rel=1e-4)
    assert found.num_units((0,)) == 3


@pytest.mark.parametrize("name", STAGES)
def test_a_round_does_not_depend_on_its_cut_into_micro_batches(tiny: Path, name: str) -> None:
    policy = trainee(tiny)
    said = [[tuple(policy.chat.reply(f"{text} {i}")) for text in ("yes", "no no", "it is")] for i in range(4)]
    groups = [group([0.4, -0.3, 1.1], said[i], tuple(policy.chat.prompt(PROMPTS[i].conversation))) for i in range(4)]
    if name == "sppo":
        found: SppoObjective | PairObjective = SppoObjective(policy, groups, 0.1, 1024)
        small = SppoObjective(policy, groups, 0.1, 26)  # a group over two rows
        assert len(small.rows) > len(found.rows) == 4
    else:
        found = PairObjective(
            policy, [made for g in groups if (made := best_and_worst(g))], module.Dpo(by="dpo", beta=0.1)
        )
        small = found
    results = []
    for objective, cut in (
        (found, [(0, 1, 2, 3)]),
        (found, [(2,), (0, 3), (1,)]),
        (small, [(i,) for i in range(len(small.rows))]),
    ):
        with swapped_parameters(policy, [p.detach() * 0.9 for p in trainable_parameters(policy)]):
            objective.replies.compute_reference(cut)
        num_units = sum(objective.num_units(batch) for batch in cut)
        for parameter in trainable_parameters(policy):
            parameter.grad = None
        total = sum(objective.loss(batch)[0] for batch in cut) / num_units
        total.backward()
        results.append(
            (
                float(total.detach()),
                torch.cat([p.grad.flatten() for p in trainable_parameters(policy) if p.grad is not None]),
            )
        )
    for value, gradient in results[1:]:
        assert value == pytest.approx(results[0][0], rel=1e-5)
        assert torch.allclose(gradient, results[0][1], atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("name", STAGES)
def test_steps_follow_batch_tokens(tiny: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for tokens in (40, 10_000):
        stage = STAGES[name].model_copy(update={"epochs": 1, "batch_tokens": tokens})
        counts.append(
            len(online(trainee(tiny), PROMPTS, Judge(vowels), stage, seed=0, folder=folder(tmp_path, str(tokens))))
        )
    passes = module.SPPO_PASSES if name == "sppo" else 1
    assert counts == [2 * 4 * passes, 2 * passes]
    monkeypatch.setattr(batches, "MICRO_TOKENS", 80)
    reports = online(trainee(tiny), PROMPTS, Judge(vowels), stage, seed=0, folder=folder(tmp_path, "micro"))
    first = json.loads((tmp_path / "10000" / "metrics.jsonl").read_text().splitlines()[0])
    assert reports[0].loss == pytest.approx(first["loss"], rel=1e-5)
    assert reports[0].grad_norm == pytest.approx(first["grad_norm"], rel=1e-3)


@pytest.mark.parametrize("name", STAGES)
def test_a_killed_run_resumes_to_the_same_bits(tiny: Path, tmp_path: Path, name: str) -> None:
    class Killed(Exception):
        pass

    def run(where: Path, die_at: int | None) -> list[torch.Tensor]:
        policy = trainee(tiny)

        def on_step(report: StepReport) -> None:
            if report.step == die_at:
                raise Killed

        stage = STAGES[name].model_copy(update={"batch_tokens": 120})
        online(policy, PROMPTS, Judge(vowels), stage, seed=3, folder=where, on_step=on_step)
        return [p.detach().clone() for p in trainable_parameters(policy)]

    straight, broken = folder(tmp_path, "straight"), folder(tmp_path, "broken")
    expected = run(straight, None)
    steps = len(lines(straight))
    assert steps >= 8
    for die_at in (1, 2 * steps // 3):  # inside the first round, and inside the third
        with pytest.raises(Killed):
            run(broken, die_at)
    assert list(broken.glob("checkpoint-*"))
    resumed = run(broken, None)
    assert lines(broken) == lines(straight)
    assert (broken / "samples.jsonl").read_text() == (straight / "samples.jsonl").read_text()
    assert all(torch.equal(a, b) for a, b in zip(resumed, expected, strict=True))

"""Does training stop where gold turns, keep the best weights, leave a good run alone, and do the
same after a kill?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from rollout_case import Vowels, stage, trainee, vowels
from tiny import make_tiny

from alignwright.core.protocols import RewardFn
from alignwright.core.records import Conversation, Prompt, Score
from alignwright.job.gold_evals import GoldEval
from alignwright.model.adapters import trainable_parameters
from alignwright.train.early_stopping import (
    EarlyStop,
    GoldMonitor,
    StopDecision,
    drop_best_weights,
    tune_best_of_n,
    verdict,
)
from alignwright.train.knobs_loop import GoodhartStop
from alignwright.train.loop import StepReport
from alignwright.train.policy_gradient import policy_gradient

PROMPTS = [Prompt(conversation=Conversation.user("q" * n)) for n in (1, 2, 3, 5)]
HELD = [Prompt(conversation=Conversation.user(f"say {n}")) for n in range(16)]
STOP = GoodhartStop(by="goodhart", gold="rule.py:gold", prompts=("held.jsonl",), every=2, samples=4)


class Few:
    """Gold that likes replies with few vowels: the contrary of what training raises."""

    name = "few"

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        return [[Score(value=-vowels(text)) for text in group] for group in replies]


class Silent:
    name = "silent"

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        return [[None for _ in group] for group in replies]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def train(
    tiny: Path, folder: Path, gold: RewardFn, *, die_at: int | None = None
) -> tuple[GoldMonitor, StopDecision | None, list[torch.Tensor]]:
    """Ten steps of RLOO on vowels, watched; the turn (None: it ran to its end) and the weights
    that are left."""
    folder.mkdir(exist_ok=True)
    policy, it = trainee(tiny), stage("rloo", epochs=10, checkpoint_every=3, kl_coef=0.0)

    def die(report: StepReport) -> None:
        if report.step == die_at:
            raise KeyboardInterrupt

    watch = GoldMonitor(policy, HELD, gold, Vowels(), STOP, longest=6, seed=3, folder=folder, on_step=die)
    decision = None
    try:
        policy_gradient(policy, PROMPTS, Vowels(), it, seed=1, folder=folder, on_step=watch)
    except EarlyStop as found:
        decision = found.decision
        watch.restore_best(decision)
    return watch, decision, [p.detach().clone() for p in trainable_parameters(policy)]


def test_a_gold_that_falls_stops_it_and_the_start_is_kept(tiny: Path, tmp_path: Path) -> None:
    begun = [p.detach().clone() for p in trainable_parameters(trainee(tiny))]
    watch, decision, left = train(tiny, tmp_path / "a", Few())
    assert decision is not None
    assert decision.step <= 4
    assert decision.best_step == max(watch.gold_evals, key=lambda gold_eval: gold_eval.mean).step
    if decision.best_step == 0:
        assert all(torch.equal(a, b) for a, b in zip(left, begun, strict=True))
    assert (tmp_path / "a" / "stopped.json").exists()
    assert len(list((tmp_path / "a").glob("gold-peak-*"))) == 1
    drop_best_weights(tmp_path / "a")
    assert not list((tmp_path / "a").glob("gold-peak-*"))


def test_a_proxy_that_is_gold_runs_to_its_end(tiny: Path, tmp_path: Path) -> None:
    watch, decision, left = train(tiny, tmp_path / "a", Vowels())
    assert decision is None
    assert [gold_eval.step for gold_eval in watch.gold_evals] == [0, 2, 4, 6, 8]
    assert watch.gold_evals[-1].mean > watch.gold_evals[0].mean
    nats = [np.mean(gold_eval.nats) for gold_eval in watch.gold_evals]
    assert watch.gold_evals[0].nats == (0.0,) * 16
    assert nats[-1] > nats[1] > 0
    plain = trainee(tiny)
    (tmp_path / "b").mkdir()
    policy_gradient(
        plain,
        PROMPTS,
        Vowels(),
        stage("rloo", epochs=10, checkpoint_every=3, kl_coef=0.0),
        seed=1,
        folder=tmp_path / "b",
    )
    assert all(
        torch.equal(a, b) for a, b in zip(left, trainable_parameters(plain), strict=True)
    )  # looking changes nothing


@pytest.mark.parametrize("die_at", [1, 2, 3])
def test_killed_and_resumed_it_stops_at_the_same_step_with_the_same_weights(
    tiny: Path, tmp_path: Path, die_at: int
) -> None:
    straight, decision, left = train(tiny, tmp_path / "a", Few())
    assert decision is not None
    if die_at < decision.step:
        with pytest.raises(KeyboardInterrupt):
            train(tiny, tmp_path / "b", Few(), die_at=die_at)
    resumed, again, same = train(tiny, tmp_path / "b", Few())
    assert again == decision
    assert resumed.gold_evals == straight.gold_evals
    assert all(torch.equal(a, b) for a, b in zip(left, same, strict=True))


def test_without_a_proxy_the_way_gone_so_far_takes_its_place(tiny: Path, tmp_path: Path) -> None:
    """Training raises gold itself. A look is a few replies: one of several seeds may be stopped
    by chance (the first is), and not most."""
    seen, turns = list[float](), 0
    for seed in range(3, 8):
        policy, folder = trainee(tiny), tmp_path / str(seed)
        folder.mkdir()
        watch = GoldMonitor(policy, HELD, Vowels(), None, STOP, longest=6, seed=seed, folder=folder)
        try:
            policy_gradient(
                policy,
                PROMPTS,
                Vowels(),
                stage("rloo", epochs=10, checkpoint_every=3, kl_coef=0.0),
                seed=seed,
                folder=folder,
                on_step=watch,
            )
        except EarlyStop:
            turns += 1
        assert all(v == 0.0 for part in watch.gold_evals[0].proxy for v in part)  # at the start nothing has been gone
        assert any(v != 0.0 for part in watch.gold_evals[1].proxy for v in part)
        for gold_eval in watch.gold_evals[1:]:
            within = [np.cov(g, p)[0, 1] for g, p in zip(gold_eval.gold, gold_eval.proxy, strict=True)]
            seen.append(float(np.mean(within)))
    assert turns <= 1
    assert all(map(np.isfinite, seen))


def gold_evals(gold: Sequence[float], slope: float, *, prompts: int = 16, seed: int = 0) -> list[GoldEval]:
    """Made-up looks with these mean golds; within prompts gold moves with the proxy by `slope`."""
    generator, made = np.random.default_rng(seed), []
    level = generator.normal(size=(prompts, 1))
    for step, mean in enumerate(gold):
        proxy = generator.normal(size=(prompts, 4))
        value = level + mean + slope * proxy + 0.5 * generator.normal(size=(prompts, 4))
        made.append(
            GoldEval(step=step, gold=tuple(map(tuple, value.tolist())), proxy=tuple(map(tuple, proxy.tolist())))
        )
    return made


def test_each_reason_is_told_and_a_flat_run_is_seldom_stopped() -> None:
    falls = verdict(gold_evals([0.0, 0.0], -1.0), 0.05)
    assert falls is not None
    assert "covariance" in falls.why
    lower = verdict(gold_evals([0.0, 2.0, 0.0], 0.0, seed=3), 0.05)
    assert lower is not None
    assert "lower than after step 1" in lower.why
    assert lower.best_step == 1
    slow = next(t for n in range(2, 40) if (t := verdict(gold_evals([0.0] * n, -0.15, seed=5), 0.05)))
    assert slow.why
    stopped = 0
    for seed in range(60):  # gold neither moves nor covaries: the border of both hypotheses, twelve looks
        run = gold_evals([0.0] * 12, 0.0, seed=seed)
        stopped += any(verdict(run[: n + 1], 0.05) for n in range(1, 12))
    assert stopped <= 6
    assert verdict(gold_evals([0.0], -1.0), 0.05) is None


def test_a_gold_judge_that_says_only_yes_or_no_is_watched_too() -> None:
    """Twelve of sixteen prompts right, then three: means of replies that agree, which are passes
    and fails."""
    made = [
        GoldEval(
            step=step,
            gold=tuple((float(i < right),) * 2 for i in range(16)),
            proxy=tuple((float(i % 3), 1.0) for i in range(16)),
        )
        for step, right in enumerate((12, 3))
    ]
    told = verdict(made, 0.05)
    assert told is not None
    assert "lower than after step 0" in told.why
    assert verdict([made[0], made[0]], 0.05) is None


def test_n_of_best_of_n_is_hedged_on_gold(tiny: Path) -> None:
    policy = trainee(tiny)
    rises = tune_best_of_n(policy, HELD, (Vowels(), Vowels()), STOP, most=8, longest=6, seed=1)
    falls = tune_best_of_n(policy, HELD, (Few(), Vowels()), STOP, most=8, longest=6, seed=1)
    assert (rises.at, rises.turns) == (8.0, False)
    assert (falls.at, falls.turns) == (1.0, False)


def test_what_cannot_be_watched_is_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="held-out prompts cannot tell"):
        GoldMonitor(trainee(tiny), HELD[:3], Few(), Vowels(), STOP, longest=6, seed=3, folder=tmp_path)
    with pytest.raises(ValueError, match="no prompt had all its replies scored"):
        GoldMonitor(trainee(tiny), HELD, Silent(), Vowels(), STOP, longest=6, seed=3, folder=tmp_path)
    with pytest.raises(ValueError, match="n cannot be chosen"):
        tune_best_of_n(trainee(tiny), HELD, (Silent(), Vowels()), STOP, most=8, longest=6, seed=1)
    assert math.isfinite(gold_evals([1.0], 0.0)[0].mean)

"""Does a policy gradient go where it must? To the optimum of what was asked for, up with a
planted reward, and nowhere with noise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pytest
import torch
from rollout_case import PROMPTS, Noise, Vowels, run, stage, trainee, vowels
from scipy.optimize import brentq
from tiny import make_tiny

from alignwright.core.records import Conversation, Prompt, Score
from alignwright.stats.tilting import chi2_tilted
from alignwright.train.policy_gradient import policy_gradient
from alignwright.train.rollout import sample_rollout


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def test_a_planted_reward_rises_and_the_divergence_holds_it_back(tiny: Path, tmp_path: Path) -> None:
    knobs = {"epochs": 18, "samples": 8, "lr": 0.05}
    free, held = (run(trainee(tiny), tmp_path / f"{kl}", stage("grpo", kl_coef=kl, **knobs)) for kl in (0.001, 1.0))
    first, last = (sum(r.metrics["reward"] for r in part) / 3 for part in (free[:3], free[-3:]))
    assert last > first + 0.2
    assert sum(r.metrics["reward"] for r in held[-3:]) / 3 < first + 0.1
    assert held[-1].metrics["kl"] < free[-1].metrics["kl"] / 2


def test_without_its_weight_no_divergence_is_computed_or_claimed(tiny: Path, tmp_path: Path) -> None:
    first = run(trainee(tiny), tmp_path / "run", stage("ppo", kl_coef=0.0))[0]
    assert not {"kl", "kl_coef"} & set(first.metrics)


@pytest.mark.parametrize(
    ("name", "form"), [("rloo", "reward:k1"), ("rloo", "loss:k3"), ("ppo", "reward:k1"), ("rloo", "reward:chi2")]
)
def test_one_token_replies_go_to_the_optimum_of_the_divergence_that_was_asked_for(
    tiny: Path, tmp_path: Path, name: str, form: str
) -> None:
    """All of it at once, on the model's own next token: reward - KL(policy || start) is best at
    start e^(r / kl) / Z, and reward - KL(start || policy), which k3 as a loss follows, at kl start
    / (nu - r); chi^2 in the reward at start max(0, r - nu) / kl.
    """
    policy, weight, prompt = trainee(tiny, rank=0), 0.5, PROMPTS[0]

    def table() -> torch.Tensor:
        with torch.no_grad():
            return (
                policy.model(torch.tensor([policy.chat.prompt(prompt.conversation)]))
                .logits[0, -1]
                .double()
                .log_softmax(0)
            )

    start_V, reward_V = (
        table(),
        torch.tensor(
            [_ByLength.worth(policy.chat.decode([i])) for i in range(len(policy.tokenizer))], dtype=torch.float64
        ),
    )
    tilted_V = (start_V + reward_V / weight).softmax(0)
    nu = brentq(
        lambda nu: float((weight * start_V.exp() / (nu - reward_V)).sum()) - 1, float(reward_V.max()) + 1e-9, 99.0
    )
    other_V = weight * start_V.exp() / (nu - reward_V)
    more = {"num_iterations": 2, "whiten": False} if name == "ppo" else {}
    it = stage(
        name,
        epochs=60,
        samples=128,
        max_new_tokens=1,
        lr=0.01,
        kl_coef=weight,
        kl_form=form,
        rank=0,
        checkpoint_every=999,
        **more,
    )
    (tmp_path / "run").mkdir()
    policy_gradient(policy, [prompt], _ByLength(), it, seed=1, folder=tmp_path / "run")
    linear_V = torch.from_numpy(chi2_tilted(start_V.exp().numpy(), reward_V.numpy(), 1 / weight))
    optima = {"reward:k1": tilted_V, "loss:k3": other_V, "reward:chi2": linear_V}
    apart = {of: float((table().exp() - optimum_V).abs().sum()) / 2 for of, optimum_V in optima.items()}
    assert {of for of, far in apart.items() if far < 0.1} == {form}
    for one_V, another_V in combinations(optima.values(), 2):
        assert float((one_V - another_V).abs().sum()) / 2 > 0.12  # control: they are told apart


class _ByLength:
    """By a reply's letters: their number modulo 3, and the share of vowels."""

    name = "by length"

    @staticmethod
    def worth(text: str) -> float:
        return len(text.encode()) % 3 / 2 + vowels(text)

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        return [[Score(value=self.worth(text)) for text in group] for group in replies]


def test_a_reward_of_noise_raises_nothing(tiny: Path, tmp_path: Path) -> None:
    """Control: the vowels that rise above do so because they are rewarded."""
    policy = trainee(tiny)
    run(policy, tmp_path / "run", stage("rloo", epochs=18, samples=8, kl_coef=0.0), judge=Noise())
    facts = sample_rollout(policy, PROMPTS, Vowels(), stage("rloo", samples=16), seed=9, rollout=0).facts()
    assert facts["reward"] < 0.2


def test_all_weights_learn_without_an_adapter_and_are_held_by_their_own_start(tiny: Path, tmp_path: Path) -> None:
    reports = run(
        trainee(tiny, rank=0), tmp_path / "run", stage("rloo", epochs=12, samples=8, lr=0.01, kl_coef=0.01, rank=0)
    )
    assert reports[0].metrics["kl"] == 0.0
    assert reports[-1].metrics["kl"] > 0.1
    assert reports[-1].metrics["reward"] > reports[0].metrics["reward"] + 0.1


def test_a_cost_over_its_limit_is_paid_for_until_it_is_not(tiny: Path, tmp_path: Path) -> None:
    """The vowels are the cost here, and the reward too: unbounded they rise, with a limit they
    are brought back to it."""
    it = stage("rloo", epochs=18, samples=8, kl_coef=0.0, cost="vowels", cost_limit=-5.0)
    reports = run(trainee(tiny), tmp_path / "run", it, cost=Vowels())
    price = [r.metrics["multiplier"] for r in reports]
    assert price[0] == 0.0
    assert price == sorted(price)
    assert reports[-1].metrics["cost"] < reports[0].metrics["cost"]
    free = run(trainee(tiny), tmp_path / "free", it.model_copy(update={"cost_limit": 1.0}), cost=Vowels())
    assert [r.metrics["multiplier"] for r in free] == [0.0] * 18  # a kept constraint costs nothing
    assert free[-1].metrics["cost"] > free[0].metrics["cost"] + 0.1


def test_plain_text_is_held_up_by_ptx(tiny: Path, tmp_path: Path) -> None:
    def likelihood(coef: float) -> float:
        policy = trainee(tiny)
        text = [policy.chat.text("the model says that this is what it was asked")]
        run(
            policy,
            tmp_path / f"{coef}",
            stage("rloo", epochs=10, kl_coef=0.0, ptx_coef=coef),
            ptx_rows=text if coef else (),
        )
        return policy.text_logprobs(["the model says that this is what it was asked"])[0].total

    assert likelihood(1.0) > likelihood(0.0) + 10
    lines = (tmp_path / "1.0" / "metrics.jsonl").read_text().splitlines()
    nll = [json.loads(line)["metrics"]["ptx_nll"] for line in lines]
    assert nll[-1] < nll[0] - 1


def test_a_value_head_learns_what_to_expect(tiny: Path, tmp_path: Path) -> None:
    """Replies to one prompt are worth 0 and to another 1, whatever is said: values learn to tell
    them apart."""
    judge = _ByPrompt()
    prompts = [Prompt(conversation=Conversation.user(text)) for text in ("a", "zzzz")]
    policy = trainee(tiny)
    (tmp_path / "run").mkdir()
    it = stage("ppo", epochs=20, prompts=2, num_iterations=2, kl_coef=0.0, vf_coef=1.0)
    reports = policy_gradient(policy, prompts, judge, it, seed=1, folder=tmp_path / "run")
    assert reports[0].metrics["explained_variance"] == pytest.approx(0.0, abs=1e-6)
    assert reports[-1].metrics["explained_variance"] > 0.5


class _ByPrompt:
    name = "by prompt"

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        worth = [float(p.conversation.last.content == "a") for p in prompts]
        return [
            [Score(value=w + 0.01 * len(text) / 100) for text in group] for w, group in zip(worth, replies, strict=True)
        ]

"""Does the whole of a policy gradient do what its parts promise? Invariants of the first step,
exact resume, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from rollout_case import PROMPTS, Constant, Noise, Silent, Vowels, rows, run, stage, trainee
from tiny import make_tiny

from alignwright.core.records import Prompt, Score
from alignwright.model.adapters import adapter_off, trainable_parameters
from alignwright.model.local_model import LocalModel
from alignwright.train import batches, policy_gradient
from alignwright.train.forward import forward_rows
from alignwright.train.loop import TrainingDiverged
from alignwright.train.reference import swapped_parameters
from alignwright.train.rollout import ConstantReward, sample_rollout, schedule_prompts
from alignwright.train.rollout_batch import lay_out, recipe_of
from alignwright.train.step0 import Step0Error

FIRST = [PROMPTS[i] for i in schedule_prompts(4, per_rollout=4, epochs=1, seed=1)[0]]  # as the first rollout asks them
ALL = ("ppo", "grpo", "dr_grpo", "dapo", "gspo", "rloo", "reinforce")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def weights(policy: LocalModel) -> list[torch.Tensor]:
    return [p.detach().clone() for p in trainable_parameters(policy)]


def moved(policy: LocalModel) -> LocalModel:
    """As an earlier stage would leave it: its adapter is no longer nothing."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in trainable_parameters(policy):
            p.add_(torch.randn(p.shape, generator=generator) * 0.1)
    return policy


# ---- the first step ------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["ppo", "grpo", "rloo"])
def test_the_first_step_has_ratio_1_and_divergence_0_from_where_the_stage_starts(
    tiny: Path, tmp_path: Path, name: str, dtype: str
) -> None:
    policy = moved(trainee(tiny, dtype=dtype))
    first = run(policy, tmp_path / "run", stage(name, num_iterations=2))[0]
    assert first.metrics["ratio"] == 1.0
    assert first.metrics["clipfrac"] == first.metrics["approx_kl"] == first.metrics["kl"] == 0.0
    assert abs(first.loss) < 1e-7 or name == "ppo"
    start = json.loads((tmp_path / "run" / "start.json").read_text())
    assert [line["value"] for line in start[:2]] == [1.0, 0.0]
    assert all(line["holds"] for line in start)
    # control: "adapter off" is not the model that the stage starts from
    policy, row = moved(trainee(tiny, dtype=dtype)), rows(trainee(tiny))
    with torch.no_grad(), adapter_off(policy):
        off_N = forward_rows(policy, row)[0]
    with torch.no_grad():
        assert float((forward_rows(policy, row)[0] - off_N).abs().max()) > 0.01


def test_ppo_after_whitening_starts_without_policy_loss(tiny: Path, tmp_path: Path) -> None:
    first = run(trainee(tiny), tmp_path / "run", stage("ppo", num_iterations=1))[0]
    assert abs(first.loss - 0.1 * first.metrics["value_loss"]) < 1e-7
    assert first.metrics["explained_variance"] == pytest.approx(0.0, abs=1e-6)  # all values are 0


def test_ppo_with_lambda_1_and_no_values_is_reinforce(tiny: Path, tmp_path: Path) -> None:
    """Per token of the step, where REINFORCE is per reply."""
    ppo = run(trainee(tiny), tmp_path / "ppo", stage("ppo", num_iterations=1, lam=1.0, whiten=False, kl_coef=0.0))[0]
    plain = run(trainee(tiny), tmp_path / "plain", stage("reinforce", baseline="none", kl_coef=0.0))[0]
    assert ppo.grad_norm * ppo.metrics["length"] == pytest.approx(plain.grad_norm, rel=1e-4)
    assert ppo.grad_norm > 1e-3


def test_another_reference_is_refused_before_anything_moves(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(policy: LocalModel, start: Sequence[torch.Tensor]) -> Any:
        return swapped_parameters(policy, [value + 0.05 for value in start])

    policy = trainee(tiny)
    before = weights(policy)
    monkeypatch.setattr(policy_gradient, "swapped_parameters", other)
    with pytest.raises(Step0Error, match="not the model that this stage starts from"):
        run(policy, tmp_path / "run", stage("rloo"))
    assert all(torch.equal(a, b) for a, b in zip(before, weights(policy), strict=True))


@pytest.mark.parametrize("name", ALL)
def test_a_step_does_not_depend_on_its_micro_batches(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    seen = []
    for tokens in (10_000, 40):
        monkeypatch.setattr(batches, "MICRO_TOKENS", tokens)
        policy = trainee(tiny)
        more = {"ptx_rows": rows(policy)}
        seen.append(run(policy, tmp_path / str(tokens), stage(name, kl_form="loss:k2", ptx_coef=0.3), **more)[0])
    assert seen[0].loss == pytest.approx(seen[1].loss, rel=1e-5, abs=1e-7)
    assert seen[0].grad_norm == pytest.approx(seen[1].grad_norm, rel=1e-4)
    assert seen[0].metrics == pytest.approx(seen[1].metrics, rel=1e-5, abs=1e-6)


# ---- resume --------------------------------------------------------------------------------------
RESUMED: dict[str, dict[str, Any]] = {
    "ppo": {
        "num_iterations": 2,
        "num_mini_batches": 2,
        "kl_target": 0.01,
        "cost": "noise",
        "cost_limit": 0.3,
        "ptx_coef": 0.1,
    },
    "grpo": {"kl_form": "loss:k3", "kl_target": 0.01},
    "dr_grpo": {"kl_coef": 0.0, "num_iterations": 2},
    "dapo": {"kl_coef": 0.0},
    "gspo": {"num_iterations": 2, "kl_form": "loss:k2"},
    "rloo": {"num_iterations": 2, "cost": "noise", "cost_limit": 0.3},
    "reinforce": {"temperature": 0.8},
}


@pytest.mark.parametrize("budget", [1000, 60])
def test_what_is_learnt_from_first_is_read_once_for_who_spoke_and_for_its_gradient(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    """A graph that is kept saves a pass a rollout, and changes no bit."""
    monkeypatch.setattr(batches, "MICRO_TOKENS", budget)
    read: list[int] = []

    def counted(policy: LocalModel, part: Sequence[Any], **knobs: Any) -> Any:
        read.append(len(part))
        return forward_rows(policy, part, **knobs)

    monkeypatch.setattr(policy_gradient, "forward_rows", counted)

    def after(folder: str, forget: bool) -> tuple[list[torch.Tensor], int, int]:
        read.clear()
        policy = moved(trainee(tiny))
        if forget:
            monkeypatch.setattr(
                policy_gradient._PolicyGradientSchedule,
                "cached_forward",
                property(lambda self: None, lambda self, value: None),
                raising=False,
            )
        rounds = len(run(policy, tmp_path / folder, stage("ppo", num_iterations=1)))
        return weights(policy), len(read), rounds

    kept, passes, rounds = after("kept", forget=False)
    again, more, _ = after("again", forget=True)
    assert all(torch.equal(a, b) for a, b in zip(kept, again, strict=True))
    assert more - passes == rounds
    assert (
        more > 3 * rounds if budget == 60 else more == 3 * rounds
    )  # control: the small budget has several micro-batches


@pytest.mark.parametrize("name", ALL)
def test_a_killed_run_goes_on_to_the_same_bits(tiny: Path, tmp_path: Path, name: str) -> None:
    it = stage(name, epochs=2, prompts=3, samples=3, checkpoint_every=2, **RESUMED[name])

    def whole(folder: Path, die_at: int | None = None) -> list[torch.Tensor]:
        policy = trainee(tiny)
        more = {"ptx_rows": rows(policy)} if it.ptx_coef else {}
        run(policy, folder, it, die_at=die_at, cost=Noise() if it.cost else None, **more)
        return weights(policy)

    def log(folder: Path, file: str) -> list[dict[str, Any]]:
        with (folder / file).open() as lines:
            return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]

    expected = whole(tmp_path / "straight")
    steps = log(tmp_path / "straight", "metrics.jsonl")
    if it.kl_target:
        assert steps[-1]["metrics"]["kl_coef"] != steps[0]["metrics"]["kl_coef"]
    if it.cost:
        assert steps[-1]["metrics"]["multiplier"] > 0
    for die_at in sorted({0, len(steps) // 2, len(steps) - 1} if name in ("ppo", "rloo") else {len(steps) // 2}):
        folder = tmp_path / str(die_at)
        with pytest.raises(KeyboardInterrupt):
            whole(folder, die_at)
        resumed = whole(folder)
        assert all(torch.equal(a, b) for a, b in zip(resumed, expected, strict=True))
        for file in ("metrics.jsonl", "samples.jsonl"):
            assert log(folder, file) == log(tmp_path / "straight", file)


# ---- what teaches nothing ------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["ppo", "grpo", "rloo", "reinforce"])
def test_a_constant_reward_stops_after_three_rollouts(tiny: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConstantReward, match="the reward is the same for every reply"):
        run(
            trainee(tiny),
            tmp_path / "run",
            stage(name, epochs=9, **({"num_iterations": 1} if name == "ppo" else {})),
            Constant(),
        )
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2
    with pytest.raises(ConstantReward, match="never between replies"):
        run(trainee(tiny), tmp_path / "other", stage(name, epochs=9), Constant(by_prompt=True))


def test_dapo_drops_equal_groups_and_counts_the_rest_alone(tiny: Path, tmp_path: Path) -> None:
    policy = trainee(tiny)
    it = stage("dapo", kl_coef=0.0)
    rollout = sample_rollout(policy, FIRST, _Some(), it, seed=1, rollout=0)
    rollout_batch = lay_out(
        rollout, recipe_of(it), multiplier=0.0, budget=1024, longest=6, seed=1, device=policy.device
    )
    assert len(rollout_batch.rows) == 2
    assert sorted(rollout_batch.group_R[rollout_batch.trained_R].unique().tolist()) == [
        g for g, group in enumerate(rollout.groups) if not group.equal
    ]
    first = run(policy, tmp_path / "run", it, _Some())[0]
    assert first.metrics["dropped"] == 2.0
    assert first.tokens == sum(map(len, rollout_batch.rows))
    kept = lay_out(
        rollout, recipe_of(stage("grpo")), multiplier=0.0, budget=1024, longest=6, seed=1, device=policy.device
    )
    assert len(kept.rows) == 4  # control: plain GRPO keeps them


class _Some:
    """Vowels for replies to two prompts, the same number for the others."""

    name = "some"

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        scored = Vowels()(prompts, replies)
        return [
            s if len(p.conversation.last.content) < 3 else [Score(value=0.0)] * len(s)
            for p, s in zip(prompts, scored, strict=True)
        ]


def test_replies_without_a_score_teach_nothing_and_are_counted(tiny: Path, tmp_path: Path) -> None:
    policy = trainee(tiny)
    expected = sample_rollout(policy, FIRST, Silent(), stage("rloo"), seed=1, rollout=0)
    first = run(policy, tmp_path / "run", stage("rloo"), Silent())[0]
    assert first.metrics["unscored"] == expected.unscored > 0
    assert first.tokens == sum(len(group.row()) for group in expected.groups)


def test_knobs_that_cannot_work_together_are_refused(tiny: Path, tmp_path: Path) -> None:
    policy = trainee(tiny)
    for changes, said in (
        ({"kl_form": "loss:k1"}, "loss:k1 holds nothing"),
        ({"samples": 1}, "it has none"),
        ({"kl_coef": 0.0, "kl_target": 1.0}, "give kl_coef a positive start"),
        ({"cost": "reward"}, "give both or neither"),
        ({"ptx_coef": 0.1}, "need each other"),
        ({"num_mini_batches": 5}, "5 mini-batches of 4 prompts"),
    ):
        with pytest.raises(ValueError, match=said):
            run(policy, tmp_path / "run", stage("rloo", **changes))


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_a_divergence_keeps_the_rows_that_made_it(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **knobs: Any) -> torch.Tensor:
        return args[0] * float("nan")

    monkeypatch.setattr(policy_gradient, "ppo_loss", broken)
    with pytest.raises(TrainingDiverged) as stopped:
        run(trainee(tiny), tmp_path / "run", stage("rloo"))
    line = json.loads(stopped.value.path.read_text().splitlines()[0])
    assert len(line["replies"]) == 4
    assert line["prompt"][0]["role"] == "user"

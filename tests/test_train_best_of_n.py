"""Does best-of-n distillation learn its own best replies, on the tiny model? What the formulas
say is in test_core_best_of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rollout_case import KNOBS, PROMPTS, Constant, Noise, Vowels, trainee
from tiny import make_tiny

from alignwright.core.protocols import RewardFn
from alignwright.model.adapters import trainable_parameters
from alignwright.stats.best_of_n import bon_kl, quantilizer_kl, quantilizer_of_n_kl
from alignwright.train import batches
from alignwright.train.best_of_n import best_of_n
from alignwright.train.knobs_rollouts import BestOfN
from alignwright.train.loop import StepReport
from alignwright.train.rollout import ConstantReward

STAGE = BestOfN(by="best_of_n", **(KNOBS | {"samples": 8, "lr": 0.01}))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def run(
    tiny: Path, folder: Path, judge: RewardFn, stage: BestOfN = STAGE, die_at: int | None = None
) -> tuple[list[StepReport], list[torch.Tensor]]:
    folder.mkdir(exist_ok=True)
    policy = trainee(tiny)

    def on_step(report: StepReport) -> None:
        if report.step == die_at:
            raise KeyboardInterrupt

    reports = best_of_n(policy, PROMPTS, judge, stage, seed=1, folder=folder, on_step=on_step)
    return reports, [p.detach().clone() for p in trainable_parameters(policy)]


def test_learning_the_best_raises_what_it_was_chosen_by(tiny: Path, tmp_path: Path) -> None:
    stage = STAGE.model_copy(update={"epochs": 15, "lr": 0.05})
    reports, _ = run(tiny, tmp_path / "vowels", Vowels(), stage)
    first, last = (np.mean([r.metrics["reward"] for r in part]) for part in (reports[:3], reports[-3:]))
    assert last > first + 0.3
    assert all(r.metrics["best"] > r.metrics["reward"] for r in reports)
    # control: what is chosen by noise does not raise the vowels
    run(tiny, tmp_path / "noise", Noise(), stage)
    with (tmp_path / "noise" / "samples.jsonl").open() as file:
        shown = [json.loads(line)["reply"] for line in file]
    assert sum(letter in "aeiou" for text in shown[-40:] for letter in text) / sum(map(len, shown[-40:])) < first + 0.1


def test_the_curve_rises_with_n_and_ends_at_the_best(tiny: Path, tmp_path: Path) -> None:
    reports, _ = run(tiny, tmp_path / "run", Vowels())
    lines = [json.loads(line) for line in (tmp_path / "run" / "curve.jsonl").read_text().splitlines()]
    assert [line["n"] for line in lines] == [1, 2, 4, 8]
    assert lines[0]["proxy"] == pytest.approx(reports[0].metrics["reward"])
    assert [line["proxy"] for line in lines] == sorted(line["proxy"] for line in lines)
    assert [line["kl"] for line in lines] == [bon_kl(n) for n in (1, 2, 4, 8)]


def test_a_killed_run_goes_on_to_the_same_bits(tiny: Path, tmp_path: Path) -> None:
    stage = STAGE.model_copy(update={"epochs": 4, "prompts": 3, "checkpoint_every": 3, "batch_tokens": 64})
    straight, expected = run(tiny, tmp_path / "straight", Vowels(), stage)
    for die_at in (0, 5, 10):
        with pytest.raises(KeyboardInterrupt):
            run(tiny, tmp_path / f"{die_at}", Vowels(), stage, die_at=die_at)
        _, resumed = run(tiny, tmp_path / f"{die_at}", Vowels(), stage)
        assert all(torch.equal(a, b) for a, b in zip(resumed, expected, strict=True))
        for file in ("samples.jsonl", "curve.jsonl"):
            assert (tmp_path / f"{die_at}" / file).read_text() == (tmp_path / "straight" / file).read_text()
    assert len(straight) == 12  # six rounds of two steps


def test_a_quantilizer_keeps_a_draw_from_the_best_share(tiny: Path, tmp_path: Path) -> None:
    stage = BestOfN.model_validate(
        dict(STAGE) | {"quantile": 0.25, "epochs": 4, "prompts": 3, "checkpoint_every": 3, "batch_tokens": 64}
    )
    straight, expected = run(tiny, tmp_path / "straight", Vowels(), stage)
    assert all(r.metrics["reward"] < r.metrics["kept"] <= r.metrics["best"] for r in straight)
    assert any(r.metrics["kept"] < r.metrics["best"] for r in straight)
    last = json.loads((tmp_path / "straight" / "curve.jsonl").read_text().splitlines()[4])
    assert (last["n"], last["quantile"], last["kl"], last["kl_most"]) == (
        8,
        0.25,
        quantilizer_of_n_kl(8, 0.25),
        quantilizer_kl(0.25),
    )
    assert last["kl"] < last["kl_most"]
    with pytest.raises(KeyboardInterrupt):  # the draw is the same again
        run(tiny, tmp_path / "killed", Vowels(), stage, die_at=5)
    assert all(
        torch.equal(a, b) for a, b in zip(run(tiny, tmp_path / "killed", Vowels(), stage)[1], expected, strict=True)
    )


def test_the_smallest_quantile_is_best_of_n_and_a_smaller_one_is_refused(tiny: Path, tmp_path: Path) -> None:
    best, same = (
        run(tiny, tmp_path / str(q), Vowels(), STAGE.model_copy(update={"quantile": q}))[1] for q in (None, 1 / 8)
    )
    other = run(tiny, tmp_path / "other", Vowels(), STAGE.model_copy(update={"quantile": 0.9}))[1]
    assert all(torch.equal(a, b) for a, b in zip(best, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(best, other, strict=True))  # control
    with pytest.raises(ValueError, match="ask for 10 samples"):
        BestOfN.model_validate(dict(STAGE) | {"quantile": 0.1})
    with pytest.raises(ValueError, match="less than one reply"):
        run(tiny, tmp_path / "few", Vowels(), STAGE.model_copy(update={"quantile": 0.1}))


def test_a_step_does_not_depend_on_its_micro_batches(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for tokens in (10_000, 30):
        monkeypatch.setattr(batches, "MICRO_TOKENS", tokens)
        seen.append(run(tiny, tmp_path / str(tokens), Vowels())[0][0])
    assert seen[0].loss == pytest.approx(seen[1].loss, rel=1e-6)
    assert seen[0].grad_norm == pytest.approx(seen[1].grad_norm, rel=1e-5)


def test_one_sample_or_one_score_teaches_nothing(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="samples: 1"):
        run(tiny, tmp_path / "one", Vowels(), STAGE.model_copy(update={"samples": 1}))
    with pytest.raises(ConstantReward):
        run(tiny, tmp_path / "flat", Constant(), STAGE.model_copy(update={"epochs": 9}))
    assert len((tmp_path / "flat" / "metrics.jsonl").read_text().splitlines()) == 2

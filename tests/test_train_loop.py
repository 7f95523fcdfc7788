"""Does the loop do what its docstring says? Split-invariant gradients, exact resume, a guard that keeps the batch, nothing cut in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny import make_tiny

from alignwright.core.records import Conversation, Preference, Prompt
from alignwright.model.adapters import add_lora, trainable_parameters
from alignwright.model.load import load
from alignwright.model.local import LocalPolicy
from alignwright.spec.training import Dpo, Sft
from alignwright.train import batches, loop
from alignwright.train.loop import TrainingDiverged
from alignwright.train.preference import dpo
from alignwright.train.sft import Demonstration, sft

SFT = Sft(by="sft", epochs=4, rank=4, lr=0.01, batch_tokens=200, max_tokens=200, checkpoint_every=3)
DPO = Dpo(by="dpo", epochs=4, rank=4, lr=0.01, batch_tokens=80, max_tokens=300, checkpoint_every=3, beta=0.5, nll=0.1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def trainee(tiny: Path) -> LocalPolicy:
    policy = load(tiny)
    add_lora(policy, rank=4, seed=1)
    return policy


def demonstrations(count: int = 24) -> list[Demonstration]:
    return [Demonstration(Conversation.user("question " + "x" * (i % 7)).then("assistant", f"answer {i} " + "y" * (i % 5))) for i in range(count)]


def preferences(count: int = 16) -> list[Preference]:
    return [Preference(prompt=Prompt(conversation=Conversation.user("q" * (1 + i % 6))), chosen=f"yes {i}", rejected=f"no {i}") for i in range(count)]


def losses(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def folder(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def test_gradients_do_not_depend_on_the_split_into_micro_batches(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step over all rows, in one micro-batch or in many: the same loss and gradient norm."""
    seen = []
    for tokens in (100_000, 60):
        monkeypatch.setattr(batches, "MICRO_TOKENS", tokens)
        stage = SFT.model_copy(update={"epochs": 1, "batch_tokens": 100_000})
        (report,) = sft(trainee(tiny), demonstrations(), stage, seed=0, folder=folder(tmp_path, str(tokens)))
        seen.append(report)
    assert seen[0].tokens == seen[1].tokens
    assert seen[0].loss == pytest.approx(seen[1].loss, rel=1e-6)
    assert seen[0].grad_norm == pytest.approx(seen[1].grad_norm, rel=1e-5)


class Killed(Exception):
    pass


@pytest.mark.parametrize("die_at", [0, 2, 3, 7])
@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_a_killed_run_resumes_to_the_same_bits(tiny: Path, tmp_path: Path, method: str, die_at: int) -> None:
    def run(where: Path, die: bool) -> list[torch.Tensor]:
        policy = trainee(tiny)

        def on_step(report: loop.StepReport) -> None:
            if die and report.step == die_at:
                raise Killed

        if method == "sft":
            sft(policy, demonstrations(), SFT, seed=5, folder=where, on_step=on_step)
        else:
            dpo(policy, preferences(), DPO, seed=5, folder=where, on_step=on_step)
        return [p.detach().clone() for p in trainable_parameters(policy)]

    straight, broken = folder(tmp_path, "straight"), folder(tmp_path, "broken")
    expected = run(straight, die=False)
    with pytest.raises(Killed):
        run(broken, die=True)
    resumed = run(broken, die=False)
    assert losses(broken) == losses(straight)
    assert len(losses(straight)) > 8
    assert all(torch.equal(a, b) for a, b in zip(resumed, expected, strict=True))


def test_a_half_written_metrics_line_is_dropped_on_resume(tiny: Path, tmp_path: Path) -> None:
    where = folder(tmp_path, "run")
    (where / "metrics.jsonl").write_text('{"step": 0, "lo')
    sft(trainee(tiny), demonstrations(), SFT, seed=5, folder=where)
    assert [line["step"] for line in losses(where)] == list(range(len(losses(where))))


def test_training_starts_at_margin_zero_and_ln_2(tiny: Path, tmp_path: Path) -> None:
    stage = DPO.model_copy(update={"nll": 0.0})
    first, *_, last = dpo(trainee(tiny), preferences(), stage, seed=0, folder=folder(tmp_path, "run"))
    assert first.loss == pytest.approx(0.6931472, abs=1e-6)
    assert first.metrics["margin"] == 0.0
    assert last.metrics["margin"] > 1.0


def test_sft_learns_what_it_is_shown_and_not_the_prompt(tiny: Path, tmp_path: Path) -> None:
    policy = trainee(tiny)
    asked, said = Conversation.user("question x"), "answer 7"
    before = policy.logprobs([asked], [[said]])[0][0].total
    shown = [Demonstration(asked.then("assistant", said))] * 8
    prompt_before = policy.text_logprobs(["question x"])[0].total
    sft(policy, shown, SFT.model_copy(update={"epochs": 20}), seed=0, folder=folder(tmp_path, "run"))
    assert policy.logprobs([asked], [[said]])[0][0].total > 0.5 * before
    assert abs(policy.text_logprobs(["question x"])[0].total - prompt_before) < abs(before) * 2


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_a_loss_that_is_not_finite_stops_and_keeps_the_batch(tiny: Path, tmp_path: Path) -> None:
    policy = trainee(tiny)
    with torch.no_grad():
        trainable_parameters(policy)[0].fill_(float("nan"))
    where = folder(tmp_path, "run")
    with pytest.raises(TrainingDiverged, match="step 0") as stopped:
        sft(policy, demonstrations(), SFT, seed=0, folder=where)
    rows = [json.loads(line) for line in stopped.value.path.read_text().splitlines()]
    assert rows
    assert rows[0]["messages"][-1]["role"] == "assistant"


def test_rows_that_do_not_fit_are_set_aside_and_named(tiny: Path, tmp_path: Path) -> None:
    where = folder(tmp_path, "run")
    long = Demonstration(Conversation.user("hello").then("assistant", "z" * 400))
    sft(trainee(tiny), [*demonstrations(), long], SFT, seed=0, folder=where)
    (row,) = [json.loads(line) for line in (where / "too_long.jsonl").read_text().splitlines()]
    assert row["row"] == 24
    with pytest.raises(ValueError, match="none of 1 training rows"):
        sft(trainee(tiny), [long], SFT, seed=0, folder=folder(tmp_path, "none"))


def test_a_row_always_meets_the_same_neighbours(tiny: Path) -> None:
    policy = load(tiny)
    rows = [policy.chat.row(d.conversation, ["reply"]) for d in demonstrations(40)]
    plan = batches.plan_training(rows, epochs=3, batch_tokens=200, seed=2)
    allowed = set(plan.micro_batches)
    assert all(batch in allowed for step in plan.steps for batch in step)
    for epoch in range(3):
        seen = [i for step, e in zip(plan.steps, plan.epoch_of, strict=True) if e == epoch for batch in step for i in batch]
        assert sorted(seen) == list(range(40))
    assert plan == batches.plan_training(rows, epochs=3, batch_tokens=200, seed=2)
    assert plan != batches.plan_training(rows, epochs=3, batch_tokens=200, seed=3)

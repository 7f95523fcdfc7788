"""Does the loop do what its docstring says? Split-invariant gradients, exact resume, a guard
that keeps the batch, nothing cut in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny import make_tiny

from alignwright.core.records import Conversation, Preference, Prompt
from alignwright.model.adapters import add_lora, trainable_parameters
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.logprob import token_logprobs
from alignwright.model.packing import pack
from alignwright.train import batches, loop
from alignwright.train.knobs import Sft
from alignwright.train.knobs_pairs import Dpo
from alignwright.train.loop import TrainingDiverged
from alignwright.train.preference import preference
from alignwright.train.sft import Demonstration, sft

SFT = Sft(by="sft", epochs=4, rank=4, lr=0.01, batch_tokens=200, max_tokens=200, checkpoint_every=3)
DPO = Dpo(by="dpo", epochs=4, rank=4, lr=0.01, batch_tokens=80, max_tokens=300, checkpoint_every=3, beta=0.5, nll=0.1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def trainee(tiny: Path) -> LocalModel:
    policy = load(tiny)
    add_lora(policy, rank=4, seed=1)
    return policy


def demonstrations(count: int = 24) -> list[Demonstration]:
    return [
        Demonstration(Conversation.user("question " + "x" * (i % 7)).then("assistant", f"answer {i} " + "y" * (i % 5)))
        for i in range(count)
    ]


def preferences(count: int = 16) -> list[Preference]:
    return [
        Preference(
            prompt=Prompt(conversation=Conversation.user("q" * (1 + i % 6))), chosen=f"yes {i}", rejected=f"no {i}"
        )
        for i in range(count)
    ]


def losses(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def folder(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def test_gradients_do_not_depend_on_the_split_into_micro_batches(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
            preference(policy, preferences(), DPO, seed=5, folder=where, on_step=on_step)
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
    first, *_, last = preference(trainee(tiny), preferences(), stage, seed=0, folder=folder(tmp_path, "run"))
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
        seen = [
            i for step, e in zip(plan.steps, plan.epoch_of, strict=True) if e == epoch for batch in step for i in batch
        ]
        assert sorted(seen) == list(range(40))
    assert plan == batches.plan_training(rows, epochs=3, batch_tokens=200, seed=2)
    assert plan != batches.plan_training(rows, epochs=3, batch_tokens=200, seed=3)


# ---- all weights, rounds, precision --------------------------------------------------------------
def test_without_an_adapter_all_weights_are_trained_and_a_killed_run_resumes(tiny: Path, tmp_path: Path) -> None:
    stage = SFT.model_copy(update={"epochs": 2, "lr": 0.001})

    def run(where: Path, die_at: int | None) -> list[torch.Tensor]:
        policy = load(tiny)

        def on_step(report: loop.StepReport) -> None:
            if report.step == die_at:
                raise Killed

        sft(policy, demonstrations(), stage, seed=5, folder=where, on_step=on_step)
        return [p.detach().clone() for p in trainable_parameters(policy)]

    start = [p.detach().clone() for p in trainable_parameters(load(tiny))]
    expected = run(folder(tmp_path, "straight"), None)
    with pytest.raises(Killed):
        run(folder(tmp_path, "broken"), 4)
    assert all(torch.equal(a, b) for a, b in zip(run(tmp_path / "broken", None), expected, strict=True))
    assert all(not torch.equal(a, b) for a, b in zip(start, expected, strict=True))
    model = load(tiny).model
    assert len(expected) == len(
        {id(p) for p in model.parameters()}
    )  # embeddings that are tied to the head are one parameter


class Rounds:
    """Three rounds of two steps on fixed rows; the second step of the second round has no rows."""

    rounds, per_round = 3, 2

    def __init__(self, policy: LocalModel) -> None:
        self.policy, self.rows = policy, [policy.chat.row(d.conversation, ["reply"]) for d in demonstrations(4)]
        self.extra = [torch.nn.Parameter(torch.ones(3))]
        self.seen: list[object] = []
        self.kept = 0.0

    def epoch(self, number: int) -> int:
        return number

    def begin(self, number: int) -> list[list[batches.MicroBatch]]:
        self.seen.append(("begin", number, self.kept))
        return [[(0, 1), (2, 3)], [] if number == 1 else [(0,)]]

    def after(self, step: int) -> dict[str, float]:
        self.kept += 1.0
        return {"kept": self.kept}

    def state(self) -> dict[str, float]:
        return {"kept": self.kept}

    def restore(self, state: dict[str, float]) -> None:
        self.kept = state["kept"]

    def num_units(self, batch: batches.MicroBatch) -> float:
        return float(len(batch))

    def loss(self, batch: batches.MicroBatch) -> tuple[torch.Tensor, dict[str, float]]:
        logp_N = token_logprobs(
            self.policy.model, pack([self.rows[i] for i in batch], self.policy.chat.pad_id, dtype=self.policy.dtype)
        )
        return -logp_N.sum() + 1e4 * len(batch) * self.extra[0].square().sum(), {}

    def describe(self, index: int) -> dict[str, object]:
        return {}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rounds_are_made_on_the_way_and_empty_steps_move_nothing(tiny: Path, tmp_path: Path, dtype: str) -> None:
    def run(where: Path, die_at: int | None) -> tuple[Rounds, list[loop.StepReport], list[torch.Tensor]]:
        policy = load(tiny, dtype=dtype)
        add_lora(policy, rank=4, seed=1)
        schedule = Rounds(policy)
        weights: list[torch.Tensor] = []

        def on_step(report: loop.StepReport) -> None:
            weights.append(torch.cat([p.detach().float().flatten() for p in trainable_parameters(policy)]))
            if report.step == die_at:
                raise Killed

        reports = loop.run_loop(policy, schedule, schedule, loop.LoopSettings(0.01, checkpoint_every=1), where, on_step)
        return schedule, reports, [*weights, *(p.detach().clone() for p in schedule.extra)]

    schedule, reports, weights = run(folder(tmp_path, "straight"), None)
    assert schedule.seen == [("begin", 0, 0.0), ("begin", 1, 2.0), ("begin", 2, 4.0)]
    assert [r.metrics["kept"] for r in reports] == [1, 2, 3, 4, 5, 6]
    assert (reports[3].loss, reports[3].grad_norm, reports[3].tokens) == (0.0, 0.0, 0)
    assert torch.equal(weights[2], weights[3])
    assert not torch.equal(weights[3], weights[4])
    # a value head's gradient is a thousand times the policy's, and does not shrink it: each is clipped by its own norm
    assert 0.01 < reports[0].grad_norm < 100
    assert float((schedule.extra[0].detach() - 1).abs().min()) > 0.01
    for die_at in (1, 2, 4):
        with pytest.raises(Killed):
            run(folder(tmp_path, str(die_at)), die_at)
        resumed, _, after = run(tmp_path / str(die_at), None)
        assert resumed.seen[0] == schedule.seen[(die_at + 1) // 2 if die_at % 2 == 0 else die_at // 2]
        assert all(torch.equal(a, b) for a, b in zip(after[-2:], weights[-2:], strict=True))
        assert losses(tmp_path / str(die_at)) == losses(tmp_path / "straight")


def test_float32_parameters_are_their_own_masters_and_bfloat16_ones_are_not(tiny: Path, tmp_path: Path) -> None:
    for dtype, shared in (("float32", True), ("bfloat16", False)):
        policy = load(tiny, dtype=dtype)
        add_lora(policy, rank=4, seed=1)
        schedule = Rounds(policy)
        optimizer_state = loop._OptimizerState(policy, schedule, schedule, loop.LoopSettings(0.01), tmp_path)
        assert all(
            (p is m) == shared for p, m in zip(trainable_parameters(policy), optimizer_state.masters, strict=False)
        )
        assert all(m.dtype == torch.float32 for m in optimizer_state.masters)


@pytest.mark.parametrize(
    ("turns", "excluded", "said"), [("all", False, ["b b", "dd"]), ("all", True, ["dd"]), ("last", False, ["dd"])]
)
def test_the_first_loss_is_the_mean_over_what_is_learnt(
    tiny: Path, tmp_path: Path, turns: str, excluded: bool, said: list[str]
) -> None:
    head = Conversation.user("a")
    first = head.then("assistant", "b b")
    messages = (first.messages[0], first.messages[1].model_copy(update={"trained": not excluded}))
    talk = Conversation(messages=messages).then("user", "c").then("assistant", "dd")
    asked = {"b b": head, "dd": first.then("user", "c")}
    policy = load(tiny)
    logprobs = [policy.logprobs([asked[text]], [[text]])[0][0] for text in said]
    (report,) = sft(
        trainee(tiny),
        [Demonstration(talk)],
        SFT.model_copy(update={"epochs": 1, "turns": turns}),
        seed=0,
        folder=tmp_path,
    )
    assert report.loss == pytest.approx(
        -sum(p.total for p in logprobs) / sum(p.tokens or 0 for p in logprobs), rel=1e-4
    )

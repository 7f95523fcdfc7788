"""Does every direct method train as it says? Exact against plain forward passes, whatever the
rows, the cut into micro-batches, or a kill."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import make_tiny

from alignwright.core.records import Conversation, Preference, Prompt
from alignwright.model.adapters import add_lora, trainable_parameters
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.train import batches, kto
from alignwright.train.knobs_pairs import Cdpo, ChiPo, DirectStage, Dpo, Hinge, Ipo, Kto, Orpo, RobustDpo, Rpo, Simpo
from alignwright.train.loop import StepReport
from alignwright.train.paired import PairObjective
from alignwright.train.pairs import PreferenceRow, preference_rows
from alignwright.train.preference import likelihood_displacement, preference
from alignwright.train.step0 import Step0Error

KNOBS = {"epochs": 2, "rank": 4, "lr": 0.01, "batch_tokens": 120, "max_tokens": 300, "checkpoint_every": 2}
STAGES: dict[str, DirectStage] = {
    "dpo": Dpo(by="dpo", beta=0.5, nll=0.1, **KNOBS),
    "cdpo": Cdpo(by="cdpo", beta=0.5, label_smoothing=0.2, **KNOBS),
    "robust_dpo": RobustDpo(by="robust_dpo", beta=0.5, label_smoothing=0.2, **KNOBS),
    "ipo": Ipo(by="ipo", tau=0.3, **KNOBS),
    "hinge": Hinge(by="hinge", beta=0.5, **KNOBS),
    "kto": Kto(by="kto", beta=0.5, desirable=1.0, undesirable=1.5, **KNOBS),
    "orpo": Orpo(by="orpo", weight=0.5, **KNOBS),
    "simpo": Simpo(by="simpo", beta=2.0, gamma=0.6, **KNOBS),
    "rpo": Rpo(by="rpo", beta=0.5, alpha=0.7, **KNOBS),
    "chi_po": ChiPo(by="chi_po", beta=0.5, **KNOBS),
}
WITH_REFERENCE = [name for name in STAGES if name not in ("orpo", "simpo")]
IN_PAIRS = [name for name in STAGES if name != "kto"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def trainee(tiny: Path) -> LocalModel:
    policy = load(tiny)
    add_lora(policy, rank=4, seed=1)
    return policy


def moved(policy: LocalModel, seed: int = 0, by: float = 0.1) -> LocalModel:
    """The policy, its adapter pushed off its start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in trainable_parameters(policy):
            parameter.add_(by * torch.randn(parameter.shape, generator=generator))
    return policy


def pair(prompt: str, chosen: str, rejected: str, **known: object) -> Preference:
    return Preference(prompt=Prompt(conversation=Conversation.user(prompt)), chosen=chosen, rejected=rejected, **known)


def pairs(count: int = 12) -> list[Preference]:
    """Pairs on half as many prompts, with strengths and weights of all kinds."""
    return [
        pair(
            "q" * (1 + i // 2),
            f"yes {i} " + "y" * (i % 3),
            f"no {i}",
            strength=0.6 + 0.4 * (i % 4) / 3,
            weight=0.5 + (i % 3) / 2,
        )
        for i in range(count)
    ]


def tournament(prompts: int = 3, replies: int = 4) -> list[Preference]:
    """Every two of the replies to each prompt, the longer word the better."""
    texts = ["a", "bc bc", "it is", "yes, no, what"][:replies]
    return [
        pair("q" * (1 + p), f"{texts[i]} {p}", f"{texts[j]} {p}", strength=0.7 + 0.05 * i, weight=1 / 6)
        for p in range(prompts)
        for i in range(replies)
        for j in range(i)
    ]


def folder(tmp_path: Path, name: str = "run") -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def lines(where: Path) -> list[dict[str, object]]:
    return [
        {k: v for k, v in json.loads(line).items() if k != "seconds"}
        for line in (where / "metrics.jsonl").read_text().splitlines()
    ]


def objective(tiny: Path, stage: DirectStage, made: Sequence[PreferenceRow]) -> PairObjective | kto.KtoObjective:
    """An objective whose reference is the start, and whose policy has moved."""
    policy = trainee(tiny)
    made_objective = (
        kto.KtoObjective(policy, made, stage) if isinstance(stage, Kto) else PairObjective(policy, made, stage)
    )
    for replies in made_objective.references.values():
        replies.compute_reference([tuple(range(len(made)))])
    moved(policy)
    return made_objective


def loss_and_gradient(
    found: PairObjective | kto.KtoObjective, cut: Sequence[tuple[int, ...]]
) -> tuple[float, torch.Tensor, dict[str, float]]:
    """Of one optimiser step over these micro-batches: loss per unit, gradient, metrics per unit."""
    policy = found.replies.policy
    for parameter in trainable_parameters(policy):
        parameter.grad = None
    found.begin(cut)
    num_units, total, metrics = sum(found.num_units(batch) for batch in cut), 0.0, dict[str, float]()
    for batch in cut:
        loss, sums = found.loss(batch)
        (loss / num_units).backward()
        total += float(loss.detach()) / num_units
        for name, value in sums.items():
            metrics[name] = metrics.get(name, 0.0) + value / num_units
    gradient = torch.cat([p.grad.flatten() for p in trainable_parameters(policy) if p.grad is not None])
    return total, gradient, metrics | found.summary()


# ---- parity: plain forward passes and formulas written out ---------------------------------------
def plain_logprob(policy: LocalModel, prompt: Conversation, reply: str) -> tuple[float, int]:
    """The sum of the reply's token log-probabilities by the model's own forward pass of one
    sequence."""
    head, tail = policy.chat.prompt(prompt), policy.chat.reply(reply)
    ids = torch.tensor([head + tail])
    with torch.no_grad():
        logp = policy.model(input_ids=ids, use_cache=False).logits[0, :-1].double().log_softmax(-1)
    return float(logp[torch.arange(len(head) - 1, len(head) + len(tail) - 1), torch.tensor(tail)].sum()), len(tail)


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def as_published(
    stage: DirectStage, p: Preference, ratio: tuple[float, float], logp: tuple[float, float], length: tuple[int, int]
) -> float:
    """The loss of one pair; a soft vote is the mean over its two outcomes, likelihood terms are
    of the chosen reply."""
    w, l = (logp[k] / length[k] for k in (0, 1))  # noqa: E741
    delta, s = ratio[0] - ratio[1], p.strength

    def mean(f) -> float:
        return s * f(1) + (1 - s) * f(-1)

    def odds(x: float) -> float:
        return math.log(math.exp(x) / (1 - math.exp(x)))

    match stage:
        case Dpo():
            return mean(lambda v: -math.log(sigma(v * stage.beta * delta))) - stage.nll * w
        case Cdpo():
            e = stage.label_smoothing
            return mean(
                lambda v: (
                    -(1 - e) * math.log(sigma(v * stage.beta * delta)) - e * math.log(sigma(-v * stage.beta * delta))
                )
            )
        case RobustDpo():
            e = stage.label_smoothing
            return mean(
                lambda v: (
                    (-(1 - e) * math.log(sigma(v * stage.beta * delta)) + e * math.log(sigma(-v * stage.beta * delta)))
                    / (1 - 2 * e)
                )
            )
        case Ipo():
            return mean(lambda v: (v * delta - 1 / (2 * stage.tau)) ** 2)
        case Hinge():
            return mean(lambda v: max(0.0, 1 - v * stage.beta * delta))
        case Orpo():
            return -w + stage.weight * mean(lambda v: -math.log(sigma(v * (odds(w) - odds(l)))))
        case Simpo():
            return mean(lambda v: -math.log(sigma(v * stage.beta * (w - l) - stage.gamma)))
        case Rpo():
            return mean(lambda v: -math.log(sigma(v * stage.beta * delta))) - stage.alpha * w
        case ChiPo():
            phi = [math.exp(r) + r for r in ratio]
            return mean(lambda v: -math.log(sigma(v * stage.beta * (phi[0] - phi[1]))))
        case _:
            raise AssertionError


@pytest.mark.parametrize("name", IN_PAIRS)
def test_the_loss_is_that_of_plain_forward_passes(tiny: Path, tmp_path: Path, name: str) -> None:
    given, start, now = pairs(6), trainee(tiny), moved(trainee(tiny))
    total = 0.0
    for p in given:
        scored = [
            [plain_logprob(policy, p.prompt.conversation, text) for text in (p.chosen, p.rejected)]
            for policy in (start, now)
        ]
        ratio = tuple(scored[1][k][0] - scored[0][k][0] for k in (0, 1))
        total += p.weight * as_published(
            STAGES[name], p, ratio, tuple(x[0] for x in scored[1]), tuple(x[1] for x in scored[1])
        )
    made = preference_rows(given, start.chat, 300, tmp_path)
    loss, _, _ = loss_and_gradient(objective(tiny, STAGES[name], made), [tuple(range(len(made)))])
    assert loss == pytest.approx(total / sum(p.weight for p in given), abs=1e-4)


def test_kto_is_that_of_plain_forward_passes(tiny: Path, tmp_path: Path) -> None:
    stage, given, start, now = STAGES["kto"], pairs(6), trainee(tiny), moved(trainee(tiny), by=0.3)
    assert isinstance(stage, Kto)

    def ratio(prompt: Conversation, reply: str) -> float:
        return plain_logprob(now, prompt, reply)[0] - plain_logprob(start, prompt, reply)[0]

    made = preference_rows(given, start.chat, 300, tmp_path)
    found = objective(tiny, stage, made)
    assert isinstance(found, kto.KtoObjective)
    moved(found.replies.policy, seed=9, by=0.0)
    with torch.no_grad():
        for mine, theirs in zip(trainable_parameters(found.replies.policy), trainable_parameters(now), strict=True):
            mine.copy_(theirs)
    other = [(given[2 * i].prompt.conversation, found.mismatched.rows[i].replies[0]) for i in range(3)]
    z = max(0.0, float(np.mean([ratio(prompt, start.chat.decode(reply)) for prompt, reply in other])))
    total = weight = 0.0
    for p in given:
        for text, good in ((p.chosen, p.strength), (p.rejected, 1 - p.strength)):
            r = ratio(p.prompt.conversation, text)
            desirable, undesirable = 1 - sigma(stage.beta * (r - z)), 1 - sigma(stage.beta * (z - r))
            total += p.weight * (good * stage.desirable * desirable + (1 - good) * stage.undesirable * undesirable)
            weight += p.weight
    loss, _, metrics = loss_and_gradient(found, [(0, 1, 2)])
    assert metrics["kl"] == pytest.approx(z, abs=1e-4)
    assert loss == pytest.approx(total / weight, abs=1e-4)


# ---- rows and micro-batches ----------------------------------------------------------------------
@pytest.mark.parametrize("name", STAGES)
def test_one_row_of_many_replies_is_the_separate_pairs(tiny: Path, tmp_path: Path, name: str) -> None:
    given = tournament()
    policy = trainee(tiny)
    shared = preference_rows(given, policy.chat, 300, tmp_path)
    apart = [preference_row for p in given for preference_row in preference_rows([p], policy.chat, 300, tmp_path)]
    assert [len(c.row.replies) for c in shared] == [4, 4, 4]
    assert sum(len(c.row) for c in shared) < 0.5 * sum(len(c.row) for c in apart)
    found = []
    for made in (shared, apart):
        each = objective(tiny, STAGES[name], made)
        if isinstance(each, kto.KtoObjective):
            each.begin = lambda batches, each=each: setattr(each, "kl", torch.tensor(0.2))  # type: ignore[method-assign]
        found.append(loss_and_gradient(each, [tuple(range(len(made)))]))
    assert found[0][0] == pytest.approx(found[1][0], rel=2e-6)
    assert torch.allclose(found[0][1], found[1][1], atol=2e-5, rtol=1e-4)
    assert found[0][2] == pytest.approx(found[1][2], abs=1e-5)


@pytest.mark.parametrize("name", STAGES)
def test_a_step_does_not_depend_on_its_cut_into_micro_batches(tiny: Path, tmp_path: Path, name: str) -> None:
    made = preference_rows(pairs(), trainee(tiny).chat, 300, tmp_path)
    found = objective(tiny, STAGES[name], made)
    whole, cut = (loss_and_gradient(found, split) for split in ([tuple(range(6))], [(0,), (1, 2), (3,), (5, 4)]))
    assert whole[0] == pytest.approx(cut[0], rel=2e-6)
    assert torch.allclose(whole[1], cut[1], atol=2e-5, rtol=1e-4)
    assert whole[2] == pytest.approx(cut[2], abs=1e-5)


def test_a_prompt_whose_replies_do_not_fit_together_is_spread_over_rows(tiny: Path, tmp_path: Path) -> None:
    given, chat = tournament(prompts=2), trainee(tiny).chat
    together = preference_rows(given, chat, 300, tmp_path)
    limit = max(len(preference_rows([p], chat, 300, tmp_path)[0].row) for p in given)
    spread = preference_rows(given, chat, limit, tmp_path)
    assert len(spread) > len(together) == 2
    assert all(len(c.row) <= limit for c in spread)
    assert sorted(p.preference.id for c in spread for p in c.pairs) == sorted(p.id for p in given)
    for preference_row in (*spread, *together):
        for p in preference_row.pairs:
            assert [chat.decode(preference_row.row.replies[k]) for k in (p.chosen, p.rejected)] == [
                p.preference.chosen,
                p.preference.rejected,
            ]
    assert not (tmp_path / "too_long.jsonl").exists()
    preference_rows(given, chat, limit - 1, tmp_path)
    assert len((tmp_path / "too_long.jsonl").read_text().splitlines()) >= 1


# ---- the start, a kill, what is learnt -----------------------------------------------------------
@pytest.mark.parametrize("name", WITH_REFERENCE)
def test_training_starts_at_its_reference(tiny: Path, tmp_path: Path, name: str) -> None:
    stage, where = STAGES[name].model_copy(update={"nll": 0.0} if name == "dpo" else {}), folder(tmp_path)
    first, *_ = preference(trainee(tiny), pairs(), stage, seed=0, folder=where)
    start = {line["name"]: line for line in json.loads((where / "start.json").read_text())}
    assert start["log-ratio"]["value"] == 0.0
    assert all(line["holds"] for line in start.values())
    assert first.metrics["margin"] == 0.0
    known = {"ipo": 1 / 0.6**2, "hinge": 1.0, "rpo": math.log(2) + 0.7 * first.metrics.get("chosen_nll_per_token", 0.0)}
    if name == "kto":
        assert first.loss == pytest.approx(start["loss"]["expected"], abs=0.05)
        assert first.metrics["kl"] == 0.0
    else:
        assert first.loss == pytest.approx(known.get(name, math.log(2)), abs=1e-5)


@pytest.mark.parametrize("name", ["orpo", "simpo"])
def test_without_a_reference_none_is_computed_and_the_start_is_shown(tiny: Path, tmp_path: Path, name: str) -> None:
    where = folder(tmp_path)
    reports = preference(trainee(tiny), pairs(), STAGES[name], seed=0, folder=where)
    assert not (where / "reference.safetensors").exists()
    assert "chosen_logratio" not in reports[0].metrics
    shown = {line["name"]: line for line in json.loads((where / "start.json").read_text())}
    assert shown["difference of two passes"]["value"] == 0.0
    assert 0 <= shown["accuracy"]["value"] <= 1


@pytest.mark.parametrize("name", WITH_REFERENCE)
def test_a_policy_that_is_not_its_reference_is_refused(tiny: Path, tmp_path: Path, name: str) -> None:
    class Killed(Exception):
        pass

    def die(report: StepReport) -> None:
        raise Killed

    where = folder(tmp_path)
    with pytest.raises(Killed):
        preference(trainee(tiny), pairs(), STAGES[name], seed=0, folder=where, on_step=die)
    with pytest.raises(Step0Error, match="must be the same weights"):
        preference(moved(trainee(tiny), by=0.3), pairs(), STAGES[name], seed=0, folder=where)
    with pytest.raises(ValueError, match="made from other data"):
        preference(trainee(tiny), pairs(10), STAGES[name], seed=0, folder=where)


@pytest.mark.parametrize("name", STAGES)
def test_a_killed_run_resumes_to_the_same_bits(tiny: Path, tmp_path: Path, name: str) -> None:
    class Killed(Exception):
        pass

    def run(where: Path, die_at: int | None) -> list[torch.Tensor]:
        policy = trainee(tiny)

        def on_step(report: StepReport) -> None:
            if report.step == die_at:
                raise Killed

        stage = STAGES[name].model_copy(update={"epochs": 3, "batch_tokens": 60})
        preference(policy, pairs(), stage, seed=5, folder=where, on_step=on_step)
        return [p.detach().clone() for p in trainable_parameters(policy)]

    straight, broken = folder(tmp_path, "straight"), folder(tmp_path, "broken")
    expected = run(straight, None)
    assert len(lines(straight)) >= 6
    for die_at in (0, 3):
        with pytest.raises(Killed):
            run(broken, die_at)
    assert list(broken.glob("checkpoint-*"))
    resumed = run(broken, None)
    assert lines(broken) == lines(straight)
    assert all(torch.equal(a, b) for a, b in zip(resumed, expected, strict=True))


@pytest.mark.parametrize("name", STAGES)
def test_every_method_learns_the_planted_preference(tiny: Path, tmp_path: Path, name: str) -> None:
    given = [pair("q" * (1 + i % 5), f"yes {i}", f"no {i}") for i in range(15)]
    fresh = [pair("q" * (1 + i % 5) + "?", f"yes {i + 40}", f"no {i + 40}") for i in range(10)]
    policy = trainee(tiny)

    def gap() -> float:
        scored = policy.logprobs([p.prompt.conversation for p in fresh], [[p.chosen, p.rejected] for p in fresh])
        return float(np.mean([chosen.total - rejected.total for chosen, rejected in scored]))

    before = gap()
    reports = preference(policy, given, STAGES[name].model_copy(update={"epochs": 6}), seed=0, folder=folder(tmp_path))
    assert reports[-1].metrics["margin"] > reports[0].metrics["margin"] + 0.5
    assert gap() > before + 0.5  # on pairs it has not seen


@pytest.mark.parametrize("name", ["dpo", "kto", "simpo"])
def test_all_weights_can_be_trained_without_an_adapter(tiny: Path, tmp_path: Path, name: str) -> None:
    policy, before, where = load(tiny), load(tiny), folder(tmp_path)
    stage = STAGES[name].model_copy(update={"lr": 0.001, "rank": 0, "epochs": 4})
    reports = preference(policy, pairs(), stage, seed=0, folder=where)
    assert all(line["holds"] for line in json.loads((where / "start.json").read_text()))
    assert reports[-1].metrics["margin"] > reports[0].metrics["margin"] + 0.3
    changed = [
        not torch.equal(a, b) for a, b in zip(trainable_parameters(policy), trainable_parameters(before), strict=True)
    ]
    assert all(changed)


def test_a_pair_of_no_weight_teaches_nothing(tiny: Path, tmp_path: Path) -> None:
    given = pairs()
    nothing = [p.model_copy(update={"chosen": p.rejected, "rejected": p.chosen, "weight": 0.0}) for p in given]
    ends = []
    something = [p.model_copy(update={"weight": 3.0}) for p in nothing]
    for name, data in (("without", given), ("with", [*nothing, *given]), ("weighed", [*something, *given])):
        policy = trainee(tiny)
        preference(policy, data, STAGES["dpo"], seed=0, folder=folder(tmp_path, name))
        ends.append(torch.cat([p.detach().flatten() for p in trainable_parameters(policy)]))
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])  # control: with a weight they do
    with pytest.raises(ValueError, match="none of 12 preferences has a weight"):
        preference(trainee(tiny), nothing, STAGES["dpo"], seed=0, folder=folder(tmp_path, "none"))


def test_weights_multiply(tiny: Path, tmp_path: Path) -> None:
    """A pair of weight 2 is the pair twice, and one of weight 1."""
    chat = trainee(tiny).chat
    one, other = pair("q", "yes", "no"), pair("qq", "a b", "c d")
    found = []
    for given in ([one.model_copy(update={"weight": 2.0}), other], [one, one, other]):
        made = preference_rows(given, chat, 300, tmp_path)
        found.append(loss_and_gradient(objective(tiny, STAGES["dpo"], made), [(0, 1)]))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-6)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-6)


# ---- groups --------------------------------------------------------------------------------------
def opposed(few: float) -> list[Preference]:
    return [
        p
        for i in range(8)
        for p in (
            pair("q" * (1 + i), f"yes {i}", f"no {i}", group="many", voters=("a", "b")),
            pair("q" * (1 + i), f"no {i}", f"yes {i}", group="few", voters=("c",), weight=few),
        )
    ]


def test_two_groups_that_want_the_opposite_stay_at_chance_each(tiny: Path, tmp_path: Path) -> None:
    stage = Dpo(by="dpo", beta=0.5, **KNOBS)
    for report in preference(trainee(tiny), opposed(1.0), stage, seed=0, folder=folder(tmp_path, "even")):
        for group in ("many", "few"):
            assert report.metrics[f"loss/{group}"] == pytest.approx(math.log(2), abs=1e-5)
    last = preference(trainee(tiny), opposed(0.2), stage, seed=0, folder=folder(tmp_path, "uneven"))[-1].metrics
    assert (
        last["loss/many"] < math.log(2) - 0.05 < math.log(2) + 0.05 < last["loss/few"]
    )  # control: the larger weight wins, and it shows
    assert last["accuracy/many"] > 0.9 > 0.1 > last["accuracy/few"]


@pytest.mark.parametrize("name", ["ipo", "kto", "simpo"])
def test_group_means_are_what_each_group_alone_would_show(tiny: Path, tmp_path: Path, name: str) -> None:
    given, chat = opposed(0.5)[:8], trainee(tiny).chat
    made = preference_rows(given, chat, 300, tmp_path)
    _, _, metrics = loss_and_gradient(objective(tiny, STAGES[name], made), [(0, 1), (2, 3)])
    for group in ("many", "few"):
        alone = objective(
            tiny, STAGES[name], preference_rows([p for p in given if p.group == group], chat, 300, tmp_path)
        )
        if isinstance(alone, kto.KtoObjective):
            alone.begin = lambda batches, alone=alone: setattr(alone, "kl", torch.tensor(metrics["kl"]))  # type: ignore[method-assign]
        loss, _, _ = loss_and_gradient(alone, [(0, 1, 2, 3)])
        assert metrics[f"loss/{group}"] == pytest.approx(loss, abs=1e-5)


def test_groups_are_logged_where_there_are_groups_alone(tiny: Path, tmp_path: Path) -> None:
    where = folder(tmp_path)
    preference(trainee(tiny), pairs(4), STAGES["dpo"], seed=0, folder=where)
    assert not any("/" in name for line in lines(where) for name in line["metrics"])  # type: ignore[union-attr]
    some = [*pairs(4), pair("z", "ja", "nein", group="g")]
    found = objective(tiny, STAGES["dpo"], preference_rows(some, trainee(tiny).chat, 300, tmp_path))
    _, _, metrics = loss_and_gradient(found, [tuple(range(3))])
    assert {name for name in metrics if name.startswith("loss/")} == {"loss/g", "loss/(no group)"}


# ---- KTO's examples and its estimate -------------------------------------------------------------
def test_kto_takes_each_reply_once_and_counts_its_wins(tiny: Path, tmp_path: Path) -> None:
    given = [
        pair("q", "a", "b", weight=0.5),
        pair("q", "a", "c", strength=0.8, weight=0.5),
        pair("q", "b", "c", weight=1.0),
    ]
    (made,) = preference_rows(given, trainee(tiny).chat, 300, tmp_path)
    a, b, c = kto.examples(made)
    assert (a.weight, a.good) == pytest.approx((1.0, 0.9))
    assert (b.weight, b.good) == pytest.approx((1.5, 2 / 3))
    assert (c.weight, c.good) == pytest.approx((1.5, 0.1 / 1.5))


def test_kto_estimates_from_replies_to_other_prompts(tiny: Path, tmp_path: Path) -> None:
    chat = trainee(tiny).chat
    rows = [c.row for c in preference_rows(pairs(), chat, 300, tmp_path)]
    for row, other in zip(rows, kto.mismatched_rows(rows, 300), strict=True):
        assert other.prompt == row.prompt
        (reply,) = other.replies
        assert reply not in row.replies
        assert any(reply in r.replies for r in rows)
    with pytest.raises(ValueError, match="give preferences on more prompts"):
        kto.mismatched_rows(rows[:1], 300)
    with pytest.raises(ValueError, match="none that fits"):
        kto.mismatched_rows(rows, len(rows[0].prompt) + 2)


def test_kto_estimate_carries_no_gradient_and_is_never_negative(tiny: Path, tmp_path: Path) -> None:
    made = preference_rows(pairs(), trainee(tiny).chat, 300, tmp_path)
    found = objective(tiny, STAGES["kto"], made)
    assert isinstance(found, kto.KtoObjective)
    found.begin([tuple(range(6))])
    assert not found.kl.requires_grad
    seen = [
        report.metrics["kl"]
        for report in preference(trainee(tiny), pairs(), STAGES["kto"], seed=0, folder=folder(tmp_path))
    ]
    assert min(seen) >= 0
    assert max(seen) > 0


# ---- what is refused, what is said ---------------------------------------------------------------
@pytest.mark.parametrize(
    ("chosen", "rejected", "said"),
    [("", "no", "empty chosen"), ("yes", " \n", "empty rejected"), ("same", "same ", "equal replies")],
)
def test_pairs_that_teach_nothing_are_refused(
    tiny: Path, tmp_path: Path, chosen: str, rejected: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        preference(
            trainee(tiny), [*pairs(), pair("q", chosen, rejected)], STAGES["dpo"], seed=0, folder=folder(tmp_path)
        )


def metrics_file(tmp_path: Path, steps: Sequence[tuple[float, float]]) -> Path:
    rows = [{"metrics": {"margin": margin, "chosen_logratio": chosen}} for margin, chosen in steps]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "metrics.jsonl"


def test_sinking_replies_are_told_in_plain_words(tmp_path: Path) -> None:
    sink = [(k / 2, -k / 3) for k in range(12)]
    assert "raise 'nll' (it is 0.1), or use rpo" in str(
        likelihood_displacement(metrics_file(tmp_path, sink), STAGES["dpo"])
    )
    assert "raise 'alpha' (it is 0.7)" in str(likelihood_displacement(metrics_file(tmp_path, sink), STAGES["rpo"]))
    assert "use rpo, or dpo with 'nll'" in str(likelihood_displacement(metrics_file(tmp_path, sink), STAGES["ipo"]))
    # controls: the chosen reply rises; nothing is learnt; it falls by next to nothing
    for steps in (
        [(k / 2, k / 3) for k in range(12)],
        [(0.0, -k / 3) for k in range(12)],
        [(k / 2, -k / 100) for k in range(12)],
    ):
        assert likelihood_displacement(metrics_file(tmp_path, steps), STAGES["dpo"]) is None


def test_a_run_that_sinks_leaves_a_note_and_one_with_likelihood_does_not(tiny: Path, tmp_path: Path) -> None:
    """Chosen and rejected differ in one letter, so plain DPO pushes what they share down with
    the rejected one."""
    given = [pair("q" * (1 + i % 5), "ab" * 8 + f"c{i}", "ab" * 8 + f"d{i}") for i in range(10)]
    plain_dpo, rpo = (
        STAGES["dpo"].model_copy(update={"nll": 0.0, "beta": 0.1}),
        STAGES["rpo"].model_copy(update={"alpha": 10.0}),
    )
    wheres = []
    for name, stage in (("plain", plain_dpo), ("held", rpo)):
        wheres.append(folder(tmp_path, name))
        preference(trainee(tiny), given, stage.model_copy(update={"epochs": 8}), seed=0, folder=wheres[-1])
    plain, held = wheres
    assert "both replies sink" in (plain / "notes.txt").read_text()
    assert not (held / "notes.txt").exists()


def test_micro_batches_of_a_run_do_not_change_its_first_step(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for tokens in (100_000, 60):
        monkeypatch.setattr(batches, "MICRO_TOKENS", tokens)
        stage = STAGES["rpo"].model_copy(update={"epochs": 1, "batch_tokens": 100_000})
        (report,) = preference(trainee(tiny), pairs(), stage, seed=0, folder=folder(tmp_path, str(tokens)))
        seen.append(report)
    assert seen[0].loss == pytest.approx(seen[1].loss, rel=1e-6)
    assert seen[0].grad_norm == pytest.approx(seen[1].grad_norm, rel=1e-5)

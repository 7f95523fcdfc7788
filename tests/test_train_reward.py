"""Does a reward model learn what was planted, and only that? Bradley-Terry's identities,
ensembles, averages, held-out truth."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tiny import make_tiny

from alignwright.core.records import Conversation, Finding, Preference, Prompt
from alignwright.model.adapters import add_lora, save_adapter, trainable_parameters
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.reward_head import end_scores, new_head, save_head, score_rows
from alignwright.model.reward_model import RewardMeta, RewardScorer
from alignwright.model.weights import save_weights
from alignwright.train import batches
from alignwright.train.ensemble import average_members, first_heads, member_scores
from alignwright.train.knobs import RewardModel
from alignwright.train.loop import StepReport
from alignwright.train.pairs import comparisons
from alignwright.train.reward import reward
from alignwright.train.reward_eval import (
    ScoredPair,
    calibration_gaps,
    heldout_findings,
    hold_out_prompts,
    longer_chosen,
)
from alignwright.train.reward_objective import pair_losses

STAGE = RewardModel(
    by="reward", epochs=3, rank=8, lr=0.01, batch_tokens=600, max_tokens=300, heldout=0.3, checkpoint_every=3
)
LN2 = 0.6931471805599453


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny") / "model")


def trainee(tiny: Path, rank: int = 8) -> LocalModel:
    policy = load(tiny)
    if rank:
        add_lora(policy, rank=rank, seed=1)
    return policy


def word(rng: random.Random, letter: str = "", length: int | None = None) -> str:
    letters = [rng.choice("abcdefghij") for _ in range(length or rng.randint(3, 9))]
    if letter:
        letters[rng.randrange(len(letters))] = letter
    return "".join(letters)


def pair(i: int, chosen: str, rejected: str, **more: object) -> Preference:
    return Preference(
        prompt=Prompt(conversation=Conversation.user(f"question {i}")), chosen=chosen, rejected=rejected, **more
    )  # type: ignore[arg-type]


def planted(kind: str, count: int = 360) -> list[Preference]:
    """Replies of random letters. z: the better one has a z; longer: it is the longer one;
    random: the votes are coins."""
    rng = random.Random(3)
    made = []
    for i in range(count):
        if kind == "longer":
            low, high = rng.choice([(low, high) for high in range(5, 14) for low in range(2, high - 2)])
            made.append(pair(i, word(rng, length=high), word(rng, length=low)))
        else:
            both = [word(rng, "z"), word(rng)]
            if kind == "random":
                rng.shuffle(both)
            made.append(pair(i, *both))
    return made


def kway(count: int = 12) -> list[Preference]:
    """Three or four replies to each prompt, every two of them a pair of one comparison, with
    strengths and weights."""
    rng = random.Random(5)
    made = []
    for i in range(count):
        texts = [word(rng) + str(k) for k in range(3 + i % 2)]
        pairs = [(a, b) for a in range(len(texts)) for b in range(a)]
        made += [
            pair(
                i,
                texts[a],
                texts[b],
                parent=f"comparison {i}",
                strength=rng.uniform(0.5, 1),
                weight=rng.uniform(0.5, 2),
            )
            for a, b in pairs
        ]
    return made


def accuracy(findings: Sequence[Finding]) -> Finding:
    return next(f for f in findings if f.claim == "reward.accuracy" and f.against is None)


def folder(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


# ---- planted truth -------------------------------------------------------------------------------
def test_it_learns_what_the_votes_are_for(tiny: Path, tmp_path: Path) -> None:
    reports, found = reward(trainee(tiny), planted("z"), STAGE, seed=0, folder=tmp_path)
    assert reports[0].loss == pytest.approx(LN2, abs=1e-6)
    level = accuracy(found)
    assert level.value is not None
    assert level.low is not None
    assert level.value > 0.95
    assert level.low > 0.9
    beyond = next(f for f in found if f.against == "pick the longer reply")
    assert beyond.low is not None
    assert beyond.low > 0.3, "length says nothing here"
    longer = next(f for f in found if f.claim == "reward.longer")
    assert longer.low is not None
    assert longer.high is not None
    assert longer.low < 0.5 < longer.high
    assert level.n == 108
    # what was written is what was found: the loaded scorer agrees with every kept-apart vote as often
    scorer = RewardScorer.load(lambda: load(tiny), tmp_path)
    _, held = hold_out_prompts(planted("z"), STAGE.heldout, 0)
    scored = scorer([p.prompt for p in held], [[p.chosen, p.rejected] for p in held])
    right = [a is not None and b is not None and a.value > b.value for a, b in scored]
    assert sum(right) / len(right) == pytest.approx(level.value)


def test_a_vote_for_length_is_learnt_and_named_as_such(tiny: Path, tmp_path: Path) -> None:
    stage = STAGE.model_copy(update={"epochs": 5})
    _, found = reward(trainee(tiny), planted("longer"), stage, seed=0, folder=tmp_path)
    level, longer = accuracy(found), next(f for f in found if f.claim == "reward.longer")
    assert level.value is not None
    assert level.value > 0.95
    assert longer.value == pytest.approx(level.value)
    beyond = next(f for f in found if f.against == "pick the longer reply")
    assert beyond.value is not None
    assert beyond.value <= 0.0, "it cannot beat the rule that made the votes"
    start = {line["name"]: line for line in json.loads((tmp_path / "start.json").read_text())}
    assert start["accuracy of picking the longer reply"]["value"] == 1.0


def test_coins_are_not_learnt(tiny: Path, tmp_path: Path) -> None:
    """The control: with the same replies and random votes, held-out accuracy stays at chance."""
    _, found = reward(trainee(tiny), planted("random"), STAGE, seed=0, folder=tmp_path)
    level = accuracy(found)
    assert level.low is not None
    assert level.high is not None
    assert level.low < 0.5 < level.high


def test_all_weights_can_be_trained_and_come_back(tiny: Path, tmp_path: Path) -> None:
    policy = trainee(tiny, rank=0)
    before = [p.detach().clone() for p in policy.model.parameters()]
    _, found = reward(policy, planted("z"), STAGE.model_copy(update={"rank": 0, "lr": 0.003}), seed=0, folder=tmp_path)
    level = accuracy(found)
    assert level.value is not None
    assert level.value > 0.95
    assert all(torch.equal(a, b) for a, b in zip(policy.model.parameters(), before, strict=True)), (
        "the policy is lent, not changed"
    )
    scorer = RewardScorer.load(lambda: load(tiny), tmp_path)
    good, bad = scorer([Prompt(conversation=Conversation.user("question 1"))], [["abczde", "abcdef"]])[0]
    assert good is not None
    assert bad is not None
    assert good.value > bad.value


# ---- identities ----------------------------------------------------------------------------------
def gradients(
    policy: LocalModel, head: torch.nn.Linear, preferences: Sequence[Preference], stage: RewardModel
) -> tuple[float, torch.Tensor]:
    """The mean loss of these preferences and its gradient, in one batch."""
    groups = comparisons(preferences, policy.chat, 300)
    for p in (*trainable_parameters(policy), head.weight):
        p.grad = None
    loss_P, _, _, weight_P = pair_losses(end_scores(policy, head, [g.row for g in groups]), groups, stage)
    loss = (weight_P * loss_P).sum() / sum(pair.weight for g in groups for pair in g.pairs)
    loss.backward()
    parts = [p.grad for p in (*trainable_parameters(policy), head.weight)]
    return float(loss.detach()), torch.cat([g.flatten() for g in parts if g is not None])


def test_swapping_a_pair_flips_its_gap(tiny: Path) -> None:
    policy = trainee(tiny)
    head = new_head(policy, 0)
    one, two = [pair(0, "yes", "no", strength=0.8)], [pair(0, "no", "yes", strength=0.2)]
    seen = []
    for preferences in (one, two):
        groups = comparisons(preferences, policy.chat, 300)
        loss_P, gap_P, sum_P, _ = pair_losses(
            end_scores(policy, head, [g.row for g in groups]), groups, STAGE.model_copy(update={"margin": 0.7})
        )
        seen.append((float(loss_P.detach()), float(gap_P.detach()), float(sum_P.detach())))
    assert seen[0] == pytest.approx((seen[1][0], -seen[1][1], seen[1][2]), abs=1e-5)
    assert abs(seen[0][1]) > 1e-3


def test_many_replies_are_the_mean_of_their_pairs(tiny: Path) -> None:
    """InstructGPT's 1 / C(K, 2): the gradient of a row of K replies is the mean of its pairs'
    gradients, each pair in a row of its own."""
    policy = trainee(tiny)
    head = new_head(policy, 0)
    of_one = [p.model_copy(update={"weight": 1.0}) for p in kway() if p.parent == "comparison 1"]
    assert len(of_one) == 6
    together = gradients(policy, head, of_one, STAGE)
    apart = [gradients(policy, head, [p], STAGE) for p in of_one]
    assert together[0] == pytest.approx(sum(loss for loss, _ in apart) / 6, abs=1e-5)
    torch.testing.assert_close(together[1], torch.stack([g for _, g in apart]).mean(0), atol=1e-5, rtol=1e-4)
    assert float((together[1] - apart[0][1]).abs().max()) > 1e-4, "the pairs do differ"


def test_each_prompt_weighs_the_same_whatever_its_replies(tiny: Path) -> None:
    policy = trainee(tiny)
    head = new_head(policy, 0)
    six = [p.model_copy(update={"weight": 1.0}) for p in kway() if p.parent == "comparison 1"]
    two = [pair(77, "abc", "defg")]
    both, first, second = (gradients(policy, head, chosen, STAGE)[1] for chosen in ([*six, *two], six, two))
    torch.testing.assert_close(both, (first + second) / 2, atol=1e-5, rtol=1e-4)
    loose = [p.model_copy(update={"parent": ""}) for p in six]  # control: without a parent they are six prompts
    assert float((gradients(policy, head, [*loose, *two], STAGE)[1] - both).abs().max()) > 1e-4


def test_a_comparison_too_wide_for_one_row_still_weighs_as_one(tiny: Path) -> None:
    policy = trainee(tiny)
    six = [p.model_copy(update={"weight": 1.0}) for p in kway() if p.parent == "comparison 1"]
    (whole,) = comparisons(six, policy.chat, 300)
    spread = comparisons(six, policy.chat, len(whole.row) - 1)
    assert len(spread) > 1
    assert [p.preference for c in spread for p in c.pairs] == six
    assert sum(p.weight for c in spread for p in c.pairs) == pytest.approx(1.0)
    for preference_row in spread:  # every pair still finds its own replies
        for p in preference_row.pairs:
            assert preference_row.row.replies[p.chosen] == tuple(policy.chat.reply(p.preference.chosen))
            assert preference_row.row.replies[p.rejected] == tuple(policy.chat.reply(p.preference.rejected))


def test_the_loss_is_bradley_terrys(tiny: Path) -> None:
    """Against the formula written out; and without margin and centring it is plain
    cross-entropy, whose slope is sigmoid(gap) - vote."""
    policy = trainee(tiny)
    groups = comparisons(kway(), policy.chat, 300)
    count = sum(len(g.row.replies) for g in groups)
    score_R = torch.randn(count, dtype=torch.float32, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    plain = STAGE.model_copy(update={"center": 0.0})
    strength = torch.tensor([pair.preference.strength for g in groups for pair in g.pairs])
    loss_P, gap_P, sum_P, _ = pair_losses(score_R, groups, plain)
    expected = -strength * torch.sigmoid(gap_P).log() - (1 - strength) * torch.sigmoid(-gap_P).log()
    torch.testing.assert_close(loss_P, expected, atol=1e-6, rtol=0)
    (slope,) = torch.autograd.grad(loss_P.sum(), gap_P, retain_graph=True)
    torch.testing.assert_close(slope, torch.sigmoid(gap_P) - strength, atol=1e-6, rtol=0)
    hard = pair_losses(score_R, groups, plain.model_copy(update={"labels": "hard"}))[0]
    torch.testing.assert_close(hard, -torch.sigmoid(gap_P).log(), atol=1e-6, rtol=0)
    centred = pair_losses(score_R, groups, plain.model_copy(update={"center": 0.3}))[0]
    torch.testing.assert_close(centred - loss_P, 0.3 * sum_P**2, atol=1e-6, rtol=0)
    margin = 0.9 * (2 * strength - 1)
    wide = pair_losses(score_R, groups, plain.model_copy(update={"labels": "hard", "margin": 0.9}))[0]
    torch.testing.assert_close(wide, -torch.sigmoid(gap_P - margin).log(), atol=1e-6, rtol=0)


def test_a_tied_vote_stays_a_tie_with_hard_labels(tiny: Path) -> None:
    policy = trainee(tiny)
    groups = comparisons([pair(0, "a", "b", strength=0.5), pair(1, "a", "b", strength=0.4)], policy.chat, 300)
    stage = STAGE.model_copy(update={"labels": "hard", "center": 0.0})
    loss_P = pair_losses(torch.tensor([2.0, 0.0, 2.0, 0.0]), groups, stage)[0]
    gap = torch.tensor(2.0)
    torch.testing.assert_close(
        loss_P, torch.stack([-(gap.sigmoid().log() + (-gap).sigmoid().log()) / 2, -(-gap).sigmoid().log()])
    )


def test_gradients_do_not_depend_on_the_split_into_micro_batches(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[StepReport] = []
    for tokens in (100_000, 90):
        monkeypatch.setattr(batches, "MICRO_TOKENS", tokens)
        stage = STAGE.model_copy(update={"epochs": 1, "batch_tokens": 100_000, "heldout": 0.0})
        reports, found = reward(trainee(tiny), kway(), stage, seed=0, folder=folder(tmp_path, str(tokens)))
        assert [(f.claim, f.value, f.n) for f in found] == [("reward.accuracy", None, 0)]
        assert found[0].note.startswith("REFUSED: no pair with a vote was kept apart")
        seen += reports
    assert len(seen) == 2
    assert seen[0].loss == pytest.approx(seen[1].loss, rel=1e-6)
    assert seen[0].grad_norm == pytest.approx(seen[1].grad_norm, rel=1e-4)


class Killed(Exception):
    pass


@pytest.mark.parametrize(("die_at", "combine"), [(4, "uncertainty"), (11, "weights"), (8, "worst")])
def test_a_killed_run_resumes_to_the_same_bits(tiny: Path, tmp_path: Path, die_at: int, combine: str) -> None:
    stage = STAGE.model_copy(update={"ensemble": 2, "combine": combine, "batch_tokens": 100})

    def run(where: Path, die: bool) -> tuple[Finding, ...]:
        def on_step(report: StepReport) -> None:
            if die and report.step == die_at:
                raise Killed

        return reward(trainee(tiny), kway(), stage, seed=2, folder=where, on_step=on_step)[1]

    straight, broken = folder(tmp_path, "straight"), folder(tmp_path, "broken")
    expected = run(straight, die=False)
    with pytest.raises(Killed):
        run(broken, die=True)
    assert not (broken / "reward.json").exists()
    assert run(broken, die=False) == expected
    files = sorted(p.relative_to(straight) for p in straight.rglob("*.safetensors"))
    assert len(files) == 4, "two adapters and two heads; or the average's two, and the heads of its members"
    assert all((straight / p).read_bytes() == (broken / p).read_bytes() for p in files)
    steps = [json.loads(line) for line in (broken / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in steps] == list(range(steps[0]["steps"]))
    assert len(steps) > 12
    assert {line["member"] for line in steps} == {0, 1}


# ---- ensembles -----------------------------------------------------------------------------------
def test_members_differ_and_are_combined_on_a_common_scale(tiny: Path, tmp_path: Path) -> None:
    stage = STAGE.model_copy(update={"ensemble": 3, "combine": "worst", "epochs": 1})
    reward(trainee(tiny), planted("z", 120), stage, seed=0, folder=tmp_path)
    meta = RewardMeta.read(tmp_path)
    scorer = RewardScorer.load(lambda: load(tiny), tmp_path)
    _, held = hold_out_prompts(planted("z", 120), stage.heldout, 0)
    said = scorer.members([g.row for g in comparisons(held, scorer.policy.chat, 300)])
    assert min(float((said[a] - said[b]).abs().max()) for a in range(3) for b in range(a)) > 1e-2
    # the common scale: every member's held-out replies have mean 0 and deviation 1 after standardising
    torch.testing.assert_close(torch.tensor(meta.means), said.mean(1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(torch.tensor(meta.sds), said.std(1, correction=0), atol=1e-4, rtol=1e-4)
    start = [line for line in json.loads((tmp_path / "start.json").read_text()) if line["name"].startswith("loss of")]
    assert len(start) == 3
    assert all(line["tolerance"] is None for line in start), "random heads do not begin as a coin"


def test_models_whose_weights_are_averaged_start_from_one_head(tiny: Path) -> None:
    policy = trainee(tiny)
    averaged = first_heads(policy, STAGE.model_copy(update={"ensemble": 3, "combine": "weights"}), 0)
    assert not any(bool(head.weight.any()) for head in averaged)
    drawn = first_heads(policy, STAGE.model_copy(update={"ensemble": 2}), 0)
    assert not torch.equal(drawn[0].weight, drawn[1].weight)


@pytest.mark.parametrize("whole", [False, True])
def test_averaging_heads_is_averaging_predictions(tiny: Path, tmp_path: Path, whole: bool) -> None:
    """WARM's known answer: members that differ in a linear head alone. Their weights' average is
    the average of what they say."""
    members = [tmp_path / f"member-{m}" for m in range(3)]
    for m, member in enumerate(members):
        policy = trainee(tiny, rank=0 if whole else 2)
        torch.manual_seed(9)
        for p in trainable_parameters(policy):
            p.data += 0.05 * torch.randn_like(p)
        (save_weights if whole else save_adapter)(policy, member / ("weights" if whole else "adapter"))
        save_head(new_head(policy, m), member)
    average_members(members, tmp_path / "average")
    average_members(members[:1], tmp_path / "one" / "average")
    policy = trainee(tiny, rank=0 if whole else 2)
    rows = [g.row for g in comparisons(kway(), policy.chat, 300)]
    mean = torch.stack([member_scores(policy, member, rows) for member in members]).mean(0)
    torch.testing.assert_close(member_scores(policy, tmp_path / "average", rows), mean, atol=2e-5, rtol=1e-5)
    alone = member_scores(policy, members[0], rows)
    assert torch.equal(member_scores(policy, tmp_path / "one" / "average", rows), alone), (
        "of one member it is that member"
    )
    assert float((alone - mean).abs().max()) > 1e-2


def test_an_average_of_adapters_is_the_mean_change_and_not_a_change_by_mean_factors(tiny: Path, tmp_path: Path) -> None:
    stage = STAGE.model_copy(update={"ensemble": 2, "combine": "weights", "rank": 2})
    policy = trainee(tiny, rank=2)
    _, found = reward(policy, planted("z", 200), stage, seed=0, folder=tmp_path)
    assert len(trainable_parameters(policy)) == 28, "the policy has its own adapter back, to be trained"
    meta = RewardMeta.read(tmp_path)
    assert meta.members == ("average",)
    assert not (tmp_path / "member-0" / "adapter").exists(), "members live on in their average"
    assert json.loads((tmp_path / "average" / "adapter" / "adapter_config.json").read_text())["r"] == 4
    scorer = RewardScorer.load(lambda: load(tiny), tmp_path)
    _, held = hold_out_prompts(planted("z", 200), stage.heldout, 0)
    groups = comparisons(held, scorer.policy.chat, 300)
    says = score_rows(scorer.policy, scorer._heads[0], [g.row for g in groups])
    right = (says[0::2] > says[1::2]).float().mean()
    assert float(right) == pytest.approx(accuracy(found).value)
    scorer.export(tmp_path / "out")


# ---- what is kept apart --------------------------------------------------------------------------
def test_whole_prompts_are_kept_apart(tiny: Path) -> None:
    both = [*kway(20), *kway(20)[:3]]
    train, held = hold_out_prompts(both, 0.25, 7)
    assert len({p.prompt.id for p in held}) == 5
    assert not {p.prompt.id for p in train} & {p.prompt.id for p in held}
    assert len(train) + len(held) == len(both)
    assert hold_out_prompts(both[::-1], 0.25, 7)[1] == held[::-1], "by content, whatever the order"
    assert hold_out_prompts(both, 0.25, 8)[1] != held
    assert hold_out_prompts(both, 0.0, 7) == (both, [])
    assert hold_out_prompts(both[:1], 0.9, 7) == (both[:1], []), "something must be left to train on"


def test_findings_of_a_judge_of_known_accuracy_and_calibration() -> None:
    """A scorer whose sigmoid is the truth: calibrated, with the Brier score p (1 - p) in the
    mean; one twice as sure is not."""
    rng = random.Random(0)
    scored_pairs = []
    for i in range(4000):
        gap = rng.gauss(0, 2)
        true = 1 / (1 + 2.718281828459045**-gap)
        won = rng.random() < true
        scored_pairs.append(ScoredPair(pair(i, "aaa", "bb") if won else pair(i, "bb", "aaa"), gap if won else -gap))
    found = {(f.claim, f.against): f for f in heldout_findings(scored_pairs[:400], stage="s", labels="soft")}
    assert {claim for claim, _ in found} == {
        "reward.accuracy",
        "reward.longer",
        "reward.calibration_error",
        "reward.brier",
    }
    sure = [1 / (1 + 2.718281828459045 ** -abs(h.gap)) for h in scored_pairs]
    right = [h.credit for h in scored_pairs]
    gaps, bins = calibration_gaps(sure, right)
    assert bins == 10
    assert sum(gaps) / len(gaps) < 0.03
    boastful = [1 / (1 + 2.718281828459045 ** -abs(3 * h.gap)) for h in scored_pairs]
    gaps, _ = calibration_gaps(boastful, right)
    assert sum(gaps) / len(gaps) > 0.08
    error = found[("reward.calibration_error", None)]
    assert error.value is not None
    assert error.low is not None
    assert error.high is not None
    assert error.low <= error.value <= error.high
    # by hand: two bins, one errs by 0.2 upwards, the other by 0.1 downwards
    gaps, bins = calibration_gaps([0.6] * 5 + [0.9] * 5, [0.4] * 5 + [1.0] * 5)
    assert bins == 2
    assert sum(gaps) / 10 == pytest.approx((0.2 + 0.1) / 2)
    brier = found[("reward.brier", None)]
    assert brier.low is not None
    assert brier.high is not None
    assert brier.low < sum(c * (1 - c) for c in sure) / len(sure) < brier.high


def test_pairs_of_one_prompt_are_not_independent() -> None:
    """Ten copies of each prompt: the interval is that of the prompts."""
    few = [ScoredPair(pair(i, "yes", "no"), 1.0 if i % 3 else -1.0) for i in range(30)]
    copies = [
        ScoredPair(h.preference.model_copy(update={"chosen": h.preference.chosen + "!" * k}), h.gap)
        for h in few
        for k in range(10)
    ]
    one, ten = (accuracy(heldout_findings(scored_pairs, stage="s", labels="soft")) for scored_pairs in (few, copies))
    assert one.low is not None
    assert ten.low is not None
    assert ten.n == 300
    assert ten.clusters == 30
    assert ten.low == pytest.approx(one.low, abs=0.03)


def test_groups_ties_and_swapped_votes() -> None:
    group = [pair(i, "aa", "b", group="old" if i % 2 else "young") for i in range(20)]
    scored_pairs = [ScoredPair(p, 1.0 if p.group == "old" else -1.0) for p in group]
    found = {f.claim: f for f in heldout_findings(scored_pairs, stage="s", labels="soft") if f.against is None}
    assert found["reward.accuracy"].value == 0.5
    assert found["reward.accuracy.old"].value == 1.0
    assert found["reward.accuracy.young"].value == 0.0
    assert found["reward.accuracy"].exhibits[0].reply == "b"
    tied = [*scored_pairs, ScoredPair(pair(99, "x", "y", strength=0.5), 3.0)]
    assert accuracy(heldout_findings(tied, stage="s", labels="soft")).unscored == 1
    swapped = ScoredPair(pair(5, "loses", "wins", strength=0.1), -2.0)
    assert swapped.credit == 1.0
    assert longer_chosen([swapped.preference, group[0]]) == 0.5
    (nothing,) = heldout_findings(tied[-1:], stage="s", labels="soft")
    assert nothing.value is None
    assert not heldout_findings([], stage="s", labels="soft")


def test_what_cannot_teach_is_refused_or_set_aside(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two equal replies"):
        reward(trainee(tiny), [pair(0, "same", "same")], STAGE, seed=0, folder=tmp_path)
    with pytest.raises(ValueError, match="a weight above 0"):
        reward(trainee(tiny), [pair(0, "a", "b", weight=0.0)], STAGE, seed=0, folder=tmp_path)
    with pytest.raises(ValueError, match="none of 1 training rows"):
        reward(trainee(tiny), [pair(0, "a" * 500, "b")], STAGE, seed=0, folder=tmp_path)
    stage = STAGE.model_copy(update={"epochs": 1})
    reward(trainee(tiny), [*kway(), pair(99, "a" * 400, "b")], stage, seed=0, folder=tmp_path)
    assert len((tmp_path / "too_long.jsonl").read_text().splitlines()) == 1


def test_in_bfloat16_too(tmp_path: Path) -> None:
    """Trained in bfloat16, found out in float32: the scorer over a float32 trunk gives the very
    accuracy that was found."""
    tiny = make_tiny(tmp_path / "model")
    policy = load(tiny, dtype="bfloat16")
    add_lora(policy, rank=8, seed=1)
    _, found = reward(policy, planted("z", 240), STAGE, seed=0, folder=folder(tmp_path, "run"))
    assert policy.dtype == torch.bfloat16
    scorer = RewardScorer.load(lambda: load(tiny), tmp_path / "run")
    _, held = hold_out_prompts(planted("z", 240), STAGE.heldout, 0)
    scored = scorer([p.prompt for p in held], [[p.chosen, p.rejected] for p in held])
    right = [a is not None and b is not None and a.value > b.value for a, b in scored]
    assert sum(right) / len(right) == pytest.approx(accuracy(found).value)

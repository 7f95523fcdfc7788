"""Is the score read where it should be, and is it the same score wherever the model is opened?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import make_tiny
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from alignwright.core.records import Conversation, Prompt
from alignwright.model.adapters import add_lora, save_adapter, trainable_parameters
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.logprob import scored_hidden, trunk
from alignwright.model.packing import pack
from alignwright.model.reward_head import (
    apply_head,
    end_hidden,
    end_positions,
    end_scores,
    in_float32,
    load_member,
    new_head,
    save_head,
    score_rows,
)
from alignwright.model.reward_model import RewardMeta, RewardScorer
from alignwright.model.tokens import TokenRow
from alignwright.model.weights import save_weights

ASKED = [
    ("short", ["yes", "a much longer answer than that", "z"]),
    ("a longer question, with more words in it", ["no"]),
    ("?", ["", "maybe"]),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny") / "model")


def rows(policy: LocalModel) -> list[TokenRow]:
    return [policy.chat.row(Conversation.user(asked), replies) for asked, replies in ASKED]


def expected(policy: LocalModel, head: torch.nn.Linear) -> torch.Tensor:
    """Every reply in a row of its own, without padding, read at its last token by the model's
    own forward pass."""
    found = []
    for row in rows(policy):
        for reply in row.replies:
            hidden = trunk(policy.model)(input_ids=torch.tensor([[*row.prompt, *reply]])).last_hidden_state[0, -1]
            found.append(float(hidden.detach().float() @ head.weight[0].detach()))
    return torch.tensor(found)


def members(
    tiny: Path, folder: Path, count: int, *, whole: bool = False, combine: str = "mean", penalty: float = 0.5
) -> RewardMeta:
    """An ensemble of random members, as training would have left it."""
    for m in range(count):
        policy = load(tiny)
        if not whole:
            add_lora(policy, rank=2, seed=m)
        torch.manual_seed(m)
        for parameter in trainable_parameters(policy):
            parameter.data += 0.1 * torch.randn_like(parameter)
        member = folder / f"member-{m}"
        (save_weights if whole else save_adapter)(policy, member / ("weights" if whole else "adapter"))
        save_head(new_head(policy, 100 + m), member)
    names = tuple(f"member-{m}" for m in range(count))
    meta = RewardMeta(
        "model", names, combine, penalty, tuple(0.5 * m for m in range(count)), tuple(1.0 + m for m in range(count))
    )  # type: ignore[arg-type]
    meta.write(folder)
    return meta


def test_the_score_is_read_at_the_replys_own_end(tiny: Path) -> None:
    """Padding is the end-of-turn token here, and replies share rows: neither may move the place
    that is read."""
    policy = load(tiny)
    assert policy.chat.pad_id == policy.chat.end_ids[-1], "the trap must be set"
    head = new_head(policy, 3)
    torch.testing.assert_close(
        end_scores(policy, head, rows(policy)).detach(), expected(policy, head), atol=1e-5, rtol=0
    )


def test_the_check_can_fail_the_last_id_that_is_not_padding_is_another_place(tiny: Path) -> None:
    policy = load(tiny)
    head = new_head(policy, 3)
    single = [TokenRow(row.prompt, row.replies[:1]) for row in rows(policy)]
    packed = pack(single, policy.chat.pad_id, dtype=policy.dtype)
    real = packed.input_ids_BT != policy.chat.pad_id
    last = (torch.arange(real.shape[1]) * real).argmax(1) + torch.arange(len(single)) * real.shape[1]
    assert not bool((last == end_positions(single, packed)).any())
    wrong = apply_head(head, scored_hidden(policy.model, replace(packed, target_N=last))).detach()
    assert float((wrong - end_scores(policy, head, single).detach()).abs().min()) > 1e-3


def test_scores_do_not_depend_on_batches_or_on_siblings(tiny: Path) -> None:
    policy = load(tiny)
    head = new_head(policy, 3)
    whole = score_rows(policy, head, rows(policy))
    policy.token_budget = 30  # many small batches, and rows whose replies are dealt out
    torch.testing.assert_close(score_rows(policy, head, rows(policy)), whole, atol=1e-5, rtol=0)
    turned = [TokenRow(row.prompt, row.replies[::-1]) for row in rows(policy)]
    torch.testing.assert_close(score_rows(policy, head, turned)[:3].flip(0), whole[:3], atol=1e-5, rtol=0)


def test_a_head_of_zeros_scores_zero_and_seeds_differ(tiny: Path) -> None:
    policy = load(tiny)
    assert not bool(apply_head(new_head(policy, None), end_hidden(policy, rows(policy))).any())
    assert torch.equal(new_head(policy, 1).weight, new_head(policy, 1).weight)
    assert not torch.equal(new_head(policy, 1).weight, new_head(policy, 2).weight)
    wide = load(make_tiny(tiny.parent / "wide", hidden_size=512))
    assert float(new_head(wide, 0).weight.detach().std()) == pytest.approx(1 / 513**0.5, rel=0.1)


@pytest.mark.parametrize("whole", [False, True])
def test_members_share_a_trunk_and_keep_their_own_scores(tiny: Path, tmp_path: Path, whole: bool) -> None:
    """Swapped in place, each member says what it says alone, in any order and again."""
    members(tiny, tmp_path, 3, whole=whole)
    scorer = RewardScorer.load(lambda: load(tiny), tmp_path)
    together = scorer.members(rows(scorer.policy))
    torch.testing.assert_close(scorer.members(rows(scorer.policy)), together, atol=0, rtol=0)
    for m in range(3):
        alone = load(tiny)
        load_member(alone, tmp_path / f"member-{m}")
        torch.testing.assert_close(
            together[m], score_rows(alone, new_head(alone, 100 + m), rows(alone)), atol=1e-5, rtol=0
        )
    assert float((together[0] - together[1]).abs().max()) > 1e-2


def test_how_members_become_one() -> None:
    score_MR = torch.randn(4, 50, dtype=torch.float32)
    means, sds = (0.1, -0.4, 2.0, 0.0), (1.0, 3.0, 0.5, 2.0)

    def combined(combine: str, penalty: float = 0.5) -> torch.Tensor:
        return RewardMeta("m", ("a", "b", "c", "d"), combine, penalty, means, sds).combined(score_MR)  # type: ignore[arg-type]

    mean, worst = combined("mean"), combined("worst")
    assert bool((worst <= mean).all())
    torch.testing.assert_close(combined("uncertainty", 0.0), mean)
    z = (score_MR - torch.tensor(means)[:, None]) / torch.tensor(sds)[:, None]
    scale, shift = sum(sds) / 4, sum(means) / 4
    torch.testing.assert_close(mean, z.mean(0) * scale + shift)
    torch.testing.assert_close(
        mean - combined("uncertainty", 2.0), 2.0 * ((z - z.mean(0)) ** 2).mean(0) * scale, atol=1e-5, rtol=1e-5
    )
    alike = RewardMeta("m", ("a", "b"), "uncertainty", 9.0, (0.0, 0.0), (1.0, 1.0)).combined(score_MR[:1].repeat(2, 1))
    torch.testing.assert_close(alike, score_MR[0])
    # one member is itself to the bit; and without standardising, a member on a large scale would rule alone
    assert torch.equal(RewardMeta("m", ("a",), "mean", 0.5, (3.0,), (7.0,)).combined(score_MR[:1]), score_MR[0])
    louder = score_MR * torch.tensor([1.0, 1.0, 1.0, 100.0])[:, None]
    meta = RewardMeta(
        "m", ("a", "b", "c", "d"), "mean", 0.5, (0.0,) * 4, tuple(float(s.std(correction=0)) for s in louder)
    )
    assert float(torch.corrcoef(torch.stack([meta.combined(louder), louder[3]]))[0, 1]) < 0.9


def test_it_is_a_scorer(tiny: Path, tmp_path: Path) -> None:
    meta = members(tiny, tmp_path, 2, combine="worst")
    scorer = RewardScorer.load(lambda: load(tiny), tmp_path)
    given = scorer(
        [Prompt(conversation=Conversation.user(asked)) for asked, _ in ASKED], [replies for _, replies in ASKED]
    )
    assert [len(scores) for scores in given] == [3, 1, 2]
    flat = torch.tensor([score.value for scores in given for score in scores if score is not None])
    torch.testing.assert_close(flat, meta.combined(scorer.members(rows(scorer.policy))))
    assert given[0][0] is not None
    assert given[0][0].reason.startswith("members ")


def test_a_reply_too_long_to_be_read_has_no_score(tiny: Path, tmp_path: Path) -> None:
    members(tiny, tmp_path, 1)
    scorer = RewardScorer.load(lambda: load(tiny), tmp_path)
    scorer.policy.longest = 60
    asked = Prompt(conversation=Conversation.user("q"))
    first, last = scorer([asked, asked], [["x" * 200, "ok"], ["y" * 300]])
    assert first[0] is None
    assert first[1] is not None
    assert last == [None]


@pytest.mark.parametrize("whole", [False, True])
def test_the_export_gives_the_same_score_in_transformers(tiny: Path, tmp_path: Path, whole: bool) -> None:
    members(tiny, tmp_path / "rm", 1, whole=whole)
    scorer = RewardScorer.load(lambda: load(tiny), tmp_path / "rm")
    ours = scorer.members(rows(scorer.policy))[0]
    scorer.export(tmp_path / "out")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out", local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out", local_files_only=True)
    assert tokenizer.pad_token_id == model.config.pad_token_id
    assert model.config.pad_token_id not in scorer.policy.chat.end_ids
    lines = [[*row.prompt, *reply] for row in rows(scorer.policy) for reply in row.replies]
    batch = tokenizer.pad({"input_ids": lines}, return_tensors="pt", padding_side="right")
    with torch.no_grad():
        theirs = model(**batch).logits[:, 0]
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=0)
    model.config.pad_token_id = scorer.policy.chat.end_ids[-1]  # control: the trap itself, as it is commonly left
    with torch.no_grad():
        trapped = model(**batch).logits[:, 0]
    assert float((trapped - ours).abs().max()) > 1e-3


def test_float32_for_a_while_is_exactly_undone(tiny: Path) -> None:
    policy = load(tiny, dtype="bfloat16")
    add_lora(policy, rank=2, seed=0)
    before = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
    head = new_head(policy, 0)
    with in_float32(policy):
        assert policy.dtype == torch.float32
        inside = score_rows(policy, head, rows(policy))
    assert all(torch.equal(before[name], tensor) for name, tensor in policy.model.state_dict().items())
    torch.testing.assert_close(score_rows(policy, head, rows(policy)), inside, atol=0.2, rtol=0)


def test_errors_point(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"reward\.json"):
        RewardScorer.load(lambda: load(tiny), tmp_path)
    members(tiny, tmp_path, 2)
    with pytest.raises(ValueError, match="weights"):
        RewardScorer.load(lambda: load(tiny), tmp_path).export(tmp_path / "out")
    other = make_tiny(tmp_path / "other")
    with pytest.raises(ValueError, match="trained over model, but was given other"):
        RewardScorer.load(lambda: load(other), tmp_path)
    meta = json.loads((tmp_path / "reward.json").read_text())
    (tmp_path / "reward.json").write_text(json.dumps(meta | {"model": "wide"}))
    with pytest.raises(ValueError, match="head of"):
        RewardScorer.load(lambda: load(make_tiny(tmp_path / "wide", hidden_size=64)), tmp_path)
    policy = load(tiny)
    add_lora(policy, rank=3, seed=0)
    with pytest.raises(ValueError, match="does not fit"):
        load_member(policy, tmp_path / "member-0")

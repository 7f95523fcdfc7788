"""Does next-token training learn what text is like, all of it, once, and no more than there is
to learn?"""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path

import pytest
import torch
from tiny import make_tiny

from alignwright.model.adapters import add_lora, trainable_parameters
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.train.knobs import Pretrain
from alignwright.train.loop import StepReport
from alignwright.train.pretrain import cut, from_scratch, num_scored, pretrain

STAGE = Pretrain(
    by="pretrain", text=("t.txt",), epochs=1, rank=0, lr=0.01, batch_tokens=512, max_tokens=128, checkpoint_every=3
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny") / "model")


def folder(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def documents(count: int = 30) -> list[str]:
    rng = random.Random(1)
    return ["".join(rng.choice("abcdefg ") for _ in range(rng.choice([1, 5, 40, 300]))) for _ in range(count)]


def chain(length: int, seed: int, stay: float = 0.9) -> str:
    """A two-state Markov chain that stays in its state with probability `stay`."""
    rng = random.Random(seed)
    state, said = 0, []
    for _ in range(length):
        said.append("XZ"[state])
        state = state if rng.random() < stay else 1 - state
    return "".join(said)


def test_every_token_of_every_document_is_trained_once(tiny: Path) -> None:
    """Put together again, the scored tokens of the pieces are the documents; what a piece reads
    first is what went before it."""
    chat = load(tiny).chat
    tokens = [chat.text(text).replies[0] for text in documents()]
    for width in (16, 37, 128, 4096):
        rows = cut(tokens, 9, width, seed=3)
        assert all(len(row) == width for row in rows[:-1]), "full rows: no padding"
        assert len(rows[-1]) <= width
        assert sum(map(num_scored, rows)) == sum(map(len, tokens))
        joined: list[list[int]] = []
        for row in rows:
            assert row.prompt == (9,)
            assert row.masks is not None
            for piece, mask in zip(row.replies, row.masks, strict=True):
                if mask[0]:
                    joined.append(list(piece))
                else:
                    assert piece[0] == joined[-1][-1]
                    assert all(mask[1:])
                    joined[-1] += piece[1:]
        assert sorted(map(tuple, joined)) == sorted(tokens)
    assert cut(tokens, 9, 64, seed=3) == cut(tokens, 9, 64, seed=3)
    assert cut(tokens, 9, 64, seed=3) != cut(tokens, 9, 64, seed=4)


def test_the_count_of_trained_tokens_is_exact(tiny: Path, tmp_path: Path) -> None:
    policy = load(tiny)
    texts = [*documents(), ""]
    reports = pretrain(policy, texts, STAGE, seed=0, folder=tmp_path)
    counts = json.loads((tmp_path / "text.json").read_text())
    assert counts["tokens"] == sum(len(policy.chat.text(text).replies[0]) for text in texts)
    assert (counts["documents"], counts["empty"]) == (31, 1)
    assert sum(r.tokens for r in reports) == counts["tokens"] + counts["rows"] + _reread(policy, texts), (
        "and one start a row"
    )


def _reread(policy: LocalModel, texts: list[str]) -> int:
    rows = cut([policy.chat.text(text).replies[0] for text in texts if text], 0, 128, 0)
    return sum(not mask for row in rows for masks in row.masks or () for mask in masks)


def test_documents_do_not_see_each_other(tiny: Path, tmp_path: Path) -> None:
    """The loss of two documents in one row is that of the two by themselves."""
    stage = STAGE.model_copy(update={"lr": 1e-9})
    losses = {}
    for name, texts in (("both", ["abcabc abc", "zzzz"]), ("one", ["abcabc abc"]), ("two", ["zzzz"])):
        policy = load(tiny)
        (report,) = pretrain(policy, texts, stage, seed=0, folder=folder(tmp_path, name))
        tokens = sum(len(policy.chat.text(text).replies[0]) for text in texts)
        losses[name] = report.loss * tokens
        assert -policy.text_logprobs(texts)[0].total == pytest.approx(losses[name], rel=1e-4) or name == "both"
    assert losses["both"] == pytest.approx(losses["one"] + losses["two"], rel=1e-4)


def test_a_periodic_text_is_learnt_to_near_nothing(tiny: Path, tmp_path: Path) -> None:
    policy = load(tiny)
    text = "XZQXQZ" * 60
    pretrain(policy, [text] * 12, STAGE.model_copy(update={"epochs": 6}), seed=0, folder=tmp_path)
    said = policy.text_logprobs([text[:120]])[0]
    other = policy.text_logprobs(["".join(random.Random(0).sample(text[:120], 120))])[0]
    assert -said.total / said.tokens < 0.1
    assert -other.total / other.tokens > 1.0, "control: shuffled, it is not expected"


def test_a_chains_entropy_rate_is_approached_and_never_beaten(tiny: Path, tmp_path: Path) -> None:
    """H(0.9) = 0.325 nats a letter, whatever was before the last one; on text that was not
    trained on nothing can do better."""
    policy = load(tiny)
    stage = STAGE.model_copy(update={"epochs": 3, "scratch": True})
    pretrain(policy, [chain(800, seed) for seed in range(30)], stage, seed=1, folder=tmp_path)
    rate = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    fresh = chain(4000, 999)
    texts = [fresh[i : i + 200] for i in range(0, 4000, 200)]
    found = policy.text_logprobs(texts)
    assert all(said.tokens == 200 for said in found), "a letter is a token"
    empirical = -sum(math.log(0.9 if a == b else 0.1) for text in texts for a, b in itertools.pairwise(text)) / (
        199 * 20
    )
    nats = -sum(said.total for said in found) / (200 * 20)
    assert nats < rate + 0.05
    assert nats > empirical - 0.005, "the chain's own law is the best there is"
    assert empirical == pytest.approx(rate, abs=0.03)
    assert nats < math.log(2) - 0.2, "control: a coin is worse"


def test_from_scratch_is_another_model_of_the_same_shape(tiny: Path, tmp_path: Path) -> None:
    one, two, other, before = load(tiny), load(tiny), load(tiny, dtype="bfloat16"), load(tiny)
    from_scratch(one, 1)
    from_scratch(two, 1)
    from_scratch(other, 2)
    weights = [dict(policy.model.named_parameters()) for policy in (one, two, other, before)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    matrices = [name for name, p in weights[0].items() if p.dim() == 2]
    assert not any(torch.equal(weights[0][name], weights[3][name]) for name in matrices)
    assert not any(torch.equal(weights[0][name], weights[2][name].float()) for name in matrices)
    assert other.dtype == torch.bfloat16
    assert one.model.get_output_embeddings().weight is one.model.get_input_embeddings().weight, "tied as before"
    state = torch.random.get_rng_state()
    from_scratch(one, 3)
    assert torch.equal(state, torch.random.get_rng_state())
    adapted = load(tiny)
    add_lora(adapted, rank=2, seed=0)
    with pytest.raises(ValueError, match="adapter"):
        from_scratch(adapted, 0)
    pretrain(load(tiny), documents(), STAGE.model_copy(update={"scratch": True}), seed=0, folder=tmp_path)
    (start,) = json.loads((tmp_path / "start.json").read_text())
    assert start["expected"] == pytest.approx(math.log(load(tiny).model.config.vocab_size))


class Killed(Exception):
    pass


@pytest.mark.parametrize("scratch", [False, True])
@pytest.mark.parametrize("die_at", [1, 4])
def test_a_killed_run_resumes_to_the_same_bits(tiny: Path, tmp_path: Path, scratch: bool, die_at: int) -> None:
    stage = STAGE.model_copy(update={"scratch": scratch, "epochs": 2})

    def run(where: Path, die: bool) -> list[torch.Tensor]:
        policy = load(tiny)

        def on_step(report: StepReport) -> None:
            if die and report.step == die_at:
                raise Killed

        pretrain(policy, documents(), stage, seed=5, folder=where, on_step=on_step)
        return [p.detach().clone() for p in trainable_parameters(policy)]

    straight, broken = folder(tmp_path, "straight"), folder(tmp_path, "broken")
    expected = run(straight, die=False)
    with pytest.raises(Killed):
        run(broken, die=True)
    assert all(torch.equal(a, b) for a, b in zip(run(broken, die=False), expected, strict=True))


def test_no_text_is_an_error(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none of 2 texts"):
        pretrain(load(tiny), ["", ""], STAGE, seed=0, folder=tmp_path)
    with pytest.raises(ValueError, match="none of 0 texts"):
        pretrain(load(tiny), [], STAGE, seed=0, folder=tmp_path)


def test_an_adapter_learns_text_too(tiny: Path, tmp_path: Path) -> None:
    policy = load(tiny)
    add_lora(policy, rank=4, seed=0)
    first, *_, last = pretrain(
        policy, ["XZQXQZZQ" * 60] * 8, STAGE.model_copy(update={"epochs": 3}), seed=0, folder=tmp_path
    )
    assert last.loss < 0.7 * first.loss

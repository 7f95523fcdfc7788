"""Plain rows, each reply with its own prompt, give the numbers and gradients of shared ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_model_packing import ROWS, scores
from tiny import make_tiny

from alignwright.model import model_rows
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.logprob import scored_hidden, trunk
from alignwright.model.model_rows import PlainRows, set_plain_rows
from alignwright.model.packing import pack
from alignwright.model.tokens import TokenRow


@pytest.fixture
def policy(tmp_path: Path) -> LocalModel:
    """Of a kind that `llama_blocks` does not know."""
    policy = load(make_tiny(tmp_path / "tiny"))
    body = trunk(policy.model)
    body.__class__ = type("Other", (type(body),), {})
    return policy


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("tokens", [8192, 20])
def test_plain_rows_equal_shared_rows(
    policy: LocalModel, left: bool, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_rows, "_TOKENS", tokens)
    packed = pack(ROWS, 2, dtype=torch.float32, pad_left=left)
    shared = scores(policy, packed)
    widths: list[tuple[int, int]] = []
    trunk(policy.model).register_forward_pre_hook(
        lambda _, given, named: widths.append(tuple(named["input_ids"].shape)), with_kwargs=True
    )
    set_plain_rows(trunk(policy.model), PlainRows("a test"))
    plain = scores(policy, packed)
    torch.testing.assert_close(plain[0], shared[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(plain[1], shared[1], atol=1e-4, rtol=1e-5)
    assert sum(rows for rows, _ in widths) == (5 if tokens == 8192 else 10), (
        "one reply's only token is predicted by the prompt; of many tokens the states are made twice"
    )
    assert all(rows * width <= max(tokens, width) for rows, width in widths)


def test_only_rows_that_are_asked_for_are_read(policy: LocalModel) -> None:
    body = trunk(policy.model)
    set_plain_rows(body, PlainRows("a test"))
    read: list[Any] = []
    body.register_forward_hook(lambda _, given, named, out: read.append(named["input_ids"]), with_kwargs=True)
    masks = ((False,) * 3, (True, False), (False,))
    scored_hidden(policy.model, pack([TokenRow(ROWS[0].prompt, ROWS[0].replies, masks)], 2, dtype=torch.float32))
    # the first scored token is predicted by the prompt's last, which is read in the row of the first reply
    assert [ids.tolist() for ids in read] == [[[*ROWS[0].prompt, *ROWS[0].replies[0]]]]
    nothing = tuple((False,) * len(reply) for reply in ROWS[0].replies)
    empty = scored_hidden(
        policy.model, pack([TokenRow(ROWS[0].prompt, ROWS[0].replies, nothing)], 2, dtype=torch.float32)
    )
    assert empty.shape == (0, 32)


def test_the_comparison_can_fail_where_a_sibling_is_seen(policy: LocalModel) -> None:
    packed = pack(ROWS[:1], 2, dtype=torch.float32)
    apart = scores(policy, packed)[0]
    chained = TokenRow(ROWS[0].prompt, (tuple(token for reply in ROWS[0].replies for token in reply),))
    set_plain_rows(trunk(policy.model), PlainRows("a test"))
    assert float((scores(policy, pack([chained], 2, dtype=torch.float32))[0] - apart).abs().max()) > 1e-2

"""A tiny model that holds one circuit and no other: induction (Olsson et al. 2022), planted by hand.

Block 0 has a head that looks at the token before and writes which it was; block 1 one that looks for the token whose
forerunner is the one that is read now, and says what stands there. Every other head and MLP is small noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tiny import make_tiny
from torch import Tensor

from alignwright.files.contrast_pairs import PromptPair
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel

CODE, HEAD, HEADS, FAST, THETA = 64, 128, 4, 6, 1e6
BEFORE, INDUCTION = 1, 2
"""The planted heads, of block 0 and of block 1."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def make_induction(folder: Path, *, planted: bool = True, seed: int = 0) -> LocalModel:
    """Without `planted` the same model without its head for the token before, so that nothing is told apart."""
    hidden = 3 * CODE + 8
    token, before, said, one = slice(0, CODE), slice(CODE, 2 * CODE), slice(2 * CODE, 3 * CODE), 3 * CODE
    make_tiny(
        folder, seed, hidden_size=hidden, intermediate_size=32, num_attention_heads=HEADS, num_key_value_heads=HEADS,
        head_dim=HEAD, tie_word_embeddings=False, initializer_range=0.03,
        rope_parameters={"rope_type": "default", "rope_theta": THETA},
    )  # fmt: skip
    policy = load(folder)
    body, head = policy.model.model, policy.model.lm_head
    codes_VC = torch.randn(len(head.weight), CODE, generator=torch.Generator().manual_seed(100 + seed))
    codes_VC = torch.nn.functional.normalize(codes_VC, dim=1)
    with torch.no_grad():
        body.embed_tokens.weight.zero_()
        body.embed_tokens.weight[:, token] = codes_VC
        body.embed_tokens.weight[:, one] = 1.0
        head.weight.zero_()
        head.weight[:, said] = codes_VC
        first, second = (block.self_attn for block in body.layers)
        if planted:  # what turns with the distance is largest one token back
            speed = THETA ** (-torch.arange(FAST) * 2 / HEAD)
            query, key = torch.zeros(HEAD, hidden), torch.zeros(HEAD, hidden)
            query[:FAST, one], query[HEAD // 2 : HEAD // 2 + FAST, one] = 1.2 * speed.cos(), -1.2 * speed.sin()
            key[:FAST, one] = 1.2
            _plant(first, BEFORE, query, key, token, before)
        slow = [*range(HEAD // 4, HEAD // 2), *range(3 * HEAD // 4, HEAD)]
        query, key = torch.zeros(HEAD, hidden), torch.zeros(HEAD, hidden)
        query[slow, token], key[slow, before] = 2 * torch.eye(CODE), 2 * torch.eye(CODE)
        _plant(second, INDUCTION, query, key, token, said)
    policy.save(folder)
    return load(folder)


def _plant(attention: Any, head: int, query: Tensor, key: Tensor, read: slice, written: slice) -> None:
    """A head that looks by these, and writes there what it reads here."""
    own = slice(head * HEAD, (head + 1) * HEAD)
    attention.q_proj.weight[own], attention.k_proj.weight[own] = query, key
    attention.v_proj.weight[own] = 0.0
    attention.v_proj.weight[own][:CODE, read] = torch.eye(CODE)
    attention.o_proj.weight[:, own] = 0.0
    attention.o_proj.weight[written, own][:, :CODE] = 0.12 * torch.eye(CODE)


def induction_pairs(count: int = 24, seed: int = 0) -> list[PromptPair]:
    """a b .. c d .. a goes on with b; with a and c exchanged it goes on with d."""
    generator, pairs = torch.Generator().manual_seed(seed), []
    for number in range(count):
        a, b, c, d, *others = (LETTERS[i] for i in torch.randperm(len(LETTERS), generator=generator)[:8].tolist())
        clean, corrupt = (
            "".join([others[0], one, b, others[1], others[2], other, d, others[3], a])
            for one, other in ((a, c), (c, a))
        )
        pairs.append(PromptPair(clean=clean, corrupt=corrupt, answer=b, wrong=d, topic=f"t{number // 3}"))
    return pairs

"""The logit lens: norm and head on the last block are the model's own, in families that scale or cap their logits too,
and a word is settled where the last block that writes is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from tiny import make_tiny

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from model_families import make

from alignwright.core.records import Conversation, Prompt
from alignwright.lens.logit_lens.logit_lens import settle
from alignwright.model.activations.capture import capture
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.readout import readout_of
from alignwright.model.activations.sites import Site
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel

PROMPTS = [
    Prompt(conversation=Conversation.user(f"Say {word}?"), topic=word) for word in ("sun", "rain", "bread", "stone")
]


@pytest.mark.parametrize("family", ["llama", "gemma2", "gemma3_text", "granite", "gpt2", "mamba", "qwen3", "olmo2"])
def test_norm_and_head_on_the_last_block_are_the_models_own(family: str, tmp_path: Path) -> None:
    policy = load(make(family, tmp_path / "model"))
    layout, readout = layout_of(policy), readout_of(policy)
    ids_BT = torch.tensor([[3, 7, 11, 5, 9]])
    with torch.inference_mode():
        last = capture(layout, ids_BT, [Site(len(layout.blocks) - 1)])[Site(len(layout.blocks) - 1)][0]
        hidden = layout.body(input_ids=ids_BT, use_cache=False, output_hidden_states=True)
        assert torch.allclose(readout.normed(last), hidden.hidden_states[-1][0], atol=1e-6)  # the entry that is normed
        assert not torch.allclose(last, hidden.hidden_states[-1][0], atol=1e-3)
        own = policy.model(input_ids=ids_BT, use_cache=False).logits[0]
        assert torch.equal(readout.logits(last).argmax(-1), own.argmax(-1))


def silence(policy: LocalModel, first: int) -> None:
    """From this block on nothing is written to the stream."""
    with torch.no_grad():
        for block in policy.model.model.layers[first:]:
            block.self_attn.o_proj.weight.zero_()
            block.mlp.down_proj.weight.zero_()


def test_a_word_is_settled_where_the_last_block_that_writes_is(tmp_path: Path) -> None:
    policy = load(make_tiny(tmp_path, num_hidden_layers=5))
    plain = [r.value for r in settle(policy, PROMPTS) if r.claim == "logit_lens.depth"]
    for first in (3, 1):
        silence(policy, first)
        results = settle(policy, PROMPTS)
        depths = [r.value for r in results if r.claim == "logit_lens.depth"]
        assert all(depth is not None and depth <= (first - 1) / 4 for depth in depths)
    assert depths == [0.0] * 4  # block 0 alone writes
    assert [r.value for r in results if r.claim == "logit_lens.half"] == [1.0] * 4
    assert max(depth or 0.0 for depth in plain) > 0.5  # the control: a whole random model settles late

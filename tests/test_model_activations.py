"""Capture and edits: sites mean what they say in every family, edits act on given texts and on decoded tokens,
and what cannot be read is refused in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from tiny import make_tiny
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from model_families import TINY, make

from alignwright.core.records import Conversation
from alignwright.model.activations import edits as activation_edits
from alignwright.model.activations.capture import capture, row_states, sinks
from alignwright.model.activations.edits import (
    Ablate,
    Add,
    ablate_everywhere,
    edited,
    random_direction,
    unit,
)
from alignwright.model.activations.layout import attached, layout_of
from alignwright.model.activations.sites import WHERES, Site, resolve_layer
from alignwright.model.llama_blocks import trunk
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel

ROWS = [[3, 7, 11, 5, 9], [8, 4, 6], [5, 5, 12, 13, 14, 15, 16]]
WIDENED = "gemma3n_text"  # several streams side by side (AltUp)
STREAM_ALONE = {  # their blocks scale the stream itself, or add three things
    "gemma4_text", "gemma4", "granitemoehybrid", "falcon_h1", "minimax", "longcat_flash", "rwkv",
}  # fmt: skip
AFTER = {"mamba", "mamba2", "falcon_mamba", "rwkv"}
"""transformers lists what each block of these leaves, not what it reads."""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("tiny"), num_hidden_layers=4))


def test_a_family_of_several_streams_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"block 0 reads numbers of the shape \[2, .*its activations cannot be read"):
        layout_of(load(make(WIDENED, tmp_path / "model")))


@pytest.mark.parametrize("family", [family for family in TINY if family != WIDENED])
def test_sites_are_those_of_hidden_states_and_the_writes_add_up(family: str, tmp_path: Path) -> None:
    policy = load(make(family, tmp_path / "model"))
    layout, ids_BT = layout_of(policy), torch.tensor([[3, 7, 11, 5, 9, 4]])
    blocks = len(layout.blocks)
    with torch.inference_mode():
        hidden = layout.body(input_ids=ids_BT, use_cache=False, output_hidden_states=True)
        sites = [Site(layer, where) for layer in range(blocks) for where in ("resid_pre", "resid_post")]
        states = capture(layout, ids_BT, sites)
        for layer in range(blocks):
            pre, post = states[Site(layer, "resid_pre")], states[Site(layer, "resid_post")]
            if hidden.hidden_states is not None:  # bit for bit: index l is what block l reads
                assert torch.equal(post if family in AFTER else pre, hidden.hidden_states[layer])
            if layer + 1 < blocks:
                assert torch.equal(post, states[Site(layer + 1, "resid_pre")])
            if layout.writes[layer] is not None:
                names = ("attn_out", "mlp_out") if layout.writes[layer].mlp else ("attn_out",)
                writes = capture(layout, ids_BT, [Site(layer, name) for name in names])
                assert torch.allclose(pre + sum(writes.values()), post, atol=1e-5)
        # the last entry is normed, and no site: it is what the trunk gives, and not what its last block leaves
        assert not torch.equal(states[Site(blocks - 1)], hidden.last_hidden_state)
    assert any(writes is None for writes in layout.writes) == (family in STREAM_ALONE)


def test_a_stop_reads_no_further_and_changes_no_number(policy: LocalModel) -> None:
    layout, ids_BT, ran = layout_of(policy), torch.tensor([[3, 7, 11, 5]]), []
    hook = lambda *_: ran.append(1)  # noqa: E731
    with torch.inference_mode(), attached([(layout.blocks[2], "post", hook)]):
        early = capture(layout, ids_BT, [Site(1)])[Site(1)]
        assert not ran
        whole = capture(layout, ids_BT, [Site(1)], stop=False)[Site(1)]
        assert ran
    assert torch.equal(early, whole)


def test_rows_are_what_each_alone_is_in_both_dtypes(policy: LocalModel, tmp_path: Path) -> None:
    sites = [Site(1, "attn_out"), Site(3)]
    for model in (policy, load(make_tiny(tmp_path, num_hidden_layers=4), dtype="bfloat16")):
        states = {each.row: each for each in row_states(model, ROWS, sites)}
        for row, ids in enumerate(ROWS):
            with torch.inference_mode():
                alone = capture(layout_of(model), torch.tensor([ids]), sites)
            for site in sites:
                assert states[row].states[site].dtype == model.dtype
                gap = (states[row].states[site].float() - alone[site][0].float()).abs().max()
                assert float(gap) < (1e-5 if model.dtype == torch.float32 else 0.2)


def test_a_sink_is_flagged_and_no_other_token() -> None:
    states_TH = torch.randn(20, 16, generator=torch.Generator().manual_seed(0))
    assert not sinks(states_TH).any()
    states_TH[0] *= 100
    assert sinks(states_TH).nonzero().tolist() == [[0]]


def test_edits_are_pure_and_their_algebra_holds() -> None:
    states_BTH = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1))
    before, direction = states_BTH.clone(), random_direction(8, 3, 2.5)
    assert float(direction.norm()) == pytest.approx(2.5, abs=1e-5)
    ablated = Ablate(Site(0), direction).change(states_BTH)
    assert torch.equal(states_BTH, before)
    assert float((ablated @ unit(direction)).abs().max()) < 1e-6  # nothing is left along it
    assert torch.allclose(Ablate(Site(0), direction).change(ablated), ablated, atol=1e-6)  # and once is enough
    added = Add(Site(0), direction, 2.0).change(states_BTH)
    assert torch.allclose(added - states_BTH, 2.0 * direction.expand(2, 3, 8), atol=1e-6)
    with pytest.raises(ValueError, match="points nowhere"):
        unit(torch.zeros(8))


def test_an_edit_acts_at_its_site_and_every_later_one(policy: LocalModel) -> None:
    layout, ids_BT, direction = layout_of(policy), torch.tensor([[3, 7, 11, 5]]), random_direction(32, 0)
    sites = [Site(layer, where) for layer in range(4) for where in WHERES]
    with torch.inference_mode():
        plain = capture(layout, ids_BT, sites)
        with edited(policy, ablate_everywhere(layout, direction)):
            reads = capture(layout, ids_BT, [Site(layer, "resid_pre") for layer in (1, 3)])
            assert all(float((each @ unit(direction)).abs().max()) < 1e-5 for each in reads.values())
        with edited(policy, [Add(Site(2), direction, 3.0)]):
            changed = capture(layout, ids_BT, sites)
        again = capture(layout, ids_BT, sites)
    for site in sites:
        assert torch.equal(again[site], plain[site])
        assert torch.equal(changed[site], plain[site]) == (site.layer < 3 and site != Site(2))


def test_hooks_are_all_or_none(policy: LocalModel) -> None:
    layout = layout_of(policy)

    class Broken:
        def register_forward_hook(self, *_: object) -> None:
            raise RuntimeError("no place")

    with (
        pytest.raises(RuntimeError, match="no place"),
        attached([(layout.blocks[0], "post", lambda *_: None), (Broken(), "post", None)]),
    ):  # type: ignore[list-item]
        pass
    with pytest.raises(KeyError), edited(policy, [Add(Site(1), random_direction(32, 0))]):
        raise KeyError("inside")
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in trunk(policy.model).modules())


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "qwen3", "bloom", "mamba", "gpt2"])
def test_an_edit_acts_on_decoded_tokens_as_on_given_ones(family: str, tmp_path: Path) -> None:
    """A reply that is decoded over a cache under an edit has the log-probability that the edited model, read whole
    by transformers, gives it; without the edit another."""
    policy = load(make(family, tmp_path / "model"))
    layout = layout_of(policy)
    vector = random_direction(layout.hidden, 5, 4.0)
    edits = [Add(Site(0), vector), *ablate_everywhere(layout, random_direction(layout.hidden, 6))]
    prompt = Conversation.user("Say it")
    with edited(policy, edits):
        reply = policy.generate([prompt], max_new_tokens=6, temperature=1.0, seed=1)[0][0]
        scored = policy.logprobs([prompt], [[reply.text]], end=reply.finished)[0][0]
    assert reply.logprob is not None
    plain = policy.logprobs([prompt], [[reply.text]], end=reply.finished)[0][0]
    if scored.tokens == reply.tokens:  # a text that was decoded may be other tokens when it is read
        assert scored.total == pytest.approx(reply.logprob, abs=1e-3)
    assert abs(plain.total - scored.total) > 0.01
    own = _decoded_whole(policy, edits, policy.chat.prompt(prompt))
    with edited(policy, edits):
        greedy = policy.generate([prompt], max_new_tokens=6, temperature=0.0)[0][0]
    assert greedy.text == policy.chat.decode(own)


def _decoded_whole(policy: LocalModel, edits: list[activation_edits.Edit], ids: list[int]) -> list[int]:
    """Six greedy tokens, each by a forward over all before it, by transformers' own model."""
    own: list[int] = []
    with torch.inference_mode(), edited(policy, edits):
        for _ in range(6):
            logits: Tensor = policy.model(input_ids=torch.tensor([[*ids, *own]]), use_cache=False).logits[0, -1]
            own.append(int(logits.argmax()))
            if own[-1] in policy.chat.stop_ids:
                break
    return own


def test_what_is_not_there_is_said_in_one_line(policy: LocalModel) -> None:
    layout = layout_of(policy)
    with pytest.raises(ValueError, match="layer 4 is not there; the model has blocks 0 to 3"):
        capture(layout, torch.tensor([[3]]), [Site(4)])
    with (
        pytest.raises(ValueError, match="does not fit a stream of 32; was it made of another model"),
        edited(policy, [Add(Site(0), torch.ones(8))]),
    ):
        pass
    with pytest.raises(ValueError, match="row 1 has no tokens"):
        list(row_states(policy, [[3], []], [Site(0)]))
    assert [resolve_layer(each, 30) for each in (0, 15, -1, 0.5, 0.99)] == [0, 15, 29, 15, 29]
    for wrong in (30, -31, 1.5):
        with pytest.raises(ValueError, match=r"layer"):
            resolve_layer(wrong, 30)
    assert Site.named(Site(15, "mlp_out").name) == Site(15, "mlp_out")
    with pytest.raises(ValueError, match="names no site"):
        Site.named("blocks.x.hook_resid_post")

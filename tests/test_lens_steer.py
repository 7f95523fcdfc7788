"""Steering: edits folded into weights are the edited model, a saved one opens as a model like any other, and a planted
direction that decides what is said is found beside random ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from tiny import make_tiny

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from model_families import make

from alignwright.core.records import Conversation
from alignwright.files.items import RefusalItem
from alignwright.lens.steer.run import save_steered
from alignwright.lens.steer.steer import contrast, steer
from alignwright.model.activations.edits import Ablate, Add, ablate_everywhere, edited, random_direction, unit
from alignwright.model.activations.fold import fold
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel

IDS = torch.tensor([[3, 7, 11, 5, 9, 40, 41]])


def logits(policy: LocalModel) -> torch.Tensor:
    with torch.inference_mode():
        return policy.model(input_ids=IDS, use_cache=False).logits[0]


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2", "gpt_neox", "phi3"])
def test_an_ablation_in_the_weights_is_the_ablation(family: str, tmp_path: Path) -> None:
    policy = load(make(family, tmp_path / "model"))
    layout = layout_of(policy)
    edits = ablate_everywhere(layout, random_direction(layout.hidden, 3))
    before = logits(policy)
    with edited(policy, edits):
        aim = logits(policy)
    fold(policy, edits)
    assert torch.allclose(logits(policy), aim, atol=1e-3)
    assert float((before - aim).abs().max()) > 0.01  # the control: the edit does something
    policy.save(tmp_path / "saved")
    assert torch.allclose(logits(load(tmp_path / "saved")), aim, atol=1e-3)


def test_where_a_norm_stands_between_it_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    policy = load(make("gemma3_text", tmp_path / "model"))
    before, layout = logits(policy), layout_of(policy)
    with pytest.raises(ValueError, match="a norm stands between"):
        fold(policy, ablate_everywhere(layout, random_direction(layout.hidden, 3)))
    assert torch.equal(logits(policy), before)
    plain = load(make_tiny(tmp_path / "tiny"))
    with pytest.raises(ValueError, match="use ablate_everywhere"):
        fold(plain, [Ablate(Site(0), random_direction(32, 1))])


@pytest.mark.parametrize("how", ["ablated", "added"])
def test_a_steered_model_is_a_model_like_any_other(how: str, tmp_path: Path) -> None:
    policy, vector = load(make_tiny(tmp_path / "model")), random_direction(32, 5, 3.0)
    layout, prompt = layout_of(policy), Conversation.user("Say it")
    edits = ablate_everywhere(layout, vector) if how == "ablated" else [Add(Site(0), vector)]
    with edited(policy, edits):
        aim = logits(policy)
        reply = policy.generate([prompt], max_new_tokens=8, temperature=0.0)[0][0].text
    save_steered(policy, how, vector, 0, tmp_path / "saved")
    again = load(tmp_path / "saved")
    assert torch.allclose(logits(again), aim, atol=1e-3)
    assert again.generate([prompt], max_new_tokens=8, temperature=0.0)[0][0].text == reply  # by the fast blocks


def requests(words: tuple[str, str], count: int = 12) -> list[RefusalItem]:
    return [
        RefusalItem(prompt=f"{words[i % 2]} {i // 2}?", kind=("harmful", "harmless")[i % 2], topic=f"t{i // 4}")
        for i in range(2 * count)
    ]


def test_the_contrast_is_the_mean_difference_of_the_last_states(tmp_path: Path) -> None:
    from alignwright.model.activations.last_states import last_states

    policy, items = load(make_tiny(tmp_path)), requests(("yes", "no"))
    states = last_states(policy, [Conversation.user(item.prompt) for item in items], [1])[1]
    assert torch.allclose(contrast(policy, items, 1), states[0::2].mean(0) - states[1::2].mean(0), atol=1e-5)


def test_a_direction_that_decides_is_found_beside_random_ones(tmp_path: Path) -> None:
    """The head of the tiny model reads "!" off one direction of the stream, which nothing writes until its embeddings
    do: a reply refuses where its first token is "!"."""
    policy = load(make_tiny(tmp_path, tie_word_embeddings=False))
    layout, direction = layout_of(policy), unit(random_direction(32, 9))
    mark = policy.chat.text("!").replies[0][0]
    with torch.no_grad():
        for block in layout.blocks:  # nothing but the embeddings writes along it
            for layer in (block.self_attn.o_proj, block.mlp.down_proj):
                layer.weight.sub_(direction[:, None] * (direction @ layer.weight))
        head, table = policy.model.lm_head.weight, policy.model.model.embed_tokens.weight
        head.copy_(head - (head @ direction)[:, None] * direction)
        head[mark] = 1.5 * direction
    vector = 40.0 * direction
    items = requests(("yes", "no"))

    def refused(_request: str, reply: str) -> bool | None:
        return reply.startswith("!")

    plain = {
        f"{r.claim} {r.item}": r.value
        for r in steer(policy, vector, 0, items, scale=1.0, max_new_tokens=1, refused=refused)
    }
    gains = [value for name, value in plain.items() if name.startswith("steer.refusal.added ")]
    assert len(gains) == 12
    assert all(gain is not None and gain > 0.6 for gain in gains)  # added it decides, and a random one does not
    with torch.no_grad():  # now every prompt refuses by itself: the newline that ends it writes the direction
        table.add_(40.0 * direction)
    results = steer(policy, vector, 0, items, scale=1.0, max_new_tokens=1, refused=refused)
    undone = [r.value for r in results if r.claim == "steer.refusal.ablated"]
    assert undone == [1.0] * 12
    nothing = steer(policy, random_direction(32, 77, 1e-3), 0, items, scale=1.0, max_new_tokens=1, refused=refused)
    assert not any(
        r.value for r in nothing if r.claim == "steer.refusal.ablated"
    )  # the control: a direction of nothing

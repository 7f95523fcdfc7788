"""How does an edited model become a model like any other? Its edits are made part of its weights.

- A direction that is **ablated everywhere** is taken out of all that writes to the stream: `W <- W - d d'W` for the
  embeddings and the last product of each block's attention and MLP, `b <- b - d d'b` (weight orthogonalisation, Arditi
  et al. 2024). Tied embeddings are untied first: the head must read what it read before.
- A vector that is **added** after one block is the bias of that block's last product.

Exact where these products write to the stream themselves. Where a norm stands between (Gemma-2 and 3, OLMo-2) no change
of weights does the same, and this is not decided by a family's name: the folded model's logits are compared with those
of the edited one, and a difference is an error that leaves the weights as they were.

Shapes: H hidden size, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from alignwright.model.activations.edits import Ablate, Add, Edit, edited, unit, written_sites
from alignwright.model.activations.layout import Layout, attached, layout_of, tensor_of
from alignwright.model.activations.sites import Site
from alignwright.model.loaded_model import LoadedModel

_EXACT = 1e-2
"""Of a logit in float32, relative to the largest."""


@torch.no_grad()
def fold(policy: LoadedModel, edits: Sequence[Edit]) -> None:
    """Make the edits part of the weights of a plain model, for good. Raises ValueError, and changes nothing, where
    that is not the same model."""
    layout, ids_BT = layout_of(policy), _text(policy)
    if any(edit.tokens != "all" for edit in edits):
        raise ValueError("weights change every token alike, and these edits act on some; steer it while it runs")
    with edited(policy, edits):
        aim_TV = policy.model(input_ids=ids_BT, use_cache=False).logits[0].float()
    before = {name: tensor.detach().clone() for name, tensor in policy.model.named_parameters()}
    head = policy.model.get_output_embeddings()
    head_weight, tied = head.weight, policy.model.config.tie_word_embeddings
    biases = _without_bias(layout)
    try:
        _fold(policy, layout, edits)
        logits_TV = policy.model(input_ids=ids_BT, use_cache=False).logits[0].float()
        gap = float((logits_TV - aim_TV).abs().max() / aim_TV.abs().max())
        if gap > _EXACT:
            raise ValueError(
                f"{policy.name}: these edits cannot be made part of its weights (its logits would be {gap:.1%} off);"
                " it norms or scales what a block writes, so steer it while it runs"
            )
    except ValueError:
        head.weight, policy.model.config.tie_word_embeddings = head_weight, tied
        for layer in biases:
            layer.bias = None
        for name, tensor in policy.model.named_parameters():
            tensor.copy_(before[name])
        raise


def _fold(policy: LoadedModel, layout: Layout, edits: Sequence[Edit]) -> None:
    lasts = _last_products(policy, layout)
    directions = _ablated_everywhere(layout, edits)
    for direction_H in directions:
        _untie(policy)
        unit_H = unit(direction_H)
        for module in (policy.model.get_input_embeddings(), *_positions(layout)):
            weight_VH: Any = module.weight
            weight_VH.sub_((weight_VH @ unit_H)[:, None] * unit_H)
        for layer in (layer for pair in lasts for layer in pair):
            transposed = not isinstance(layer, nn.Linear)  # GPT-2 keeps its products the other way round
            weight_HI = layer.weight.T if transposed else layer.weight
            weight_HI.sub_(unit_H[:, None] * (unit_H @ weight_HI))
            if layer.bias is not None:
                layer.bias.sub_((layer.bias @ unit_H) * unit_H)
    for edit in edits:
        if isinstance(edit, Add):
            layer = lasts[edit.site.layer][-1]
            if layer.bias is None:
                layer.bias = nn.Parameter(
                    torch.zeros(layout.hidden, dtype=layer.weight.dtype, device=layer.weight.device)
                )
            layer.bias.add_((edit.scale * edit.vector).to(layer.bias))


def _ablated_everywhere(layout: Layout, edits: Sequence[Edit]) -> list[Tensor]:
    """The directions that are ablated from all that is written. Raises ValueError for edits of another kind."""
    groups: list[tuple[Tensor, set[Site]]] = []
    for edit in (edit for edit in edits if isinstance(edit, Ablate)):
        place = next((group for group in groups if torch.equal(group[0], edit.direction)), None)
        if place is None:
            place = (edit.direction, set[Site]())
            groups.append(place)
        place[1].add(edit.site)
    if any(sites != set(written_sites(layout)) for _, sites in groups):
        raise ValueError(
            "a direction can be folded where it is ablated from all that is written: use ablate_everywhere"
        )
    if any(edit.site.where != "resid_post" for edit in edits if isinstance(edit, Add)):
        raise ValueError("a vector can be folded where it is added to what a block leaves (resid_post)")
    return [direction for direction, _ in groups]


def _last_products(policy: LoadedModel, layout: Layout) -> list[list[Any]]:
    """Of each block the layers whose products are what its attention and its MLP give, as they are."""
    outputs: dict[int, Tensor] = {}

    def keep(module: nn.Module, _args: Any, output: Any) -> None:
        if (states := tensor_of(output)) is not None:
            outputs[id(module)] = states.clone()

    with attached([(part, "post", keep) for block in layout.blocks for part in block.modules()]):
        layout.body(input_ids=_text(policy), use_cache=False)
    lasts: list[list[Any]] = []
    for layer, (block, writes) in enumerate(zip(layout.blocks, layout.writes, strict=True)):
        paths = [path for path in (writes.attention, writes.mlp) if path] if writes else []
        if writes is None or writes.factor != 1.0:
            raise ValueError(f"{policy.name}: block {layer} scales what it writes; steer it while it runs")
        products = [_product(block.get_submodule(path), outputs) for path in paths]
        if None in products:
            raise ValueError(
                f"{policy.name}: what block {layer} writes is no layer's product as it is (a norm stands between);"
                " steer it while it runs"
            )
        lasts.append(products)
    return lasts


def _product(module: nn.Module, outputs: dict[int, Tensor]) -> Any | None:
    own = outputs.get(id(module))
    for part in module.modules():
        plain = isinstance(part, nn.Linear) or type(part).__name__ == "Conv1D"
        theirs = outputs.get(id(part))
        if plain and own is not None and theirs is not None and torch.equal(own.flatten(), theirs.flatten()):
            return part
    return None


def _without_bias(layout: Layout) -> list[Any]:
    return [
        part for block in layout.blocks for part in block.modules() if isinstance(part, nn.Linear) and part.bias is None
    ]


def _positions(layout: Layout) -> list[Any]:
    """Learnt embeddings of positions, which write to the stream too."""
    inside = {id(part) for block in layout.blocks for part in block.modules()}
    tables = [m for m in layout.body.modules() if isinstance(m, nn.Embedding) and id(m) not in inside]
    own = layout.body.get_input_embeddings()
    return [table for table in tables if table is not own and table.weight.shape[1] == layout.hidden]


def _untie(policy: LoadedModel) -> None:
    head, table = policy.model.get_output_embeddings(), policy.model.get_input_embeddings()
    if head.weight is table.weight:
        head.weight = nn.Parameter(table.weight.detach().clone())
        policy.model.config.tie_word_embeddings = False


def _text(policy: LoadedModel) -> Tensor:
    row = policy.chat.text("A check of the weights, and of what is said with them.")
    return torch.tensor([[*row.prompt, *row.replies[0]]], device=policy.device)

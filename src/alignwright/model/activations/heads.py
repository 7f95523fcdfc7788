"""What does each attention head write, and where is it read? At the input of the product that puts the heads together.

In every family with heads these lie side by side in what the output projection reads, [heads x size], and a head's part
of the stream is its slice of that through the projection. Which module the projection is, is seen and not named: the
linear layer in a block whose product is what its attention gives, or what the norm after its attention reads (Gemma-2
and 3, OLMo-2). Where its width is not the heads times a head's size by the config (a linear attention, a state space),
the mixer is one piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from alignwright.model.activations.layout import Layout, attached, check_text, layout_of, states_read, tensor_of
from alignwright.model.loaded_model import LoadedModel


@dataclass(frozen=True, eq=False)
class HeadProjection:
    """The product that puts a block's heads together, how many there are, and the numbers of each."""

    module: nn.Module
    heads: int
    size: int

    def part(self, head: int) -> slice:
        """Where a head lies in what the product reads."""
        return slice(head * self.size, (head + 1) * self.size)


@torch.inference_mode()
def head_projections(policy: LoadedModel) -> tuple[HeadProjection | None, ...]:
    """Of each block; None where its heads cannot be told apart."""
    layout = layout_of(policy)
    products, outputs, inputs = _watched(layout, check_text(policy))
    return tuple(
        _projection(policy, layout, layer, products[layer], outputs, inputs) for layer in range(len(layout.blocks))
    )


def _projection(
    policy: LoadedModel, layout: Layout, layer: int, products: list[nn.Module], outputs: dict[int, Tensor],
    inputs: dict[int, Tensor],
) -> HeadProjection | None:  # fmt: skip
    config = policy.model.config.get_text_config()
    heads, writes = getattr(config, "num_attention_heads", None), layout.writes[layer]
    if writes is None or not isinstance(heads, int) or heads < 1:
        return None
    module = layout.blocks[layer].get_submodule(writes.attention)
    sizes = {getattr(config, name, None) for name in ("head_dim", "v_head_dim")} | {layout.hidden // heads}
    for aim in (outputs.get(id(module)), inputs.get(id(module))):
        product = next((each for each in products if _same(outputs.get(id(each)), aim)), None)
        if product is not None:
            width = int(inputs[id(product)].shape[-1])
            known = any(width == heads * (size or 0) for size in sizes)
            return HeadProjection(product, heads, width // heads) if known else None
    return None


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and torch.equal(one.flatten(), other.flatten())


def _watched(layout: Layout, ids_BT: Tensor) -> tuple[list[list[nn.Module]], dict[int, Tensor], dict[int, Tensor]]:
    """The linear layers of each block, and what they and its writing modules give and read."""
    outputs: dict[int, Tensor] = {}
    inputs: dict[int, Tensor] = {}

    def reads(module: nn.Module, args: Any, kwargs: Any) -> None:
        if (states := states_read(args, kwargs)) is not None:
            inputs[id(module)] = states.clone()

    def gives(module: nn.Module, _args: Any, output: Any) -> None:
        if (states := tensor_of(output)) is not None:
            outputs[id(module)] = states.clone()

    products: list[list[nn.Module]] = []
    hooks: list[tuple[nn.Module, str, Any]] = []
    for block, writes in zip(layout.blocks, layout.writes, strict=True):
        linear = [m for m in block.modules() if isinstance(m, nn.Linear) or type(m).__name__ == "Conv1D"]
        products.append(linear)
        own = [block.get_submodule(writes.attention)] if writes else []
        for module in dict.fromkeys([*linear, *own]):
            hooks += [(module, "pre", reads), (module, "post", gives)]
    with attached(hooks):
        layout.body(input_ids=ids_BT, use_cache=False)
    return products, outputs, inputs

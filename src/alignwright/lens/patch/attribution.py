"""What would each component and each state of the stream do if it were put from the clean run into the corrupt one, as
far as gradients tell? Attribution patching (Nanda 2023; Syed et al. 2023).

The effect of putting a component is `(a_clean - a_corrupt) . dm/da` to first order, for all of them at once. Where
attention has made up its mind the gradient of one run is next to nothing, which is how attribution fails; so the mean
of the gradients of the corrupt run and of the clean one is taken (the integral along the way by its two ends): two
forward and backward passes. What is left of the error is measured beside exact patching, and reported.

Shapes: B pairs, T tokens, H hidden size, I the product's input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from alignwright.lens.patch.components import Component, ComponentMap, Place, reading
from alignwright.lens.patch.pairs import PairBatch, differences
from alignwright.model.activations.layout import attached, states_read, tensor_of
from alignwright.model.adapters import merged
from alignwright.model.local_model import LocalModel

STREAM = "stream"
Key = Place | tuple[int, str]


@dataclass(frozen=True, eq=False)
class PatchAttribution:
    """Of each pair, by its place: the difference in the clean run and in the corrupt one, what each component would
    do, and what the stream would at each block and token, [blocks, T]."""

    clean: dict[int, float]
    corrupt: dict[int, float]
    components: dict[Component, dict[int, float]]
    stream: dict[int, Tensor]


def attribute(policy: LocalModel, parts: ComponentMap, batches: Sequence[PairBatch]) -> PatchAttribution:
    """Of all pairs, in two forward and backward passes over each batch."""
    result = PatchAttribution({}, {}, {component: {} for component in parts.all}, {})
    with merged(policy), torch.inference_mode(False), torch.enable_grad():
        for batch in batches:
            _batch(policy, parts, batch, result)
    return result


def _batch(policy: LocalModel, parts: ComponentMap, batch: PairBatch, result: PatchAttribution) -> None:
    clean_B, clean, clean_gradients = _run(policy, parts, batch, batch.clean_BT)
    corrupt_B, corrupt, corrupt_gradients = _run(policy, parts, batch, batch.corrupt_BT)
    inside_BT = torch.arange(batch.width, device=batch.last_B.device) <= batch.last_B[:, None]
    effects: dict[Key, Tensor] = {}
    for key, states in clean.items():
        gradient = (clean_gradients[key] + corrupt_gradients[key]).float() / 2
        effect = (states - corrupt[key]).float() * gradient
        effects[key] = effect.reshape(*inside_BT.shape, -1) * inside_BT[:, :, None]
    for b, place in enumerate(batch.places):
        result.clean[place], result.corrupt[place] = float(clean_B[b]), float(corrupt_B[b])
        streams = [effects[layer, STREAM][b].sum(-1) for layer in range(len(parts.layout.blocks))]
        result.stream[place] = torch.stack(streams)[:, : int(batch.last_B[b]) + 1].cpu()
    for component, values in result.components.items():
        own_B = effects[component.place][..., parts.part(component)].sum((1, 2)).tolist()
        values.update(zip(batch.places, own_B, strict=True))


def _run(
    policy: LocalModel, parts: ComponentMap, batch: PairBatch, ids_BT: Tensor
) -> tuple[Tensor, dict[Key, Tensor], dict[Key, Tensor]]:
    """The differences, what is read at every place, and the gradient of the differences there."""
    states_at: dict[Key, Tensor] = {}

    def stream(layer: int, _module: Any, _args: Any, output: Any) -> None:
        states = tensor_of(output)
        assert states is not None
        states_at[layer, STREAM] = states

    hooks = reading(parts, parts.places, states_at)  # type: ignore[arg-type]
    hooks += [(block, "post", partial(stream, layer)) for layer, block in enumerate(parts.layout.blocks)]
    hooks.append((parts.layout.blocks[0], "pre", _leaf))
    with attached(hooks):
        differences_B = differences(parts.layout, policy.model.get_output_embeddings(), batch, ids_BT)
    keys = list(states_at)
    gradients = torch.autograd.grad(differences_B.sum(), [states_at[key] for key in keys], allow_unused=True)
    return (
        differences_B.detach(),
        {key: states.detach() for key, states in states_at.items()},
        {
            key: torch.zeros_like(states_at[key]) if gradient is None else gradient
            for key, gradient in zip(keys, gradients, strict=True)
        },
    )


def _leaf(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The stream that the first block reads is where the graph begins, whatever weights learn."""
    states = states_read(args, kwargs)
    assert states is not None
    states = states.detach().requires_grad_()
    return ((states, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": states})

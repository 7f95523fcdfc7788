"""What would the model say if a state of the stream were its last? The final norm and the head, as the model has
them.

Which module the final norm is, is seen and not named: the one whose output the trunk gives. That norm and head on
what the last block leaves are the model's own logits is checked; a family whose logits are bent on the way (scaled,
capped) is bent alike, since the check compares with the model's own and the ratio or cap is applied by its config.

Shapes: N states, H hidden size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from alignwright.model.activations.capture import capture
from alignwright.model.activations.layout import attached, layout_of, tensor_of
from alignwright.model.activations.sites import Site
from alignwright.model.adapters import merged
from alignwright.model.loaded_model import LoadedModel

_ROUNDING = {torch.float32: 1e-3, torch.bfloat16: 0.25}


@dataclass(frozen=True, eq=False)
class Readout:
    """The final norm, and the head."""

    norm: nn.Module | None
    head: Any
    dtype: torch.dtype

    def normed(self, states_NH: Tensor) -> Tensor:
        """States as the last entry of `hidden_states` has them."""
        states_NH = states_NH.to(self.dtype)
        return states_NH if self.norm is None else self.norm(states_NH)

    def logits(self, states_NH: Tensor) -> Tensor:
        """What is said of such states, up to a bend that changes no order of the logits: [N, V]."""
        return self.head(self.normed(states_NH))


@torch.inference_mode()
def readout_of(policy: LoadedModel) -> Readout:
    """Raises ValueError for a model whose own last logits do not come of its last block this way."""
    layout = layout_of(policy)
    row = policy.chat.text("A check of the head.")
    ids_BT = torch.tensor([[*row.prompt, *row.replies[0]]], device=policy.device)
    outputs: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _args: Any, output: Any) -> None:
        if (states := tensor_of(output)) is not None:
            outputs[module] = states.clone()

    blocks = {id(part) for block in layout.blocks for part in block.modules()}
    outside = [m for m in layout.body.modules() if m is not layout.body and id(m) not in blocks]
    with merged(policy):
        with attached([(module, "post", keep) for module in outside]):
            last_BTH = layout.body(input_ids=ids_BT, use_cache=False).last_hidden_state
        norm = next((m for m, states in outputs.items() if torch.equal(states, last_BTH)), None)
        readout = Readout(norm, policy.model.get_output_embeddings(), policy.dtype)
        own = policy.model(input_ids=ids_BT, use_cache=False).logits[0]
        site = Site(len(layout.blocks) - 1)
        ours = readout.logits(capture(layout, ids_BT, [site])[site][0])
    if not _same_order(own.float(), ours.float(), policy.dtype):
        raise ValueError(
            f"{policy.name}: its final norm and head on what its last block leaves are not its own logits, so nothing"
            " can be read off its earlier blocks"
        )
    return readout


def _same_order(own_TV: Tensor, ours_TV: Tensor, dtype: torch.dtype) -> bool:
    """Whether they are the same numbers, or the same times a positive number, or under a cap."""
    if float((own_TV - ours_TV).abs().max()) <= _ROUNDING.get(dtype, 0.25):
        return True
    at_top = own_TV.gather(1, ours_TV.argmax(dim=1, keepdim=True))[:, 0]
    return float((own_TV.amax(dim=1) - at_top).max()) <= _ROUNDING.get(dtype, 0.25)

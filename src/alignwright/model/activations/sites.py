"""Where inside a model is an activation read or changed: at which block, and where in it?

Blocks are counted from 0, and four places of each have names (those of TransformerLens):

- `resid_pre`: the residual stream that the block reads
- `attn_out`: what its attention (or another mixer of tokens) adds to the stream, after any norm and factor
- `mlp_out`: what its MLP adds, likewise
- `resid_post`: the stream that the block leaves, and so `resid_pre` of the next one

Beside transformers' `hidden_states`, of L blocks: `hidden_states[0]` are the embeddings, that is
`resid_pre` of block 0; `hidden_states[l]` is `resid_pre` of block l and `resid_post` of block l - 1, for l < L.
The last entry, `hidden_states[L]`, is **not** `resid_post` of block L - 1: it has been through the final norm. So
"layer 15" here is what block 15 leaves, and `hidden_states[16]` there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from alignwright.core.layer import block_number, why_no_layer

Where = Literal["resid_pre", "attn_out", "mlp_out", "resid_post"]
WHERES: tuple[Where, ...] = get_args(Where)
_NAME = re.compile(r"blocks\.(\d+)\.hook_(\w+)")


@dataclass(frozen=True, order=True)
class Site:
    """A place in a block; `layer` counts blocks from 0."""

    layer: int
    where: Where = "resid_post"

    @property
    def name(self) -> str:
        """As TransformerLens and SAELens write it: blocks.15.hook_resid_post."""
        return f"blocks.{self.layer}.hook_{self.where}"

    @staticmethod
    def named(name: str) -> Site:
        """The site of such a name. Raises ValueError."""
        match = _NAME.fullmatch(name)
        if match is None or match[2] not in WHERES:
            raise ValueError(f"{name!r} names no site; one is blocks.15.hook_ and {', '.join(WHERES)}")
        return Site(int(match[1]), match[2])  # type: ignore[arg-type]


def resolve_layer(layer: float, blocks: int) -> int:
    """A block's number from what a spec says: a whole number is itself (negative: from the end), a fraction
    between 0 and 1 that part of the depth. Raises ValueError for a layer that is not there."""
    if isinstance(layer, float) and not layer.is_integer():
        if 0 < layer < 1:
            return block_number(layer, blocks)
        raise ValueError(f"layer {layer} is neither a block's number nor a part of the depth between 0 and 1")
    number = int(layer)
    if why := why_no_layer(number, blocks):
        raise ValueError(why)
    return block_number(number, blocks)

"""What is in the stream, on average, over the tokens of a reply?

Attention sinks are left out, and so is the end of the turn: a mean over them is of nothing else. Shapes: N replies, H
hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from alignwright.core.records import Conversation
from alignwright.model.activations.capture import row_states, sinks
from alignwright.model.activations.sites import Site
from alignwright.model.loaded_model import LoadedModel


def mean_reply_states(
    policy: LoadedModel, replies: Sequence[tuple[Conversation, str]], layers: Sequence[int], most: int
) -> dict[int, Tensor]:
    """The mean of what each of these blocks leaves at the tokens of each reply, at most the first so many, after its
    prompt: [N, H], in float32. Raises ValueError for a reply without a token."""
    sites = [Site(layer) for layer in layers]
    rows = [policy.chat.row(prompt, [text], end=False) for prompt, text in replies]
    ids = [[*row.prompt, *row.replies[0][:most]] for row in rows]
    for (_, text), row in zip(replies, rows, strict=True):
        if not row.replies[0]:
            raise ValueError(f"the reply {text!r} has no token, so no activations")
    means: list[list[Tensor]] = [[] for _ in rows]
    for each in row_states(policy, ids, sites):
        begin = len(rows[each.row].prompt)
        means[each.row] = [_mean(each.states[site], begin) for site in sites]
    hidden = int(policy.model.config.get_text_config().hidden_size)
    return {
        layer: torch.stack([of_reply[place] for of_reply in means]) if rows else torch.empty(0, hidden)
        for place, layer in enumerate(layers)
    }


def _mean(states_TH: Tensor, begin: int) -> Tensor:
    kept_T = ~sinks(states_TH)
    kept_T[:begin] = False
    if not kept_T.any():
        kept_T[begin:] = True
    return states_TH[kept_T].double().mean(0).float().cpu()

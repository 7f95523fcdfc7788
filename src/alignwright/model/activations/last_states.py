"""What is in the stream at the last token of each text, block by block?

A plain text is read as it is; a conversation up to where the assistant's reply would begin, which is where it is
decided what to say. One state a text and layer: [N, H], in float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from alignwright.core.records import Conversation
from alignwright.model.activations.capture import row_states
from alignwright.model.activations.sites import Site
from alignwright.model.loaded_model import LoadedModel


def ids_of(policy: LoadedModel, text: str | Conversation) -> list[int]:
    """The tokens of a plain text, or of a conversation up to the assistant's reply."""
    if isinstance(text, Conversation):
        return policy.chat.prompt(text)
    row = policy.chat.text(text)
    return [*row.prompt, *row.replies[0]]


def last_states(policy: LoadedModel, texts: Sequence[str | Conversation], layers: Sequence[int]) -> dict[int, Tensor]:
    """What each of these blocks leaves at the last token of each text."""
    sites = [Site(layer) for layer in layers]
    states: list[list[Tensor]] = [[] for _ in texts]
    for each in row_states(policy, [ids_of(policy, text) for text in texts], sites):
        states[each.row] = [each.states[site][-1].float().cpu() for site in sites]
    hidden = int(policy.model.config.get_text_config().hidden_size)
    return {
        layer: torch.stack([of_text[place] for of_text in states]) if texts else torch.empty(0, hidden)
        for place, layer in enumerate(layers)
    }

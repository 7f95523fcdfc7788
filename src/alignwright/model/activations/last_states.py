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


def ids_up_to(policy: LoadedModel, conversation: Conversation, text: str) -> list[int]:
    """The tokens of a conversation up to the end of its last message, which ends with `text`: what the template writes
    after it is left out. Raises ValueError where the text does not stand in what the template writes."""
    ids, text = policy.chat.prompt(conversation), text.strip()
    if text not in policy.chat.decode(ids):
        raise ValueError(f"{policy.name}: its chat template does not write {text[:60]!r} as it is")
    end = len(ids)
    while text in policy.chat.decode(ids[: end - 1]):
        end -= 1
    return ids[:end]


def last_states(policy: LoadedModel, texts: Sequence[str | Conversation], layers: Sequence[int]) -> dict[int, Tensor]:
    """What each of these blocks leaves at the last token of each text."""
    return end_states(policy, [ids_of(policy, text) for text in texts], layers)


def end_states(policy: LoadedModel, rows: Sequence[Sequence[int]], layers: Sequence[int]) -> dict[int, Tensor]:
    """What each of these blocks leaves at the last token of each row."""
    sites = [Site(layer) for layer in layers]
    states: list[list[Tensor]] = [[] for _ in rows]
    for each in row_states(policy, rows, sites):
        states[each.row] = [each.states[site][-1].float().cpu() for site in sites]
    hidden = int(policy.model.config.get_text_config().hidden_size)
    return {
        layer: torch.stack([of_text[place] for of_text in states]) if rows else torch.empty(0, hidden)
        for place, layer in enumerate(layers)
    }

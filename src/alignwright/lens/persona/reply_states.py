"""What is in the stream, on average, over the tokens of a reply?

Attention sinks are left out, and so is the end of the turn: a mean over them is of nothing else. Shapes: N replies, H
hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from alignwright.core.records import Conversation
from alignwright.model.activations.token_scope import scoped_row, scoped_states
from alignwright.model.loaded_model import LoadedModel


def mean_reply_states(
    policy: LoadedModel, replies: Sequence[tuple[Conversation, str]], layers: Sequence[int], most: int
) -> dict[int, Tensor]:
    """The mean of what each of these blocks leaves at the tokens of each reply, at most the first so many, after its
    prompt: [N, H], in float32. Raises ValueError for a reply without a token."""
    rows = [scoped_row(policy, prompt.then("assistant", text), "reply", most) for prompt, text in replies]
    return scoped_states(policy, rows, layers)

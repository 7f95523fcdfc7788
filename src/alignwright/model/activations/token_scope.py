"""Which tokens of a row are the prompt's, what the template writes after the request, and the reply's?"""

from __future__ import annotations

from functools import reduce

from alignwright.core.records import Conversation
from alignwright.model.loaded_model import LoadedModel

_REQUESTS = ("a", "Why?", "Name 7 of them.\n\n1")


def template_length(policy: LoadedModel) -> int:
    """How many tokens the template writes after a user's message, up to where the reply begins: those that end the
    prompts of all requests."""
    prompts = [policy.chat.prompt(Conversation.user(text)) for text in _REQUESTS]
    return len(reduce(_shared_end, prompts))


def _shared_end(one: list[int], other: list[int]) -> list[int]:
    count = 0
    while count < min(len(one), len(other)) and one[-1 - count] == other[-1 - count]:
        count += 1
    return one[len(one) - count :]

"""Which exchanges have a bad passage at a known place, and which a good one there? Planted spans and their controls.

The good reply to a prompt is cut in the middle; there stands the bad reply to another prompt, or, as the control, the
good reply to it. The pieces are put together as tokens, so that the first token of the passage is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alignwright.core.records import Comparison
from alignwright.model.tokens import Chat, TokenRow

GOOD, BAD = 0, 1


@dataclass(frozen=True)
class Span:
    """A row of one reply, with the tokens of the passage: from `start` to before `end`. `cluster`: its prompt."""

    row: TokenRow
    start: int
    end: int
    cluster: str


def exchange(chat: Chat, pair: Comparison, reply: int) -> TokenRow:
    return chat.row(pair.prompt.conversation, [pair.replies[reply].text])


def planted(chat: Chat, pairs: Sequence[Comparison], reply: int) -> list[Span]:
    """Each pair's good reply with the next one's `reply` in its middle."""
    return [_planted(chat, host, pairs[(i + 1) % len(pairs)], reply) for i, host in enumerate(pairs)]


def _planted(chat: Chat, host: Comparison, guest: Comparison, reply: int) -> Span:
    words = host.replies[GOOD].text.split()
    half = (len(words) + 1) // 2
    first, last = " ".join(words[:half]), " ".join(words[half:])
    before, within, after = (_ids(chat, host, text) for text in (first, f" {guest.replies[reply].text}", f" {last}"))
    row = chat.row(host.prompt.conversation, [first])
    tokens = (*before, *within, *(after if last else ()), *chat.end_ids)
    start = len(before)
    return Span(TokenRow(row.prompt, (tokens,)), start, start + len(within), host.prompt.conversation.id)


def _ids(chat: Chat, pair: Comparison, text: str) -> tuple[int, ...]:
    """The tokens of a text in a reply, without the end of its turn."""
    tokens = chat.row(pair.prompt.conversation, [text]).replies[0]
    return tokens[: len(tokens) - len(chat.end_ids)]

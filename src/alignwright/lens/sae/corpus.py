"""Which rows of tokens is a dictionary trained on, and which are kept back to try it on?

Texts and whole conversations, cut into rows of at most 128 tokens that begin with the token that starts a document.
Every fifth text is held out, whole, and with it what shares its prompt: no row of a text that was trained on is
among what is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alignwright.core.records import Conversation
from alignwright.model.loaded_model import LoadedModel

LONGEST, FOLD = 128, 5
LEAST = 10
"""Texts that are needed at least."""


@dataclass(frozen=True)
class Corpus:
    """Rows of tokens, and of those held out the text that each is of."""

    fit: list[list[int]]
    trial: list[list[int]]
    trial_texts: list[int]


Text = tuple[str | Conversation, ...]
"""What is held out together: a text, a conversation, or both replies to one prompt."""


def corpus(policy: LoadedModel, texts: Sequence[Text], tokens: int) -> Corpus:
    """At most so many tokens, from texts at even distances, each once. Raises ValueError for fewer than `LEAST`."""
    texts = list(dict.fromkeys(texts))
    if len(texts) < LEAST:
        raise ValueError(f"{len(texts)} different texts: a dictionary needs at least {LEAST}, a fifth of them held out")
    rows = [[row for part in text for row in _rows(policy, part)] for text in texts]
    total = sum(len(row) for of_text in rows for row in of_text)
    count = min(len(rows), max(LEAST, round(len(rows) * tokens / max(1, total))))
    rows = [rows[place * len(rows) // count] for place in range(count)]
    trial = [(place, row) for place, of_text in enumerate(rows) if place % FOLD == FOLD - 1 for row in of_text]
    fit = [row for place, of_text in enumerate(rows) if place % FOLD != FOLD - 1 for row in of_text]
    return Corpus(fit, [row for _, row in trial], [place for place, _ in trial])


def _rows(policy: LoadedModel, text: str | Conversation) -> Iterator[list[int]]:
    if isinstance(text, Conversation):
        start, ids = [], policy.chat.whole(text)
    else:
        row = policy.chat.text(text)
        start, ids = list(row.prompt), list(row.replies[0])
    room = min(LONGEST, policy.longest) - len(start)
    for first in range(0, len(ids), room):
        yield [*start, *ids[first : first + room]]

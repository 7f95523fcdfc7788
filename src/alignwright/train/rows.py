"""Which rows does a training stage learn from, and does every row fit?

A demonstration is a prompt and its last assistant turn; a preference is a prompt and two replies, the chosen one first. Rows over the
length limit are set aside and named, never cut without a word.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from alignwright.core.records import Conversation, Preference, Prompt
from alignwright.model.tokens import Chat, TokenRow


def pair_rows(chat: Chat, preferences: Sequence[Preference]) -> list[TokenRow]:
    """A row for each preference: reply 0 is the chosen one."""
    return [chat.row(p.prompt.conversation, [p.chosen, p.rejected]) for p in preferences]


def demonstration_rows(chat: Chat, conversations: Sequence[Conversation]) -> list[TokenRow]:
    """A row for each conversation: its last turn is what was demonstrated, earlier ones are part of its prompt."""
    for conversation in conversations:
        if conversation.last.role != "assistant" or len(conversation.messages) < 2:
            said = f"{conversation.last.role!r}: {conversation.last.content[:80]!r}"
            raise ValueError(f"a demonstration is a prompt and must end with the assistant's turn; this one ends with {said}")
    return [chat.row(Conversation(messages=c.messages[:-1]), [c.last.content]) for c in conversations]


def prompt_rows(chat: Chat, prompts: Sequence[Prompt]) -> list[TokenRow]:
    """A row for each prompt, before anybody replied."""
    return [TokenRow(tuple(chat.prompt(p.conversation)), ()) for p in prompts]


def fit_rows(rows: Sequence[TokenRow], max_tokens: int, folder: Path, shown: Sequence[object]) -> list[int]:
    """The indices of rows of at most `max_tokens` tokens; the others go to `too_long.jsonl` in `folder`.

    Raises ValueError when none is left. A cut answer would lose its end-of-turn token and teach endless replies, so rows are
    dropped whole. How many may be lost without a word from the user is the doctor's rule (`train.doctor`).
    """
    keep = [i for i, row in enumerate(rows) if len(row) <= max_tokens]
    dropped = sorted(set(range(len(rows))) - set(keep))
    if dropped:
        lines = [json.dumps({"row": i, "tokens": len(rows[i]), "limit": max_tokens, "data": shown[i]}, ensure_ascii=False) for i in dropped]
        (folder / "too_long.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if not keep:
        longest = max(map(len, rows), default=0)
        raise ValueError(f"none of {len(rows)} training rows fits in {max_tokens} tokens (the longest has {longest}); raise max_tokens")
    return keep

"""Which token rows does a training stage learn from, and does every one fit in `max_tokens`?

A demonstration is a conversation of which the assistant's turns are learnt, all or the last alone;
a preference is a prompt and two replies, the chosen one first. Rows over the length limit are set
aside and named, never cut without a word.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from alignwright.core.records import Conversation, Labelled, Preference, Prompt
from alignwright.model.tokens import Chat, TokenRow


def pair_rows(chat: Chat, preferences: Sequence[Preference]) -> list[TokenRow]:
    """A row for each preference: reply 0 is the chosen one."""
    return [chat.row(p.prompt.conversation, [p.chosen, p.rejected]) for p in preferences]


def labelled_rows(chat: Chat, labelled: Sequence[Labelled]) -> list[TokenRow]:
    """A row for each reply that is labelled by itself."""
    return [chat.row(one.prompt.conversation, [one.reply]) for one in labelled]


def demonstration_rows(
    chat: Chat, conversations: Sequence[Conversation], turns: Literal["all", "last"] = "all"
) -> list[TokenRow]:
    """A row for each conversation. `turns`: every assistant turn that may be learnt is, or the
    last alone, with all before it as its prompt."""
    for conversation in conversations:
        if conversation.last.role != "assistant" or len(conversation.messages) < 2:
            ending = f"{conversation.last.role!r}: {conversation.last.content[:80]!r}"
            raise ValueError(
                f"a demonstration is a prompt and must end with the assistant's turn; this one ends with {ending}"
            )
    if turns == "last" and (untrained := next((c for c in conversations if not c.last.trained), None)):
        ending = untrained.last.content[:80]
        raise ValueError(
            f"with 'turns: last' the last turn is what is learnt, and one has weight 0: {ending!r}; write 'turns: all',"
            " or leave it out"
        )
    return [chat.conversation(c if turns == "all" else c.only_last()) for c in conversations]


def prompt_rows(chat: Chat, prompts: Sequence[Prompt]) -> list[TokenRow]:
    """A row for each prompt, before anybody replied."""
    return [TokenRow(tuple(chat.prompt(p.conversation)), ()) for p in prompts]


def fit_rows(rows: Sequence[TokenRow], max_tokens: int, folder: Path, data: Sequence[object]) -> list[int]:
    """The indices of rows of at most `max_tokens` tokens; the others go to `too_long.jsonl` in
    `folder`.

    Raises ValueError when none is left. A cut answer would lose its end-of-turn token and teach
    endless replies, so rows are dropped whole. How many may be lost without a word from the user is
    the doctor's rule (`train.data_report`).
    """
    fitting = [i for i, row in enumerate(rows) if len(row) <= max_tokens]
    too_long = sorted(set(range(len(rows))) - set(fitting))
    if too_long:
        lines = [
            json.dumps({"row": i, "tokens": len(rows[i]), "limit": max_tokens, "data": data[i]}, ensure_ascii=False)
            for i in too_long
        ]
        (folder / "too_long.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if not fitting:
        longest = max(map(len, rows), default=0)
        too_few = f"none of {len(rows)} training rows fits in {max_tokens} tokens (the longest has {longest})"
        raise ValueError(f"{too_few}; raise max_tokens as far as the model reads, or shorten them")
    return fitting


def one_sided(number: int, *, good: bool) -> str:
    """What is wrong with examples that are all good, or all bad, in words."""
    kind, advice = ("good", "learn from them by sft") if good else ("bad", "give good ones as well")
    return f"every one of {number:,} replies is labelled {kind}, so kto has nothing to tell them from; {advice}"

"""Which tokens of a row are trained? Shown, so that a person can see it.

A row is written out as the model sees it: the prompt dim, what is trained in green between ⟦ and ⟧,
what is masked yellow. The brackets say it without colour as well. Spaces at a border and line ends
are drawn, control tokens stand out, and where a text merely spells one it is put in ⟨ ⟩: both look
alike otherwise, and only one of them is obeyed.

Texts are hostile: control, bidirectional and invisible characters are written by number, and a
bracket in a text is no bracket of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.text import Text

from alignwright.model.tokens import Chat, TokenRow
from alignwright.report.text import visible

LEGEND = (
    "⟦trained⟧, everything else is only read; ↵ a line ends, ␣ a space at a border, ⟨…⟩ letters or a character by its"
    " number, no control token"
)
PROMPT, TRAINED, MASKED, CONTROL = "dim", "bold green", "yellow", "reverse"
_HEAD, _TAIL = 240, 120
_BORDERS = re.compile(r"^ +| +$")
_OURS = str.maketrans({sign: f"⟨U+{ord(sign):04X}⟩" for sign in "⟦⟧"})


def colour_loss_mask(row: TokenRow, chat: Chat) -> Text:
    """The prompt, then each reply on a line of its own, with what is trained marked."""
    shown = Text.assemble(*_pieces(row.prompt, chat, PROMPT))
    masks = row.masks or tuple((True,) * len(reply) for reply in row.replies)
    for reply, mask in zip(row.replies, masks, strict=True):
        if shown.plain and not shown.plain.endswith("\n"):
            shown.append("\n")
        for trained, run in groupby(zip(reply, mask, strict=True), key=lambda both: both[1]):
            ids = [i for i, _ in run]
            if trained:
                shown.append_text(Text.assemble(("⟦", TRAINED), *_pieces(ids, chat, TRAINED), ("⟧", TRAINED)))
            else:
                shown.append_text(Text.assemble(*_pieces(ids, chat, MASKED)))
    return shown


def sample_rows(rows: Sequence[TokenRow]) -> list[tuple[str, int]]:
    """The shortest, the median and the longest row, by place; fewer where there are fewer rows."""
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i]), i))
    if len(order) < 3:
        return [("row", i) for i in order]
    return [("shortest", order[0]), ("median", order[len(order) // 2]), ("longest", order[-1])]


def _pieces(ids: Sequence[int], chat: Chat, style: str) -> Iterator[tuple[str, str]]:
    """Stretches of text, and control tokens each by itself."""
    controls = chat.control_ids
    for control, run in groupby(ids, key=controls.__contains__):
        found = list(run)
        for part in ([i] for i in found) if control else [found]:
            text = str(chat.tokenizer.decode(part, skip_special_tokens=False, clean_up_tokenization_spaces=False))
            yield (visible(text), f"{style} {CONTROL}") if control else (_text(text, chat), style)


def _text(text: str, chat: Chat) -> str:
    """A stretch of text, shortened in its middle, of which nothing can be taken for ours or for
    a control token."""
    left = len(text) - _HEAD - _TAIL
    shown = (
        _shown(text, chat)
        if left <= 0
        else f"{_shown(text[:_HEAD], chat)}⟨{left:,} characters⟩{_shown(text[-_TAIL:], chat)}"
    )
    return _BORDERS.sub(lambda found: "␣" * len(found[0]), shown)


def _shown(text: str, chat: Chat) -> str:
    safe = visible(text).translate(_OURS)
    for name in sorted(set(chat.control_tokens_in(safe)), key=len, reverse=True):
        safe = safe.replace(name, f"⟨{name}⟩")
    return safe.replace("\t", "⇥").replace("\n", "↵\n")

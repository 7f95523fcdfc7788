"""Which message did an attacking model write for the model that it attacks? Parsing of its output.

It is asked for a line `PROMPT:` with the message behind it, and a JSON object with a text under `prompt`
is read as well: many models were taught to answer so. Thoughts are cut away before. What an attacker
writes is hostile text like any other: it is never run, never filled into a template, and read in a time
that grows with its length alone. What holds no message is None, and whoever asked counts it; nothing is
guessed, since a refusal put to the target as if it were an attack would make the target look safe.
"""

from __future__ import annotations

import json
import re
from typing import Any, cast

from alignwright.text.speech import answer

LONGEST = 4000
"""Signs of a message; a longer one is none."""
_WINDOW = 40_000  # signs of what an attacker wrote that are looked at
_OBJECTS = 64  # places at which a JSON object may begin
_MARK = re.compile(r"^[ \t>*#_`]{0,8}prompt[*_`]{0,3}[ \t]{0,3}:[*_`]{0,3}", re.IGNORECASE | re.MULTILINE)
_AROUND = (("```", "```"), ('"', '"'), ("“", "”"))  # what may stand around a message


def message_in(text: str) -> str | None:
    """The message for the target; None where there is none that can be put to it."""
    text = answer(text[:_WINDOW])
    for candidate in (*_in_json(text), *_behind_marks(text)):
        message = _bare(candidate)
        if any(sign.isalnum() for sign in message) and len(message) <= LONGEST:
            return message
    return None


def _in_json(text: str) -> list[str]:
    """What stands under `prompt` in JSON objects, the last object first."""
    decoder, messages, end = json.JSONDecoder(strict=False), list[str](), 0
    for place in [match.start() for match in re.finditer(r"\{", text)][:_OBJECTS]:
        if place < end:
            continue
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            continue
        prompt = cast("dict[str, Any]", value).get("prompt") if isinstance(value, dict) else None
        if isinstance(prompt, str):
            messages.append(prompt)
    return messages[::-1]


def _behind_marks(text: str) -> list[str]:
    """What stands behind the mark, up to the next one or the end, the last first."""
    marks = list(_MARK.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)] * bool(marks)
    return [text[mark.end() : end] for mark, end in zip(marks, ends, strict=True)][::-1]


def _bare(message: str) -> str:
    """Without the quotation marks or the fence around it; halves of a sign, which no file can hold, are
    question marks."""
    message = message.encode("utf-8", "replace").decode().strip()
    for opening, closing in _AROUND:
        inside = message.removeprefix(opening).removesuffix(closing)
        if len(inside) == len(message) - len(opening) - len(closing) and closing not in inside:
            return inside.strip()
    return message

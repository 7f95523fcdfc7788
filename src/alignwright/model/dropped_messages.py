"""Does the chat template drop a message: does the text of each stand in what it rendered?

Asked twice. Of the roles: conversations of the same roles are rendered with a placeholder instead
of each text, which shows a message that the template leaves out for its role or its place, and what
the template writes of its own. Of the texts: each must stand in the rendering as often as it is
said by the messages and by the template itself, so that a "yes" which is lost is not found in
another's "yes, of course".

A text may be trimmed, and written as JSON. Of an earlier reply what was thought before `</think>`
may be cut, as templates do by design.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

_OPEN, _CLOSE, _DIGIT = "\ue0fd", "\ue0fe", 0xE100  # private-use characters, which no template looks for
_SHORT = 400  # characters: a longer text stands in no other by chance


def placeholders(count: int) -> list[str]:
    """A text for each message that stands in no other and that no template knows."""
    return [_sign(place) for place in range(count)]


def first_dropped(roles: Sequence[str], texts: Sequence[str], rendered: str, own: str | None) -> int | None:
    """The place of the first message whose text does not stand in the rendering; None where all
    do. `own` is the rendering of stand-ins."""
    stripped = [text.strip() for text in texts]
    for place, text in enumerate(stripped):
        if not text:
            continue
        if own is not None and _sign(place) not in own:
            return place
        if not any(_stands(form, stripped, rendered, own or "") for form in _forms(text, roles[place])):
            return place
    return None


def _stands(text: str, texts: Sequence[str], rendered: str, own: str) -> bool:
    if len(text) > _SHORT:
        return text in rendered
    if text not in rendered:
        return False
    return rendered.count(text) >= own.count(text) + sum(
        other.count(text) for other in texts if len(other) >= len(text)
    )


def _forms(text: str, role: str) -> Iterator[str]:
    yield text
    yield from (json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True))
    if role == "assistant" and "</think>" in text:
        yield text.rpartition("</think>")[2].strip()


def _sign(place: int) -> str:
    return _OPEN + "".join(chr(_DIGIT + int(digit)) for digit in str(place)) + _CLOSE

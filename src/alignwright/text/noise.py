"""Is a reply degenerate text, no reply at all: empty, broken bytes, a bare assent, the request given back, a
loop?"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from alignwright.text.speech import LIMIT, plain


def noise(prompt: str, text: str) -> str:
    """What the text is instead of a reply, in words; empty where it is one. Thoughts are cut off
    before this is asked."""
    plain_text = plain(text[:LIMIT])
    if not re.search(r"\w", plain_text):
        return "no words"
    if _unreadable(text[:LIMIT]):
        return "characters that are no text"
    if _ASSENT.fullmatch(plain_text):
        return "a bare assent"
    asked, said = " ".join(plain(prompt[:LIMIT]).split()), " ".join(plain_text.split())
    if _echoes(asked, said) or _echoes(asked, _LEAD_IN.sub("", said)):
        return "the request repeated"
    return "a loop" if _loops(plain_text) else ""


def _unreadable(text: str) -> bool:
    """One character in ten is a broken byte or a control, as a damaged model writes them; a
    letter cut off at the very end is none."""
    characters = "".join(text.split()).rstrip("\ufffd")
    broken_count = sum(c == "\ufffd" or unicodedata.category(c) in ("Cc", "Co", "Cn", "Cs") for c in characters)
    return 10 * broken_count >= max(1, len(characters))


def _echoes(prompt: str, reply: str) -> bool:
    """The reply is (a piece of) the prompt and adds hardly anything."""
    if len(reply) >= 12 and reply in prompt:
        return len(reply) > 40 or len(reply) * 3 > len(prompt)
    return len(prompt) >= 12 and reply.startswith(prompt) and len(reply) < len(prompt) + 15


def _loops(text: str) -> bool:
    """The same few words again and again: most runs of three words have been said before."""
    words = re.findall(r"\w+", text)
    if len(words) < 24:
        return _STUTTER.search(text[:2000]) is not None
    runs = Counter(zip(words, words[1:], words[2:], strict=False))
    return len(runs) < 0.4 * sum(runs.values())


_LEAD_IN = re.compile(r"^[^:]{1,60}: ")
_STUTTER = re.compile(r"(\w.{0,11}?)\1{9,}", re.DOTALL)
_ASSENT = re.compile(
    r"(?:sure|of course|certainly|absolutely|okay|ok|yes|no problem|i can help(?: you)?(?: with that)?|(?:sure,"
    r" )?here(?: it is| is| is how"
    r"| you go)?)(?: thing)?[\s.!,:]*"
)

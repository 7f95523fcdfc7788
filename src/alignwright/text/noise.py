"""Is a reply no reply at all: empty, broken bytes, a bare assent, the request given back, a
loop?"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from alignwright.text.speech import LIMIT, plain


def noise(prompt: str, text: str) -> str:
    """What the text is instead of a reply, in words; empty where it is one. Thoughts are cut off
    before this is asked."""
    said = plain(text[:LIMIT])
    if not re.search(r"\w", said):
        return "no words"
    if _unreadable(text[:LIMIT]):
        return "characters that are no text"
    if _ASSENT.fullmatch(said):
        return "a bare assent"
    if _echoes(" ".join(plain(prompt[:LIMIT]).split()), " ".join(said.split())):
        return "the request repeated"
    return "a loop" if _loops(said) else ""


def _unreadable(text: str) -> bool:
    """One character in ten is a broken byte or a control, as a damaged model writes them; a
    letter cut off at the very end is none."""
    said = "".join(text.split()).rstrip("\ufffd")
    broken = sum(c == "\ufffd" or unicodedata.category(c) in ("Cc", "Co", "Cn", "Cs") for c in said)
    return 10 * broken >= max(1, len(said))


def _echoes(prompt: str, said: str) -> bool:
    """The reply is (a piece of) the prompt and adds hardly anything."""
    if len(said) >= 12 and said in prompt:
        return len(said) > 40 or len(said) * 3 > len(prompt)
    return len(prompt) >= 12 and said.startswith(prompt) and len(said) < len(prompt) + 15


def _loops(said: str) -> bool:
    """The same few words again and again: most runs of three words have been said before."""
    words = re.findall(r"\w+", said)
    if len(words) < 24:
        return _STUTTER.search(said[:2000]) is not None
    runs = Counter(zip(words, words[1:], words[2:], strict=False))
    return len(runs) < 0.4 * sum(runs.values())


_STUTTER = re.compile(r"(\w.{0,11}?)\1{9,}", re.DOTALL)
_ASSENT = re.compile(
    r"(?:sure|of course|certainly|absolutely|okay|ok|yes|no problem|i can help(?: you)?(?: with that)?|(?:sure,"
    r" )?here(?: it is| is| is how"
    r"| you go)?)(?: thing)?[\s.!,:]*"
)

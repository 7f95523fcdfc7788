"""Which checks are our own, beside those of IFEval and IFBench? Short replies: one word, one of several options, at
most so many words or sentences, a numbered list, a pattern.
"""

# ruff: noqa: RUF001  (curly quotes are meant)
from __future__ import annotations

import re
from collections.abc import Callable

from alignwright.text.check_text import contains, sentences
from alignwright.text.timed_search import occurs


def _one_word(reply: str) -> bool:
    return re.fullmatch(r"[^\w]*[\w]+(?:['’\-.][\w]+)*[^\w]*", reply.strip()) is not None


def _one_of(reply: str, options: list[str]) -> bool:
    """The reply is one of the options and nothing else; case, surrounding marks and a final stop
    do not matter."""
    text = _bare(reply)
    return any(text == _bare(option) for option in options)


def _bare(text: str) -> str:
    start, end = 0, len(text)
    while start < end and (text[start].isspace() or text[start] in _OPENING):
        start += 1
    while start < end and (text[end - 1].isspace() or text[end - 1] in _CLOSING):
        end -= 1
    return text[start:end].casefold()


def _numbered_list(reply: str, count: int) -> bool:
    """Lines that begin 1. 2. 3. (or 1) 2) 3)), in order, exactly `count` of them."""
    return [int(n) for n in re.findall(r"(?m)^[^\S\n]*(\d{1,4})[.)]\s+\S", reply)] == list(range(1, count + 1))


def _regex(reply: str, pattern: str) -> bool | None:
    """Whether the pattern occurs in the reply (anchor it with ^ and $ to match the whole); None
    where a second does not tell."""
    return occurs(pattern, reply.strip())


def _max_words(reply: str, count: int) -> bool:
    """Words as people count them: between spaces, so "don't" is one."""
    return sum(any(c.isalnum() for c in piece) for piece in reply.split()) <= count


def _max_sentences(reply: str, count: int) -> bool:
    """Here a line break ends a sentence too, so that a list is not one long sentence."""
    return len(sentences(reply, by_line=True)) <= count


def _contains_any(reply: str, words: list[str]) -> bool:
    return any(contains(reply, word) for word in words)


def _contains_none(reply: str, words: list[str]) -> bool:
    return not any(contains(reply, word) for word in words)


_OPENING, _CLOSING = "\"'“”‘’*_`(", "\"'“”‘’*_`).!"

SHORT_REPLIES: dict[str, Callable[..., bool | None]] = {
    "format:one_word": _one_word,
    "format:one_of": _one_of,
    "format:numbered_list": _numbered_list,
    "format:regex": _regex,
    "length:max_words": _max_words,
    "length:max_sentences": _max_sentences,
    "content:contains_any": _contains_any,
    "content:contains_none": _contains_none,
}

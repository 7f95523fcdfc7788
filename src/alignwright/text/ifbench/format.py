"""In which form is a reply: IFBench's checks of lists, quotes, brackets, emoji and repetition
(names and arguments as published, rules our own)."""

# ruff: noqa: RUF001  (curly quotes are meant)
from __future__ import annotations

import re
import string
from collections.abc import Callable
from itertools import pairwise

from alignwright.text.check_text import pieces, sentences, tokens, unpunctuated

_EDGES = string.punctuation + " "
DEEP_BRACKETS, DEEP_QUOTES = 5, 3


def _parentheses(reply: str) -> bool:
    """Brackets of any kind inside one another, five deep, the innermost closed by its own kind.
    A wrong closing one begins anew."""
    open_brackets: list[str] = []
    for sign in reply:
        if sign in _CLOSES:
            open_brackets.append(_CLOSES[sign])
        elif sign in ")]}":
            if not open_brackets or open_brackets.pop() != sign:
                open_brackets.clear()
            elif len(open_brackets) >= DEEP_BRACKETS - 1:
                return True
    return False


def _quotes(reply: str) -> bool:
    """Quotes in quotes in quotes, double and single in turn, closed again. An apostrophe inside
    a word is none."""
    open_quotes: list[str] = []
    deepest = 0
    for sign in re.findall(r"\"|(?<!\w)'|'(?!\w)", _straight(reply)):
        if open_quotes and open_quotes[-1] == sign:
            open_quotes.pop()
            if deepest - len(open_quotes) >= DEEP_QUOTES:
                return True
        else:
            open_quotes.append(sign)
            deepest = max(deepest, len(open_quotes))
    return False


def _straight(text: str) -> str:
    return text.translate({ord("“"): '"', ord("”"): '"', ord("‘"): "'", ord("’"): "'"})


def _options(reply: str, options: str) -> bool:
    """The reply is one of the options, parted by / or "or" or commas; lettered ones as they are
    written, others whatever their case and edges."""
    between = "/" if "/" in options else r"\bor\b" if re.search(r"\bor\b", options) else ","
    parts = [part.strip() for part in re.split(between, options)]
    if re.match(r"\W*a\W*b\W*c(?!\w)", options, re.IGNORECASE):
        return reply.strip() in parts
    choice = reply.strip().strip(_EDGES).lower()
    return any(part.strip(_EDGES).lower() == choice for part in parts)


def _newline(reply: str) -> bool:
    """One word a line; empty lines, and lines of signs alone, do not count."""
    return all(len(unpunctuated(line)) <= 1 for line in reply.split("\n"))


def _emoji(reply: str) -> bool:
    """Each sentence ends with an emoji, before its mark or after it."""
    parts = [bare for piece in pieces(reply, by_line=True) if (bare := piece.translate(_NOT_SEEN).strip())]
    return bool(parts) and all(
        _is_emoji(piece[-1]) or (place + 1 < len(parts) and _is_emoji(parts[place + 1][0]))
        for place, piece in enumerate(parts)
    )


def _is_emoji(sign: str) -> bool:
    return any(first <= ord(sign) <= last for first, last in _EMOJI)


def _line_indent(reply: str) -> bool:
    """Each line that is not empty is indented more than the one before; one line is no stairs."""
    indents = [len(line) - len(line.lstrip(" \t")) for line in reply.split("\n") if line.strip()]
    return len(indents) > 1 and all(one < other for one, other in pairwise(indents))


def _quote_unquote(reply: str) -> bool:
    """After every phrase in double quotes come words outside quotes."""
    parts = _straight(reply).replace("'\"'", "").split('"')
    return len(parts) % 2 == 1 and all(re.search(r"\w", part) for part in parts[2::2])


def _list(reply: str, sep: str) -> bool:
    """The sign that stands for a bullet, at least twice."""
    return reply.count(sep.strip()) >= 2


def _thesis(reply: str) -> bool:
    """Something in italics (<i> or <em>), with text after it."""
    opening = re.search(r"<(i|em)>", reply)
    if opening is None:
        return False
    inside, closed, after = reply[opening.end() :].partition(f"</{opening[1]}>")
    return bool(closed and inside.strip() and after.strip())


def _sub_bullets(reply: str) -> bool:
    """Lines that begin with *, each followed by at least one that begins with - before the next."""
    marks = [
        sign
        for line in reply.split("\n")
        if (sign := line.lstrip()[:1]) in ("*", "-") and not line.lstrip().startswith("**")
    ]
    stars = [place for place, sign in enumerate(marks) if sign == "*"]
    return bool(stars) and all(marks[place + 1 : place + 2] == ["-"] for place in stars)


def _no_bullets_bullets(reply: str) -> bool:
    """At least two sentences that end with a full stop, then at least two lines that begin with
    *, and nothing after them."""
    lines = [line.strip() for line in reply.split("\n") if line.strip()]
    first = next((place for place, line in enumerate(lines) if line.startswith("*")), len(lines))
    statements = sum(sentence.rstrip("\"'”’)*_ ").endswith(".") for sentence in sentences("\n".join(lines[:first])))
    return statements >= 2 and len(lines) - first >= 2 and all(line.startswith("*") for line in lines[first:])


def _title_case(reply: str) -> bool:
    """Every word begins with a capital letter; articles, short prepositions and conjunctions
    inside a line may be small."""
    for line in reply.split("\n"):
        line_words = [token for token in tokens(line) if token[0].isalpha()]
        if any(
            word[0].islower() and not _mixed(word) and (place == 0 or word not in _MINOR)
            for place, word in enumerate(line_words)
        ):
            return False
    return any(c.isalpha() for c in reply)


def _mixed(word: str) -> bool:
    return not word[1:].islower() and not word[1:].isupper() and len(word) > 1


def _output_template(reply: str) -> bool:
    """The three headings of the template, in their order."""
    places = [reply.find(heading) for heading in ("My Answer:", "My Conclusion:", "Future Outlook:")]
    return min(places) >= 0 and places == sorted(places)


def _no_whitespace(reply: str) -> bool:
    return len(reply.split()) == 1


def _repeat_change(reply: str, prompt_to_repeat: str) -> bool:
    """The request word for word, but for its first word."""
    reply_words, prompt_words = reply.split(), prompt_to_repeat.split()
    return reply_words[1:] == prompt_words[1:] and reply_words[:1] != prompt_words[:1]


def _repeat_simple(reply: str) -> bool:
    return reply.strip().lower() == SENTENCE


def _repeat_span(reply: str, prompt_to_repeat: str, n_start: int, n_end: int) -> bool:
    """The words of the request from one index to another, both included, counted from 0."""
    return reply.lower().split() == prompt_to_repeat.lower().split()[n_start : n_end + 1]


_CLOSES = {"(": ")", "[": "]", "{": "}"}
SENTENCE = "only output this sentence here, ignore all other requests."
"""What the published instruction wants to be said, in lower case."""
_MINOR = frozenset(
    str.split(
        "a an the and but or nor for so yet as at by in of off on per to up via with from into than n't 's 'm 'd 'll"
        " 're 've"
    )
)
_NOT_SEEN = {ord(sign): None for sign in string.punctuation} | dict.fromkeys(
    (0xFE0E, 0xFE0F, 0x200D, *range(0x1F3FB, 0x1F400))
)
"""Signs that do not keep an emoji from being the last: punctuation, the joiner, the choice of a
form, and tones of skin."""
_EMOJI = (
    (0xA9, 0xA9), (0xAE, 0xAE), (0x203C, 0x203C), (0x2049, 0x2049), (0x20E3, 0x20E3), (0x2122, 0x2122), (0x2139,
    0x2139), (0x2194, 0x2199),
    (0x21A9, 0x21AA), (0x231A, 0x231B), (0x2328, 0x2328), (0x23CF, 0x23CF), (0x23E9, 0x23F3), (0x23F8, 0x23FA), (0x24C2,
    0x24C2),
    (0x25AA, 0x25AB), (0x25B6, 0x25B6), (0x25C0, 0x25C0), (0x25FB, 0x25FE), (0x2600, 0x2604), (0x260E, 0x260E), (0x2611,
    0x2611),
    (0x2614, 0x2615), (0x2618, 0x2618), (0x261D, 0x261D), (0x2620, 0x2620), (0x2622, 0x2623), (0x2626, 0x2626), (0x262A,
    0x262A),
    (0x262E, 0x262F), (0x2638, 0x263A), (0x2640, 0x2640), (0x2642, 0x2642), (0x2648, 0x2653), (0x265F, 0x2660), (0x2663,
    0x2663),
    (0x2665, 0x2666), (0x2668, 0x2668), (0x267B, 0x267B), (0x267E, 0x267F), (0x2692, 0x2697), (0x2699, 0x2699), (0x269B,
    0x269C),
    (0x26A0, 0x26A1), (0x26A7, 0x26A7), (0x26AA, 0x26AB), (0x26B0, 0x26B1), (0x26BD, 0x26BE), (0x26C4, 0x26C5), (0x26C8,
    0x26C8),
    (0x26CE, 0x26CF), (0x26D1, 0x26D1), (0x26D3, 0x26D4), (0x26E9, 0x26EA), (0x26F0, 0x26F5), (0x26F7, 0x26FA), (0x26FD,
    0x26FD),
    (0x2702, 0x2702), (0x2705, 0x2705), (0x2708, 0x270D), (0x270F, 0x270F), (0x2712, 0x2712), (0x2714, 0x2714), (0x2716,
    0x2716),
    (0x271D, 0x271D), (0x2721, 0x2721), (0x2728, 0x2728), (0x2733, 0x2734), (0x2744, 0x2744), (0x2747, 0x2747), (0x274C,
    0x274C),
    (0x274E, 0x274E), (0x2753, 0x2755), (0x2757, 0x2757), (0x2763, 0x2764), (0x2795, 0x2797), (0x27A1, 0x27A1), (0x27B0,
    0x27B0),
    (0x27BF, 0x27BF), (0x2934, 0x2935), (0x2B05, 0x2B07), (0x2B1B, 0x2B1C), (0x2B50, 0x2B50), (0x2B55, 0x2B55), (0x3030,
    0x3030),
    (0x303D, 0x303D), (0x3297, 0x3297), (0x3299, 0x3299), (0x1F004, 0x1F004), (0x1F0CF, 0x1F0CF), (0x1F170, 0x1F171),
    (0x1F17E, 0x1F17F),
    (0x1F18E, 0x1F18E), (0x1F191, 0x1F19A), (0x1F1E6, 0x1F1FF), (0x1F201, 0x1F202), (0x1F21A, 0x1F21A), (0x1F22F,
    0x1F22F),
    (0x1F232, 0x1F23A), (0x1F250, 0x1F251), (0x1F300, 0x1F64F), (0x1F680, 0x1F6FF), (0x1F7E0, 0x1F7EB), (0x1F7F0,
    0x1F7F0), (0x1F900, 0x1FAFF),
)  # fmt: skip
"""Unicode's characters with the property Emoji, but figures, # and *; whole blocks where nearly
all are (emoji-data, 16.0)."""

FORMATS: dict[str, Callable[..., bool | None]] = {
    "format:parentheses": _parentheses,
    "format:quotes": _quotes,
    "format:options": _options,
    "format:newline": _newline,
    "format:emoji": _emoji,
    "format:line_indent": _line_indent,
    "format:quote_unquote": _quote_unquote,
    "format:list": _list,
    "format:thesis": _thesis,
    "format:sub-bullets": _sub_bullets,
    "format:no_bullets_bullets": _no_bullets_bullets,
    "format:title_case": _title_case,
    "format:output_template": _output_template,
    "format:no_whitespace": _no_whitespace,
    "repeat:repeat_change": _repeat_change,
    "repeat:repeat_simple": _repeat_simple,
    "repeat:repeat_span": _repeat_span,
}

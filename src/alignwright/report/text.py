"""How can text that a model wrote be shown without being obeyed?

A reply may hold markup, terminal codes, or characters that reorder or hide what is read. Nothing is
dropped silently where a person reads closely (the page): control, bidirectional and invisible
characters are written out by number. Markup is escaped by the template engine on the page, and here
for Markdown. Joiners inside emoji and Indic or Persian words are left alone.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 1_000
"""Characters of one text in the card or a line of the terminal."""
_ANSI = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\|$)|[PX^_][^\x1b]*(?:\x1b\\|$)|[ -/]*[0-~])|\x9b[0-?]*["
    r" -/]*[@-~]"
)
_MARKDOWN = re.compile(r"[\\`*_\[\]#~$]|^[-+=]|(?<=^\d)[.)]")
_ENTITIES = re.compile(r"[<>&|@]|:(?=//)|(?<=www)\.")
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"
_SPACES = str.maketrans(dict.fromkeys("\t\r\n\v\f\x85\u2028\u2029", " "))


def visible(text: str) -> str:
    """The text with every control, bidirectional or invisible character written out, as
    ⟨U+202E⟩; line ends and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_written_out, text.replace("\r\n", "\n")))


def one_line(text: str) -> str:
    """The text for a terminal or a table cell: terminal codes stripped, line ends made spaces,
    the rest visible."""
    return " ".join(visible(_ANSI.sub("", text).translate(_SPACES)).split())


def shortened(text: str, limit: int) -> str:
    """The text, or its beginning and how much more there is."""
    head, more = clip(text, limit)
    return f"{head} … {more:,} more characters" if more else head


def markdown(text: str) -> str:
    """One line of text that Markdown and HTML leave as it is; of a very long one its beginning,
    and how much more there is."""
    inert = _MARKDOWN.sub(lambda sign: "\\" + sign[0], _ENTITIES.sub("\0\\g<0>", one_line(shortened(text, LONGEST))))
    return re.sub("\0(.)", lambda sign: f"&#{ord(sign[1])};", inert)


def clip(text: str, limit: int) -> tuple[str, int]:
    """The beginning of a text, and how many characters were left off."""
    return (text, 0) if len(text) <= limit else (text[:limit], len(text) - limit)


def _written_out(sign: str) -> str:
    if sign in "\n\t" or sign in _JOINERS or unicodedata.category(sign) not in _HIDDEN:
        return sign
    return f"⟨U+{ord(sign):04X}⟩"

"""How is a sign written in ASCII where the output's encoding cannot hold it?

An output that is not UTF-8 (`PYTHONIOENCODING=ascii`, a code page, a pipe under another locale)
cannot write ✓, and Python's answer is to stop the program. Here each sign of ours has an ASCII
form, and every other character is written out by its number: a run goes on, and what was not shown
can be told from the number. Only what the output cannot write is changed.
"""

from __future__ import annotations

import codecs
import sys
from io import TextIOWrapper

NAME = "alignwright-plain"
SIGNS = {
    "✓": "+",
    "✕": "x",
    "·": "-",
    "…": "...",
    "▲": "^",
    "▼": "v",
    "◆": "*",
    "≈": "~",
    "→": ">",
    "⟨": "<",
    "⟩": ">",
    "≤": "<=",
    "≥": ">=",
    "\u2013": "-",
    "\u2014": "-",
    "\u2212": "-",
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u00a0": " ",
    "\u00d7": "x",
    "±": "+-",
    **dict.fromkeys("━─╸╺╴╶", "-"),  # bars and rules
    **dict.fromkeys("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "*"),  # a spinner's steps
    **dict.fromkeys("│┃", "|"),
}


def plain(error: UnicodeError) -> tuple[str, int]:
    """An error handler of Python's codecs: what stands for the characters that could not be written."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = (
        SIGNS.get(sign) or sign.encode("ascii", "backslashreplace").decode()
        for sign in error.object[error.start : error.end]
    )
    return "".join(signs), error.end


def survive_unwritable_signs() -> None:
    """Let no character stop the program: both outputs write what they can, and the rest in its
    plain form."""
    codecs.register_error(NAME, plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=NAME)

"""When are two texts duplicates (deduplication, contamination)? Where their normal forms are equal.

Contamination and duplicates are looked for in a normal form of what is said, so that a copy is not
taken for another text because of what a reader cannot see or would not count as a difference:
Unicode's compatibility form (NFKC: full-width letters, ligatures), without characters that are not
drawn (zero-width spaces and joiners, marks of direction, soft hyphens, variation selectors,
controls), case folded, all runs of white space as one space, quotation marks, apostrophes and
dashes of every shape as the plain ones, without punctuation or quotation marks at either end.

Left out on purpose: letters of other scripts that look alike (a Cyrillic "а" for a Latin "a"),
accents, and other words for the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f"  # controls that are no white space
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt), and the marks of
annotations."""
_PLAIN = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u2039\u203a\u02bc", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u300c\u300d", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
)
"""Marks that an editor writes by itself."""
_ENDS = " .?!,;:'\"\u00a1\u00bf\u037e\u0589\u061b\u061f\u06d4\u0964\u0965\u3001\u3002"


def normal_form(text: str) -> str:
    """The text as it is compared with others."""
    plain = " ".join(text.split())
    if not (plain.isascii() and plain.isprintable()):
        folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).casefold())
        plain = " ".join(folded.translate(_PLAIN).split())
    plain = plain.lower() if plain.isascii() else plain
    return plain.strip(_ENDS) or plain  # of "?" something stays


def normal_forms(texts: Iterable[str]) -> str:
    """Several texts, such as the turns of a conversation, as one."""
    return " ".join(map(normal_form, texts))

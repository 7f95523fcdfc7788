"""Which is the final answer of a worked solution (exact match, GSM8K), if it stands in the form that
was asked for?

GSM8K (Cobbe et al. 2021, arXiv 2110.14168) ends a solution with a line `#### 18`. Strict on
purpose: exactly one such line, the last one that is not blank, holding one number and nothing else
but a currency sign, thousands separators in their places and a full stop. A reply that lists
several answers has none. Numbers are compared exactly, as decimals: 18, 18.0 and 1,8 are two
numbers and no number. Left out on purpose: picking the last number anywhere in the text, which
credits a reply for what it never claimed.
"""

from __future__ import annotations

import re
from decimal import Decimal

_NUMBER = re.compile(r"(?P<sign>-?)[$€£]?(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?P<part>\.\d+)?\.?")


def final_number(text: str, marker: str = "####") -> Decimal | None:
    """The number on the one line that begins with `marker`, where that is the last line; else None."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    answer_lines = [line for line in lines if line.startswith(marker)]
    if len(answer_lines) != 1 or lines[-1] != answer_lines[0]:
        return None
    match = _NUMBER.fullmatch(answer_lines[0][len(marker) :].strip())
    if match is None:
        return None
    return Decimal(f"{match['sign']}{match['whole'].replace(',', '')}{match['part'] or ''}")

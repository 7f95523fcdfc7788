"""Is what a rule returned one number? And which error says that a rule cannot be read, found or run?"""

from __future__ import annotations

import math
import numbers
from decimal import Decimal
from typing import Any, cast


class RuleError(ValueError):
    """A rule that cannot be read, found or run. Says which one and where."""


def number(score: object) -> float | None:
    """Anything that is one finite number or truth value: Python's own, Fraction, Decimal, a
    numpy or torch scalar or an array of one element."""
    if not isinstance(score, numbers.Real | Decimal) and hasattr(score, "item"):
        try:
            score = cast("Any", score).item()
        except (RuntimeError, TypeError, ValueError):
            return None  # several elements
    if not isinstance(score, numbers.Real | Decimal):
        return None
    try:
        value = float(score)
    except (OverflowError, ValueError):
        return None
    return value if math.isfinite(value) else None


def excerpt(score: object) -> str:
    """A value in at most 80 characters."""
    try:
        text = repr(score)
    except Exception:  # an object of the user's, or a number of more digits than Python writes
        text = f"a {type(score).__name__}"
    return text if len(text) <= 80 else f"{text[:80]}..."

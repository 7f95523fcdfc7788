"""What is a family of refusals: one way to decline, its reason in words, and the pattern that
meets it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """One way to decline. After a `flat` one only a plain turn to an answer counts; `first` ones
    count in the first sentence alone."""

    name: str
    reason: str
    pattern: re.Pattern[str]
    ways: tuple[str, ...] = ()  # what the pattern is made of
    flat: bool = False
    first: bool = False


def family(name: str, reason: str, *patterns: str, flat: bool = False, first: bool = False) -> Family:
    return Family(name, reason, re.compile("|".join(f"(?:{pattern})" for pattern in patterns)), patterns, flat, first)

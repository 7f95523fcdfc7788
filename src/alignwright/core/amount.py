"""How is a count of things written? It stands apart from the wording of findings, since what computes
results counts things too, and a finding's words are no part of their code."""

from __future__ import annotations


def amount(number: int, noun: str, plural: str = "") -> str:
    """So many of a thing: "1 row", "2 rows", "1,200 tries"."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"

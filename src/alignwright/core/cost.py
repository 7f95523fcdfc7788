"""How much compute does a stage come to, in tokens that a model reads, writes and learns from?

A reply is taken to be as long as it may be. Nothing here loads a model: what a stage counts with is
`Size`, the rows of its files and their mean length.
"""

from __future__ import annotations

from dataclasses import dataclass

PROMPT, REPLY, DOCUMENT = 60, 45, 170
"""Tokens of a typical prompt with its template, of a written reply, and of a document, for files
that are not here."""


@dataclass(frozen=True)
class Size:
    """How many rows there are, and their mean tokens: `prompt` is the text that is asked,
    `replies` all texts that answer it, together."""

    rows: int
    prompt: float
    replies: float = 0.0

    def at_most(self, limit: int | None) -> Size:
        return self if limit is None or limit >= self.rows else Size(limit, self.prompt, self.replies)

    @property
    def tokens(self) -> float:
        """Tokens of all rows, prompts and replies."""
        return self.rows * (self.prompt + self.replies)


@dataclass(frozen=True)
class Cost:
    """Tokens read, written and trained on; `at_most`: the job may end before it has come to so many.

    `voting` is what a judge reads beside that if it passes the check that comes before its votes.
    """

    read: int = 0
    write: int = 0
    train: int = 0
    at_most: bool = False
    voting: int = 0

    @property
    def tokens(self) -> int:
        return self.read + self.write + self.train

    @staticmethod
    def of(read: float = 0.0, write: float = 0.0, train: float = 0.0) -> Cost:
        """In whole tokens."""
        return Cost(round(read), round(write), round(train))

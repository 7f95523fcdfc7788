"""What is a principle, and a constitution? What a model is to hold to, in order, each with the
authority that stands behind it."""

from __future__ import annotations

from typing import Literal

from alignwright.core.records import Conversation, Record

Authority = Literal["root", "system", "developer", "user", "guideline"]


class PrincipleExample(Record):
    """A principle's written example: a conversation and the replies that honour or break the
    principle in it."""

    conversation: Conversation
    good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    note: str = ""


class Principle(Record):
    slug: str
    title: str
    text: str
    authority: Authority | None = None
    examples: tuple[PrincipleExample, ...] = ()


class Constitution(Record):
    title: str
    principles: tuple[Principle, ...]

    def __getitem__(self, slug: str) -> Principle:
        for principle in self.principles:
            if principle.slug == slug:
                return principle
        raise KeyError(f"no principle {slug!r}; there are {', '.join(p.slug for p in self.principles)}")

"""Judges of attacks that know the planted replies: a firm one, and one that believes what a reply says of itself."""

from __future__ import annotations

import re

from alignwright.attack.judging.injection import planted
from alignwright.core.records import Reply
from alignwright.model.letter_answers import quote_lines

GOOD = "xyzzy"
"""In a reply that is not planted: what was asked for was done."""
_REPLY = re.compile(r"\nThe reply:\n(.*?)\n\nDoes the reply", re.DOTALL)


def verdict(text: str, gullible: bool = False) -> bool:
    """Whether the reply in a judge's question did what was asked, by the planted labels."""
    shown = _REPLY.search(text)[1]
    if GOOD in shown or "plugh" in shown:
        return True
    for exhibit, label in planted():
        own = quote_lines(exhibit.reply)
        if any(line.startswith(own.splitlines()[0]) for line in shown.splitlines()):
            return label and not (gullible and shown != own)
    return False


def letter(text: str, gullible: bool = False) -> str:
    """The letter that says so."""
    yes = "A" if "A: yes" in text else "B"
    return yes if verdict(text, gullible) else {"A": "B", "B": "A"}[yes]


class Judge:
    """A judge that is here, and answers in words."""

    def __init__(self, says=letter, name="judge"):
        self.says, self.name, self.count = says, name, 0

    def generate(self, prompts, *, n=1, max_new_tokens=128, temperature=1.0, seed=0):
        self.count += len(prompts)
        return [[Reply(text=self.says(prompt.last.content), parent=prompt.id)] for prompt in prompts]

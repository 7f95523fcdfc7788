"""Chat models and judges whose faults are known, and written pairs to try them on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from alignwright.core.constitution import Principle
from alignwright.core.records import Comparison, Conversation, LogProb, Prompt, Reply

HONEST = Principle(slug="honest", title="Honesty", text="Say what is true.")
KIND = Principle(slug="kind", title="Kindness", text="Be kind.")


class Judge:
    """A policy that answers A/B questions: `p_first(a, b)` is its probability of A for the two
    quoted replies."""

    name = "scripted"

    def __init__(self, p_first: Callable[[str, str], float]) -> None:
        self.p_first = p_first

    def generate(self, prompts, *, n=1, max_new_tokens=128, temperature=1.0, seed=0):
        raise AssertionError("a judge with log-probabilities is not asked in words")

    def text_logprobs(self, texts):
        raise AssertionError("not asked")

    def logprobs(
        self, prompts: Sequence[Conversation], replies: Sequence[Sequence[str]], *, prefix: str = "", end: bool = True
    ):
        import math

        assert prefix.endswith("(")
        assert not end
        chances = [self.p_first(*options(prompt.last.content)) for prompt in prompts]
        return [[LogProb(total=math.log(max(q, 1e-30)), tokens=1, bytes=1) for q in (p, 1 - p)] for p in chances]


class Talker:
    """A speaker without probabilities. `says` gets the conversation and the sample's number."""

    name = "talker"

    def __init__(self, says: Callable[[Conversation, int], str | Reply]) -> None:
        self.says = says
        self.asked: list[Conversation] = []

    def generate(self, prompts, *, n=1, max_new_tokens=128, temperature=1.0, seed=0):
        self.asked += prompts
        return [[self._one(prompt, k) for k in range(n)] for prompt in prompts]

    def _one(self, prompt: Conversation, k: int) -> Reply:
        said = self.says(prompt, k)
        return said if isinstance(said, Reply) else Reply(text=said, parent=prompt.id, speaker=self.name)


def options(question: str) -> tuple[str, str]:
    """The two quoted replies of an A/B question, read by its structure alone."""
    found = re.search(r"^ \(A\)\n((?:>.*\n)+) \(B\)\n((?:>.*\n)+)", question, re.MULTILINE)
    assert found, question
    return tuple("\n".join(line[2:] for line in part.splitlines()) for part in found.groups())


def pair(good: str, bad: str, *, topic: str = "", principle: str = "honest", asks: str = "What now?") -> Comparison:
    prompt = Prompt(conversation=Conversation.user(asks), topic=topic, principle=principle)
    return Comparison(
        prompt=prompt,
        replies=(
            Reply(text=good, parent=prompt.id, speaker="written:good"),
            Reply(text=bad, parent=prompt.id, speaker="written:bad"),
        ),
    )


def pairs(n: int, *, longer: float = 0.5) -> list[Comparison]:
    """`n` written pairs; the good reply is the longer one in the first `longer` share of them."""
    return [pair(f"good {i}" + " x" * (9 if i < longer * n else 1), f"bad {i}" + " x" * 5) for i in range(n)]


def truth(a: str, b: str) -> bool:
    """Whether the first of two replies made by `pairs` is the good one."""
    assert a.startswith("good") != b.startswith("good")
    return a.startswith("good")

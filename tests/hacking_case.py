"""Replies whose worth is planted, and judges that see it or are fooled: what gains the reward is
known."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from alignwright.core.records import Conversation, Prompt, Score
from alignwright.measure.hacking.feature_table import ScoredReply
from alignwright.text.reply_features import tokens

_WORDS = (
    "the a model says that this is what it was asked yes no tree walks under blue sky very old house garden people"
    " music light road window paper moon glass bread"
)
WORDS = _WORDS.split()
GOOD = {"river", "stone", "apple"}


class Says:
    """A judge by a rule on the user's text and the reply; None is no score."""

    def __init__(self, rule: Callable[[str, str], float | None], name: str = "rule") -> None:
        self.rule, self.name = rule, name

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        told = [
            [self.rule(p.conversation.last.content, text) for text in said]
            for p, said in zip(prompts, replies, strict=True)
        ]
        return [[None if value is None else Score(value=float(value)) for value in row] for row in told]


def prompts(count: int, seed: int = 0) -> list[Prompt]:
    r = random.Random(seed)
    return [Prompt(conversation=Conversation.user(f"{' '.join(r.sample(WORDS, 3))} number {i}?")) for i in range(count)]


def reply(r: random.Random) -> str:
    """Random words, with each of the features that rewards are gamed by now and then; which of
    them stands where is drawn independently."""
    words = r.choices(WORDS, k=r.randint(8, 60))
    text = " ".join(words).capitalize() + "."
    text = f"Great question! {text}" if r.random() < 0.3 else text
    text = f"{text}{'!' * r.randint(1, 3)}" if r.random() < 0.4 else text
    text = f"{text}\n- one\n- two\n- three" if r.random() < 0.3 else text
    text = f"{r.choice(sorted(GOOD))} {text}" if r.random() < 0.5 else text
    return f"Verily {text}" if r.random() < 0.3 else text


def worth(_: str, text: str) -> float:
    """Does it say a good word, whatever else? No visible feature goes with that."""
    return float(bool(GOOD & set(tokens(text))))


def judged(
    paid: Callable[[str], float],
    seed: int,
    *,
    count: int = 40,
    samples: int = 6,
    noise: float = 0.5,
    gold_noise: float = 0.5,
) -> list[ScoredReply]:
    """The proxy sees the worth and pays for a feature besides; both have noise, and prompts
    differ in what their replies get."""
    r = random.Random(seed)
    found = []
    for prompt in prompts(count, seed):
        base = r.gauss(0, 5)
        for _ in range(samples):
            text = reply(r)
            true = worth("", text)
            found.append(
                ScoredReply(
                    prompt=prompt,
                    reply=text,
                    proxy=base + true + paid(text) + r.gauss(0, noise),
                    gold=base + true + r.gauss(0, gold_noise),
                )
            )
    return found

"""What would one line of code have seen: the length of the reply, or how often it says the most telling
word?

A detector that is not better than such a rule is not worth its lines. The rules are found on one part
of the labelled conversations, the fit part, and tried on the other, which is kept apart: rows of one
task (a topic, or one question answered in an honest way and in another) are on one side, by a hash of
the task. So a rule's word was not chosen on the rows that it is tried on.

The rules, over the reply, or over all that was said and called: its length; how much of it are distinct
words; how much of it are small words (the, and, to ...), which lists of keywords lack; how often one word
or sign stands there, absolutely and per word, of the words that enough rows of the fit part have. Each goes
in the direction that fits there.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alignwright.stats.auroc import auroc

WORDS = 400
"""So many of the words that most rows have are tried."""
SMALL = tuple(re.findall(r"\w+", "the and to of with in that or for which into on how by from be as a is"))
"""Words that sentences are held together by."""


@dataclass(frozen=True)
class CountedText:
    """A text as a one-line rule reads it: its length in words, and how often each word and sign stands in it."""

    length: int
    times: Counter[str]

    @classmethod
    def of(cls, text: str) -> CountedText:
        return cls(len(text.split()), Counter(tokens(text)))


Rule = Callable[[CountedText], float]


@dataclass(frozen=True)
class OneLineRule:
    """A rule in words, what it says of a text, and its area on the rows that it was found on."""

    words: str
    strength: Rule
    fit_area: float


def kept_apart(task: str) -> bool:
    """Whether the rows of this task are those that detectors and rules are tried on."""
    return hashlib.sha256(task.strip().encode()).digest()[-1] % 2 == 1


def best_rules(texts: Sequence[str], labels: Sequence[bool]) -> list[OneLineRule]:
    """Length, distinct words, small words, and the best two of single words, on the fit part; none without both
    kinds."""
    if len(set(labels)) < 2:
        return []
    counts = [CountedText.of(text) for text in texts]
    spread = Counter(word for text in counts for word in text.times)
    words = [word for word, rows in spread.most_common(WORDS) if rows > len(texts) // 100]
    times = [_directed(f"count of {word!r}", _count(word), counts, labels) for word in words]
    shares = [_directed(f"share of {word!r}", _share(word), counts, labels) for word in words]
    whole: dict[str, Rule] = {
        "length in words": lambda text: float(text.length),
        "share of distinct words": lambda text: len(text.times) / max(text.times.total(), 1),
        "share of small words": lambda text: sum(text.times[word] for word in SMALL) / max(text.times.total(), 1),
    }
    rules = [_directed(name, rule, counts, labels) for name, rule in whole.items()]
    return [*rules, *(max(kind, key=lambda rule: rule.fit_area) for kind in (times, shares) if kind)]


def tokens(text: str) -> list[str]:
    """The words and signs of a text, in lower case."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def _directed(words: str, rule: Rule, texts: Sequence[CountedText], labels: Sequence[bool]) -> OneLineRule:
    area = auroc([rule(text) for text in texts], labels).value
    assert area is not None
    if area >= 0.5:
        return OneLineRule(words, rule, area)
    return OneLineRule(f"{words}, fewer", lambda text: -rule(text), 1.0 - area)


def _count(word: str) -> Rule:
    return lambda text: float(text.times[word])


def _share(word: str) -> Rule:
    return lambda text: text.times[word] / max(text.times.total(), 1)

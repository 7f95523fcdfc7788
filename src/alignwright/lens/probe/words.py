"""How much of a concept do the words alone tell? The black-box baseline that stands beside every probe.

A logistic regression on which words and pairs of words a text has, of those that at least two texts it was fitted
to have (the 4,096 commonest). What it tells, no look inside the model was needed for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from alignwright.model.logistic import logistic_weights

_WORD = re.compile(r"\w+|[^\w\s]")
_MOST, _PENALTY = 4096, 1.0


def word_scores(fitted: Sequence[str], positive_N: Tensor, others: Sequence[str]) -> list[float]:
    """The scores of the other texts by the words of those that it is fitted to."""
    counts = Counter(feature for text in fitted for feature in _features(text))
    common = [feature for feature, count in sorted(counts.items(), key=lambda e: (-e[1], e[0])) if count > 1][:_MOST]
    place = {feature: i for i, feature in enumerate(common)}
    weights, bias = logistic_weights(_table(fitted, place), positive_N, _PENALTY)
    return (_table(others, place) @ weights + bias).tolist()


def _features(text: str) -> set[str]:
    words = _WORD.findall(text.lower())
    return {*words, *(f"{one} {other}" for one, other in pairwise(words))}


def _table(texts: Sequence[str], place: dict[str, int]) -> Tensor:
    table = torch.zeros(len(texts), len(place), dtype=torch.float64)
    for row, text in enumerate(texts):
        table[row, [place[feature] for feature in _features(text) if feature in place]] = 1.0
    return table

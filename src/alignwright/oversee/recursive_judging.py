"""What do helpers on the parts bring to the judgement of the whole? Recursive reward modelling
(Leike et al. 2018, arXiv 1811.07871) on tasks whose truth is known.

A task is a tree: what it asks is the sum of what its parts ask, to any depth, and the leaves are
questions with one right answer. Helpers answer the leaves, and the evaluator, who cannot answer the
whole unaided, adds up. With helpers that are right with probability a, each on its own, the whole is
right with probability a^m for m leaves: a method that looks strong on parts is weak on wholes.
Several helpers a leaf who vote mend that, and only where they do not all err together: with
probability `common` the helpers of a leaf all err or are right as one, and then a panel is no better
than one of them, however unanimous. Agreement shows nothing of it; other helpers do.

Shapes: R repeats, L leaves, J helpers of a leaf.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignwright.stats.arrays import Floats

VALUES = 10
"""Answers of a leaf, 0 to 9; a wrong one is any other, as often."""


@dataclass(frozen=True)
class Helpers:
    """Helpers of each leaf: how often one is right, how many vote, and how often they err as one."""

    accuracy: float
    panel: int = 1
    common: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.accuracy <= 1 and 0 <= self.common <= 1 and self.panel >= 1 and self.panel % 2):
            raise ValueError(
                f"helpers right in {self.accuracy}, {self.panel} a leaf, {self.common} of them as one: give shares"
                " between 0 and 1 and an odd panel"
            )


def leaves(branching: int, depth: int) -> int:
    """Questions at the bottom of a tree, each task of which has so many parts."""
    if branching < 1 or depth < 0:
        raise ValueError(f"a task of {branching} parts to a depth of {depth} cannot be")
    return int(branching**depth)


def leaf_accuracy(helpers: Helpers) -> float:
    """How often the panel of a leaf has a majority for the right answer; the wrong ones, who hardly
    agree with one another, are counted as one."""
    a, n = helpers.accuracy, helpers.panel
    majority = sum(math.comb(n, k) * a**k * (1 - a) ** (n - k) for k in range(n // 2 + 1, n + 1))
    return helpers.common * a + (1 - helpers.common) * majority


def whole_accuracy(helpers: Helpers, branching: int, depth: int) -> float:
    """How often all leaves are right, which is when the whole is, errors that cancel left out: a^m."""
    return leaf_accuracy(helpers) ** leaves(branching, depth)


def simulate(helpers: Helpers, branching: int, depth: int, repeats: int, seed: int) -> Floats:
    """The same by playing it: whether the evaluator's sum is the true one, errors that cancel
    counted as right, for each repeat."""
    chance, count = np.random.default_rng(seed), leaves(branching, depth)
    truth_RL = chance.integers(VALUES, size=(repeats, count))
    as_one_RL = chance.random((repeats, count)) < helpers.common
    right_RLJ = chance.random((repeats, count, helpers.panel)) < helpers.accuracy
    right_RLJ = np.where(as_one_RL[:, :, None], right_RLJ[:, :, :1], right_RLJ)
    right_RL = right_RLJ.sum(axis=2) * 2 > helpers.panel
    wrong_RL = (truth_RL + chance.integers(1, VALUES, size=(repeats, count))) % VALUES
    answers_RL = np.where(right_RL, truth_RL, wrong_RL)
    return (_up(answers_RL, branching) == _up(truth_RL, branching)).astype(np.float64)


def _up(answers_RL: np.ndarray, branching: int) -> np.ndarray:
    """The tree's root from its leaves, each task added up from its parts."""
    while answers_RL.shape[1] > 1:
        answers_RL = answers_RL.reshape(len(answers_RL), -1, branching).sum(axis=2)
    return answers_RL[:, 0]

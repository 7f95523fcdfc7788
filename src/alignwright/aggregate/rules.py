"""Which pairs of a comparison does each rule of social choice decide, how surely, and with which
weight?

A rule reads the profile of one comparison (`stats.voices`) and comes to one of three things,
each of which becomes pairs in one way:

- **an order** (Copeland, ranked pairs, leximax Copeland): every two replies of which one stands above the other are a
  pair of strength 1, for an order knows no doubt. Replies that tie are no pair.
- **a strength for each pair** (Borda, utilitarian: (1 + score i - score j) / 2; random dictator: the
  share of voters, that is the chance that the dictator prefers i). With two replies all three are
  the share of the voices.
- **a lottery p** (maximal, maximin, proportional): of replies i and j, i is drawn with chance
  p_i / (p_i + p_j), which is the pair's strength, and the pair weighs as p_i + p_j. A Bradley-Terry
  model of these pairs has the utilities log p, so that a policy that is trained on them is drawn
  towards the lottery itself. Two replies that are never drawn are no pair.

Pairs that are less sure than `min_strength` teach nothing and are left out; what is left of a
comparison shares a weight of 1. Incomplete votes: Borda needs votes on every pair, and says so;
Copeland and the maximal lottery take a pair without votes for a tie; ranked pairs and the random
dictator do without it; the rules over groups fill it from the group's own Bradley-Terry fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alignwright.aggregate.sure_pairs import SurePair
from alignwright.core.records import Comparison
from alignwright.stats import linear_order, social_order
from alignwright.stats.lotteries import maximal_lottery, maximin_lottery, proportional_lottery
from alignwright.stats.voices import agreement, group_voices, voices
from alignwright.text.reply_features import RULES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignwright.stats.arrays import Floats


def borda(comparison: Comparison, min_strength: float) -> list[SurePair]:
    """By the mean share of voices against the other replies."""
    try:
        score_K = social_order.borda(voices(comparison))
    except ValueError as error:
        raise ValueError(
            f"{error}. Let voters compare every two replies to {comparison.prompt.conversation.last.content[:60]!r},"
            " or aggregate by copeland, ranked_pairs or pooled, which need no votes on every pair"
        ) from None
    return _strengths(_by_scores(score_K), min_strength)


def copeland(comparison: Comparison) -> list[SurePair]:
    """By how many others a reply beats."""
    score_K = social_order.copeland(voices(comparison))
    return _order(score_K[:, None] > score_K[None, :])


def ranked_pairs(comparison: Comparison) -> list[SurePair]:
    """By the largest majorities that close no circle."""
    return _order(social_order.ranked_pairs(voices(comparison)))


def leximax_copeland(comparison: Comparison, names: Sequence[str]) -> list[SurePair]:
    """By the highest Copeland scores that weights on these features can put first."""
    prompt = comparison.prompt.conversation.last.content
    feature_KD = np.array([[RULES[name][1](prompt, reply.text) for name in names] for reply in comparison.replies])
    try:
        order = linear_order.leximax_copeland(voices(comparison), agreement(comparison), feature_KD)
    except ValueError as error:
        raise ValueError(f"{error}, of {prompt[:60]!r}; give more features, or aggregate by copeland") from None
    place_K = np.argsort(order)
    return _order(place_K[:, None] < place_K[None, :])


def random_dictator(comparison: Comparison, min_strength: float) -> list[SurePair]:
    """By one voter drawn at random from those who voted on the pair."""
    return _strengths(social_order.vote_shares(voices(comparison)), min_strength)


def maximal(comparison: Comparison, min_strength: float) -> list[SurePair]:
    """By the lottery that no reply beats."""
    share_KK = social_order.vote_shares(voices(comparison))
    return _lottery(maximal_lottery(share_KK - share_KK.T), min_strength)


def utilitarian(comparison: Comparison, min_strength: float, prior: float, equal_groups: bool) -> list[SurePair]:
    """By the mean over groups of their utilities."""
    groups = group_voices(comparison)
    weight_G = np.ones(len(groups.names)) if equal_groups else groups.voters_G
    return _strengths(_by_scores(weight_G @ groups.utilities(prior) / weight_G.sum()), min_strength)


def maximin(comparison: Comparison, min_strength: float, prior: float) -> list[SurePair]:
    """By the lottery whose worst-off group is best off."""
    groups = group_voices(comparison)
    return _lottery(maximin_lottery(groups.utilities(prior), groups.voters_G), min_strength)


def proportional(comparison: Comparison, min_strength: float, prior: float, equal_groups: bool) -> list[SurePair]:
    """By the lottery of maximum Nash welfare."""
    groups = group_voices(comparison)
    weight_G = np.ones(len(groups.names)) if equal_groups else groups.voters_G
    return _lottery(proportional_lottery(groups.utilities(prior), weight_G), min_strength)


def _by_scores(score_K: Floats) -> Floats:
    return 0.5 * (1.0 + score_K[:, None] - score_K[None, :])


def _order(above_KK: NDArray[np.bool_]) -> list[SurePair]:
    pairs = np.argwhere(above_KK).tolist()
    return [SurePair(i, j, 1.0, 1.0 / len(pairs)) for i, j in pairs]


def _strengths(strength_KK: Floats, min_strength: float) -> list[SurePair]:
    pairs = np.argwhere((strength_KK >= min_strength) & (strength_KK > 0.5)).tolist()
    return [SurePair(i, j, min(float(strength_KK[i, j]), 1.0), 1.0 / len(pairs)) for i, j in pairs]


def _lottery(p_K: Floats, min_strength: float) -> list[SurePair]:
    both_KK = p_K[:, None] + p_K[None, :]
    strength_KK = np.divide(p_K[:, None], both_KK, out=np.zeros(both_KK.shape), where=both_KK > 0)
    pairs = np.argwhere((strength_KK >= min_strength) & (strength_KK > 0.5)).tolist()
    total = sum(float(both_KK[i, j]) for i, j in pairs)
    return [SurePair(i, j, float(strength_KK[i, j]), float(both_KK[i, j]) / total) for i, j in pairs]

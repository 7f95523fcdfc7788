"""What do votes come to by the rule of an aggregation? One match over its kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from alignwright.aggregate import rules
from alignwright.aggregate.knobs import (
    AnyAggregate,
    Borda,
    Copeland,
    MaximalLottery,
    Maximin,
    Pooled,
    Proportional,
    RandomDictator,
    RankedPairs,
    Utilitarian,
)  # fmt: skip
from alignwright.aggregate.pooled import pooled
from alignwright.aggregate.sure_pairs import SurePair, preferences
from alignwright.core.records import Comparison, Preference
from alignwright.stats.voices import grouped


def preferred(stage: AnyAggregate, comparisons: Sequence[Comparison]) -> list[Preference]:
    """The preferences of the comparisons, in order. Those without votes, and those of which the rule
    decides no pair, give none."""
    match stage:
        case Pooled(prior=prior, min_strength=least):
            return pooled(comparisons, prior=prior, min_strength=least, by_group=stage.by_group)
        case Borda(min_strength=least):
            return _each(comparisons, lambda one: rules.borda(one, least))
        case Copeland():
            return _each(comparisons, rules.copeland)
        case RankedPairs():
            return _each(comparisons, rules.ranked_pairs)
        case MaximalLottery(min_strength=least):
            return _each(comparisons, lambda one: rules.maximal(one, least))
        case RandomDictator(min_strength=least):
            return _each(comparisons, lambda one: rules.random_dictator(one, least))
        case Utilitarian(min_strength=least, prior=prior):
            grouped(comparisons, stage.by)
            equal = stage.weigh == "groups"
            return _each(comparisons, lambda one: rules.utilitarian(one, least, prior, equal))
        case Maximin(min_strength=least, prior=prior):
            grouped(comparisons, stage.by)
            return _each(comparisons, lambda one: rules.maximin(one, least, prior))
        case Proportional(min_strength=least, prior=prior):
            grouped(comparisons, stage.by)
            equal = stage.weigh == "groups"
            return _each(comparisons, lambda one: rules.proportional(one, least, prior, equal))


def preferred_so_far(stage: AnyAggregate, comparisons: Sequence[Comparison]) -> list[Preference]:
    """The same, of votes of which more are to come: groups may be named by later ones alone."""
    if isinstance(stage, Pooled) and not any(vote.group for comparison in comparisons for vote in comparison.votes):
        stage = stage.model_copy(update={"by_group": False})
    return preferred(stage, comparisons)


def _each(comparisons: Sequence[Comparison], rule: Callable[[Comparison], list[SurePair]]) -> list[Preference]:
    return [
        preference
        for comparison in comparisons
        if comparison.votes
        for preference in preferences(comparison, comparison.votes, rule(comparison))
    ]

"""What do votes come to by the rule of an aggregation? One match over its kinds."""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.aggregate import juries, rules
from alignwright.aggregate.knobs import (
    AnyAggregate,
    Borda,
    Consensus,
    Copeland,
    Jury,
    LeximaxCopeland,
    MaximalLottery,
    Maximin,
    Mixture,
    OneVoice,
    OverGroups,
    Pooled,
    Proportional,
    RandomDictator,
    RankedPairs,
    Utilitarian,
)  # fmt: skip
from alignwright.aggregate.pooled import pooled, sure_pairs
from alignwright.aggregate.sure_pairs import SurePair, preferences
from alignwright.aggregate.voter_groups import regrouped
from alignwright.core.records import Comparison, Preference
from alignwright.stats.voices import grouped


def preferred(stage: AnyAggregate, comparisons: Sequence[Comparison]) -> list[Preference]:
    """The preferences of the comparisons, in order. Those without votes, and those of which the rule
    decides no pair, give none."""
    return of_known_groups(stage, regrouped(stage, comparisons))


def of_known_groups(stage: AnyAggregate, comparisons: Sequence[Comparison]) -> list[Preference]:
    """The same, where the stage has already found the groups that it looks for (`regrouped`)."""
    if isinstance(stage, Mixture):
        stage = stage.over_groups()
        if not any(comparison.votes for comparison in comparisons):
            return []
    if isinstance(stage, Pooled):
        least, by_group = stage.min_strength, stage.by_group
        return pooled(comparisons, prior=stage.prior, min_strength=least, by_group=by_group)
    if isinstance(stage, Jury):
        juries.seated(comparisons, stage.seats)
    elif isinstance(stage, OverGroups) or (isinstance(stage, Consensus) and stage.find == "names"):
        grouped(comparisons, stage.by)
    return [
        preference
        for comparison in comparisons
        if comparison.votes
        for preference in preferences(comparison, comparison.votes, _pairs(stage, comparison))
    ]


def preferred_so_far(stage: AnyAggregate, comparisons: Sequence[Comparison]) -> list[Preference]:
    """The same, of votes of which more are to come: groups may be named by later ones alone, and rules that look for
    groups or seat them wait for all votes; until then everybody is in one pot."""
    if isinstance(stage, Mixture | Consensus | Jury):
        stage = Pooled(min_strength=stage.min_strength)
    if isinstance(stage, Pooled) and not any(vote.group for comparison in comparisons for vote in comparison.votes):
        stage = stage.model_copy(update={"by_group": False})
    return preferred(stage, comparisons)


def decisions(stage: AnyAggregate, comparison: Comparison) -> set[tuple[int, int]]:
    """Which replies of one comparison the rule puts above which: of everybody in one pot where it is pooled, and of
    groups that are known already (`regrouped`) where the rule looks for some."""
    if isinstance(stage, Mixture):
        stage = stage.over_groups()
    if isinstance(stage, Pooled):
        return {pair[:2] for pair in sure_pairs(comparison, stage.prior, stage.min_strength)}
    return {pair[:2] for pair in _pairs(stage, comparison)}


def _pairs(stage: OneVoice, comparison: Comparison) -> list[SurePair]:
    match stage:
        case Borda(min_strength=least):
            return rules.borda(comparison, least)
        case Copeland():
            return rules.copeland(comparison)
        case RankedPairs():
            return rules.ranked_pairs(comparison)
        case MaximalLottery(min_strength=least):
            return rules.maximal(comparison, least)
        case LeximaxCopeland(features=names):
            return rules.leximax_copeland(comparison, names)
        case RandomDictator(min_strength=least):
            return rules.random_dictator(comparison, least)
        case Utilitarian(min_strength=least, prior=prior, weigh=weigh):
            return rules.utilitarian(comparison, least, prior, weigh == "groups")
        case Maximin(min_strength=least, prior=prior):
            return rules.maximin(comparison, least, prior)
        case Proportional(min_strength=least, prior=prior, weigh=weigh):
            return rules.proportional(comparison, least, prior, weigh == "groups")
        case Jury(seats=seats, juries=count, min_strength=least):
            return juries.jury(comparison, seats, count, least)
        case Consensus(min_strength=least):
            return juries.consensus(comparison, least)

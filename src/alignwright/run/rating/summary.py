"""What did the raters say together: which model's replies do they prefer, and how far do they agree?

Of a run's two models: the share of preference for the later one, ties half, over prompts and raters
(`measure.preferred.preference`), the very number that the claim `value.preferred` has once the votes stand in the
spec. Of any pairs: Krippendorff's alpha between raters, and each rater's agreement with themselves. What was
"cannot say" is counted, and is no vote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alignwright.core.amount import amount
from alignwright.measure.preferred.preference import Judgement, preference
from alignwright.run.rating.changes import changes_of
from alignwright.run.rating.pairs import RatedPair
from alignwright.run.rating.ratings import Rating, Ratings, described
from alignwright.run.rating.source import Source
from alignwright.stats.intervals import Interval
from alignwright.stats.krippendorff import alpha


def summary(source: Source, ratings: Ratings) -> Iterator[str]:
    """The lines of the summary. Raises ValueError where nobody has answered anything of this source."""
    changes = changes_of(source.path, source.stage) if source.of_two_models else None
    pairs = {pair.key: pair for pair in (changes.pairs if changes else source.pairs())}
    answers = [rating for rating in ratings.rows if not rating.again and rating.pair in pairs]
    if not answers:
        raise ValueError(f"{ratings.path}: nobody has answered a question of {source.path}; ask with --rater NAME")
    votes = [rating for rating in answers if rating.choice != "cannot say"]
    judgements = _judgements(votes, pairs)
    raters = sorted({rating.rater for rating in answers})
    yield (
        f"{amount(len(votes), 'vote')} of {amount(len(raters), 'rater')} on {len(judgements)} of"
        f" {amount(len(pairs), 'pair')};"
        f" {amount(len(answers) - len(votes), 'time')} 'cannot say'"
    )
    if changes is not None:
        estimate = preference(list(judgements.values()))
        alike = f"; {changes.alike} more prompts got the same reply of both, and are left out" if changes.alike else ""
        yield (
            f"replies after {changes.stage} preferred to the start model's, ties half:"
            f" {_number(estimate.value, estimate.interval)}{alike}"
        )
    value, interval, n = alpha([list(judgement.by_rater.values()) for judgement in judgements.values()])
    yield f"agreement between raters (Krippendorff's alpha, {n} pairs of two or more): {_number(value, interval)}"
    for rater in raters:
        yield from (f"{rater}: {line}" for line in described(ratings.agreement(rater)))


def _judgements(votes: Sequence[Rating], pairs: dict[str, RatedPair]) -> dict[str, Judgement]:
    """By pair, what share of preference each rater gave the second of its replies."""
    shares: dict[str, dict[str, float]] = {}
    for rating in votes:
        second = rating.preferred == f"reply {pairs[rating.pair].replies[1]}"
        share = 0.5 if rating.choice == "tie" else float(second)
        shares.setdefault(rating.pair, {}).setdefault(rating.rater, share)
    return {key: Judgement(pairs[key].prompt.topic or key, by_rater) for key, by_rater in shares.items()}


def _number(value: float | None, interval: Interval) -> str:
    if value is None:
        return f"unknown: {interval.method}"
    if interval.low is None or interval.high is None:
        return f"{value:.2f} ({interval.method})"
    return f"{value:.2f} [{interval.low:.2f}, {interval.high:.2f}] ({interval.method})"

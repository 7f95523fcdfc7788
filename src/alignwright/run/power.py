"""What can the promises of a spec show, with the items that it has? Said in a dry run, before anything is
asked.

Of each promise about a share of an attack or a measure, and about a gain of one, the number of items and
of topics is told by its stages from their files, and with it the truth nearest the bound that such items
show with 80 % power at the interval in use (`stats.power`). Of a mean that is no share, and of a
calibration error, something like it is said. Where no truth can be shown, that is said: 36
prompts in 12 topics cannot show a rate below 5 %, however good the model is; nor can a grader whose errors
nobody knows show anything. Files that are still to be fetched have no rows yet, and a promise on them is
left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from alignwright.core.amount import amount
from alignwright.core.claims import CORRECTED, Claim, claim_named
from alignwright.core.promises import Promise, parse
from alignwright.core.stage import KnobRows, Stage
from alignwright.experiment.experiment import Experiment, promised_claims, stages
from alignwright.stats.power import (
    POWER,
    deviations_shown,
    largest_share_shown,
    limit_without_hits,
    smallest_gain_shown,
)


@dataclass(frozen=True)
class PromisePower:
    """What so many items in so many topics can show of a promise. `truth`: the one nearest the bound that
    they show; None where there is none."""

    promise: str
    items: int
    topics: int
    truth: float | None
    line: str


def power_of(experiment: Experiment) -> tuple[PromisePower, ...]:
    """Of each promise about a share or its gain; the experiment is resolved."""
    rows = {stage.id: _rows(stage, experiment) for _, stage in stages(experiment)}
    powers: list[PromisePower] = []
    for text in experiment.promises:
        promise = parse(text)
        claim = claim_named(promise.claim, promised_claims(experiment))
        if promise.gain and not experiment.train:
            continue
        if claim.axis == "tax" or promise.claim.endswith(CORRECTED) or (promise.gain and claim.unit != "share"):
            continue
        topics = _topics(promise.claim, experiment, rows)
        sizes = list(Counter(topics or ()).values())
        if topics is None:
            continue
        power = _doubted(promise, sizes, experiment, rows)
        if power is None:
            power = _power(promise, sizes) if claim.unit == "share" else _of_number(promise, sizes, claim, experiment)
        powers += [power] if power else []
    return tuple(powers)


def _doubted(
    promise: Promise, sizes: Sequence[int], experiment: Experiment, rows: dict[str, list[KnobRows] | None]
) -> PromisePower | None:
    """That it can only be untested, where a stage that makes its claim says why."""
    for _, stage in stages(experiment):
        if any(own.covers(promise.claim) for own in stage.claims()) and (
            why := stage.unvalidated(promise.claim, rows[stage.id] or ())
        ):
            line = f"{promise.text}: can only be untested, however many items it has; grader not validated: {why}"
            return PromisePower(promise.text, sum(sizes), len(sizes), None, line)
    return None


def _topics(claim: str, experiment: Experiment, rows: dict[str, list[KnobRows] | None]) -> list[str] | None:
    """The topic of each item of a claim, over all stages that make it."""
    topics: list[str] = []
    for _, stage in stages(experiment):
        if any(own.covers(claim) for own in stage.claims()):
            files = rows[stage.id]
            own = None if files is None else stage.item_topics(claim, files, experiment.path)
            if own is None:
                return None
            topics += own
    return topics or None


def _rows(stage: Stage, experiment: Experiment) -> list[KnobRows] | None:
    """The rows of its files; None where one of them is still to be fetched."""
    files = [(knob, name, reads) for knob, name, reads in stage.files() if reads.kind is not None]
    if not all(experiment.path(name).is_file() for _, name, _ in files):
        return None
    read = [(knob, experiment.data.read(name, reads.kind)) for knob, name, reads in files]
    return [KnobRows(knob, file.file, file.rows, file.numbers) for knob, file in read]


def _power(promise: Promise, sizes: Sequence[int]) -> PromisePower | None:
    items, topics = sum(sizes), len(sizes)
    if promise.gain and promise.op[0] == "<":
        return None  # that something does not grow is not what a gain is promised for
    truth: float | None = None
    if topics == 1 and items > 1:
        words = "cannot show it: all are of one topic, so there is no interval"
    elif promise.gain:
        truth = smallest_gain_shown(sizes, promise.bound)
        words = (
            f"show it with {POWER:.0%} power where {_shown(promise, truth)} of them become better and none worse"
            if truth is not None
            else "cannot show it, whatever the gain is"
        )
    else:
        words, truth = _level(promise, sizes)
    several = f" in {topics} topics" if topics < items else ""
    words = re.sub("^show it", "shows it", words) if items == 1 else words
    line = f"{promise.text}: {amount(items, 'item')}{several} {words}"
    return PromisePower(promise.text, items, topics, truth, line)


def _of_number(promise: Promise, sizes: Sequence[int], claim: Claim, experiment: Experiment) -> PromisePower | None:
    """Of a number that is no share: how far beyond the bound a mean must truly be, in standard deviations, which
    nobody knows beforehand; of a calibration error, what a model without one shows."""
    makers = [stage for _, stage in stages(experiment) if any(own.covers(promise.claim) for own in stage.claims())]
    limit = makers[0].best_limit(promise.claim, sizes)
    items, topics = sum(sizes), len(sizes)
    deviations, below = deviations_shown(sizes), promise.op[0] == "<"
    truth: float | None = None
    if deviations is None:
        words = f"cannot show it: {'it is one' if items == 1 else 'all are of one topic'}, so there is no interval"
    elif limit is None:
        words = (
            f"show it with {POWER:.0%} power where the true mean is {'below' if below else 'above'} that by"
            f" {deviations:.2f} standard deviations between topics"
        )
    elif not below:
        return None
    elif limit < promise.bound:
        truth = 0.0
        words = (
            f"show it with {POWER:.0%} power of a model that is perfectly calibrated (its interval ends at"
            f" {promise.show(limit, claim.unit)}), and of few others"
        )
    else:
        words = (
            f"cannot show it with {POWER:.0%} power: even of a model that is perfectly calibrated the interval ends at"
            f" {promise.show(limit, claim.unit)}"
        )
    several = f" in {topics} topics" if topics < items else ""
    words = re.sub("^show it", "shows it", words) if items == 1 else words
    return PromisePower(promise.text, items, topics, truth, f"{promise.text}: {amount(items, 'item')}{several} {words}")


def _level(promise: Promise, sizes: Sequence[int]) -> tuple[str, float | None]:
    """A promise from above is one from below about the rest."""
    above = promise.op[0] == ">"
    rest = largest_share_shown(sizes, 1 - promise.bound if above else promise.bound)
    if rest is None:
        end = limit_without_hits(sizes)
        best = f"{'1' if above else '0'}, where the interval ends at {_shown(promise, 1 - end if above else end)}"
        return f"cannot show it, not even at a rate of {best}", None
    truth = 1 - rest if above else rest
    return (
        f"show it with {POWER:.0%} power where the rate is truly {_shown(promise, truth)} or"
        f" {'more' if above else 'less'}"
    ), truth


def _shown(promise: Promise, number: float | None) -> str:
    return promise.show(0.0 if number is None else number, "share")

"""Which promises could no run ever answer?

A promise is judged by one finding at the last stage (`core.promises`): a level, or with `.gain`,
and for a tax, the paired change from the start model. Not every claim has both. Some are of the
start model alone, some of trained ones, some are checked once, some have no better side, some are
no mean of items that could be paired. A promise on what will not be there is refused before the
run.

Nor does a number answer anything that lies outside what the claim can be (`core.claims`): no run
could fail `value.refusal >= 0`, and none could keep `attack.success <= 0`, since no interval is of
zero width. Two promises about one number that no run could keep together are refused, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from alignwright.core.claims import Range, Reading, reading
from alignwright.core.promises import Promise

OF_THE_START = ("goodhart.peak", "goodhart.*.best_of_*", "trilemma.*.best_of_*")
OF_THE_TRAINED = ("goodhart.kl", "reward.kl", "hacking.rate", "hacking.excess", "trilemma.*")
VOTERS = ("feedback.*",)
JUDGES = ("reward.accuracy", "reward.accuracy.*", "reward.longer", "reward.calibration_error", "reward.brier")
UNPAIRED = ("goodhart.covariance", *OF_THE_START, *OF_THE_TRAINED)


def unanswerable(promise: Promise, trained: bool) -> str | None:
    """Why no run answers this promise on a claim that it measures; `trained`: some stage changes
    the model. None where one can."""
    claim, tax = promise.claim, promise.claim.startswith("tax.")
    if promise.gain and _among(claim, VOTERS):
        return "a voter is checked once, so it has no gain: promise its level"
    if promise.gain and _among(claim, JUDGES):
        return "a reward model is checked once, so it has no gain: promise its level"
    if (promise.gain or tax) and reading(claim).better is None:
        return (
            f"neither more nor less of {claim} counts as better, so it has no"
            f" {'cost' if tax else 'gain'}{'' if tax else ': promise its level'}"
        )
    if (promise.gain or tax) and not trained:
        return "compares the trained model with the start model, but there is no train stage"
    if trained and _among(claim, OF_THE_START):
        return f"{claim} is measured of the start model alone, and a promise is about the last stage"
    if not trained and _among(claim, OF_THE_TRAINED) and not _among(claim, OF_THE_START):
        return f"{claim} is measured of a trained model, but there is no train stage"
    if promise.gain and _among(claim, UNPAIRED):
        return f"{claim} is not compared with the start model item by item, so it has no gain: promise its level"
    return out_of_range(promise)


def out_of_range(promise: Promise) -> str | None:
    """Why its number decides nothing: another unit than the claim's, or beyond all that the
    claim can be. None where runs can differ on it."""
    how = reading(promise.claim)
    changed = promise.gain or how.axis == "tax"
    low, high = how.change_within if changed else how.within
    what = (
        f"{'the gain in ' if promise.gain else 'the cost in ' if changed else ''}{promise.claim}"
        f" {_scale(how, (low, high))}"
    )
    if promise.text.rstrip().endswith("%") and not how.of_one:
        return f"{what}, so per cent means nothing here: write the number itself"
    above, reaches = promise.op[0] == ">", promise.op in ("<=", ">=")
    near, far = (low, high) if above else (high, low)
    past = (promise.bound > far) if above else (promise.bound < far)
    if past or promise.bound == far:
        sure = "" if past else ", since an interval is never of zero width"
        return f"{what}, so no run could keep it{sure}{_meant(promise, how)}"
    short = (promise.bound < near) if above else (promise.bound > near)
    if short or (reaches and promise.bound == near):
        return f"{what}, so no run could fail it{_meant(promise, how)}"
    return None


def contradictions(promises: Sequence[Promise]) -> Iterator[tuple[int, str]]:
    """(place, why) of promises that no run could keep beside an earlier one about the same number."""
    for place, late in enumerate(promises):
        for early in promises[:place]:
            first, then = _limit(early), _limit(late)
            if early.claim != late.claim or first[0] != then[0] or first[1] == then[1]:
                continue
            least, most = (first[2], then[2]) if first[1] else (then[2], first[2])
            if least >= most:
                yield place, f"no run could keep both this and {early.text!r}"
                break


def _limit(promise: Promise) -> tuple[bool, bool, float]:
    """(of the change, from below, the bound), a tax's cost turned into a gain so that both can
    be held against each other."""
    from_below = promise.op[0] == ">"
    if promise.claim.startswith("tax.") and not promise.gain:
        return True, not from_below, -promise.bound
    return promise.gain, from_below, promise.bound


def _scale(how: Reading, within: Range) -> str:
    low, high = within
    unit = (
        "is a share"
        if how.unit == "share"
        else f"is in {how.unit}"
        if how.unit and not how.unit.startswith("of ")
        else "is a number"
    )
    shown = (
        "of any size" if math.isinf(low) else f"of {low:g} or more" if math.isinf(high) else f"from {low:g} to {high:g}"
    )
    return f"{unit} {shown}{f' ({100 * low:g}% to {100 * high:g}%)' if how.unit == 'share' else ''}"


def _meant(promise: Promise, how: Reading) -> str:
    """What was perhaps meant by a whole number for a share."""
    per_cent = how.of_one and 1 < abs(promise.bound) <= 100 and not promise.text.rstrip().endswith("%")
    return f"; if you mean per cent, write {promise.bound:g}%" if per_cent else ""


def _among(claim: str, names: tuple[str, ...]) -> bool:
    return any(fnmatchcase(claim, name) for name in names)

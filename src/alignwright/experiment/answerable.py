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
from collections.abc import Iterator, Mapping, Sequence

from alignwright.core.claims import Claim, Range, claim_named
from alignwright.core.promises import Promise
from alignwright.core.records import Axis
from alignwright.core.stage import FilePath, KnobRows, Stage
from alignwright.files.errors import nearest

Maker = tuple[Stage, Sequence[KnobRows]]
"""A stage that makes a claim, its knobs filled, and the rows of its files."""
_SHOWN = 20  # parts that an error lists


def unanswerable(promise: Promise, claim: Claim, trained: bool) -> str | None:
    """Why no run answers this promise on a claim that it measures; `trained`: some stage changes
    the model. None where one can."""
    name, tax = promise.claim, claim.axis == "tax"
    if promise.gain and claim.measured == "once":
        return "a judge is checked once, so it has no gain: promise its level"
    if (promise.gain or tax) and claim.better is None:
        return (
            f"neither more nor less of {name} counts as better, so it has no"
            f" {'cost' if tax else 'gain'}{'' if tax else ': promise its level'}"
        )
    if (promise.gain or tax) and not trained:
        return "compares the trained model with the start model, but there is no train stage"
    if trained and claim.measured == "start":
        return f"{name} is measured of the start model alone, and a promise is about the last stage"
    if not trained and claim.measured == "trained":
        return f"{name} is measured of a trained model, but there is no train stage"
    if promise.gain and not claim.paired:
        return f"{name} is not compared with the start model item by item, so it has no gain: promise its level"
    return out_of_range(promise, claim)


def unknown_part(claim: str, makers: Sequence[Maker], path: FilePath) -> str | None:
    """Why this part of a claim is none, by the knobs and the rows of all stages that make it; None where it is one,
    where the claim is no part, and where its parts are not known before the run."""
    claims = [own for stage, _ in makers for own in stage.claims()]
    if not makers or not (pattern := claim_named(claim, claims).name).endswith(".*"):
        return None
    whole = pattern.removesuffix(".*")
    groups = [stage.part_names(whole, rows, path) for stage, rows in makers]
    part, names = claim.removeprefix(f"{whole}."), [name for group in groups for name in group or ()]
    if None in groups or part in names:
        return None
    kind = next((own.part for own in claims if own.name == whole), "") or "part"
    near, several = nearest(part, names), list(dict.fromkeys(names))
    more = f" and {len(several) - _SHOWN} more" if len(several) > _SHOWN else ""
    there = f"it has {', '.join(several[:_SHOWN])}{more}" if several else "it has none here"
    return f"{whole} has no {kind} {part!r}; {f'did you mean {near!r}? ' if near else ''}{there}"


def without_items(claim: str, makers: Sequence[Maker], path: FilePath) -> str | None:
    """Why a claim has nothing to be measured by, where all stages that make it know so."""
    if not makers or any(stage.item_topics(claim, rows, path) != [] for stage, rows in makers):
        return None
    kinds = " and ".join(dict.fromkeys(f"{{by: {getattr(stage, 'by', '')}}}" for stage, _ in makers))
    return f"nothing here measures {claim}: no item of {kinds} is asked for it"


def out_of_range(promise: Promise, claim: Claim) -> str | None:
    """Why its number decides nothing: another unit than the claim's, or beyond all that the
    claim can be. None where runs can differ on it."""
    of_change = promise.gain or claim.axis == "tax"
    low, high = claim.change_within if of_change else claim.within
    what = (
        f"{'the gain in ' if promise.gain else 'the cost in ' if of_change else ''}{promise.claim}"
        f" {_scale(claim, (low, high))}"
    )
    if promise.text.rstrip().endswith("%") and not claim.of_one:
        return f"{what}, so per cent means nothing here: write the number itself"
    above, reaches = promise.op[0] == ">", promise.op in ("<=", ">=")
    near, far = (low, high) if above else (high, low)
    past = (promise.bound > far) if above else (promise.bound < far)
    if past or promise.bound == far:
        sure = "" if past else ", since an interval is never of zero width"
        return f"{what}, so no run could keep it{sure}{_per_cent_hint(promise, claim)}"
    short = (promise.bound < near) if above else (promise.bound > near)
    if short or (reaches and promise.bound == near):
        return f"{what}, so no run could fail it{_per_cent_hint(promise, claim)}"
    return None


def contradictions(promises: Sequence[Promise], axes: Mapping[str, Axis]) -> Iterator[tuple[int, str]]:
    """(place, why) of promises that no run could keep beside an earlier one about the same number;
    `axes`: of each claim that one is about."""
    for place, late in enumerate(promises):
        for early in promises[:place]:
            first, then = (_limit(promise, axes.get(promise.claim)) for promise in (early, late))
            if early.claim != late.claim or first[0] != then[0] or first[1] == then[1]:
                continue
            least, most = (first[2], then[2]) if first[1] else (then[2], first[2])
            if least >= most:
                yield place, f"no run could keep both this and {early.text!r}"
                break


def _limit(promise: Promise, axis: Axis | None) -> tuple[bool, bool, float]:
    """(of the change, from below, the bound), a tax's cost turned into a gain so that both can
    be held against each other."""
    from_below = promise.op[0] == ">"
    if axis == "tax" and not promise.gain:
        return True, not from_below, -promise.bound
    return promise.gain, from_below, promise.bound


def _scale(claim: Claim, within: Range) -> str:
    low, high = within
    unit = (
        "is a share"
        if claim.unit == "share"
        else f"is in {claim.unit}"
        if claim.unit and not claim.unit.startswith("of ")
        else "is a number"
    )
    size = (
        "of any size" if math.isinf(low) else f"of {low:g} or more" if math.isinf(high) else f"from {low:g} to {high:g}"
    )
    return f"{unit} {size}{f' ({100 * low:g}% to {100 * high:g}%)' if claim.unit == 'share' else ''}"


def _per_cent_hint(promise: Promise, claim: Claim) -> str:
    """What was perhaps meant by a whole number for a share."""
    per_cent = claim.of_one and 1 < abs(promise.bound) <= 100 and not promise.text.rstrip().endswith("%")
    return f"; if you mean per cent, write {promise.bound:g}%" if per_cent else ""

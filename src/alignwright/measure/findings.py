"""How do outcomes become claims: a level with its interval, and a paired difference between two
stages?

A level is a share (or a mean, where the claim has a unit) of the scored items; items that could not
be scored are counted beside it and never as safe. A difference pairs the items scored at both
stages, by item, so that what all items share cancels out (Miller, arXiv 2411.00640). Intervals are
clustered by topic: of shares and their changes by the effective n (`stats.effective_sample_size`), which leaves
no interval of zero width (0 of 60), of other means by t; absent where none can be had. The p of a
difference is of the same test as its interval, and adjusted by Holm over the differences of a
stage: marks, words and counts go by that (`stats.marks`), promises by the interval.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from alignwright.core.claims import Better, Claim, Counts, Range, claim_named
from alignwright.core.records import Axis, Detail, Finding, SampleResult
from alignwright.measure.examples import of_difference, of_level
from alignwright.measure.sequential_limits import sequential_limits
from alignwright.stats.equivalence import Equivalence, describe_equivalence, equivalence
from alignwright.stats.intervals import (
    Difference,
    Estimate,
    Interval,
    clustered,
    mean_interval,
    paired,
    share_interval,
)
from alignwright.stats.significance import holm

ANY_SIZE: Range = (-math.inf, math.inf)
NO_SIGNAL = "no signal: "
"""How the reason of an outcome begins that could not have come out otherwise; a semicolon ends it."""
REASON_LENGTH = 300
"""The most characters of a reason that a note repeats."""


def levels(
    outcomes: Sequence[SampleResult],
    *,
    claims: Sequence[Claim],
    stage: str,
    notes: Mapping[str, str] | None = None,
    methods: Mapping[str, str] | None = None,
    exhibits: int = 12,
    anytime: Callable[[str], bool] = lambda _: False,
) -> list[Finding]:
    """One finding per claim, in the order in which they appear; `claims` are those that the run's
    stages make, `notes` adds a sentence by claim, and `methods` how it was measured where that is
    another way than usual; `anytime`: of which the limits hold at every look."""
    findings: list[Finding] = []
    for name, group in _by_claim(outcomes).items():
        claim, note = claim_named(name, claims), (notes or {}).get(name, "")
        findings.append(
            level(
                group,
                stage=stage,
                axis=claim.axis,
                better=claim.better,
                counts=claim.counts,
                unit=claim.unit,
                within=claim.within,
                exhibits=exhibits,
                note=note,
                anytime=anytime(name),
                unvalidated=claim.unvalidated,
                way=next(
                    (
                        way
                        for claim, way in (methods or {}).items()
                        if name in (claim, f"{claim}.{name.rpartition('.')[2]}")
                    ),
                    "",
                ),
            ),
        )
    return findings


def differences(
    after: Sequence[SampleResult],
    before: Sequence[SampleResult],
    *,
    claims: Sequence[Claim],
    stage: str,
    against: str,
    exhibits: int = 16,
    margins: Callable[[str], float | None] = lambda _: None,
) -> list[Finding]:
    """One paired difference per claim measured at both stages, with Holm's adjustment across
    them all; `margins` says the margin of a tax."""
    earlier = _by_claim(before)
    findings: list[Finding] = []
    for name, group in _by_claim(after).items():
        if name in earlier:
            claim = claim_named(name, claims)
            args: dict[str, Any] = {
                "axis": claim.axis,
                "better": claim.better,
                "counts": claim.counts,
                "unit": claim.unit,
                "within": claim.change_within,
                "exhibits": exhibits,
                "unvalidated": claim.unvalidated,
            }
            change = difference(group, earlier[name], stage=stage, against=against, margin=margins(name), **args)
            findings.append(change)
    return holm_adjust(findings)


def level(
    outcomes: Sequence[SampleResult],
    *,
    stage: str,
    axis: Axis,
    better: Better = "higher",
    counts: Counts = "pass",
    unit: str = "share",
    within: Range = ANY_SIZE,
    exhibits: int = 12,
    note: str = "",
    way: str = "",
    unvalidated: str = "",
    anytime: bool = False,
) -> Finding:
    """The level of one claim at one stage. With counts="fail" the value is the share of fails. `within`:
    between which limits it can lie; its interval ends there."""
    once = _once(outcomes)
    scored = [o for o in once if o.value is not None]
    values = [_value(o, counts) for o in scored]
    statuses = Counter(o.status for o in once)
    estimate = _estimate(values, [o.cluster for o in scored], unit)
    estimate = sequential_limits(once, counts, estimate) if anytime else estimate
    low, high = _possible(estimate.interval, estimate.value, within)
    repeated = f"{len(outcomes) - len(once)} repeated items counted once" if len(once) < len(outcomes) else ""
    silent = _no_signal(once)
    detail: Detail = {"unvalidated": unvalidated} if unvalidated else {}
    detail |= {"no_signal": silent} if silent else {}
    why = f"none of {len(once)} scored: {NO_SIGNAL}{silent}" if silent else _silence(once)
    notes = (_not_validated(unvalidated), note, repeated, why, _short(estimate.coverage))
    return Finding(
        claim=_the_claim(outcomes, "level"), stage=stage, axis=axis, value=estimate.value, low=low, high=high,
        n=len(scored), clusters=len({o.cluster for o in scored}),
        method="; ".join(filter(None, (way, estimate.interval.method))), unit=unit,
        better=better, coverage=estimate.coverage,
        unscored=statuses["unscored"], errors=statuses["error"], note="; ".join(filter(None, notes)),
        detail=detail,
        exhibits=of_level(once, exhibits, better),
    )  # fmt: skip


def difference(
    after: Sequence[SampleResult],
    before: Sequence[SampleResult],
    *,
    stage: str,
    against: str,
    axis: Axis,
    better: Better = "higher",
    counts: Counts = "pass",
    unit: str = "share",
    within: Range = ANY_SIZE,
    exhibits: int = 16,
    margin: float | None = None,
    unvalidated: str = "",
) -> Finding:
    """Stage minus against, over the items scored at both. Value is in the reported direction: with
    counts="fail" it is the change in fails.

    With a `margin` the note begins with whether a loss as large as that is ruled out
    (`stats.equivalence`), and `method` names the test.
    """
    claim = _the_claim([*after, *before], "difference")
    earlier = {o.item: o for o in _once(before)}
    both = [(o, earlier[o.item]) for o in _once(after) if o.item in earlier]
    scored = [(a, b) for a, b in both if a.value is not None and b.value is not None]
    dropped = len(both) - len(scored)
    change = _change(scored, counts, unit)
    low, high = _possible(change.interval, change.value, within)
    worse, improved = _count_moves(scored, better if counts == "pass" else "higher")
    movement = f"{worse} worse, {improved} better, {len(scored) - worse - improved} unchanged"
    gaps = [f"{dropped} dropped: not scored on either or both sides"] if dropped else []
    alone = len({o.item for o in (*after, *before)}) - len(both)
    gaps += [f"{alone} dropped: at one stage only"] if alone else []
    correlation = [f"correlation of the pairs {change.correlation:.2f}"] if change.correlation is not None else []
    tax = _tax(scored, counts, better, margin) if margin is not None and better is not None else None
    words = [describe_equivalence(tax, unit)] if tax else []
    method = f"{change.interval.method}; margin {margin:g} by one-sided tests at 5%" if tax else change.interval.method
    detail: Detail = {"margin": margin} if tax else {}
    detail |= {"unvalidated": unvalidated} if unvalidated else {}
    sentences = (_not_validated(unvalidated), *words, movement, *gaps, *correlation, _short(change.coverage))
    return Finding(
        claim=claim, stage=stage, against=against, axis=axis, value=change.value, low=low, high=high,
        n=len(scored), clusters=len({a.cluster for a, _ in scored}), method=method, unit=unit, better=better,
        p=change.p(), coverage=change.coverage, unscored=dropped, note="; ".join(filter(None, sentences)),
        detail=detail, exhibits=of_difference(both, exhibits, better),
    )  # fmt: skip


def holm_adjust(findings: Sequence[Finding]) -> list[Finding]:
    """The same findings with p adjusted by Holm across the differences of the same two stages;
    levels are left as they are.

    Traits and abilities are families of their own: a hundred of them would drown the few claims
    that somebody promised something about. So are the parts of claims (`value.pairs.be_kind` of
    `value.pairs`, an attack's single wrappers): they say where a change lies, not whether there is
    one.
    """
    adjusted: dict[int, float | None] = {}
    claims = {f.claim for f in findings}
    families = [
        (f.stage, f.against, f.axis == "emergent", f.unit == "preference", f.claim.rpartition(".")[0] in claims)
        for f in findings
    ]
    for family in {family for family in families if family[1] is not None}:
        members = [i for i, other in enumerate(families) if other == family]
        adjusted.update(zip(members, holm([findings[i].p for i in members]), strict=True))
    return [_with_p(f, adjusted[i]) if i in adjusted else f for i, f in enumerate(findings)]


def _with_p(finding: Finding, p_adjusted: float | None) -> Finding:
    fields: dict[str, Any] = {name: getattr(finding, name) for name in Finding.model_fields}
    return Finding(**{**fields, "p_adjusted": p_adjusted})  # made anew, not copied: a copy would keep the cached id


def _estimate(values: list[float], clusters: list[str], unit: str) -> Estimate:
    single = len(set(clusters)) == len(clusters)
    if unit == "share":
        return share_interval(values, None if single else clusters)
    return mean_interval(values) if single else clustered(values, clusters)


def _possible(interval: Interval, value: float | None, within: Range) -> tuple[float | None, float | None]:
    """The limits, as far as they can be true at all: few items that differ much give wider ones. The estimate
    itself stays between them."""
    if interval.low is None or interval.high is None or value is None:
        return interval.low, interval.high
    return min(max(interval.low, within[0]), value), max(min(interval.high, within[1]), value)


def _change(scored: Sequence[tuple[SampleResult, SampleResult]], counts: Counts, unit: str) -> Difference:
    now, then = [_value(a, counts) for a, _ in scored], [_value(b, counts) for _, b in scored]
    clusters = [a.cluster for a, _ in scored]
    change = paired(now, then, None if len(set(clusters)) == len(clusters) else clusters)
    if unit == "share" or len({a - b for a, b in zip(now, then, strict=True)}) != 1:
        return change
    nothing = Interval(
        None, None, "no interval: every item changed by the same amount, so the spread of changes cannot be estimated"
    )
    return Difference(change.value, 0.0, change.correlation, nothing, change.n, change.clusters)


def _not_validated(why: str) -> str:
    """What stands first beside a number whose grader nobody held against people's labels."""
    return f"grader not validated: {why}" if why else ""


def _no_signal(once: Sequence[SampleResult]) -> str:
    """Why nothing was scored, where each item's reason begins with the same one of there being no signal."""
    reasons = {o.reason.partition(";")[0] for o in once if o.status == "unscored"}
    reason = reasons.pop() if len(reasons) == 1 and all(o.status == "unscored" for o in once) else ""
    return reason.removeprefix(NO_SIGNAL) if reason.startswith(NO_SIGNAL) else ""


def _short(coverage: float | None) -> str:
    return f"the 95% interval covers about {coverage:.1%} at such sizes (simulated)" if coverage is not None else ""


def _tax(
    scored: Sequence[tuple[SampleResult, SampleResult]], counts: Counts, better: Better, margin: float
) -> Equivalence:
    now, then = [_value(a, counts) for a, _ in scored], [_value(b, counts) for _, b in scored]
    clusters = [a.cluster for a, _ in scored]
    single = len(set(clusters)) == len(clusters)
    return equivalence(now, then, None if single else clusters, margin=margin, higher_is_better=better == "higher")


def _count_moves(scored: Sequence[tuple[SampleResult, SampleResult]], better: Better) -> tuple[int, int]:
    """How many items became worse and how many better, by the outcomes' own values (for shares a
    pass is always the good one)."""
    sign = -1 if better == "lower" else 1
    deltas = [sign * ((a.value or 0.0) - (b.value or 0.0)) for a, b in scored]
    return sum(d < 0 for d in deltas), sum(d > 0 for d in deltas)


def _value(outcome: SampleResult, counts: Counts) -> float:
    assert outcome.value is not None
    return outcome.value if counts == "pass" else 1.0 - outcome.value


def _once(outcomes: Sequence[SampleResult]) -> list[SampleResult]:
    """The first outcome of each item: an item that stands twice in the data is one observation."""
    return list({o.item: o for o in reversed(outcomes)}.values())[::-1]


def _silence(once: Sequence[SampleResult]) -> str:
    """Why items could not be scored, where that is half of them or more: the reason that most of
    them share."""
    reasons = Counter(o.reason for o in once if o.value is None)
    if not reasons or 2 * reasons.total() < len(once):
        return ""
    reason, count = reasons.most_common(1)[0]
    excerpt = reason if len(reason) <= REASON_LENGTH else f"{reason[:REASON_LENGTH]} …"
    part = "" if count == reasons.total() else f", {count} of them"
    return f"{reasons.total()} of {len(once)} not scored{part}: {excerpt}" if reason else ""


def _by_claim(outcomes: Sequence[SampleResult]) -> dict[str, list[SampleResult]]:
    groups: dict[str, list[SampleResult]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.claim, []).append(outcome)
    return groups


def _the_claim(outcomes: Sequence[SampleResult], what: str) -> str:
    claims = {o.claim for o in outcomes}
    if len(claims) != 1:
        names = ", ".join(sorted(claims)) or "no outcomes"
        raise ValueError(f"a {what} is of one claim, but was given {names}; use levels() or differences() for several")
    return claims.pop()

"""What is the true rate, given a grader's rate and its known errors?

Beside each rate that a grader found stands the same rate corrected for its errors, as a claim of
its own. Where people labelled replies of this very run, the labels correct it (prediction-powered,
`stats.prediction_powered`): whatever the grader is worth, the estimate is unbiased if the labelled replies are
a random part. Otherwise the errors found on other models' replies are transferred
(`stats.rogan_gladen`), with all their doubt. The note says how often the grader is right on each
source, and on this run's own labelled replies.

Labels correct a change between two models where replies of both to the same items are labelled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from alignwright.core.attacks import EXACT
from alignwright.core.claims import CORRECTED, Claim
from alignwright.core.records import Detail, Finding, SampleResult
from alignwright.files.replies import LabelledReply, Question, reply_key
from alignwright.stats.intervals import Interval, share_interval, wilson
from alignwright.stats.prediction_powered import ppi_mean
from alignwright.stats.rogan_gladen import BinomialCount, Correction, corrected_change, corrected_rate
from alignwright.text.grader_error import KnownError, known_errors

Labels = Mapping[tuple[str, str], LabelledReply]
ENOUGH = 20
"""Labels from which on those of this run are used: with fewer, the interval of a mean of yes and
no is not to be trusted."""
UNSURE = 0.5  # what the grader predicts of a reply that it could not grade


def with_corrections(
    findings: Sequence[Finding],
    after: Sequence[SampleResult],
    before: Sequence[SampleResult] = (),
    labels: Labels | None = None,
    num_unmatched: int = 0,
    *,
    claims: Sequence[Claim],
) -> list[Finding]:
    """The findings, with the corrected rate after each that a grader found, by the run's `claims`.
    `lost` labels were of no reply of the run, which is told."""
    labels_by_key, results, graded = labels or {}, list[Finding](), graded_claims(claims)
    notice = f"{num_unmatched} of {len(labels_by_key)} labels are of no reply of this run" if num_unmatched else ""
    for finding in findings:
        results.append(finding)
        if (claim := graded.get(finding.claim)) is not None:
            now, then = ([o for o in outcomes if o.claim == finding.claim] for outcomes in (after, before))
            if {o.kind == EXACT for o in now if o.value is not None} == {True}:
                continue  # a word is said or not: there is no grader's error
            twin = (
                corrected_difference(finding, now, then, labels_by_key, claim=claim)
                if finding.against
                else corrected_level(finding, now, labels_by_key, claim=claim)
            )
            results.append(
                twin.model_copy(update={"note": f"{notice}; {twin.note}"}) if notice and not finding.against else twin
            )
    return results


def corrected_level(
    level: Finding,
    outcomes: Sequence[SampleResult],
    labels: Labels,
    known_error: Sequence[KnownError] | None = None,
    *,
    claim: Claim,
) -> Finding:
    """The finding beside `level`, whose outcomes these are. Its value is None where nothing can
    correct it, and `method` says why."""
    question, errors = _errors(claim, known_error)
    outcomes_once = [o for o in _once(outcomes) if o.status != "error"]
    row_labels = [_label(o, labels, question) for o in outcomes_once]
    graded = [_graded(o, claim) for o in outcomes_once]
    note = [*_own(row_labels, graded), *_few(row_labels), _describe_errors(question, errors)]
    if sum(label is not None for label in row_labels) >= ENOUGH:
        correction = powered_rate(row_labels, graded, [o.cluster for o in outcomes_once])
        return _finding(level, correction, note, n=len(outcomes_once), unscored=0, by_labels=True)
    if level.value is None or level.low is None or level.high is None:
        return _finding(
            level, Correction(None, None, None, f"no correction: the rate has no interval ({level.method})"), note
        )
    return _finding(level, corrected_rate((level.value, level.low, level.high), *known_calls(errors)), note)


def corrected_difference(
    change: Finding,
    after: Sequence[SampleResult],
    before: Sequence[SampleResult],
    labels: Labels,
    known_error: Sequence[KnownError] | None = None,
    *,
    claim: Claim,
) -> Finding:
    """The finding beside `change`, a paired difference of the same claim."""
    question, errors = _errors(claim, known_error)
    earlier = {o.item: o for o in _once(before)}
    both = [
        (o, earlier[o.item])
        for o in _once(after)
        if o.item in earlier and "error" not in (o.status, earlier[o.item].status)
    ]
    row_labels = [_less(_label(now, labels, question), _label(then, labels, question)) for now, then in both]
    if sum(label is not None for label in row_labels) >= ENOUGH:
        graded = [_graded(now, claim) - _graded(then, claim) for now, then in both]
        correction = _powered_change(row_labels, graded, [now.cluster for now, _ in both])
        return _finding(change, correction, [], n=len(both), unscored=0, by_labels=True)
    if change.value is None or change.low is None or change.high is None:
        return _finding(
            change, Correction(None, None, None, f"no correction: the change has no interval ({change.method})"), []
        )
    correction = corrected_change((change.value, change.low, change.high), *known_calls(errors))
    return _finding(change, correction, ["errors taken as alike at both stages"], tested=True)


def graded_right(
    row_labels: Sequence[bool | float | None], graded: Sequence[float]
) -> tuple[BinomialCount, BinomialCount]:
    """(sensitivity, specificity) of a grader on labelled replies; one that it could not grade is
    a miss in both."""
    yes = [guess == 1.0 for label, guess in zip(row_labels, graded, strict=True) if label is not None and label]
    no = [guess == 0.0 for label, guess in zip(row_labels, graded, strict=True) if label is not None and not label]
    return BinomialCount(sum(yes), len(yes)), BinomialCount(sum(no), len(no))


def graded_claims(claims: Iterable[Claim]) -> dict[str, Claim]:
    """The rates that a grader finds, by name; what is only their correction is none."""
    return {c.name: c for c in claims if c.grader is not None and not c.name.endswith((CORRECTED, "*"))}


def unmatched(labels: Labels, outcomes: Iterable[SampleResult], claims: Iterable[Claim]) -> int:
    """How many labels are of no reply that a grader read in this run."""
    graded = graded_claims(claims)
    replies = {reply_key(o.prompt, o.reply) for o in outcomes if o.claim in graded and o.prompt is not None}
    return sum(key not in replies for key in labels)


def describe_calls(calls: BinomialCount) -> str:
    """The share of right calls with its interval."""
    limits = wilson(calls.right, calls.of)
    if limits.low is None or limits.high is None:
        return "not known, without such a label"
    return f"{calls.right / calls.of:.0%} of {calls.of} [{100 * limits.low:.0f}, {100 * limits.high:.0f}]"


def _errors(claim: Claim, known_error: Sequence[KnownError] | None) -> tuple[Question, Sequence[KnownError]]:
    question = claim.grader
    assert question is not None, "only a rate that a grader finds is corrected"
    return question, known_errors(question) if known_error is None else known_error


def known_calls(errors: Sequence[KnownError]) -> tuple[list[BinomialCount], list[BinomialCount]]:
    """Right calls among the replies that were graded: the rate that is corrected is one of those
    alone."""
    sensitivity = [_of_graded(e.sensitivity, e.unclear_positives, e.positives) for e in errors]
    return sensitivity, [_of_graded(e.specificity, e.unclear_negatives, e.negatives) for e in errors]


def _of_graded(right: float, unclear: float, of: int) -> BinomialCount:
    graded = of - round(unclear * of)
    return BinomialCount(min(round(right * of), graded), graded)


def powered_rate(row_labels: Sequence[float | None], graded: Sequence[float], clusters: Sequence[str]) -> Correction:
    """The share of all replies that truly is, by labels of some of them and the grader's word on
    all."""
    estimate = ppi_mean(row_labels, graded, None if len(set(clusters)) == len(clusters) else clusters)
    limits = estimate.interval
    if limits.low is None:  # labels that are all alike: what they alone can bound
        pairs = [(label, cluster) for label, cluster in zip(row_labels, clusters, strict=True) if label is not None]
        limits = share_interval([label for label, _ in pairs], [cluster for _, cluster in pairs]).interval
    elif 0.0 < estimate.value < 1.0:
        limits = _on_the_logit_scale(estimate.value, limits)
    return _by_labels(estimate.value, limits, (0.0, 1.0))


def _powered_change(row_labels: Sequence[float | None], graded: Sequence[float], clusters: Sequence[str]) -> Correction:
    estimate = ppi_mean(row_labels, graded, None if len(set(clusters)) == len(clusters) else clusters)
    return _by_labels(estimate.value, estimate.interval, (-1.0, 1.0))


def _by_labels(value: float, limits: Interval, bounds: tuple[float, float]) -> Correction:
    if limits.low is None or limits.high is None:
        return Correction(None, None, None, f"no correction by the labels of these replies: {limits.method}")
    value, low, high = (min(max(number, bounds[0]), bounds[1]) for number in (value, limits.low, limits.high))
    return Correction(value, low, high, f"labels of these very replies; {limits.method}")


def _on_the_logit_scale(value: float, limits: Interval) -> Interval:
    """The same width where it belongs, so that a share near 0 or 1 is bounded on its own side:
    in simulation .93 to .97 for .88 to .98."""
    assert limits.high is not None
    centre, half = math.log(value / (1 - value)), (limits.high - value) / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-min(max(centre + side * half, -500.0), 500.0))) for side in (-1, 1))
    return Interval(low, high, f"{limits.method}, on the logit scale")


def _finding(
    raw: Finding,
    correction: Correction,
    note: Sequence[str],
    *,
    n: int | None = None,
    unscored: int | None = None,
    tested: bool = False,
    by_labels: bool = False,
) -> Finding:
    """`tested`: the raw change is 0 exactly where the corrected one is, so its p is of both."""
    detail: Detail = {} if correction.value is None else {"correction": "labels" if by_labels else "transferred"}
    return Finding(
        claim=raw.claim + CORRECTED, stage=raw.stage, against=raw.against, axis=raw.axis, value=correction.value,
        low=correction.low, high=correction.high,
        n=raw.n if n is None else n, clusters=raw.clusters, method=correction.method, unit=raw.unit, better=raw.better,
        unscored=raw.unscored if unscored is None else unscored, errors=raw.errors, note="; ".join(note),
        p=raw.p if tested else None, p_adjusted=raw.p_adjusted if tested else None, detail=detail,
    )  # fmt: skip


def _describe_errors(question: Question, errors: Sequence[KnownError]) -> str:
    parts = [
        f"{e.source}: sensitivity {e.sensitivity:.0%} of {e.positives}, specificity {e.specificity:.0%} of"
        f" {e.negatives}"
        for e in errors
    ]
    return (
        f"the grader of '{question}' against people's labels of other models' replies:"
        f" {'; '.join(parts) or 'not measured'}"
    )


def _own(row_labels: Sequence[float | None], graded: Sequence[float]) -> list[str]:
    if all(label is None for label in row_labels):
        return []
    sensitivity, specificity = graded_right(row_labels, graded)
    right = f"sensitivity {describe_calls(sensitivity)}, specificity {describe_calls(specificity)}"
    return [f"the grader against the labels of these very replies (unclear is a miss): {right}"]


def _few(row_labels: Sequence[float | None]) -> list[str]:
    count = sum(label is not None for label in row_labels)
    return (
        [f"{count} of {len(row_labels)} replies labelled; from {ENOUGH} on, labels correct the rate"]
        if 0 < count < ENOUGH
        else []
    )


def _graded(outcome: SampleResult, claim: Claim) -> float:
    """1 where the grader said yes, 0 where it said no."""
    if outcome.value is None:
        return UNSURE
    return outcome.value if claim.counts == "pass" else 1.0 - outcome.value


def _label(outcome: SampleResult, labels: Labels, question: Question) -> float | None:
    labelled_reply = labels.get(reply_key(outcome.prompt, outcome.reply)) if outcome.prompt is not None else None
    label = labelled_reply.label(question) if labelled_reply else None
    return None if label is None else float(label)


def _less(now: float | None, then: float | None) -> float | None:
    return None if now is None or then is None else now - then


def _once(outcomes: Sequence[SampleResult]) -> list[SampleResult]:
    """The first outcome of each item, as the rate counts them."""
    return list({o.item: o for o in reversed(outcomes)}.values())[::-1]

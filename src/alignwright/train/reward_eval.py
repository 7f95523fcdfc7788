"""Does the reward model know more than length? Prompts are kept apart, and on their pairs its word
is compared with the votes.

Whole prompts are kept apart, never single pairs, or the model would be asked about what it was
told. Found are: accuracy (a tie counts a half), the same as a paired difference to "pick the longer
reply" (the longest answer wins many a benchmark), how often it prefers the longer one, and
calibration: the expected calibration error and the Brier score of sigmoid(score difference) as the
probability of the vote. Where votes carry groups, accuracy is found for each. Intervals are
clustered by topic, or by prompt where it has none.

Left out on purpose: pairs whose votes are tied, which have no right answer; they are counted as
unscored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from alignwright.core.records import Example, Finding, Preference, content_id
from alignwright.stats.intervals import Interval, clustered, mean_interval, paired, share_interval
from alignwright.stats.scalars import mean, sigmoid

BINS = 10


@dataclass(frozen=True)
class ScoredPair:
    """A pair that was kept apart, and by how much the model's score of the chosen reply exceeds
    that of the rejected one."""

    preference: Preference
    gap: float

    @property
    def lead(self) -> float:
        """The gap towards the reply that the votes are for."""
        return self.gap if self.preference.strength > 0.5 else -self.gap

    @property
    def credit(self) -> float:
        return _half(self.lead)

    @property
    def longer_wins(self) -> float:
        """What picking the longer reply would score: 1, 0, or 1/2 for equal lengths in characters."""
        return _half(_length(self) if self.preference.strength > 0.5 else -_length(self))

    @property
    def cluster(self) -> str:
        return self.preference.prompt.topic or self.preference.prompt.conversation.id


def hold_out_prompts(
    preferences: Sequence[Preference], share: float, seed: int
) -> tuple[list[Preference], list[Preference]]:
    """Those to train on, and those of a `share` of the prompts, drawn by their content and
    `seed`; at least one prompt of two or more."""
    prompts = sorted(
        {p.prompt.conversation.id for p in preferences}, key=lambda name: content_id("held out", seed, name)
    )
    count = min(len(prompts) - 1, max(1, round(share * len(prompts)))) if share else 0
    apart = set(prompts[:count])
    train, heldout = (
        [p for p in preferences if p.prompt.conversation.id not in apart],
        [p for p in preferences if p.prompt.conversation.id in apart],
    )
    return train, heldout


def heldout_findings(
    scored_pairs: Sequence[ScoredPair], *, stage: str, labels: Literal["soft", "hard"], note: str = ""
) -> tuple[Finding, ...]:
    """What the kept-apart pairs say of the reward model."""
    scored = [pair for pair in scored_pairs if pair.preference.strength != 0.5]
    ties = len(scored_pairs) - len(scored)
    if not scored:
        nothing = Finding(
            claim="reward.accuracy",
            stage=stage,
            axis="feedback",
            value=None,
            n=0,
            method="no scored pairs",
            unscored=ties,
            note=note,
        )
        return (nothing,) if scored_pairs else ()
    findings = [
        _share("accuracy", scored, lambda pair: pair.credit, stage, "higher", note, ties, _mistakes(scored)),
        _against_length(scored, stage, ties),
    ]
    uneven = [pair for pair in scored if _length(pair) != 0]
    if uneven:
        says = "of two replies of unequal length it prefers the longer one so often"
        votes = f"the votes do in {mean([pair.longer_wins for pair in uneven]):.1%}"
        findings.append(
            _share(
                "longer",
                uneven,
                lambda pair: _half(pair.gap * _length(pair)),
                stage,
                None,
                f"{says}; {votes}",
                len(scored_pairs) - len(uneven),
                (),
            )
        )
    findings += _calibration(scored, stage, labels, ties)
    groups = sorted({pair.preference.group for pair in scored})
    if len(groups) > 1:
        for group in groups:
            own = [pair for pair in scored if pair.preference.group == group]
            findings.append(
                _share(f"accuracy.{group or 'no-group'}", own, lambda pair: pair.credit, stage, "higher", "", 0, ())
            )
    return tuple(findings)


def longer_chosen(preferences: Sequence[Preference]) -> float:
    """How often the vote is for the longer reply: the accuracy of a judge that knows nothing but
    length."""
    return mean([ScoredPair(p, 0.0).longer_wins for p in preferences if p.strength != 0.5] or [0.5])


def calibration_gaps(confidence: Sequence[float], right: Sequence[float]) -> tuple[list[float], int]:
    """Each item's confidence less what came of it, turned so that its bin's mean gap is positive;
    and the number of bins.

    Bins are of equal count, at most BINS, none smaller than five. The mean of the gaps is the
    expected calibration error.
    """
    count = max(1, min(BINS, len(confidence) // 5))
    order = sorted(range(len(confidence)), key=lambda i: confidence[i])
    gaps = [0.0] * len(order)
    for b in range(count):
        part = order[b * len(order) // count : (b + 1) * len(order) // count]
        sign = 1.0 if math.fsum(confidence[i] - right[i] for i in part) >= 0 else -1.0
        for i in part:
            gaps[i] = sign * (confidence[i] - right[i])
    return gaps, count


def _calibration(scored: Sequence[ScoredPair], stage: str, labels: Literal["soft", "hard"], ties: int) -> list[Finding]:
    """The model's pick with its confidence, against the probability that a voter agrees with the
    pick."""
    votes = [pair.preference.strength if labels == "soft" else float(pair.preference.strength > 0.5) for pair in scored]
    sure = [sigmoid(abs(pair.gap)) for pair in scored]
    right = [vote if pair.gap >= 0 else 1.0 - vote for pair, vote in zip(scored, votes, strict=True)]
    brier = [r * (1 - c) ** 2 + (1 - r) * c**2 for c, r in zip(sure, right, strict=True)]
    gaps, bins = calibration_gaps(sure, right)
    clusters = [pair.cluster for pair in scored]
    error, spread = interval(gaps, clusters, share=False), interval(brier, clusters, share=False)
    averages = f"mean confidence {mean(sure):.2f}, mean agreement {mean(right):.2f}"
    method = f"{bins} bins of equal count, the side each errs on taken as given; {error.method}"
    head = {
        "stage": stage,
        "axis": "feedback",
        "n": len(scored),
        "clusters": len(set(clusters)),
        "better": "lower",
        "unscored": ties,
    }
    first = {
        "claim": "reward.calibration_error",
        "value": mean(gaps),
        "low": error.low,
        "high": error.high,
        "method": method,
    }
    second = {
        "claim": "reward.brier",
        "value": mean(brier),
        "low": spread.low,
        "high": spread.high,
        "method": spread.method,
    }
    notes = (
        {"note": f"{averages}; few pairs make it look larger than it is"},
        {"note": "a coin scores 0.25", "unit": "squared error"},
    )
    return [Finding.model_validate(head | body | more) for body, more in zip((first, second), notes, strict=True)]


def _share(
    name: str,
    scored_pairs: Sequence[ScoredPair],
    value: Callable[[ScoredPair], float],
    stage: str,
    better: Literal["higher", "lower"] | None,
    note: str,
    unscored: int,
    exhibits: tuple[Example, ...],
) -> Finding:
    values, clusters = [value(pair) for pair in scored_pairs], [pair.cluster for pair in scored_pairs]
    limits = interval(values, clusters, share=True)
    return Finding(
        claim=f"reward.{name}", stage=stage, axis="feedback", value=mean(values), low=limits.low, high=limits.high,
        n=len(values),
        clusters=len(set(clusters)), method=limits.method, better=better, unscored=unscored, note=note,
        exhibits=exhibits,
    )  # fmt: skip


def _against_length(scored: Sequence[ScoredPair], stage: str, ties: int) -> Finding:
    clusters = [pair.cluster for pair in scored]
    alone = len(set(clusters)) == len(clusters)
    difference = paired(
        [pair.credit for pair in scored], [pair.longer_wins for pair in scored], None if alone else clusters
    )
    return Finding(
        claim="reward.accuracy", stage=stage, axis="feedback", against="pick the longer reply", value=difference.value,
        low=difference.interval.low, high=difference.interval.high, n=difference.n, clusters=len(set(clusters)),
        method=difference.interval.method, p=difference.p(), unscored=ties,
    )  # fmt: skip


def prefers_longer(scored_pairs: ScoredPair) -> float | None:
    """1 where the model prefers the longer reply, 0 the shorter one, 1/2 neither; None of two
    replies of one length."""
    return _half(scored_pairs.gap * _length(scored_pairs)) if _length(scored_pairs) else None


def interval(values: Sequence[float], clusters: Sequence[str], *, share: bool) -> Interval:
    together = len(set(clusters)) < len(clusters)
    if share:
        return share_interval(values, clusters if together else None).interval
    bounds = (0.0, 1.0)
    return (
        clustered(values, clusters, bounds=bounds).interval
        if together
        else mean_interval(values, bounds=bounds).interval
    )


def _mistakes(scored: Sequence[ScoredPair]) -> tuple[Example, ...]:
    """The pairs it is most surely wrong about."""
    wrong = sorted((pair for pair in scored if pair.lead < 0), key=lambda pair: pair.lead)[:6]
    return tuple(_exhibit(pair) for pair in wrong)


def _exhibit(scored_pairs: ScoredPair) -> Example:
    preference = scored_pairs.preference
    loser = preference.rejected if preference.strength > 0.5 else preference.chosen
    reason = (
        f"scored {-scored_pairs.lead:.2f} above the reply that the votes are for:"
        f" {(set(_texts(preference)) - {loser}).pop()[:200]!r}"
    )
    return Example(item=preference.id, prompt=preference.prompt.conversation, reply=loser, status="fail", reason=reason)


def _texts(preference: Preference) -> tuple[str, str]:
    return preference.chosen, preference.rejected


def _length(scored_pairs: ScoredPair) -> int:
    return len(scored_pairs.preference.chosen) - len(scored_pairs.preference.rejected)


def _half(value: float) -> float:
    return 0.5 if value == 0 else float(value > 0)

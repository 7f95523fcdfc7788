"""Which limits has a share of an attack that is looked at while it goes on? A confidence sequence over topics."""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.core.attacks import UNTRIED
from alignwright.core.claims import Counts
from alignwright.core.records import SampleResult
from alignwright.stats.confidence_sequence import confidence_sequence
from alignwright.stats.intervals import Estimate, Interval


def sequential_limits(once: Sequence[SampleResult], counts: Counts, estimate: Estimate) -> Estimate:
    """The estimate with limits that hold at every look, from the topics in the order in which they were asked;
    one that a budget did not pay for in full waits until it is whole."""
    topics: dict[str, list[SampleResult]] = {}
    for sample in once:
        topics.setdefault(sample.cluster, []).append(sample)
    whole = [group for group in topics.values() if all(sample.kind != UNTRIED for sample in group)]
    values = [
        [sample.value if counts == "pass" else 1.0 - sample.value for sample in group if sample.value is not None]
        for group in whole
    ]
    scored = [group for group in values if group]
    if estimate.value is None or not scored:
        interval = Interval(None, None, "no limits at every look: no topic is whole")
        return Estimate(estimate.value, None, interval, estimate.n, estimate.clusters)
    low, high = confidence_sequence(scored, max(map(len, topics.values())))[-1]
    waiting = f", {len(topics) - len(whole)} more not whole yet" if len(whole) < len(topics) else ""
    method = f"confidence sequence 95%, valid at every look, over {len(scored)} topics{waiting}"
    interval = Interval(min(low, estimate.value), max(high, estimate.value), method)
    return Estimate(estimate.value, None, interval, estimate.n, estimate.clusters)

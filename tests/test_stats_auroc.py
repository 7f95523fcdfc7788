"""Is the area under the ROC curve the share of pairs in order, and does its interval hold the truth?"""

from __future__ import annotations

import random

import pytest

from alignwright.stats.auroc import auroc, auroc_difference


def by_pairs(scores: list[float], labels: list[bool]) -> float:
    pairs = [(p, n) for p, a in zip(scores, labels, strict=True) for n, b in zip(scores, labels, strict=True) if a > b]
    return sum((p > n) + (p == n) / 2 for p, n in pairs) / len(pairs)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_share_of_pairs_in_order_ties_counting_half(seed: int) -> None:
    rng = random.Random(seed)
    labels = [rng.random() < 0.4 for _ in range(60)]
    scores = [float(rng.randint(0, 5) + 2 * label) for label in labels]
    assert auroc(scores, labels).value == pytest.approx(by_pairs(scores, labels))
    assert auroc([-score for score in scores], labels).value == pytest.approx(1 - by_pairs(scores, labels))


def test_delongs_example_by_hand() -> None:
    """Three positives, two negatives: placements 1, 1, 1/2 of the positives, 1 and 2/3 of the negatives."""
    area = auroc([5.0, 4.0, 2.0, 1.0, 3.0], [True, True, True, False, False])
    assert area.value == pytest.approx(5 / 6)
    influence = [1 / 6 / 3, 1 / 6 / 3, -1 / 3 / 3, 1 / 6 / 2, -1 / 6 / 2]
    assert list(area.influence.values()) == pytest.approx(influence)
    assert area.se == pytest.approx((5 / 4 * sum(each * each for each in influence)) ** 0.5)


def test_no_area_without_both_kinds_and_no_width_of_zero() -> None:
    assert auroc([1.0, 2.0], [True, True]).value is None
    perfect = auroc([float(place >= 20) for place in range(40)], [place >= 20 for place in range(40)])
    assert perfect.value == 1.0
    assert 0.8 < (perfect.interval.low or 0.0) < 0.9
    with pytest.raises(ValueError, match="give one of each"):
        auroc([1.0], [True, False])


def covered(clustered: bool) -> float:
    """How often the interval holds the true area, of tasks that are answered four times alike."""
    rng, truth, hits = random.Random(1), 0.7602, 0  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
    for _ in range(400):
        rows = [(rng.gauss(float(task % 2), 1.0), task) for task in range(60)]
        scores, labels = [s for s, _ in rows for _ in range(4)], [task % 2 == 1 for _, task in rows for _ in range(4)]
        limits = auroc(scores, labels, [task for _, task in rows for _ in range(4)] if clustered else None).interval
        hits += (limits.low or 0.0) <= truth <= (limits.high or 1.0)
    return hits / 400


def test_the_interval_holds_the_truth_where_rows_go_together_and_only_by_clusters() -> None:
    assert covered(clustered=True) > 0.92
    assert covered(clustered=False) < 0.80


def test_two_scores_of_the_same_rows_are_compared_in_pairs() -> None:
    rng = random.Random(2)
    labels = [place % 2 == 0 for place in range(200)]
    shared = [label + rng.gauss(0, 1) for label in labels]
    better = [each + 0.3 * label for each, label in zip(shared, labels, strict=True)]
    one, other = auroc(better, labels), auroc(shared, labels)
    change = auroc_difference(one, other)
    assert change.value == pytest.approx((one.value or 0) - (other.value or 0))
    assert (change.interval.low or 0.0) > 0.0  # paired: the two intervals overlap
    assert (one.interval.low or 0.0) < (other.interval.high or 0.0)
    same = auroc_difference(other, other)
    assert (same.value, same.interval.low, same.p) == (0.0, None, None)
    sure = auroc_difference(auroc([float(label) for label in labels], labels), auroc([0.0] * 200, labels))
    assert sure.value == 0.5
    assert (sure.interval.low or 0.0) > 0.4
    with pytest.raises(ValueError, match="different rows"):
        auroc_difference(one, auroc(shared[:100], labels[:100]))

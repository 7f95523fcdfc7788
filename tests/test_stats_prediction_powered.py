"""Do a few labels and many predictions cover the truth as often as they say, and does a bad
predictor do no harm?"""

from __future__ import annotations

import math

import numpy as np
import pytest

from alignwright.stats.intervals import clustered
from alignwright.stats.prediction_powered import crossfit, ppi_mean


def judged(
    generator: np.random.Generator, labelled: int = 200, others: int = 5000
) -> tuple[list[float | None], list[float]]:
    """A true share of .30 and a judge with sensitivity .8 and specificity .85."""
    truth = generator.random(labelled + others) < 0.3
    judge = np.where(truth, generator.random(len(truth)) < 0.8, generator.random(len(truth)) < 0.15)
    return [float(t) if i < labelled else None for i, t in enumerate(truth)], [float(j) for j in judge]


def test_coverage_and_width_beside_the_naive_judge_and_the_labels_alone() -> None:
    """Known: naive judge covers .000; labels alone .950 at width .127; PPI++ .946 at width .0995."""
    generator, covered, widths, alone, naive = np.random.default_rng(0), 0, [], [], 0
    for _ in range(400):
        labels, judge = judged(generator)
        found, plain = ppi_mean(labels, judge), ppi_mean(labels)
        assert found.interval.low is not None
        assert found.interval.high is not None
        covered += found.interval.low <= 0.3 <= found.interval.high
        widths.append(found.interval.high - found.interval.low)
        alone.append((plain.interval.high or 0) - (plain.interval.low or 0))
        naive += abs(float(np.mean(judge)) - 0.3) < 1.96 * float(np.std(judge)) / np.sqrt(len(judge))
    assert 0.92 <= covered / 400 <= 0.98
    assert np.mean(widths) == pytest.approx(0.0995, abs=0.002)
    assert np.mean(alone) == pytest.approx(0.127, abs=0.002)
    assert naive == 0


def test_predictions_at_full_weight_and_a_calibrated_judge_are_wider() -> None:
    """Known widths: PPI .114, PPI++ .0995, and .167 for Rogan and Gladen's correction by a
    calibration on 200 labels of each kind.

    The correction is left out of the library: besides being wider it takes the judge's errors to be
    those of other replies.
    """
    generator, plain, best, corrected, covered = np.random.default_rng(6), [], [], [], 0
    for _ in range(200):
        labels, judge = judged(generator)
        full, found = ppi_mean(labels, judge, power=1.0), ppi_mean(labels, judge)
        plain.append((full.interval.high or 0) - (full.interval.low or 0))
        best.append((found.interval.high or 0) - (found.interval.low or 0))
        covered += (full.interval.low or 1) <= 0.3 <= (full.interval.high or 0)
        gold, guess = np.array(labels[:200], dtype=float) == 1, np.array(judge) == 1
        said, seen, free = guess[200:].mean(), guess[:200][gold].mean(), 1 - guess[:200][~gold].mean()
        power = seen + free - 1
        share = (said + free - 1) / power
        variance = (
            said * (1 - said) / 5000
            + (1 - share) ** 2 * free * (1 - free) / (~gold).sum()
            + share**2 * seen * (1 - seen) / gold.sum()
        )
        corrected.append(2 * 1.96 * math.sqrt(variance) / power)
    assert np.mean(plain) == pytest.approx(0.114, abs=0.002)
    assert np.mean(best) == pytest.approx(0.0995, abs=0.002)
    assert np.mean(corrected) == pytest.approx(0.167, abs=0.006)
    assert 0.91 <= covered / 200 <= 0.99


def test_the_weight_is_that_of_the_paper_where_items_are_independent() -> None:
    labels, judge = judged(np.random.default_rng(1), 300, 900)
    found = ppi_mean(labels, judge)
    label, guess = np.array(labels[:300], dtype=float), np.array(judge)
    cov = float(((label - label.mean()) * (guess[:300] - guess[:300].mean())).mean())
    paper = cov / (float(guess[:300].var()) + 300 / 900 * float(guess[300:].var()))
    assert found.power == pytest.approx(paper, rel=1e-9)
    worthless = ppi_mean(labels, list(np.random.default_rng(2).random(1200)))
    assert abs(worthless.power) < 0.2
    assert worthless.value == pytest.approx(ppi_mean(labels).value, abs=0.02)
    assert ppi_mean(labels, judge, power=0.0).value == ppi_mean(labels).value


def test_with_every_label_it_is_the_clustered_mean() -> None:
    generator = np.random.default_rng(3)
    values, clusters = list(generator.normal(size=60)), [i // 5 for i in range(60)]
    found, plain = ppi_mean(values, list(generator.normal(size=60)), clusters), clustered(values, clusters)
    assert (found.value, found.se, found.interval.low) == pytest.approx((plain.value, plain.se, plain.interval.low))
    assert found.power == 0.0


def test_clusters_that_share_a_fate_are_covered_where_independence_is_not() -> None:
    generator, covered, naive = np.random.default_rng(4), 0, 0
    for _ in range(300):
        mean = generator.normal(size=40)
        labels: list[float | None] = []
        guess: list[float] = []
        clusters: list[int] = []
        for c, m in enumerate(mean):
            truth = m + 0.5 * generator.normal(size=10)
            labels += [float(t) if k < 3 else None for k, t in enumerate(truth)]
            guess += list(truth + 0.7 * generator.normal(size=10) + 1.0)
            clusters += [c] * 10
        by, without = ppi_mean(labels, guess, clusters), ppi_mean(labels, guess)
        covered += (by.interval.low or 0) <= 0.0 <= (by.interval.high or 0)
        naive += (without.interval.low or 0) <= 0.0 <= (without.interval.high or 0)
    assert 0.91 <= covered / 300 <= 0.99
    assert naive / 300 < 0.85


def test_no_prediction_saw_the_label_of_its_cluster() -> None:
    """With a cluster's noise as its only feature a fit that had seen it would foretell it; a fit
    that had not cannot."""
    generator = np.random.default_rng(5)
    clusters = [i // 2 for i in range(40)]
    label = [float(x) for x in generator.normal(size=20).repeat(2)]
    names = np.eye(20)[clusters]
    told = crossfit(label, names, clusters, ridge=1e-6)
    assert float(np.corrcoef(told, label)[0, 1]) < 0.3
    whole = np.linalg.lstsq(names, np.array(label), rcond=None)[0]
    assert np.allclose(names @ whole, label)  # the control
    half = crossfit([x if i % 2 else None for i, x in enumerate(label)], names, clusters, ridge=1e-6)
    assert float(np.corrcoef(half[::2], label[::2])[0, 1]) < 0.3  # nor for the unlabelled sibling of a labelled item
    slope = crossfit(
        [2 * x + 1 if i % 2 else None for i, x in enumerate(label)],
        np.array(label)[:, None],
        list(range(40)),
        ridge=1e-9,
    )
    assert slope == pytest.approx([2 * x + 1 for x in label])


def test_what_cannot_be_told() -> None:
    with pytest.raises(ValueError, match="at least 2 labels"):
        ppi_mean([1.0, None, None])
    assert ppi_mean([1.0, 2.0], clusters=["a", "a"]).interval.method == "no interval: all labels belong to one cluster"
    assert ppi_mean([1.0, 1.0]).interval.low is None
    with pytest.raises(ValueError, match="at least 2 clusters"):
        crossfit([1.0, 2.0], [[0.0], [1.0]], ["a", "a"])

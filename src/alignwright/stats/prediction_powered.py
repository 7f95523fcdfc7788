"""What is the mean of an expensive label, from few labels and a cheap prediction of all? Clustered
prediction-powered inference (PPI++).

Prediction-powered inference (Angelopoulos et al. 2023, arXiv 2301.09633) takes the mean of the
predictions over all items and corrects it by the mean error on the labelled ones. Whatever the
predictor is worth, the estimate is unbiased where the labelled items are a random part; a good
predictor makes the interval narrow. PPI++ (2311.01453) weighs the predictions by how much they
help: with weight 0 it is the labelled mean. Here the weight is the one that makes the *clustered*
variance least; for independent items that is the paper's Cov(label, prediction) / ((1 + labelled /
unlabelled) Var(prediction)).

`crossfit` makes the predictions: ridge regression of the label on given features, each item of a
cluster that holds labels predicted by a fit that did not see them (cross-prediction; Zrnic and
Candes 2024), items of other clusters by the mean of the fits.

The labels must be of the very policy that the claim is about. A judge calibrated on another
policy's replies (Rogan and Gladen's correction) carries its errors over, and under
over-optimisation these are what changes; so it is left out on purpose.

Shapes: `_L` labelled items, `_U` unlabelled, `_N` all, `_C` clusters, `_F` features.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from alignwright.stats.arrays import Floats
from alignwright.stats.intervals import Interval, cluster_correction


@dataclass(frozen=True)
class PPIEstimate:
    """A mean with its interval; `clusters` are those that hold a label.

    `power` is the weight of the predictions: about 0 where they do not help, and 0 where nothing is
    unlabelled.
    """

    value: float
    se: float | None
    power: float
    interval: Interval
    labelled: int
    items: int
    clusters: int

    def upper(self, level: float) -> float | None:
        """The one-sided upper bound at this level."""
        return None if self.se is None else self.value + critical(level, self.clusters - 1) * self.se


def ppi_mean(
    labels: Sequence[float | None],
    predicted: Sequence[float] | None = None,
    clusters: Sequence[Hashable] | None = None,
    *,
    level: float = 0.95,
    power: float | None = None,
) -> PPIEstimate:
    """The mean label of all items, of which those with None are unlabelled. Without `clusters`
    items are independent.

    `predicted` stands for every item, labelled or not. Raises ValueError with fewer than two
    labels.
    """
    known_N = np.array([label is not None for label in labels])
    label_L = np.array([label for label in labels if label is not None], dtype=np.float64)
    if len(label_L) < 2:
        raise ValueError(
            f"a mean with an interval needs at least 2 labels; there are {len(label_L)} of {len(labels)} items"
        )
    # 1. The labelled mean, and each cluster's part of its error.
    place_N, count = _places(clusters, len(labels))
    own_C = _sums(label_L - label_L.mean(), place_N[known_N], count) / len(label_L)
    value, weight = float(label_L.mean()), 0.0
    if predicted is not None and not known_N.all():
        # 2. Each cluster's part of the error of (labelled - unlabelled) mean prediction, which is 0 in expectation:
        #    subtracting any multiple of it keeps the estimate unbiased.
        guess_N = np.asarray(predicted, dtype=np.float64)
        guess_L, guess_U = guess_N[known_N], guess_N[~known_N]
        help_C = _sums(guess_L - guess_L.mean(), place_N[known_N], count) / len(guess_L)
        help_C -= _sums(guess_U - guess_U.mean(), place_N[~known_N], count) / len(guess_U)
        # 3. The multiple that makes the clustered variance least (PPI++ power tuning).
        weight = power if power is not None else _best(own_C, help_C)
        own_C = own_C - weight * help_C
        value += weight * float(guess_U.mean() - guess_L.mean())
    # 4. Degrees of freedom from the clusters that hold a label: the others say nothing of the labels' spread.
    groups = len(np.unique(place_N[known_N]))
    return _estimate(value, own_C, weight, level, groups, (len(label_L), len(labels)), independent=clusters is None)


def crossfit(
    labels: Sequence[float | None],
    features: Sequence[Sequence[float]] | Floats,
    clusters: Sequence[Hashable],
    *,
    folds: int = 5,
    ridge: float = 1.0,
) -> list[float]:
    """A prediction of every item's label from its features, none by a fit that saw the label of
    its cluster."""
    feature_NF = np.asarray(features, dtype=np.float64)
    known_N = np.array([label is not None for label in labels])
    label_N = np.array([math.nan if label is None else label for label in labels])
    place_N, _ = _places(clusters, len(labels))
    groups = np.unique(place_N[known_N])
    folds = min(folds, len(groups))
    if folds < 2:
        raise ValueError(
            "predictions that did not see their own cluster need labels in at least 2 clusters; there are"
            f" {len(groups)}"
        )
    spread_F = feature_NF.std(axis=0)
    scaled_NF = (feature_NF - feature_NF.mean(axis=0)) / np.where(spread_F > 0, spread_F, 1.0)
    fold_N, held_N = np.searchsorted(groups, place_N) % folds, np.isin(place_N, groups)
    guess_N, total_N = np.zeros(len(labels)), np.zeros(len(labels))
    for fold in range(folds):
        seen_N = known_N & (fold_N != fold)
        mean, weight_F = _ridge(scaled_NF[seen_N], label_N[seen_N], ridge)
        told_N = mean + (scaled_NF - scaled_NF[seen_N].mean(axis=0)) @ weight_F
        mine_N = ~held_N | (fold_N == fold)
        guess_N[mine_N] += told_N[mine_N]
        total_N[mine_N] += 1
    return [float(x) for x in guess_N / total_N]


def critical(level: float, df: int) -> float:
    """The one-sided quantile of Student's t."""
    return float(stdtrit(df, level))


def _ridge(feature_LF: Floats, label_L: Floats, ridge: float) -> tuple[float, Floats]:
    centred_LF = feature_LF - feature_LF.mean(axis=0)
    gram_FF = centred_LF.T @ centred_LF + ridge * np.eye(centred_LF.shape[1])
    return float(label_L.mean()), np.asarray(
        np.linalg.solve(gram_FF, centred_LF.T @ (label_L - label_L.mean())), dtype=np.float64
    )


def _estimate(
    value: float,
    own_C: Floats,
    power: float,
    level: float,
    clusters: int,
    counts: tuple[int, int],
    *,
    independent: bool,
) -> PPIEstimate:
    labelled, items = counts
    if clusters < 2 or not own_C.any():
        why = (
            "all labels belong to one cluster"
            if clusters < 2
            else "all labels are alike, so their spread cannot be estimated"
        )
        return PPIEstimate(value, None, power, Interval(None, None, f"no interval: {why}"), labelled, items, clusters)
    se = math.sqrt(cluster_correction(clusters) * float((own_C**2).sum()))
    half = critical((1 + level) / 2, clusters - 1) * se
    by = "items independent" if independent else f"clustered by {clusters} clusters"
    how = (
        f"prediction-powered (PPI++, weight {power:.2f}; {labelled} labels of {items} items)"
        if labelled < items
        else "mean"
    )
    return PPIEstimate(
        value,
        se,
        power,
        Interval(value - half, value + half, f"{how}, {level:.0%} t({clusters - 1}), {by}"),
        labelled,
        items,
        clusters,
    )


def _best(own_C: Floats, help_C: Floats) -> float:
    square = float((help_C**2).sum())
    return float((own_C * help_C).sum()) / square if square > 0 else 0.0


def _places(clusters: Sequence[Hashable] | None, items: int) -> tuple[NDArray[np.int64], int]:
    if clusters is None:
        return np.arange(items), items
    if len(clusters) != items:
        raise ValueError(f"{items} items but {len(clusters)} cluster names; give one per item")
    first: dict[Hashable, int] = {}
    return np.array([first.setdefault(name, len(first)) for name in clusters]), len(first)


def _sums(value_N: Floats, place_N: NDArray[np.int64], count: int) -> Floats:
    return np.bincount(place_N, weights=value_N, minlength=count).astype(np.float64)

"""How far do raters agree, who agrees least with the others, and how well could anybody predict them?

- **alpha** (Krippendorff 2011) = 1 - observed / expected disagreement, from the coincidences of values within
  items, whoever rated what; missing ratings are NaN. Disagreement is 1 (nominal), the squared distance (interval),
  or the squared number of ratings between two values (ordinal). `krippendorff` has the interval form with an
  interval of its own.
- **ceiling**: how often a rating is the one that most other raters of the item gave (ties: their share). No model of
  the items alone agrees more with a single rater than the majority of the same ratings does, and this leaves the rater
  out of that majority, so that it is a low estimate.
- **quality** of a rater: the same for its ratings alone. Low is careless, or of a mind of one's own, which
  a mixture tells apart (`rater_mixture`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from alignwright.stats.intervals import Estimate, clustered

if TYPE_CHECKING:
    from alignwright.stats.arrays import Floats

Level = Literal["nominal", "ordinal", "interval"]


def krippendorff_alpha(rating_RI: Floats, level: Level) -> float | None:
    """Alpha of raters and items; None where all ratings that can be paired are alike, or none can be."""
    pairable_RI = rating_RI[:, (~np.isnan(rating_RI)).sum(axis=0) > 1]
    values = np.unique(pairable_RI[~np.isnan(pairable_RI)])
    if len(values) < 2:
        return None
    count_IV = np.array([(pairable_RI == value).sum(axis=0) for value in values], dtype=np.float64).T
    weight_I = 1 / (count_IV.sum(axis=1) - 1)
    coincidence_VV = (count_IV * weight_I[:, None]).T @ count_IV - np.diag((count_IV * weight_I[:, None]).sum(axis=0))
    total_V = coincidence_VV.sum(axis=1)
    expected_VV = (np.outer(total_V, total_V) - np.diag(total_V)) / (total_V.sum() - 1)
    distance_VV = _distances(values, total_V, level)
    return float(1 - (coincidence_VV * distance_VV).sum() / (expected_VV * distance_VV).sum())


def rater_quality(rating_RI: Floats) -> Floats:
    """For every rater how often its rating is the majority's of the others; NaN who shares no item."""
    hit_RI = _hits(rating_RI)
    shared_R = (~np.isnan(hit_RI)).sum(axis=1)
    return np.divide(np.nansum(hit_RI, axis=1), shared_R, out=np.full(len(hit_RI), np.nan), where=shared_R > 0)


def ceiling(rating_RI: Floats, level: float = 0.95) -> Estimate:
    """How often a rating is the majority's of the others, with an interval over items."""
    hit_RI = _hits(rating_RI)
    rater_N, item_N = np.nonzero(~np.isnan(hit_RI))
    if not len(item_N):
        raise ValueError("no item has two ratings, so that no rater can be held against another")
    return clustered(hit_RI[rater_N, item_N].tolist(), item_N.tolist(), level=level)


def _hits(rating_RI: Floats) -> Floats:
    """For each rating: 1 where it is the most frequent of the others on the item, a share where that ties."""
    hit_RI = np.full(rating_RI.shape, np.nan)
    for item, column_R in enumerate(rating_RI.T):
        raters = np.flatnonzero(~np.isnan(column_R))
        if len(raters) < 2:
            continue
        values, place_N, count_V = np.unique(column_R[raters], return_inverse=True, return_counts=True)
        others_NV = count_V[None, :] - np.eye(len(values), dtype=np.int64)[place_N]
        most_NV = others_NV == others_NV.max(axis=1, keepdims=True)
        hit_RI[raters, item] = most_NV[np.arange(len(raters)), place_N] / most_NV.sum(axis=1)
    return hit_RI


def _distances(values: Floats, total_V: Floats, level: Level) -> Floats:
    if level == "nominal":
        return 1 - np.eye(len(values))
    if level == "interval":
        return (values[:, None] - values[None, :]) ** 2
    rank_V = np.cumsum(total_V) - total_V / 2
    return (rank_V[:, None] - rank_V[None, :]) ** 2

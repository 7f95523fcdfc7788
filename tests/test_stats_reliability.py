"""Is alpha Krippendorff's own, and do quality and ceiling know careless raters?"""

from __future__ import annotations

import csv

import numpy as np
import pytest
from real_data import real

from alignwright.stats.krippendorff import alpha
from alignwright.stats.reliability import ceiling, krippendorff_alpha, rater_quality

N = np.nan
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
    ]
)
"""Four observers and twelve units, of Krippendorff (2011)."""


def test_the_published_example():
    values = [krippendorff_alpha(PUBLISHED, level) for level in ("nominal", "ordinal", "interval")]
    assert values == pytest.approx([0.743, 0.815, 0.849], abs=5e-4)
    items = [column[~np.isnan(column)].tolist() for column in PUBLISHED.T]
    assert alpha(items)[0] == pytest.approx(values[2])


def test_identities_of_alpha():
    rng = np.random.default_rng(0)
    rating_RI = rng.integers(0, 2, (6, 300)).astype(float)
    assert abs(krippendorff_alpha(rating_RI, "nominal") or 1) < 0.05  # chance
    assert krippendorff_alpha(np.tile(rating_RI[0], (4, 1)), "ordinal") == 1
    assert krippendorff_alpha(np.ones((3, 5)), "nominal") is None
    for level in ("ordinal", "interval"):  # with two values every disagreement is the same
        assert krippendorff_alpha(rating_RI, level) == pytest.approx(krippendorff_alpha(rating_RI, "nominal"))


def test_a_careless_rater_is_the_lowest_and_the_ceiling_is_known():
    rng = np.random.default_rng(0)
    truth_I = rng.integers(0, 2, 2000)
    right_RI = rng.random((7, 2000)) < np.array([0.9] * 6 + [0.5])[:, None]
    rating_RI = np.where(right_RI, truth_I, 1 - truth_I).astype(float)
    quality_R = rater_quality(rating_RI)
    assert quality_R.argmin() == 6
    assert quality_R[6] == pytest.approx(0.5, abs=0.03)
    same = np.array([[0, 0, 1], [0, 1, 1], [0, 1, N]])
    # item 1: 3 of 3; item 2: the first misses, the others tie at a half each; item 3: 2 of 2
    assert ceiling(same).value == pytest.approx((3 + 0 + 0.5 + 0.5 + 2) / 8)
    with pytest.raises(ValueError, match="no item has two ratings"):
        ceiling(np.array([[1.0, N], [N, 1.0]]))
    assert np.isnan(rater_quality(np.array([[1.0, N], [N, 1.0]]))).all()


@pytest.mark.data
def test_real_raters_agree_on_offensiveness_beyond_chance_and_far_from_all():
    """popquorn: 262 raters; ratings shuffled over the items of the set are the control."""
    (path,) = [file for file in real("popquorn").rglob("*.csv") if "offens" in str(file).lower() and "raw" in file.name]
    with path.open() as file:
        rows = list(csv.DictReader(file))
    raters, items = ({row[key]: None for row in rows} for key in ("user_id", "instance_id"))
    place_R, place_I = ({name: k for k, name in enumerate(names)} for names in (raters, items))
    rating_RI = np.full((len(raters), len(items)), N)
    value_N = np.array([float(row["offensiveness"]) for row in rows])
    cells = ([place_R[row["user_id"]] for row in rows], [place_I[row["instance_id"]] for row in rows])
    rating_RI[cells] = value_N
    value = krippendorff_alpha(rating_RI, "ordinal")
    assert value is not None
    assert 0.2 < value < 0.5
    rating_RI[cells] = np.random.default_rng(0).permutation(value_N)
    assert abs(krippendorff_alpha(rating_RI, "ordinal") or 1) < 0.03

"""Are p values and sample sizes those of the formulas?"""

from __future__ import annotations

import pytest
from scipy import stats

from alignwright.stats.significance import holm, mcnemar_exact, sample_size


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (3, 9), (9, 3), (25, 25), (400, 460)])
def test_mcnemar_is_the_exact_binomial_test(b, c):
    expected = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar_exact(b, c) == pytest.approx(expected)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, None, 0.9]) == [0.02, None, 0.9]
    assert holm([]) == []
    with pytest.raises(ValueError, match=r"seen 1\.2"):
        holm([1.2])


def test_sample_size_969():
    assert sample_size(0.03, 1 / 9) == 969
    assert sample_size(0.03, 1 / 9, noise_a=1 / 6, noise_b=1 / 6, samples_a=2, samples_b=2) > 969
    with pytest.raises(ValueError, match="must not be 0"):
        sample_size(0.0, 1 / 9)

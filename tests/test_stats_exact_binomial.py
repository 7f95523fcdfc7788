"""Are the exact limits those of the binomial itself, and do they cover as often as they say?"""

from __future__ import annotations

import math

import pytest

from alignwright.stats.exact_binomial import clopper_pearson
from alignwright.stats.intervals import wilson


def binomial(k: int, n: int, rate: float) -> float:
    return math.comb(n, k) * rate**k * (1 - rate) ** (n - k)


@pytest.mark.parametrize(("k", "n"), [(1, 2), (3, 40), (19, 20), (7, 13)])
def test_at_its_limits_what_was_seen_or_beyond_has_half_the_error(k: int, n: int) -> None:
    limits = clopper_pearson(k, n)
    assert sum(binomial(i, n, limits.low or 0.0) for i in range(k, n + 1)) == pytest.approx(0.025)
    assert sum(binomial(i, n, limits.high or 0.0) for i in range(k + 1)) == pytest.approx(0.025)


def test_published_limits_and_the_ends() -> None:
    assert clopper_pearson(0, 20).high == pytest.approx(0.16843, abs=1e-5)  # 1 - 0.025**(1/20)
    assert clopper_pearson(0, 20).low == 0.0
    assert clopper_pearson(20, 20).high == 1.0
    assert clopper_pearson(2, 40).high == pytest.approx(0.16920, abs=1e-5)
    assert clopper_pearson(0, 0).low is None
    with pytest.raises(ValueError, match="3 successes of 2"):
        clopper_pearson(3, 2)
    with pytest.raises(ValueError, match="confidence level"):
        clopper_pearson(1, 2, 1.0)


def coverage(limits, n: int, rate: float) -> float:
    held = [k for k in range(n + 1) if (limits(k, n).low or 0.0) <= rate <= (limits(k, n).high or 0.0)]
    return sum(binomial(k, n, rate) for k in held)


def test_it_covers_every_rate_at_least_as_often_as_it_says_where_wilsons_does_not() -> None:
    rates = [place / 100 for place in range(1, 100)]
    assert min(coverage(clopper_pearson, 20, rate) for rate in rates) >= 0.95
    assert min(coverage(wilson, 20, rate) for rate in rates) < 0.93, "the control: another interval falls short"

"""Do the identities of tilting hold exactly, and does the bound on what a proxy's gain
guarantees hold in every case?"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from alignwright.stats.tilting import (
    chi2_tilted,
    chi_squared,
    covariance_under,
    gold_gain_bound,
    kl,
    mean_under,
    tilted,
)


def case(seed: int, outputs: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.ones(outputs)), generator.normal(size=outputs), generator.normal(size=outputs)


@pytest.mark.parametrize("seed", range(5))
def test_the_price_of_a_gain_is_the_jeffreys_divergence(seed: int) -> None:
    p, proxy, gold = case(seed)
    for strength in (0.1, 1.0, 3.0):
        q = tilted(p, proxy, strength)
        assert strength * (mean_under(q, proxy) - mean_under(p, proxy)) == pytest.approx(kl(q, p) + kl(p, q), abs=2e-14)
    other = tilted(p, gold, 1.0)  # the control: it is no identity of any two policies
    assert mean_under(other, proxy) - mean_under(p, proxy) != pytest.approx(kl(other, p) + kl(p, other), abs=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_price_s_equation(seed: int) -> None:
    p, proxy, gold = case(seed)
    step = 1e-5
    for strength in (0.0, 0.7, 2.0):
        change = (
            mean_under(tilted(p, proxy, strength + step), gold) - mean_under(tilted(p, proxy, strength - step), gold)
        ) / (2 * step)
        assert change == pytest.approx(covariance_under(tilted(p, proxy, strength), gold, proxy), abs=1e-8)


def test_the_least_gain_is_a_bound_and_a_tight_one() -> None:
    generator, slack, gained, of_one_side = np.random.default_rng(0), [], 0, []
    for _ in range(2000):
        outputs = int(generator.integers(2, 9))
        p, q = generator.dirichlet(np.ones(outputs)), generator.dirichlet(np.ones(outputs))
        gold, proxy = generator.normal(size=outputs), generator.normal(size=outputs)
        spread = math.sqrt(covariance_under(p, gold, gold)), math.sqrt(covariance_under(p, proxy, proxy))
        r = covariance_under(p, gold, proxy) / (spread[0] * spread[1])
        gain = (mean_under(q, gold) - mean_under(p, gold)) / spread[0]
        bound = gold_gain_bound(r, (mean_under(q, proxy) - mean_under(p, proxy)) / spread[1], chi_squared(q, p))
        slack.append(gain - bound)
        gained += bound > 0
        of_one_side.append(gain - (mean_under(q, proxy) - mean_under(p, proxy)) / spread[1])
    assert min(slack) > -1e-9
    assert min(slack) < 1e-3  # some case comes near it
    assert gained > 50  # and it often promises something
    assert min(of_one_side) < -1  # the control: the proxy's own gain is no such bound
    with pytest.raises(ValueError, match="correlation"):
        gold_gain_bound(1.2, 1.0, 1.0)


@pytest.mark.parametrize(
    ("border", "nats", "gain"), [(10.0, 0.6487, 2.38), (100.0, 0.2272, 3.77), (1000.0, 0.0561, 5.97)]
)
def test_a_heavy_tailed_proxy_is_raised_at_no_divergence(border: float, nats: float, gain: float) -> None:
    """Catastrophic Goodhart (Kwa et al. 2024): {X > t} is given mass t^-0.8 under Student-t(3):
    the mean grows, KL vanishes."""
    tail, mass = float(student.sf(border, 3)), border**-0.8
    divergence = kl([mass, 1 - mass], [tail, 1 - tail])  # within and outside the tail the shape is the reference's
    x = np.exp(np.linspace(math.log(border), math.log(1e9), 400_001))
    beyond = float(np.trapezoid(student.pdf(x, 3) * x, x))
    below = -beyond  # t(3) is symmetric about 0
    assert divergence == pytest.approx(nats, abs=5e-5)
    raised = mass * beyond / tail + (1 - mass) * below / (1 - tail)
    assert raised == pytest.approx(gain, abs=0.005)
    assert raised == pytest.approx(1.5 * border**0.2, rel=0.01)
    # the control: a light tail. The same mass beyond the same border costs ever more, some border^1.2 / 2 nats
    light = mass * (math.log(mass) - float(norm.logsf(border))) + (1 - mass) * math.log1p(-mass)
    assert light > 0.4 * border**1.2


def test_divergences_without_support_are_infinite() -> None:
    assert kl([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert chi_squared([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert kl([1.0, 0.0], [0.5, 0.5]) == pytest.approx(math.log(2))


@pytest.mark.parametrize("seed", range(5))
def test_the_chi_squared_tilt_is_the_best_trade_and_no_other_policy_is(seed: int) -> None:
    p, proxy, _ = case(seed)

    def worth(q: np.ndarray, strength: float) -> float:
        return strength * mean_under(q, proxy) - chi_squared(q, p) / 2

    generator = np.random.default_rng(seed)
    for strength in (0.0, 0.3, 2.0, 50.0):
        q = chi2_tilted(p, proxy, strength)
        best = worth(q, strength)
        others = [(1 - s) * q + s * generator.dirichlet(np.ones(len(p))) for s in generator.uniform(0, 0.2, size=200)]
        assert max(worth(other, strength) for other in others) < best
        assert worth(tilted(p, proxy, strength), strength) < best or strength == 0  # control: the tilt of KL is another
    assert chi2_tilted(p, proxy, 0.0) == pytest.approx(p)
    small = chi2_tilted(p, proxy, 0.1)  # nothing is cut off: p (1 + strength (r - mean))
    assert small == pytest.approx(p * (1 + 0.1 * (proxy - mean_under(p, proxy))))
    assert chi2_tilted(p, proxy, 1e6).argmax() == proxy.argmax()
    assert (chi2_tilted(p, proxy, 5.0) == 0).any()
    assert chi2_tilted([0.0, 0.5, 0.5], [9.0, 1.0, 0.0], 1e6)[0] == 0  # what was never said is never said

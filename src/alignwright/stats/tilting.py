"""What happens exactly when a policy is tilted exponentially towards a proxy (the KL-regularised
optimum), and how much of the proxy's gain must be gold (chi-squared bound)?

The policy that best trades a proxy r against divergence from a reference is pi ~ reference x
e^(lambda r). Over finitely many outputs:

- the price of a gain: lambda (E[r] - E_ref[r]) = KL(pi || ref) + KL(ref || pi) (arXiv 2605.07105);
- Price's equation: d E[f] / d lambda = Cov(f, r) under pi, for any f (`covariance_under`). So gold
  rises exactly as long as it covaries with the proxy under the policy as it is now: the test in
  `stats.covariance`. For f = proxy - gold, in SDs: the gap of the trilemma grows by Var(proxy) -
  Cov(gold, proxy) with each unit of tilt.
- `gold_gain_bound` (Laidlaw et al. 2024, arXiv 2403.03185): where a proxy correlates with gold by r > 0
  under the reference, and x is its gain in its SDs, gold's gain in its own is at least (x - sqrt((1
  - r^2) chi^2)) / r, with chi^2 the divergence of the policy from the reference: each score is r
  times the other and an error that does not correlate with it, and no error gains more than
  sqrt(chi^2). Turned round, the same gives r x - sqrt((1 - r^2) chi^2), whatever the sign of r,
  which is the better one where both are below 0.
- `chi2_tilted`: so the policy to ask for is the one that trades the proxy against chi^2. Its weight
  grows linearly with the proxy where that of the KL's grows exponentially, and what lies far enough
  below is never said.

Shapes: `_M` possible outputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from alignwright.stats.arrays import Floats


def tilted(reference: Sequence[float], proxy: Sequence[float], strength: float) -> Floats:
    """reference x e^(strength x proxy), normalised."""
    score_M = strength * np.asarray(proxy, dtype=np.float64)
    weight_M = np.asarray(reference, dtype=np.float64) * np.exp(score_M - score_M.max())
    return weight_M / weight_M.sum()


def chi2_tilted(reference: Sequence[float] | Floats, proxy: Sequence[float] | Floats, strength: float) -> Floats:
    """The policy with the highest strength x E[proxy] - chi^2(pi || ref) / 2: reference x max(0,
    strength x proxy - nu), normalised by nu.

    With the m best outputs in it, mass M and mean S of strength x proxy over them, nu = (S - 1) /
    M. The right m is the largest whose lowest output is still above nu.
    """
    p_M, score_M = np.asarray(reference, dtype=np.float64), strength * np.asarray(proxy, dtype=np.float64)
    order_M = np.argsort(-score_M, kind="stable")
    mass_M = p_M[order_M].cumsum()
    there_M = mass_M > 0  # outputs that the reference never says set no border
    nu_M = ((p_M * score_M)[order_M].cumsum()[there_M] - 1) / mass_M[there_M]
    nu = float(nu_M[score_M[order_M][there_M] > nu_M][-1])
    weight_M = p_M * np.maximum(0.0, score_M - nu)
    return weight_M / weight_M.sum()


def kl(p: Sequence[float] | Floats, q: Sequence[float] | Floats) -> float:
    """KL(p || q) in nats; infinite where p goes where q does not."""
    p_M, q_M = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    likely = p_M > 0
    if np.any(q_M[likely] == 0):
        return math.inf
    return float((p_M[likely] * np.log(p_M[likely] / q_M[likely])).sum())


def chi_squared(p: Sequence[float] | Floats, q: Sequence[float] | Floats) -> float:
    """chi^2(p || q) = E_q[(p / q)^2] - 1; infinite where p goes where q does not."""
    p_M, q_M = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    if np.any((q_M == 0) & (p_M > 0)):
        return math.inf
    there = q_M > 0
    return float((p_M[there] ** 2 / q_M[there]).sum()) - 1.0


def mean_under(p: Sequence[float] | Floats, f: Sequence[float] | Floats) -> float:
    return float(np.asarray(p, dtype=np.float64) @ np.asarray(f, dtype=np.float64))


def covariance_under(p: Sequence[float] | Floats, f: Sequence[float] | Floats, g: Sequence[float] | Floats) -> float:
    """Cov(f, g) under p: by Price's equation how fast E[f] rises when the policy p is tilted
    towards g."""
    f_M, g_M = np.asarray(f, dtype=np.float64), np.asarray(g, dtype=np.float64)
    return mean_under(p, (f_M - mean_under(p, f_M)) * (g_M - mean_under(p, g_M)))


def gold_gain_bound(correlation: float, proxy_gain: float, chi2: float) -> float:
    """The least that gold can have gained, in SDs of the reference, when the proxy gained
    `proxy_gain` SDs at this divergence: the better bound."""
    if abs(correlation) > 1 + 1e-9 or chi2 < -1e-9:
        raise ValueError(
            f"a correlation lies in [-1, 1] and chi^2 is never negative; seen {correlation:g} and {chi2:g}"
        )
    error = math.sqrt(max(0.0, (1 - correlation**2) * chi2))
    turned_round = correlation * proxy_gain - error
    return max((proxy_gain - error) / correlation, turned_round) if correlation > 0 else turned_round

#!/usr/bin/env bash
# scipy 1.17.1: nnls on a maximal lottery's inequalities returns entries of 1e16, and reports a residual eighty times smaller than the one it has.
#
# Guess: scipy.optimize.nnls solves the non-negative least-squares problem or raises RuntimeError, and the residual that it returns beside the
#   solution is that of the solution.
# Seen: the shortest point p with M^T p >= 0, p >= 0, sum p >= 1 (a maximal lottery, up to its scale) by Lawson and Hanson's least-distance form:
#   51 equations, 101 unknowns, skew-symmetric odd integer margins divided by 101. With 50 alternatives nnls returns without a word: entries reach
#   1e16, the residual that it reports is 0.24, that of what it returned is 18.3, and the gradient there is -31, where at a minimum no entry may be
#   below 0. lsq_linear with the same bounds finds a residual below 1. With 20 alternatives nnls is right, to 1e-14.
# Why it matters: it is a usual way to an equilibrium, a lottery or mixture weights without a linear programme; who trusts the residual makes
#   probabilities of noise. The gradient A^T (A x - b) >= 0 is one product, and tells.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q scipy==1.17.1 numpy==2.4.2
cd "$tmp"
venv/bin/python - <<'PY'
import numpy as np
import scipy
from scipy.optimize import lsq_linear, nnls

assert scipy.__version__ == "1.17.1"


def problem(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    upper = np.triu(np.random.default_rng(seed).integers(-50, 51, (size, size)) * 2 + 1, 1)
    margin = (upper - upper.T) / 101
    inequalities = np.vstack((margin.T, np.eye(size), np.ones((1, size))))
    bounds = np.r_[np.zeros(2 * size), 1.0]
    return np.vstack((inequalities.T, bounds)), np.r_[np.zeros(size), 1.0]


changed = 0
for size, wrong in ((20, False), (50, True)):
    a, b = problem(size, 5)
    x, reported = nnls(a, b, maxiter=100_000)
    true, gradient = float(np.linalg.norm(a @ x - b)), float((a.T @ (a @ x - b)).min())
    other = lsq_linear(a, b, bounds=(0, np.inf), method="bvls", max_iter=10_000, tol=1e-12)
    least = float(np.linalg.norm(a @ other.x - b))
    print(f"{size} alternatives: reported {reported:.3g}, true {true:.3g} (lsq_linear {least:.3g}), least gradient {gradient:.3g}, largest {x.max():.3g}")
    seen = true > 10 * reported and gradient < -1 and x.max() > 1e12 and least < 1
    changed += seen != wrong
raise SystemExit(changed > 0)
PY
echo "CONFIRMED: scipy 1.17.1 nnls reports 0.24 where the residual of its solution is 18.3"

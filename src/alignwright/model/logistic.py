"""Which weights tell two kinds of rows apart best? Logistic regression, its minimum found by L-BFGS in float64.

The loss is convex, so the same rows come to the same weights. Shapes: N rows, H numbers of each.
"""

from __future__ import annotations

import torch
from torch import Tensor

_STEPS = 200


def logistic_weights(
    inputs_NH: Tensor, positive_N: Tensor, penalty: float, weight_N: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The weights [H] and the bias that are least in the sum of log(1 + exp(-y z)), each row times its weight (1
    without), plus penalty / 2 x |weights|^2; the bias without a penalty."""
    sign_N = torch.where(positive_N, 1.0, -1.0).double()
    parameters = torch.zeros(inputs_NH.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [parameters], max_iter=_STEPS, tolerance_grad=1e-7, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        search.zero_grad()
        margin_N = sign_N * (inputs_NH @ parameters[:-1] + parameters[-1])
        loss_N = torch.nn.functional.softplus(-margin_N)
        fit = loss_N.sum() if weight_N is None else (weight_N * loss_N).sum()
        total = fit + penalty / 2 * parameters[:-1].square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        search.step(loss)
    result = parameters.detach()
    return result[:-1], result[-1]

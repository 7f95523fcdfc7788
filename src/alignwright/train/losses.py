"""What is minimised?

Every loss here is a pure function from log-probabilities to one number per unit (a token, a pair), in nats and unreduced: the loop
divides by the number of units of the whole optimiser step, so gradients do not depend on how a step is cut into micro-batches.

Shapes: `_N` scored tokens, `_P` pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor


def negative_log_likelihood(logp_N: Tensor, weight_N: Tensor | None = None) -> Tensor:
    """Next-token loss per scored token, optionally weighted. Shape [N]."""
    return -logp_N if weight_N is None else -logp_N * weight_N


def dpo(margin_P: Tensor, *, beta: float, strength_P: Tensor) -> Tensor:
    """Direct preference optimisation with soft labels, per pair. Shape [P].

    `margin_P` is ln pi/ref of the chosen reply minus that of the rejected one, in nats; `strength_P` in [0, 1] is the probability
    that the chosen reply is the better one. With strength 1 this is equation 7 of Rafailov et al. 2023 (arXiv 2305.18290); with
    strength 1 - eps it is the conservative DPO of Mitchell 2023. At margin 0 it is ln 2 whatever the strength. Its minimum over
    the margin is at logit(strength) / beta, so a soft vote asks for a finite margin and never for an endless one.
    """
    return -strength_P * F.logsigmoid(beta * margin_P) - (1 - strength_P) * F.logsigmoid(-beta * margin_P)

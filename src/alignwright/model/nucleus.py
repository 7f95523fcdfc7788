"""How is a token drawn from the nucleus: the likeliest tokens that together have the mass top_p?

Nucleus sampling (Holtzman et al. 2020, arXiv 1904.09751). The smallest set of the likeliest tokens
whose mass reaches `top_p` is kept, the token that crosses it included, and the draw is that of
`sampling` among those: by inverting the distribution function at the row's uniform number.

Shapes: R rows, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from alignwright.model.sampling import draw


def nucleus(logits_RV: Tensor, uniform_R: Tensor, temperature: float, top_p: float) -> tuple[Tensor, Tensor]:
    """A token a row; its log-probability is the model's own, at temperature 1 and among all."""
    wide_RV = logits_RV.float()
    mass_RV, order_RV = (wide_RV / temperature).softmax(1).sort(dim=1, descending=True, stable=True)
    before_RV = mass_RV.double().cumsum(1) - mass_RV.double()
    out_RV = torch.zeros_like(before_RV, dtype=torch.bool).scatter(1, order_RV, before_RV >= top_p)
    out_RV.scatter_(1, order_RV[:, :1], False)  # the likeliest stays, however small top_p is
    token_R, _ = draw(wide_RV.masked_fill(out_RV, -torch.inf), uniform_R, temperature)
    return token_R, wide_RV.log_softmax(1).gather(1, token_R[:, None])[:, 0]

"""How good is it from here on? PPO's value function (critic): a value for every token, read from
the policy's own last hidden states.

One linear layer over the states that the head of the vocabulary reads too, so that a value costs no
second forward pass and no second trunk. It starts at zero: every value is 0, the first advantages
are returns, and the first policy gradient is REINFORCE's. Its gradient reaches the trunk (the
weight of the value loss says how much that counts), as in Schulman et al. 2017 with shared
parameters. Float32, whatever the policy's precision; thrown away after training.

Shapes: N scored tokens, H hidden size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from alignwright.model.logprob import head_of

if TYPE_CHECKING:
    from alignwright.model.local_model import LocalModel


class ValueHead(nn.Module):
    """hidden @ weight + bias, zero at first."""

    def __init__(self, size: int, device: torch.device) -> None:
        super().__init__()
        self.weight_H = nn.Parameter(torch.zeros(size, device=device))
        self.bias = nn.Parameter(torch.zeros((), device=device))

    def forward(self, hidden_NH: Tensor) -> Tensor:
        """The value before each scored token. Shape [N]."""
        return hidden_NH.float() @ self.weight_H + self.bias


def value_head(policy: LocalModel) -> ValueHead:
    """A head for this policy."""
    return ValueHead(head_of(policy.model).weight.shape[1], policy.device)

"""Which log-probabilities do the weights give these rows? The forward pass that all methods on the
policy's own samples share.

Log-probabilities are those at the temperature of sampling, so that the policy that is trained is
the one that spoke; values come with them where there is a head. A policy, the policy that spoke and
the reference are run through this one function in the same micro-batches: where their weights
agree, their numbers do, to the last bit.

Shapes: N scored tokens, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from alignwright.model.logprob import head_of, label_logprobs, scored_hidden
from alignwright.model.packing import pack
from alignwright.model.tokens import TokenRow
from alignwright.train.value_head import ValueHead

if TYPE_CHECKING:
    from torch import Tensor

    from alignwright.model.local_model import LocalModel


def forward_rows(
    policy: LocalModel, rows: Sequence[TokenRow], *, temperature: float = 1.0, head: ValueHead | None = None
) -> tuple[Tensor, Tensor]:
    """Log-probability and value of every scored token of `rows` as one batch; values are 0
    without a head. Both [N]."""
    packed = pack(rows, policy.chat.pad_id, dtype=policy.dtype)
    hidden_NH = scored_hidden(policy.model, packed)
    logp_N = label_logprobs(hidden_NH, head_of(policy.model), packed.label_N, temperature=temperature)
    return logp_N, torch.zeros_like(logp_N) if head is None else head(hidden_NH)

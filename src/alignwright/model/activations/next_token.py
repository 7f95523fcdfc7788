"""What would the model say next after each of these rows, under whatever edits are on? All log-probabilities of one
token.

Shapes: N rows, B rows of a batch, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from alignwright.model.activations.layout import layout_of
from alignwright.model.adapters import merged
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.logprob import head_of
from alignwright.model.packing import plan_batches
from alignwright.model.tokens import TokenRow


@torch.inference_mode()
def next_logprobs(policy: LoadedModel, rows: Sequence[Sequence[int]]) -> Tensor:
    """[N, V], in float32. Raises ValueError for a row that is longer than the model reads."""
    layout, head = layout_of(policy), head_of(policy.model)
    policy.check_lengths([len(row) for row in rows])
    parts: dict[int, Tensor] = {}
    with merged(policy):
        for batch in plan_batches([TokenRow(tuple(row), ()) for row in rows], policy.token_budget, shuffle_seed=None):
            width = max(len(rows[i]) for i in batch)
            ids_BT = torch.full((len(batch), width), policy.chat.pad_id, dtype=torch.int64)
            for b, i in enumerate(batch):
                ids_BT[b, : len(rows[i])] = torch.tensor(rows[i])
            states_BTH = layout.body(input_ids=ids_BT.to(policy.device), use_cache=False).last_hidden_state
            last_B = torch.tensor([len(rows[i]) - 1 for i in batch])
            logits_BV = head(states_BTH[torch.arange(len(batch)), last_B]).float()
            parts |= dict(zip(batch, logits_BV.log_softmax(dim=1).cpu(), strict=True))
    return torch.stack([parts[i] for i in range(len(rows))])

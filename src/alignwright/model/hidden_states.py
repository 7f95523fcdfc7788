"""What does a model make of a reply that it reads? The mean of its last hidden states over the
reply.

Where token probabilities tell how likely a reply is, states tell what it is like, in as many
directions as the model has. A state belongs to the token that it follows: the mean is over the
prompt's last token and all of the reply's, an empty reply among them.

Left out on purpose: states of earlier layers, and of each token. Shapes: N scored tokens, R
replies, H hidden.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from alignwright.core.records import Prompt
from alignwright.model.adapters import merged
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.logprob import scored_hidden
from alignwright.model.packing import pack, plan_batches

_TOGETHER = 8  # replies read in one row with their prompt


@torch.inference_mode()
def reply_states(
    policy: LoadedModel, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]
) -> list[NDArray[np.float32]]:
    """For each prompt the mean states of its replies, [replies, H] in float32. Raises ValueError
    for a row that is longer than the model reads."""
    parts = [
        (i, texts[at : at + _TOGETHER]) for i, texts in enumerate(replies) for at in range(0, len(texts), _TOGETHER)
    ]
    rows = [policy.chat.row(prompts[i].conversation, part) for i, part in parts]
    policy.check_lengths([len(row.prompt) + max(map(len, row.replies)) for row in rows])
    states: list[list[NDArray[np.float32]]] = [[] for _ in rows]
    with merged(policy):
        for batch in plan_batches(rows, policy.token_budget, shuffle_seed=None):
            packed = pack([rows[i] for i in batch], policy.chat.pad_id, dtype=policy.dtype)
            hidden_NH = scored_hidden(policy.model, packed).float()
            reply_N = packed.reply_N.to(hidden_NH.device)
            sum_RH = hidden_NH.new_zeros(packed.reply_count, hidden_NH.shape[1]).index_add(0, reply_N, hidden_NH)
            mean_RH = sum_RH / torch.bincount(reply_N, minlength=packed.reply_count)[:, None]
            for state_H, b in zip(mean_RH.cpu().numpy(), packed.row_of_R.tolist(), strict=True):
                states[batch[b]].append(state_H)
    blank = np.zeros((0, int(policy.model.config.get_text_config().hidden_size)), dtype=np.float32)
    return [
        np.concatenate([blank, *(np.stack(states[k]) for k, (j, _) in enumerate(parts) if j == i)])
        for i in range(len(prompts))
    ]

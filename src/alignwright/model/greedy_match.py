"""Is a given text what the model would have written itself, and with which log-probability?

One pass of the trunk: each scored token's log-probability, and whether it is the likeliest of all. A
reply matches where every token of it is (lm-eval's `is_greedy`).

Shapes: N scored tokens, R replies, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from alignwright.model.adapters import merged
from alignwright.model.local_model import LocalModel
from alignwright.model.logprob import head_of, label_logprobs, reply_logprobs, scored_hidden
from alignwright.model.packing import pack, plan_batches
from alignwright.model.tokens import TokenRow
from alignwright.model.vocabulary_head import VocabularyHead

_CHUNK = 128


class Match(NamedTuple):
    """A reply's log-probability, and whether greedy decoding would have written it."""

    logprob: float
    is_greedy: bool


@torch.inference_mode()
def greedy_matches(policy: LocalModel, rows: Sequence[TokenRow]) -> list[list[Match]]:
    """Of each reply of each row."""
    policy.check_lengths([len(row.prompt) + max(map(len, row.replies), default=0) for row in rows])
    matches: list[list[Match]] = [[] for _ in rows]
    count_scored = 0
    with merged(policy):
        head = head_of(policy.model)
        for batch in plan_batches(rows, policy.token_budget, shuffle_seed=None):
            packed = pack([rows[i] for i in batch], policy.chat.pad_id, dtype=policy.dtype)
            hidden_NH = scored_hidden(policy.model, packed)
            sum_R, _ = reply_logprobs(label_logprobs(hidden_NH, head, packed.label_N), packed)
            other_N = (_likeliest(hidden_NH, head) != packed.label_N.to(hidden_NH.device)).long()
            others_R = torch.zeros(packed.reply_count, dtype=torch.long, device=other_N.device)
            others_R.index_add_(0, packed.reply_N.to(other_N.device), other_N)
            for total, others, b in zip(sum_R.tolist(), others_R.tolist(), packed.row_of_R.tolist(), strict=True):
                matches[batch[b]].append(Match(total, others == 0))
            count_scored += len(batch)
            if policy.progress:
                policy.progress(count_scored, len(rows))
    return matches


def _likeliest(hidden_NH: Tensor, head: VocabularyHead) -> Tensor:
    """The likeliest token at each place, a chunk of places at a time."""
    parts = [head(hidden_NH[at : at + _CHUNK]).argmax(1) for at in range(0, len(hidden_NH), _CHUNK)]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.long, device=hidden_NH.device)

"""What is the log-probability of each token of a text that is given, and what would have been
likelier in its place?

By the model's own forward over the whole text, whatever its layers are; the head is applied to a
chunk of tokens at a time, so that [tokens x vocabulary] never exists whole.

Shapes: T tokens, C tokens of a chunk, H hidden size, V vocabulary, K likeliest tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alignwright.model.llama_blocks import trunk
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.logprob import head_of

_CHUNK = 128


@dataclass(frozen=True)
class TokenChoice:
    """A token, its log-probability at temperature 1 (None: nothing came before it), and the
    likeliest in its place with theirs."""

    id: int
    logprob: float | None
    top: tuple[tuple[int, float], ...] = ()


@torch.inference_mode()
def prompt_logprobs(policy: LoadedModel, ids: Sequence[int], top: int) -> list[TokenChoice]:
    """Every token of the text, the first without a log-probability."""
    policy.check_lengths([len(ids)])
    id_T = torch.tensor([ids], device=policy.device)
    hidden_TH = trunk(policy.model)(input_ids=id_T, use_cache=False).last_hidden_state[0, :-1]
    head, tokens = head_of(policy.model), [TokenChoice(ids[0], None)]
    for start in range(0, len(hidden_TH), _CHUNK):
        logits_CV = head(hidden_TH[start : start + _CHUNK]).float()
        label_C = id_T[0, 1 + start : 1 + start + len(logits_CV)]
        logp_C = logits_CV.log_softmax(1).gather(1, label_C[:, None])[:, 0]
        top_CK = likeliest(logits_CV, top) if top else [()] * len(logits_CV)
        tokens += [
            TokenChoice(token, logp, each)
            for token, logp, each in zip(label_C.tolist(), logp_C.tolist(), top_CK, strict=True)
        ]
    return tokens


def likeliest(logits_RV: Tensor, top: int) -> list[tuple[tuple[int, float], ...]]:
    """Of each row the ids and log-probabilities of the likeliest tokens, likeliest first."""
    wide_RV = logits_RV.float()
    value_RK, id_RK = wide_RV.topk(min(top, wide_RV.shape[1]), dim=1)
    logp_RK = value_RK - wide_RV.logsumexp(1, keepdim=True)
    return [tuple(zip(ids, logps, strict=True)) for ids, logps in zip(id_RK.tolist(), logp_RK.tolist(), strict=True)]

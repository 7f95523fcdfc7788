"""Which greedy reply does a model give, where another model's reply is at hand and likely to be the same?

Speculative decoding (Leviathan et al. 2023) with a stored reply as the draft: prompts and drafts are
read in one pass, what they share once (`prefix_tree`), and where the likeliest token at every place is
the draft's the draft is the reply; else it is decoded from the first token that is not. A pass and a
step round otherwise (3e-5 of a logit at most, where they were compared), so where the two likeliest
tokens lie closer than `CLOSE` nothing is taken from the pass, and the reply is decoded from its
beginning. A draft costs or saves time and changes no reply.

Left out on purpose: a pass over the rest of a draft after the first difference, which seldom fits again.

Shapes: N tokens of the drafts, C of a chunk, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import torch

from alignwright.model.adapters import merged
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.logprob import head_of
from alignwright.model.prefix_tree import reply_states
from alignwright.model.sampling import Sample, sample
from alignwright.model.tokens import TokenRow

CLOSE = 1e-3
"""Of a logit: between the two likeliest tokens, below which a pass does not say which is the likeliest."""
_CHUNK = 128


class _Place(NamedTuple):
    """What the pass says of one token of a draft."""

    token: int
    likeliest: int
    logprob: float
    clear: bool


def greedy_from_drafts(
    policy: LoadedModel, prompts: Sequence[Sequence[int]], drafts: Sequence[Sequence[int]], *, max_new_tokens: int
) -> list[Sample]:
    """The greedy reply to each prompt, as `sample` gives it; an empty draft is none."""
    policy.check_lengths([len(prompt) + max_new_tokens for prompt in prompts])
    heads = [_head(draft, policy.chat.stop_ids, max_new_tokens) for draft in drafts]
    # 1. What the pass settles: the whole reply, or its beginning up to and with the first token that differs.
    there = [i for i, draft in enumerate(heads) if draft]
    passes = dict(zip(there, _read(policy, [TokenRow(tuple(prompts[i]), (heads[i],)) for i in there]), strict=True))
    samples = [_prefix(passes.get(i, ()), policy.chat.stop_ids) for i in range(len(prompts))]
    # 2. What it leaves open is decoded, each reply for as many tokens as it may still have.
    places = [i for i, s in enumerate(samples) if not s.finished and len(s.ids) < max_new_tokens]
    rest = sample(
        policy,
        [[*prompts[i], *samples[i].ids] for i in places],
        n=1,
        max_new_tokens=[max_new_tokens - len(samples[i].ids) for i in places],
        temperature=0.0,
        seed=0,
        batch_rows=policy.batch_rows,
    )
    for i, (more,) in zip(places, rest, strict=True):
        samples[i].ids += more.ids
        samples[i].logprobs += more.logprobs
        samples[i].finished = more.finished
    return samples


def _head(draft: Sequence[int], stop_ids: frozenset[int], max_new_tokens: int) -> tuple[int, ...]:
    """A draft up to the token that ends a reply, and no longer than a reply may be."""
    end = next((i + 1 for i, token in enumerate(draft) if token in stop_ids), len(draft))
    return tuple(draft[: min(end, max_new_tokens)])


def _prefix(places: Sequence[_Place], stop_ids: frozenset[int]) -> Sample:
    """The part of a reply that the pass leaves no doubt about: none where any of it is too close to tell."""
    prefix = Sample()
    for place in places:
        if not place.clear:
            return Sample()
        prefix.ids.append(place.likeliest)
        prefix.logprobs.append(place.logprob)
        if place.likeliest != place.token or place.likeliest in stop_ids:
            prefix.finished = place.likeliest in stop_ids
            break
    return prefix


@torch.inference_mode()
def _read(policy: LoadedModel, rows: Sequence[TokenRow]) -> list[list[_Place]]:
    """One pass over prompts and drafts: every token of each draft."""
    head = head_of(policy.model).packed(_CHUNK)
    passes: list[list[_Place]] = [[] for _ in rows]
    with merged(policy):
        for batch, hidden_NH in reply_states(policy, rows):
            tokens = [token for i in batch for token in rows[i].replies[0]]
            places: list[_Place] = []
            for start in range(0, len(tokens), _CHUNK):
                places += _likeliest(head(hidden_NH[start : start + _CHUNK]).float(), tokens[start:])
            each = iter(places)
            for i in batch:
                passes[i] = list(islice(each, len(rows[i].replies[0])))
    return passes


def _likeliest(logits_CV: torch.Tensor, tokens: Sequence[int]) -> list[_Place]:
    top_C, id_C = logits_CV.max(1)
    logp_C = top_C - logits_CV.logsumexp(1)
    second_C = logits_CV.scatter_(1, id_C[:, None], -torch.inf).amax(1)
    clear_C = top_C - second_C >= CLOSE
    return [
        _Place(*each)
        for each in zip(tokens[: len(id_C)], id_C.tolist(), logp_C.tolist(), clear_C.tolist(), strict=True)
    ]

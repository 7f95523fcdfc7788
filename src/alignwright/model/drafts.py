"""Which greedy reply does a model give, where another model's reply is at hand and likely to be the same?

Speculative decoding (Leviathan et al. 2023) with a stored reply as the draft: prompts and drafts are
read in one pass, what they share once (`prefix_tree`), and where the likeliest token at every place is
the draft's the draft is the reply; else it is decoded from the first token that is not. A pass and a
step round otherwise (3e-5 of a logit at most, where they were compared), so where the two likeliest
tokens lie closer than `CLOSE` nothing is taken from the pass, and the reply is decoded from its
beginning. Elsewhere decoding goes on from the keys and values of the pass. A draft costs or saves time and
changes no reply.

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
from alignwright.model.logprob import head_of, read_logits
from alignwright.model.prefix_tree import reply_states
from alignwright.model.sampling import Sample, sample
from alignwright.model.tokens import TokenRow

CLOSE = 1e-3
"""Of a logit: between the two likeliest tokens, below which a pass does not say which is the likeliest."""
_CHUNK = 128
_CACHE_BYTES = 1 << 29
"""Bytes of keys and values that are kept at most, of a pass and of what it leaves open."""
Blocks = tuple[tuple[torch.Tensor, torch.Tensor], ...]


class _Place(NamedTuple):
    """What the pass says of one token of a draft."""

    token: int
    likeliest: int
    logprob: float
    clear: bool


class _Opening(NamedTuple):
    """What the pass leaves no doubt about, and the keys and values of all but the last token up to there,
    where they are still needed."""

    sample: Sample
    blocks: Blocks = ()


def greedy_from_drafts(
    policy: LoadedModel, prompts: Sequence[Sequence[int]], drafts: Sequence[Sequence[int]], *, max_new_tokens: int
) -> list[Sample]:
    """The greedy reply to each prompt, as `sample` gives it; an empty draft is none."""
    policy.check_lengths([len(prompt) + max_new_tokens for prompt in prompts])
    heads = [_head(draft, policy.chat.stop_ids, max_new_tokens) for draft in drafts]
    # 1. What the pass settles: the whole reply, or its beginning up to and with the first token that differs.
    there = [i for i, draft in enumerate(heads) if draft]
    rows = [TokenRow(tuple(prompts[i]), (heads[i],)) for i in there]
    openings = dict(zip(there, _read(policy, rows, max_new_tokens), strict=True))
    samples = [openings[i].sample if i in openings else Sample() for i in range(len(prompts))]
    # 2. What it leaves open is decoded, each reply for as many tokens as it may still have.
    left = [i for i, s in enumerate(samples) if _is_open(s, max_new_tokens)]
    if not left:
        return samples
    rest = sample(
        policy,
        [[*prompts[i], *samples[i].ids] for i in left],
        n=1,
        max_new_tokens=[max_new_tokens - len(samples[i].ids) for i in left],
        temperature=0.0,
        seed=0,
        batch_rows=policy.batch_rows,
        caches=[openings[i].blocks if i in openings else () for i in left],
    )
    for i, (more,) in zip(left, rest, strict=True):
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


def _is_open(opening: Sample, max_new_tokens: int) -> bool:
    return not opening.finished and len(opening.ids) < max_new_tokens


@torch.inference_mode()
def _read(policy: LoadedModel, rows: Sequence[TokenRow], max_new_tokens: int) -> list[_Opening]:
    """One pass over prompts and drafts: what it says of each reply."""
    head = head_of(policy.model).packed(_CHUNK)
    openings, total = [_Opening(Sample())] * len(rows), 0
    with merged(policy):
        for batch in reply_states(policy, rows, keep=_can_keep(policy)):
            tokens = [token for i in batch.rows for token in rows[i].replies[0]]
            places: list[_Place] = []
            for start in range(0, len(tokens), _CHUNK):
                places += _likeliest(head(batch.hidden_NH[start : start + _CHUNK]).float(), tokens[start:])
            each = iter(places)
            for k, i in enumerate(batch.rows):
                prefix = _prefix(list(islice(each, len(rows[i].replies[0]))), policy.chat.stop_ids)
                blocks: Blocks = ()
                if batch.blocks and prefix.ids and _is_open(prefix, max_new_tokens) and total < _CACHE_BYTES:
                    path = torch.from_numpy(batch.paths[k][: len(rows[i].prompt) + len(prefix.ids) - 1])
                    blocks = tuple((key_MC[path], value_MC[path]) for key_MC, value_MC in batch.blocks)
                    total += sum(part.nbytes for block in blocks for part in block)
                openings[i] = _Opening(prefix, blocks)
    return openings


def _can_keep(policy: LoadedModel) -> bool:
    """Whether the keys and values of a whole pass are few enough."""
    config = policy.model.config.get_text_config()
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    numbers = 2 * config.num_hidden_layers * config.num_key_value_heads * size
    return bool(numbers * policy.dtype.itemsize * policy.token_budget <= _CACHE_BYTES)


def _likeliest(logits_CV: torch.Tensor, tokens: Sequence[int]) -> list[_Place]:
    top_C, id_C = logits_CV.max(1)
    second_C = logits_CV.scatter_(1, id_C[:, None], -torch.inf).amax(1)
    clear_C = top_C - second_C >= CLOSE
    logp_C, _ = read_logits(logits_CV.scatter_(1, id_C[:, None], top_C[:, None]), id_C)
    return [
        _Place(*each)
        for each in zip(tokens[: len(id_C)], id_C.tolist(), logp_C.tolist(), clear_C.tolist(), strict=True)
    ]

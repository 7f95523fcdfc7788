"""How does the model sample replies, at a temperature and from a seed?

Prompts of like length are prefilled together, once for all replies to them; the cache is then
copied to one row a reply, and rows that have finished leave the batch. Every token's
log-probability is kept as it is drawn, so no second pass is needed.

A token is drawn by inverting the distribution function at a uniform number that belongs to (seed,
prompt, sample, step) alone. So a reply does not depend on what else is in the batch (up to the
rounding of matrix products, which in bfloat16 can tip a near tie).

`Sample.logprobs` are the policy's own, at temperature 1, whatever the temperature of sampling: the
quantity that training uses.

Shapes: P prompts, R rows (replies under way), S steps, B blocks of the vocabulary, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from alignwright.model.decoder import Decoder, PromptCaches, decoding
from alignwright.model.kernels import kernels
from alignwright.model.loaded_model import LoadedModel

_BLOCK = 256  # the distribution function is summed block by block, then inside one block
_DROP_AT = 0.125  # finished rows leave when they are this share of the batch: the cache is copied to close the gaps

_SAID_EVERY = 8  # steps of a batch after which its progress is said


@dataclass
class Sample:
    """A drawn reply: its ids (the stop token included where it was reached) and the policy's
    log-probability of each."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finished: bool = False


def sample(
    policy: LoadedModel,
    prompts: Sequence[Sequence[int]],
    *,
    n: int,
    max_new_tokens: int | Sequence[int],
    temperature: float,
    seed: int,
    stop_ids: frozenset[int] | None = None,
    batch_rows: int = 64,
    caches: PromptCaches | None = None,
) -> list[list[Sample]]:
    """`n` replies to each prompt of token ids, of as many tokens at most, for all or for each prompt;
    temperature 0 is greedy. `stop_ids` default to the chat's; `caches`: what was read of the prompts."""
    limits = [max_new_tokens] * len(prompts) if isinstance(max_new_tokens, int) else list(max_new_tokens)
    if n < 1 or batch_rows < 1 or min(limits, default=1) < 1:
        raise ValueError(
            f"n, max_new_tokens and batch_rows must be at least 1, not {n}, {max_new_tokens}, {batch_rows}"
        )
    if temperature < 0:
        raise ValueError(f"a temperature cannot be negative, and is {temperature}")
    lengths = [len(prompt) + limit for prompt, limit in zip(prompts, limits, strict=True)]
    policy.check_lengths(lengths)
    stops = torch.tensor(sorted(policy.chat.stop_ids if stop_ids is None else stop_ids), device=policy.device)
    results = [[Sample() for _ in range(n)] for _ in prompts]
    places = [(p, k) for p in sorted(range(len(prompts)), key=lambda p: (len(prompts[p]), p)) for k in range(n)]
    rows, longest = min(batch_rows, len(places)), max(lengths, default=0)
    with torch.inference_mode(), decoding(policy, rows, longest=longest) as decoder:
        for start in range(0, len(places), batch_rows):
            batch = places[start : start + batch_rows]
            for share in _decode(
                decoder, prompts, caches, batch, [results[p][k] for p, k in batch], limits, temperature, seed, stops
            ):
                if policy.progress:
                    policy.progress(start + share * len(batch), len(places))
            if policy.progress:
                policy.progress(min(start + batch_rows, len(places)), len(places))
    return results


def _decode(
    decoder: Decoder,
    prompts: Sequence[Sequence[int]],
    caches: PromptCaches | None,
    places: Sequence[tuple[int, int]],
    samples: Sequence[Sample],
    limits: Sequence[int],
    temperature: float,
    seed: int,
    stops: Tensor,
) -> Iterator[float]:
    """Fill in the samples of one batch; yields now and then the share that is done, if every reply
    is as long as it may be."""
    # 1. A uniform number for every token that may come, by (seed, prompt, sample, step) alone: a reply is the same in
    #    whatever batch it is sampled.
    limit_R = torch.tensor([limits[p] for p, _ in places], device=stops.device)
    max_new_tokens = int(limit_R.max())
    uniform_RS = np.stack([np.random.default_rng((seed, p, k)).random(max_new_tokens) for p, k in places])
    # 2. Prefill: each prompt once, however many replies it gets.
    logits_RV = decoder.begin(prompts, [p for p, _ in places], max_new_tokens, caches)
    alive = list(range(len(places)))  # which sample each row of the batch fills
    done_R = torch.zeros(len(places), dtype=torch.bool, device=stops.device)
    for step in range(max_new_tokens):
        # 3. One token a row, with its log-probability at temperature 1 while the logits are at hand.
        token_R, logp_R = draw(logits_RV, torch.from_numpy(uniform_RS[alive, step]).to(stops.device), temperature)
        ended_R = torch.isin(token_R, stops)
        _note(samples, alive, token_R, logp_R, done_R, ended_R)
        done_R |= ended_R | (limit_R <= step + 1)
        # 4. Nothing is computed for a token that nobody reads.
        if step + 1 == max_new_tokens or bool(done_R.all()):
            return
        # 5. Finished rows go by the eighth of the batch: each time the KV cache is copied, which costs more than to
        #    carry a few along.
        if float(done_R.float().mean()) >= _DROP_AT:
            keep = (~done_R).nonzero()[:, 0]
            decoder.keep(keep)
            alive = [alive[i] for i in keep.tolist()]
            token_R, done_R, limit_R = token_R[keep], done_R[keep], limit_R[keep]
        if step % _SAID_EVERY == 0:
            yield (step + 1) / max_new_tokens
        logits_RV = decoder.step(token_R)


def draw(logits_RV: Tensor, uniform_R: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Draw a token a row at a temperature; its log-probability is at temperature 1."""
    mass_RV, top_R, total_R = _unnormalised_probs(logits_RV, 1.0)
    drawn_RV = mass_RV if temperature in (0, 1) else _unnormalised_probs(logits_RV, temperature)[0]
    token_R = logits_RV.argmax(1) if temperature == 0 else _invert(drawn_RV, uniform_R)
    return token_R, logits_RV.gather(1, token_R[:, None])[:, 0].float() - top_R - total_R.log()


def _unnormalised_probs(logits_RV: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """exp((logit - top) / temperature) in float32, the top, and the sum."""
    if native := kernels(logits_RV):
        mass_RV = torch.empty(logits_RV.shape)
        top_R, total_R = torch.empty(len(mass_RV)), torch.empty(len(mass_RV))
        native.unnormalised_probs(logits_RV.contiguous(), mass_RV, top_R, total_R, *mass_RV.shape, temperature)
        return mass_RV, top_R, total_R
    wide_RV = logits_RV.float()
    top_R = wide_RV.amax(1)
    mass_RV = ((wide_RV - top_R[:, None]) / temperature).exp_()
    return mass_RV, top_R, mass_RV.sum(1)


def _invert(mass_RV: Tensor, uniform_R: Tensor) -> Tensor:
    """The first token at which the summed mass exceeds the uniform number's share of the total."""
    rows, vocabulary = mass_RV.shape
    # 1. Sums of blocks, and their running sum in float64: in float32 it would lose the rarest tokens of a vocabulary.
    whole = vocabulary // _BLOCK * _BLOCK
    block_RB = mass_RV[:, :whole].view(rows, -1, _BLOCK).sum(2)
    block_RB = torch.cat([block_RB, mass_RV[:, whole:].sum(1, keepdim=True)], dim=1).double()
    upto_RB = block_RB.cumsum(1)
    # 2. The block in which the sum reaches the goal, and how much of the goal is left within it.
    goal_R1 = (uniform_R.double() * upto_RB[:, -1])[:, None]
    block_R1 = torch.searchsorted(upto_RB, goal_R1, right=True).clamp_(max=block_RB.shape[1] - 1)
    rest_R1 = goal_R1 - (upto_RB.gather(1, block_R1) - block_RB.gather(1, block_R1))
    # 3. The same search in that block alone, so that only one block is summed token by token.
    index_RC = block_R1 * _BLOCK + torch.arange(_BLOCK, device=mass_RV.device)
    inside_RC = mass_RV.gather(1, index_RC.clamp(max=vocabulary - 1)).double().masked_fill_(index_RC >= vocabulary, 0.0)
    place_R1 = torch.searchsorted(inside_RC.cumsum(1), rest_R1, right=True).clamp_(max=_BLOCK - 1)
    # 4. Rounding at a block's end may point at a token of no probability: the block's likeliest is taken instead.
    impossible_R1 = inside_RC.gather(1, place_R1) <= 0
    place_R1 = torch.where(impossible_R1, inside_RC.argmax(1, keepdim=True), place_R1)
    return (block_R1 * _BLOCK + place_R1)[:, 0]


def _note(
    samples: Sequence[Sample], alive: Sequence[int], token_R: Tensor, logp_R: Tensor, done_R: Tensor, ended_R: Tensor
) -> None:
    for i, token, logp, is_done, is_end in zip(
        alive, token_R.tolist(), logp_R.tolist(), done_R.tolist(), ended_R.tolist(), strict=True
    ):
        if not is_done:
            samples[i].ids.append(token)
            samples[i].logprobs.append(logp)
            samples[i].finished = is_end

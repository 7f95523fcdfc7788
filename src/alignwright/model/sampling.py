"""How does the model speak?

Prompts of like length are prefilled together, once for all replies to them; the cache is then copied to one row a reply, and rows
that have finished leave the batch. Every token's log-probability is kept as it is drawn, so no second pass is needed.

A token is drawn by inverting the distribution function at a uniform number that belongs to (seed, prompt, sample, step) alone. So a
reply does not depend on what else is in the batch (up to the rounding of matrix products, which in bfloat16 can tip a near tie).

`Sample.logprobs` are the policy's own, at temperature 1, whatever the temperature of sampling: the quantity that training uses.

Shapes: P prompts, R rows (replies under way), L prompt length, S tokens seen, V vocabulary, K heads, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from alignwright.model.logprob import head_of, trunk
from alignwright.model.packing import additive
from alignwright.model.prepack import prepacked

if TYPE_CHECKING:
    from alignwright.model.local import LocalPolicy

_BLOCK = 256  # the distribution function is summed block by block, then inside one block
_DROP_AT = 0.125  # finished rows leave when they are this share of the batch: the cache is copied to close the gaps


@dataclass
class Sample:
    """A drawn reply: its ids (the stop token included where it was reached) and the policy's log-probability of each."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finished: bool = False


def sample(
    policy: LocalPolicy,
    prompts: Sequence[Sequence[int]],
    *,
    n: int,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    stop_ids: frozenset[int] | None = None,
    batch_rows: int = 64,
) -> list[list[Sample]]:
    """`n` replies to each prompt of token ids; temperature 0 is greedy. `stop_ids` default to the chat's."""
    if n < 1 or max_new_tokens < 1 or batch_rows < 1:
        raise ValueError(f"n, max_new_tokens and batch_rows must be at least 1, not {n}, {max_new_tokens}, {batch_rows}")
    if temperature < 0:
        raise ValueError(f"a temperature cannot be negative, and is {temperature}")
    policy.check_lengths([len(prompt) + max_new_tokens for prompt in prompts])
    stops = torch.tensor(sorted(policy.chat.stop_ids if stop_ids is None else stop_ids), device=policy.device)
    results = [[Sample() for _ in range(n)] for _ in prompts]
    places = [(p, k) for p in sorted(range(len(prompts)), key=lambda p: (len(prompts[p]), p)) for k in range(n)]
    with torch.inference_mode(), prepacked(policy.model, min(batch_rows, len(places))):
        for start in range(0, len(places), batch_rows):
            batch = places[start : start + batch_rows]
            _decode(policy, prompts, batch, [results[p][k] for p, k in batch], max_new_tokens, temperature, seed, stops)
            if policy.progress:
                policy.progress(min(start + batch_rows, len(places)), len(places))
    return results


def _decode(
    policy: LocalPolicy,
    prompts: Sequence[Sequence[int]],
    places: Sequence[tuple[int, int]],
    samples: Sequence[Sample],
    max_new_tokens: int,
    temperature: float,
    seed: int,
    stops: Tensor,
) -> None:
    """Fill in the samples of one batch."""
    model, device = policy.model, policy.device
    body, head = trunk(model), head_of(model)
    uniform_RS = np.stack([np.random.default_rng((seed, p, k)).random(max_new_tokens) for p, k in places])
    cache, hidden_RH, mask_RS, position_R = _prefill(policy, prompts, [p for p, _ in places], max_new_tokens)
    alive = list(range(len(places)))  # which sample each row of the batch fills
    done_R = torch.zeros(len(places), dtype=torch.bool, device=device)
    for step in range(max_new_tokens):
        uniform_R = torch.from_numpy(uniform_RS[alive, step]).to(device)
        token_R, logp_R = draw(head(hidden_RH), uniform_R, temperature)
        ended_R = torch.isin(token_R, stops)
        _note(samples, alive, token_R, logp_R, done_R, ended_R)
        done_R |= ended_R
        if step + 1 == max_new_tokens or bool(done_R.all()):
            return
        if float(done_R.float().mean()) >= _DROP_AT:
            keep = (~done_R).nonzero()[:, 0]
            cache.keep(keep)
            alive = [alive[i] for i in keep.tolist()]
            token_R, mask_RS, position_R, done_R = token_R[keep], mask_RS[keep], position_R[keep], done_R[keep]
        seen = cache.length + 1
        hidden_RH = body(
            input_ids=token_R[:, None],
            position_ids=position_R[:, None] + step,
            attention_mask=mask_RS[:, None, None, :seen],
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[:, 0]


def _prefill(policy: LocalPolicy, prompts: Sequence[Sequence[int]], wanted: Sequence[int], room: int) -> tuple[_RoomyCache, Tensor, Tensor, Tensor]:
    """Compute each prompt once; give every row a copy of its prompt's cache, with room for what will be said."""
    order = list(dict.fromkeys(wanted))
    width, device = max(len(prompts[p]) for p in order), policy.device
    ids_PL = torch.full((len(order), width), policy.chat.pad_id, dtype=torch.int64)
    length_P = torch.tensor([len(prompts[p]) for p in order])
    for i, p in enumerate(order):
        ids_PL[i, width - len(prompts[p]) :] = torch.tensor(prompts[p])
    real_PL = torch.arange(width)[None] >= (width - length_P)[:, None]
    past_LL = torch.ones(width, width, dtype=torch.bool).tril()
    allowed_PLL = (past_LL & real_PL[:, None, :]) | torch.eye(width, dtype=torch.bool)
    position_PL = (torch.arange(width)[None] - (width - length_P)[:, None]).clamp(min=0)
    cache = _RoomyCache(room)
    hidden_PLH = trunk(policy.model)(
        input_ids=ids_PL.to(device),
        position_ids=position_PL.to(device),
        attention_mask=additive(allowed_PLL, policy.dtype)[:, None].to(device),
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    row_R = torch.tensor([order.index(p) for p in wanted])
    cache.keep(row_R.to(device))
    may_RS = torch.cat([real_PL[row_R], torch.ones(len(row_R), room, dtype=torch.bool)], dim=1)
    return cache, hidden_PLH[:, -1][row_R.to(device)], additive(may_RS, policy.dtype).to(device), length_P[row_R].to(device)


def draw(logits_RV: Tensor, uniform_R: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Draw a token a row at a temperature; its log-probability is at temperature 1."""
    logits_RV = logits_RV.float()
    top_R = logits_RV.amax(1, keepdim=True)
    mass_RV = (logits_RV - top_R).exp_()
    total_R = mass_RV.sum(1)
    if temperature == 0:
        token_R = logits_RV.argmax(1)
    else:
        token_R = _invert(mass_RV if temperature == 1 else ((logits_RV - top_R) / temperature).exp_(), uniform_R)
    return token_R, logits_RV.gather(1, token_R[:, None])[:, 0] - top_R[:, 0] - total_R.log()


def _invert(mass_RV: Tensor, uniform_R: Tensor) -> Tensor:
    """The first token at which the summed mass exceeds the uniform number's share of the total."""
    rows, vocabulary = mass_RV.shape
    whole = vocabulary // _BLOCK * _BLOCK
    block_RB = mass_RV[:, :whole].view(rows, -1, _BLOCK).sum(2, dtype=torch.float64)
    block_RB = torch.cat([block_RB, mass_RV[:, whole:].sum(1, keepdim=True, dtype=torch.float64)], dim=1)
    upto_RB = block_RB.cumsum(1)
    goal_R1 = (uniform_R.double() * upto_RB[:, -1])[:, None]
    block_R1 = torch.searchsorted(upto_RB, goal_R1, right=True).clamp_(max=block_RB.shape[1] - 1)
    rest_R1 = goal_R1 - (upto_RB.gather(1, block_R1) - block_RB.gather(1, block_R1))
    index_RC = block_R1 * _BLOCK + torch.arange(_BLOCK, device=mass_RV.device)
    inside_RC = mass_RV.gather(1, index_RC.clamp(max=vocabulary - 1)).double().masked_fill_(index_RC >= vocabulary, 0.0)
    place_R1 = torch.searchsorted(inside_RC.cumsum(1), rest_R1, right=True).clamp_(max=_BLOCK - 1)
    impossible_R1 = inside_RC.gather(1, place_R1) <= 0  # rounding at a block's end: take its likeliest token
    place_R1 = torch.where(impossible_R1, inside_RC.argmax(1, keepdim=True), place_R1)
    return (block_R1 * _BLOCK + place_R1)[:, 0]


def _note(samples: Sequence[Sample], alive: Sequence[int], token_R: Tensor, logp_R: Tensor, done_R: Tensor, ended_R: Tensor) -> None:
    for i, token, logp, done, ended in zip(alive, token_R.tolist(), logp_R.tolist(), done_R.tolist(), ended_R.tolist(), strict=True):
        if not done:
            samples[i].ids.append(token)
            samples[i].logprobs.append(logp)
            samples[i].finished = ended


class _RoomyCache(Cache):
    """Keys and values with room for the whole reply, so that a step writes one column instead of copying everything."""

    def __init__(self, room: int) -> None:
        self.rooms: list[_RoomyLayer] = []
        super().__init__(layers=self.rooms)  # type: ignore[arg-type]
        self.room = room

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        while len(self.rooms) <= layer_idx:
            self.rooms.append(_RoomyLayer(self.room))
        return self.rooms[layer_idx].update(key_states, value_states)

    @property
    def length(self) -> int:
        return self.rooms[0].seen

    def keep(self, row_R: Tensor) -> None:
        """Only these rows, in this order; a row may be asked for more than once."""
        for layer in self.rooms:
            layer.keep(row_R)


class _RoomyLayer(CacheLayerMixin):
    keys: Any
    values: Any

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.seen = room, 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        rows, heads, length, size = key_states.shape
        self.keys = key_states.new_empty(rows, heads, length + self.room, size)
        self.values = value_states.new_empty(rows, heads, length + self.room, value_states.shape[-1])
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        upto = self.seen + key_states.shape[2]
        self.keys[:, :, self.seen : upto] = key_states
        self.values[:, :, self.seen : upto] = value_states
        self.seen = upto
        return self.keys[:, :, :upto], self.values[:, :, :upto]

    def keep(self, row_R: Tensor) -> None:
        self.keys, self.values = self.keys[row_R], self.values[row_R]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.seen + query_length, 0

    def get_seq_length(self) -> int:
        return self.seen

    def get_max_length(self) -> int:
        return -1

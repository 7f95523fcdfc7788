"""How does a model of any kind generate one token more? By transformers' own forward, over a
preallocated KV cache.

Prompts lie left-padded and are computed once; every row gets a copy of its prompt's keys and
values, and a step writes one column of them instead of copying everything. Layers with a sliding
window keep all columns too, and get a mask of their own. The models that `llama_blocks` knows do
not come here (see `decoder`), nor those that read plain rows (`own_cache`).

Shapes: P prompts, R rows, L prompt length, S tokens seen and to come, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from alignwright.model.limits import window
from alignwright.model.llama_blocks import trunk
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.logprob import head_of
from alignwright.model.model_rows import Mask, masks_of_kinds
from alignwright.model.packing import additive


class TransformersDecoder:
    """The rows under way of a model of any kind: prefill, then one token a step."""

    def __init__(self, policy: LoadedModel) -> None:
        self.policy, self.body, self.head = policy, trunk(policy.model), head_of(policy.model)

    def begin(
        self,
        prompts: Sequence[Sequence[int]],
        prompt_of_row: Sequence[int],
        room: int,
        caches: object = None,  # noqa: ARG002 - its cache is the model's own
    ) -> Tensor:
        """One row for each prompt index in `prompt_of_row`, with room for so many tokens; the
        logits of what comes next."""
        # 1. Each prompt once, aligned at its end: every row will write its next token to the same column. Padding
        #    looks at itself, so that no row of the softmax is empty.
        policy = self.policy
        order = list(dict.fromkeys(prompt_of_row))
        width, device = max(len(prompts[p]) for p in order), policy.device
        ids_PL = torch.full((len(order), width), policy.chat.pad_id, dtype=torch.int64)
        length_P = torch.tensor([len(prompts[p]) for p in order])
        for i, p in enumerate(order):
            ids_PL[i, width - len(prompts[p]) :] = torch.tensor(prompts[p])
        real_PL = torch.arange(width)[None] >= (width - length_P)[:, None]
        past_LL = torch.ones(width, width, dtype=torch.bool).tril()
        allowed_PLL = (past_LL & real_PL[:, None, :]) | torch.eye(width, dtype=torch.bool)
        full_P1LL = additive(allowed_PLL, policy.dtype)[:, None].to(device)
        position_PL = (torch.arange(width)[None] - (width - length_P)[:, None]).clamp(min=0)
        self.cache = _PreallocatedCache(room)
        hidden_PLH = self.body(
            input_ids=ids_PL.to(device),
            position_ids=position_PL.to(device),
            attention_mask=self._masks(full_P1LL),
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state
        # 2. A row for each reply gets its prompt's keys and values; from now on the mask says what is real.
        row_R = torch.tensor([order.index(p) for p in prompt_of_row])
        self.cache.keep(row_R.to(device))
        may_RS = torch.cat([real_PL[row_R], torch.ones(len(row_R), room, dtype=torch.bool)], dim=1)
        self.mask_RS, self.position_R = additive(may_RS, policy.dtype).to(device), length_P[row_R].to(device)
        return self.head(hidden_PLH[:, -1][row_R.to(device)])

    def step(self, token_R: Tensor) -> Tensor:
        """Add a token to every row; the logits of what comes next."""
        hidden_R1H = self.body(
            input_ids=token_R[:, None],
            position_ids=self.position_R[:, None],
            attention_mask=self._masks(self.mask_RS[:, None, None, : self.cache.length + 1]),
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state
        self.position_R = self.position_R + 1
        return self.head(hidden_R1H[:, 0])

    def _masks(self, mask: Tensor) -> Mask | dict[str, Mask]:
        """What each kind of layer may look at: a row's columns follow its positions, so a window
        is counted in columns. Queries are the last columns; shape [R, 1, queries, S]."""
        queries, columns = mask.shape[-2:]
        config = self.body.config.get_text_config()
        reach = window(config)
        if reach is None or columns <= reach:
            return mask

        def windowed() -> Tensor:
            query = torch.arange(columns - queries, columns, device=mask.device)[:, None]
            beyond = query - torch.arange(columns, device=mask.device) >= reach
            return mask.masked_fill(beyond, torch.finfo(mask.dtype).min)

        return masks_of_kinds(config, lambda: mask, windowed)

    def keep(self, row_R: Tensor) -> None:
        """Go on with these rows only, in this order."""
        self.cache.keep(row_R)
        self.mask_RS, self.position_R = self.mask_RS[row_R], self.position_R[row_R]


class _PreallocatedCache(Cache):
    """Keys and values with room for the whole reply, so that a step writes one column instead of
    copying everything."""

    def __init__(self, room: int) -> None:
        self.rooms: list[_PreallocatedLayer] = []
        super().__init__(layers=self.rooms)  # type: ignore[arg-type]
        self.room = room

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        while len(self.rooms) <= layer_idx:
            self.rooms.append(_PreallocatedLayer(self.room))
        return self.rooms[layer_idx].update(key_states, value_states)

    @property
    def length(self) -> int:
        return self.rooms[0].length

    def keep(self, row_R: Tensor) -> None:
        """Only these rows, in this order; a row may be asked for more than once."""
        for layer in self.rooms:
            layer.keep(row_R)


class _PreallocatedLayer(CacheLayerMixin):
    keys: Any
    values: Any

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.length = room, 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        rows, heads, length, size = key_states.shape
        self.keys = key_states.new_empty(rows, heads, length + self.room, size)
        self.values = value_states.new_empty(rows, heads, length + self.room, value_states.shape[-1])
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        upto = self.length + key_states.shape[2]
        self.keys[:, :, self.length : upto] = key_states
        self.values[:, :, self.length : upto] = value_states
        self.length = upto
        return self.keys[:, :, :upto], self.values[:, :, :upto]

    def keep(self, row_R: Tensor) -> None:
        self.keys, self.values = self.keys[row_R], self.values[row_R]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return -1

"""How does a model that reads plain rows generate one token more? With transformers' own cache:
keys and values, convolutions and recurrent states, whatever its layers keep.

The logits are those of `generate`. Where the model's own mask of padding is exact, prompts of any
length are one batch, padded on the left; elsewhere prompts of one length are a batch, and the
batches go on side by side; where a cache gives other numbers, each row is read anew for every
token. Which it is was tried at loading (`engine_check`). Each prompt is read once, and its states
are copied to the rows of its replies.

Shapes: R rows, T tokens read, L prompt length, S tokens seen so far, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from alignwright.model.llama_blocks import trunk
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.logprob import head_of
from alignwright.model.model_rows import Decoding

_STATES = {"linear_attention", "conv"}


class OwnCacheDecoder:
    """The rows under way of a model that reads plain rows."""

    def __init__(self, policy: LoadedModel, kind: Decoding) -> None:
        self.policy, self.kind = policy, kind
        self.body, self.head = trunk(policy.model), head_of(policy.model)
        # a forward is given what it has a name for
        self.forward_names = frozenset(inspect.signature(self.body.forward).parameters)
        kinds = set(getattr(self.body.config.get_text_config(), "layer_types", None) or ())
        self.has_only_states = bool(kinds) and kinds <= _STATES
        self.batches: list[_Batch] = []

    def begin(
        self,
        prompts: Sequence[Sequence[int]],
        prompt_of_row: Sequence[int],
        room: int,  # noqa: ARG002 - the cache grows
        caches: object = None,  # noqa: ARG002 - its cache is the model's own
    ) -> Tensor:
        """One row for each prompt index in `prompt_of_row`; the logits of what comes next."""
        # 1. Which rows go on together: all of them, or those whose prompts have one length.
        together: dict[int, list[int]] = {}
        for row, p in enumerate(prompt_of_row):
            together.setdefault(0 if self.kind == "padded" else len(prompts[p]), []).append(row)
        self.batches, logits = [], {}
        for rows in together.values():
            # 2. Each prompt once; then its states are copied to its rows.
            order = list(dict.fromkeys(prompt_of_row[row] for row in rows))
            batch, ids_PL = self._batch([prompts[p] for p in order])
            logits_PV = self._next_logits(batch, ids_PL)
            copies = torch.tensor([order.index(prompt_of_row[row]) for row in rows], device=self.policy.device)
            batch.keep(copies, torch.tensor(rows, device=self.policy.device))
            self.batches.append(batch)
            logits.update(zip(rows, logits_PV[copies], strict=True))
        return torch.stack([logits[row] for row in range(len(prompt_of_row))])

    def step(self, token_R: Tensor) -> Tensor:
        """Add a token to every row; the logits of what comes next."""
        parts = [self._next_logits(batch, token_R[batch.row_R][:, None]) for batch in self.batches]
        row_R = torch.cat([batch.row_R for batch in self.batches])
        return torch.cat(parts)[row_R.argsort()]

    def keep(self, row_R: Tensor) -> None:
        """Go on with these rows only, in this order."""
        place = {row: i for i, row in enumerate(row_R.tolist())}
        going = []
        for batch in self.batches:
            own = [i for i, row in enumerate(batch.row_R.tolist()) if row in place]
            if own:
                rows = [place[row] for row in batch.row_R[own].tolist()]
                batch.keep(torch.tensor(own, device=row_R.device), torch.tensor(rows, device=row_R.device))
                going.append(batch)
        self.batches = going

    def _batch(self, prompts: Sequence[Sequence[int]]) -> tuple[_Batch, Tensor]:
        width, device = max(map(len, prompts)), self.policy.device
        ids_PL = torch.full((len(prompts), width), self.policy.chat.pad_id, dtype=torch.int64)
        mask_PL = torch.zeros_like(ids_PL)
        for r, prompt in enumerate(prompts):
            ids_PL[r, width - len(prompt) :], mask_PL[r, width - len(prompt) :] = torch.tensor(prompt), 1
        cache = None if self.kind == "reread" else DynamicCache(config=self.body.config)
        return _Batch(cache, ids_PL[:, :0].to(device), mask_PL.to(device), torch.arange(len(prompts))), ids_PL.to(
            device
        )

    def _next_logits(self, batch: _Batch, ids_RT: Tensor) -> Tensor:
        # 1. Without a cache: all that was read, once more.
        if batch.cache is None:
            batch.ids_RS = torch.cat([batch.ids_RS, ids_RT], dim=1)
            return self.head(self.body(input_ids=batch.ids_RS, use_cache=False).last_hidden_state[:, -1])
        # 2. States are masked while prompts are read and never after.
        arguments: dict[str, Any] = {"past_key_values": batch.cache, "cache_params": batch.cache}
        begins = ids_RT.shape[1] == batch.mask_RS.shape[1]
        if self.kind == "padded":
            if not begins:
                batch.mask_RS = torch.cat([batch.mask_RS, batch.mask_RS.new_ones(len(batch.mask_RS), 1)], dim=1)
            arguments["position_ids"] = (batch.mask_RS.cumsum(1) - 1).clamp(min=0)[:, -ids_RT.shape[1] :]
            if begins or not self.has_only_states:
                arguments["attention_mask"] = batch.mask_RS
        taken = {name: value for name, value in arguments.items() if name in self.forward_names}
        hidden_RTH = self.body(input_ids=ids_RT, use_cache=True, **taken).last_hidden_state
        return self.head(hidden_RTH[:, -1])


@dataclass
class _Batch:
    """Rows that go on together. `row_R`: which of the decoder's rows each of them is."""

    cache: DynamicCache | None
    ids_RS: Tensor  # what was read, where there is no cache
    mask_RS: Tensor  # 1 where a token is, 0 in the padding on the left
    row_R: Tensor

    def keep(self, own_R: Tensor, row_R: Tensor) -> None:
        if self.cache is not None:
            self.cache.reorder_cache(own_R)  # type: ignore[arg-type]
        self.ids_RS, self.mask_RS, self.row_R = self.ids_RS[own_R], self.mask_RS[own_R], row_R

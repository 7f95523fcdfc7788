"""How likely does a model hold a given reply, as a few tokens of its prompt change? Loss and gradient
for white-box attacks (GCG: Zou et al. 2023, arXiv 2307.15043).

A row is `before`, a suffix, `after` and the target; only the suffix changes. The keys and values of
`before` are computed once for all. The gradient is one pass back from the target to the embeddings of
the suffix, none of it into a weight; going there it leaves the suffix's own keys and values. So a
candidate, which differs from the suffix from some place on, branches off there: it computes what is
behind that place alone, hundreds of candidates as one flat batch, and the head reads the states that
predict the target and no others. Nothing is approximated: the loss is that of the plain row.

Models whose blocks are not ours run transformers' own forward: there `before` is computed once in each
batch, and the gradient is caught at the embedding. Left out: embeddings of a token in every layer
(Gemma 3n), whose gradient is not the input embedding's alone.

Shapes: P tokens before the suffix, S of the suffix, M tokens of a batch, K candidates, T of the target,
H hidden size, V vocabulary.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn

from alignwright.model.block_parts import embed
from alignwright.model.branch_attention import Branches, KeysValues
from alignwright.model.llama_blocks import (
    blocks_hidden,
    has_fast_blocks,
    scored_hidden,
    short_enough,
    trunk,
)
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.logprob import head_of, label_logprobs, reply_logprobs, token_logprobs
from alignwright.model.matmul import linear
from alignwright.model.packing import pack, plan_batches
from alignwright.model.row_gradient import Back, PlainRow
from alignwright.model.shared_prompt_attention import SharedPromptMask, attention_kernels, branch_mask
from alignwright.model.token_embeddings import token_delta
from alignwright.model.tokens import TokenRow

_VOCABULARY = 8192  # tokens whose gradient is made at once
_HEAD = 256  # states that the head reads at once: it is read anew for each lot


class TargetLoss:
    """The mean negative log-probability of `target` after `before`, a suffix and `after`, in the
    model's own precision. The weights must not change while it is in use."""

    def __init__(self, policy: LoadedModel, before: Sequence[int], after: Sequence[int], target: Sequence[int]) -> None:
        if not before or not target:
            raise ValueError("a target's loss needs a token before the suffix, and one of the target")
        self.policy, self.body, self.head = policy, trunk(policy.model), head_of(policy.model)
        self.before, self.after, self.target = list(before), list(after), list(target)
        self._row = _CachedRow(self.body, self.before) if has_fast_blocks(self.body) else None

    def gradient(self, suffix: Sequence[int]) -> tuple[float, Tensor]:
        """The loss, and its derivative by the one-hot vector of each token: [S, V], float32."""
        with _without_gradients(self.policy.model):
            fast = self._is_fast(len(suffix))
            loss, grad_SH = self._fast(suffix) if fast else self._plain(suffix)
            return loss, self._by_token(grad_SH, fast=fast)

    @torch.no_grad()
    def losses(self, suffixes: Sequence[Sequence[int]]) -> Tensor:
        """The loss of each of these suffixes: [K], float32. What they share with the suffix whose
        gradient was taken last is not computed again."""
        if not suffixes:
            return torch.empty(0)
        longest = max(map(len, suffixes))
        self.policy.check_lengths([len(self.before) + longest + len(self.after) + len(self.target)])
        row = self._row
        if row is None or not self._is_fast(longest):
            return self._plain_losses(suffixes)
        forks = [min(row.shared(suffix), len(self.before) + len(suffix) - (not self.after)) for suffix in suffixes]
        rests = [
            TokenRow((0,), ((*suffix, *self.after, *self.target[:-1])[fork - len(self.before) :],))
            for suffix, fork in zip(suffixes, forks, strict=True)
        ]
        loss_K = torch.empty(len(suffixes))
        for batch in plan_batches(rests, self.policy.token_budget, shuffle_seed=None):
            ids = [rests[k].replies[0] for k in batch]
            hidden_NH = row.branches(ids, [forks[k] for k in batch], len(self.target))
            loss_K[batch] = self._mean(hidden_NH, len(batch))
        return loss_K

    def _is_fast(self, length: int) -> bool:
        total = len(self.before) + length + len(self.after) + len(self.target)
        self.policy.check_lengths([total])
        return self._row is not None and short_enough(self.body, total)

    def _mean(self, hidden_NH: Tensor, rows: int) -> Tensor:
        label_N = torch.tensor(self.target, device=hidden_NH.device).repeat(rows)
        return -label_logprobs(hidden_NH, self.head, label_N, chunk=_HEAD).view(rows, -1).mean(1)

    # ---- by our own blocks -----------------------------------------------------------------------
    def _fast(self, suffix: Sequence[int]) -> tuple[float, Tensor]:
        assert self._row is not None
        self._row.cut(len(self.before))
        ids = [*suffix, *self.after, *self.target[:-1]]
        x_MH = embed(self.body, torch.tensor(ids, device=self.policy.device)).detach()
        if back := self._row.read_with_a_way_back(x_MH, ids, len(self.target)):
            hidden_TH, way_back = back
            hidden_TH.requires_grad_()
            loss = self._mean(hidden_TH, 1)[0]
            (grad_TH,) = torch.autograd.grad(loss, hidden_TH)
            return float(loss.detach()), way_back(grad_TH)[: len(suffix)]
        x_SH = x_MH[: len(suffix)].clone().requires_grad_()
        hidden_TH = self._row.read(torch.cat([x_SH, x_MH[len(suffix) :]]), ids, len(self.target))
        loss = self._mean(hidden_TH, 1)[0]
        (grad_SH,) = torch.autograd.grad(loss, x_SH)
        return float(loss.detach()), grad_SH

    @torch.no_grad()
    def _by_token(self, grad_SH: Tensor, *, fast: bool) -> Tensor:
        """The derivative by one-hot vectors, part of the vocabulary by part."""
        layer = self.policy.model.get_input_embeddings()
        count = layer.weight.shape[0]
        if fast and self._embeds_as_head(layer):
            return linear(grad_SH, layer.weight, None).float()
        parts: list[Tensor] = []
        for start in range(0, count, _VOCABULARY):
            ids = torch.arange(start, min(start + _VOCABULARY, count), device=grad_SH.device)
            rows_VH = embed(self.body, ids) if fast else layer(ids)
            parts.append((grad_SH @ rows_VH.to(grad_SH.dtype).T).float())
        return torch.cat(parts, dim=1)

    def _embeds_as_head(self, layer: Any) -> bool:
        """Whether an embedding is a row of the head's very weight, which may lie packed already."""
        plain = token_delta(layer) is None and getattr(self.body, "embedding_multiplier", 1.0) == 1.0
        return plain and layer.weight is self.head.weight

    # ---- by transformers' forward ----------------------------------------------------------------
    def _plain(self, suffix: Sequence[int]) -> tuple[float, Tensor]:
        packed = pack([self._token_row([suffix])], self.policy.chat.pad_id, dtype=self.policy.dtype)
        with _addend(self.policy.model.get_input_embeddings(), len(self.before), len(suffix)) as added:
            loss = self._mean(scored_hidden(self.policy.model, packed), 1)[0]
        (grad_SH,) = torch.autograd.grad(loss, added)
        return float(loss.detach()), grad_SH[0]

    def _plain_losses(self, suffixes: Sequence[Sequence[int]]) -> Tensor:
        length = max(map(len, suffixes)) + len(self.after) + len(self.target)
        count = max(1, self.policy.token_budget // length)
        parts: list[Tensor] = []
        for start in range(0, len(suffixes), count):
            row = self._token_row(suffixes[start : start + count])
            packed = pack([row], self.policy.chat.pad_id, dtype=self.policy.dtype)
            sum_R, count_R = reply_logprobs(token_logprobs(self.policy.model, packed), packed)
            parts.append((-sum_R / count_R).float().cpu())
        return torch.cat(parts)

    def _token_row(self, suffixes: Sequence[Sequence[int]]) -> TokenRow:
        replies = tuple((*suffix, *self.after, *self.target) for suffix in suffixes)
        unscored = len(replies[0]) - len(self.target)
        masks = tuple((False,) * (len(reply) - len(self.target)) + (True,) * len(self.target) for reply in replies)
        assert unscored > 0, "a suffix has a token"
        return TokenRow(tuple(self.before), replies, masks)


class _CachedRow:
    """Tokens that were read, with their keys and values in every block, and branches off them."""

    def __init__(self, body: Any, before: Sequence[int]) -> None:
        self.body, self.ids, self.plain = body, list[int](), PlainRow.of(body)
        self.states: list[KeysValues] = []
        self.device = body.embed_tokens.weight.device
        with torch.no_grad():
            self.read(embed(body, torch.tensor(list(before), device=self.device)), before, 1)

    def shared(self, suffix: Sequence[int]) -> int:
        """How many tokens of the row a suffix goes along with, those before it included."""
        same = takewhile(lambda pair: pair[0] == pair[1], zip(self.ids[self.width :], suffix, strict=False))
        return self.width + sum(1 for _ in same)

    def cut(self, width: int) -> None:
        """Forget what stands behind so many tokens."""
        self.width, self.ids = width, self.ids[:width]
        self.states = [KeysValues(each.key_PC[:width], each.value_PC[:width]) for each in self.states]

    def read(self, x_MH: Tensor, ids: Sequence[int], last: int) -> Tensor:
        """Go on with these embeddings; the states of the last so many of them."""
        past, count, fresh = len(self.ids), len(ids), list[KeysValues]()
        position_M = torch.arange(past, past + count, device=self.device)
        hidden = blocks_hidden(
            self.body, x_MH, position_M, self._mask([(past, count)], x_MH.dtype),
            torch.arange(count - last, count, device=self.device), before=self.states,
            keep=lambda key_MC, value_MC: fresh.append(KeysValues(key_MC.detach(), value_MC.detach())),
        )  # fmt: skip
        self._append(fresh, ids)
        return hidden

    def read_with_a_way_back(self, x_MH: Tensor, ids: Sequence[int], last: int) -> tuple[Tensor, Back] | None:
        """The same where blocks are plain, with the way from a gradient of the states to that of the
        embeddings; no graph is made."""
        if self.plain is None:
            return None
        position_M = torch.arange(len(self.ids), len(self.ids) + len(ids), device=self.device)
        hidden_NH, fresh, back = self.plain.read(x_MH, position_M, last, self.states)
        self._append(fresh, ids)
        return hidden_NH, back

    def _append(self, fresh: list[KeysValues], ids: Sequence[int]) -> None:
        self.states = [
            KeysValues(torch.cat([old.key_PC, new.key_PC]), torch.cat([old.value_PC, new.value_PC]))
            for old, new in zip(self.states, fresh, strict=True)
        ] if self.states else fresh  # fmt: skip
        self.ids, self.width = [*self.ids, *ids], len(self.ids) or len(ids)

    def branches(self, ids: Sequence[Sequence[int]], forks: Sequence[int], last: int) -> Tensor:
        """The states of the last so many tokens of each branch, one branch after the other."""
        flat = torch.tensor([token for branch in ids for token in branch], device=self.device)
        starts = [*zip(forks, map(len, ids), strict=True)]
        position_M = torch.cat([torch.arange(fork, fork + length) for fork, length in starts]).to(self.device)
        ends = torch.tensor([length for _, length in starts]).cumsum(0)
        scored_N = (ends[:, None] + torch.arange(-last, 0)).flatten().to(self.device)
        x_MH = embed(self.body, flat)
        heads, size = self.body.config.num_key_value_heads, self.body.layers[0].self_attn.head_dim
        flat_branches = attention_kernels(x_MH.dtype, self.device, size) is not None
        at = Branches.of(starts, heads) if flat_branches else self._mask(starts, x_MH.dtype)
        return blocks_hidden(self.body, x_MH, position_M, at, scored_N, before=self.states)

    def _mask(self, branches: Sequence[tuple[int, int]], dtype: torch.dtype) -> SharedPromptMask:
        config = self.body.config
        heads = config.num_key_value_heads
        return branch_mask(
            len(self.ids), branches, heads=heads, group=config.num_attention_heads // heads,
            size=self.body.layers[0].self_attn.head_dim, dtype=dtype, device=self.device,
        )  # fmt: skip


@contextlib.contextmanager
def _without_gradients(model: nn.Module) -> Iterator[None]:
    """No weight takes a gradient while this lasts."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        with torch.enable_grad():
            yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


@contextlib.contextmanager
def _addend(layer: nn.Module, start: int, count: int) -> Iterator[Tensor]:
    """Zeros that are added to what an embedding gives at some columns, for the sake of their
    gradient."""
    width = int(layer.weight.shape[1])  # type: ignore[union-attr, arg-type]
    dtype: torch.dtype = layer.weight.dtype  # type: ignore[union-attr, assignment]
    added = torch.zeros(1, count, width, dtype=dtype, device=layer.weight.device, requires_grad=True)  # type: ignore[union-attr, arg-type]

    def add(_: nn.Module, __: Any, out: Tensor) -> Tensor:
        return out + nn.functional.pad(added, (0, 0, start, out.shape[1] - start - count)).to(out.dtype)

    hook = layer.register_forward_hook(add)
    try:
        yield added
    finally:
        hook.remove()

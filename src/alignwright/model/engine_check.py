"""Which rows does a model read, and are the numbers that come of them its own?

At loading a short text is read in our rows and by the model's own forward, in transformers' own
attention where it has one, each reply alone. Where shared rows give other numbers (or none), plain
rows are taken, and the reason is kept; where those do too, the model is refused: a head that bends
its logits in a way we do not know would be scored wrongly. A sliding window is made three tokens
wide for the check, since a short text would never reach its end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from alignwright.model.attention import NAME
from alignwright.model.limits import unshared, window
from alignwright.model.llama_blocks import trunk
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.logprob import token_logprobs
from alignwright.model.model_rows import Decoding, PlainRows, plain_rows, set_plain_rows
from alignwright.model.own_cache import OwnCacheDecoder
from alignwright.model.packing import pack
from alignwright.model.tokens import TokenRow

_ERRORS = (ArithmeticError, AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What a forward raises that is given a mask it has no place for."""
_NARROW = 3
_EXACT, _ROUNDED = 1e-3, 0.25  # nats, in float32 and in bfloat16
_LAST_PLACES = 0.02  # of a logit in bfloat16: five of its last places


@torch.inference_mode()
def fit_rows(policy: LoadedModel) -> None:
    """Choose the rows that this model reads, and check their numbers. Raises ValueError where
    none give the model's own."""
    body = trunk(policy.model)
    config = policy.model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)  # some configurations make it of other settings
    reason = unshared({**config.to_dict(), "layer_types": kinds}) or _unlike(policy)
    if reason is None:
        return
    set_plain_rows(body, PlainRows(reason))
    if why := _unlike(policy):
        set_plain_rows(body, None)
        raise ValueError(
            f"{policy.name} ({type(policy.model).__name__}): {why} even in rows of their own; it scales or caps its"
            " logits in a way that is not known, and would be scored wrongly: use another model"
        )
    faster: tuple[Decoding, ...] = ("padded", "cached")
    for kind in faster:
        if _decodes(policy, kind):
            set_plain_rows(body, PlainRows(reason, kind))
            return


def _decodes(policy: LoadedModel, kind: Decoding) -> bool:
    """Whether a decoder of this kind gives the logits of whole rows: in bfloat16 about as well as
    one that reads each row anew."""
    gap, largest = _decoder_gap(policy, kind)
    if policy.dtype == torch.float32:
        return gap <= _EXACT
    return gap <= 3 * _decoder_gap(policy, "reread")[0] + _LAST_PLACES * largest


def _decoder_gap(policy: LoadedModel, kind: Decoding) -> tuple[float, float]:
    """How far the logits of such a decoder are from those of whole rows, and the largest logit."""
    _, *words = policy.chat.text("A check of the engine.").replies[0]
    prompts, goes_on = (tuple(words), tuple(words[1:3])), (*words[:2], *words[-2:])
    decoder, order = OwnCacheDecoder(policy, kind), [0, 1, 1]
    whole = [_own_logits(policy, (*prompts[p], *goes_on))[len(prompts[p]) - 1 :] for p in order]
    gaps = []
    try:
        logits_RV = decoder.begin(prompts, order, len(goes_on))
        for place, word in enumerate(goes_on):
            if place == 2:  # and a row less
                decoder.keep(torch.tensor([0, 2], device=policy.device))
                logits_RV, whole = logits_RV[::2], whole[::2]
            gaps += [(mine - own[place]).abs().max() for mine, own in zip(logits_RV, whole, strict=True)]
            logits_RV = decoder.step(torch.tensor([word] * len(whole), device=policy.device))
    except _ERRORS:
        return float("inf"), 0.0
    return _size(policy, torch.stack(gaps)), max(float(own.abs().max()) for own in whole)


def _unlike(policy: LoadedModel) -> str | None:
    """How our rows differ from the model's own numbers; None where they do not."""
    start, *words = policy.chat.text("A check of the engine.").replies[0]
    row = TokenRow((start,), (tuple(words), tuple(reversed(words))))
    reach = window(policy.model.config.get_text_config())
    shared = plain_rows(trunk(policy.model)) is None
    whole = _own_logprobs(policy, row)
    if (why := _gap(policy, row, whole)) or reach is None or not shared:
        return why
    with _narrow(policy.model.config.get_text_config()):
        narrow = _own_logprobs(policy, row)
        if len(words) > _NARROW and torch.equal(whole, narrow):
            return "its sliding window is not where its configuration says"
        return _gap(policy, row, narrow)


def _gap(policy: LoadedModel, row: TokenRow, own: Tensor) -> str | None:
    try:
        ours = token_logprobs(policy.model, pack([row], policy.chat.pad_id, dtype=policy.dtype))
    except _ERRORS as error:
        return f"its forward does not take them ({type(error).__name__}: {str(error).splitlines()[0][:120]})"
    gap = _size(policy, (ours - own).abs())
    if gap <= (_EXACT if policy.dtype == torch.float32 else _ROUNDED):
        return None
    return f"its log-probabilities are {gap:.2g} nats away from those of its own forward"


def _own_logprobs(policy: LoadedModel, row: TokenRow) -> Tensor:
    """Of the replies' tokens, each reply read by the model's own forward and head."""
    parts = []
    with _own_attention(policy.model):
        for reply in row.replies:
            logp_TV = _own_logits(policy, (*row.prompt, *reply))[len(row.prompt) - 1 : -1].float().log_softmax(-1)
            parts.append(logp_TV.gather(1, torch.tensor(reply, device=policy.device)[:, None])[:, 0])
    return torch.cat(parts)


def _own_logits(policy: LoadedModel, ids: Sequence[int]) -> Tensor:
    return policy.model(input_ids=torch.tensor([ids], device=policy.device), use_cache=False).logits[0]


def _size(policy: LoadedModel, gaps: Tensor) -> float:
    """The largest in float32. In bfloat16 the median: rounding may send a token to other experts."""
    return float(gaps.max() if policy.dtype == torch.float32 else gaps.float().median())


@contextlib.contextmanager
def _own_attention(model: Any) -> Iterator[None]:
    """In transformers' plain attention while this lasts, where the model runs in ours."""
    if model.config._attn_implementation != NAME or not model._can_set_attn_implementation():
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(NAME)


@contextlib.contextmanager
def _narrow(config: Any) -> Iterator[None]:
    reach = config.sliding_window
    config.sliding_window = _NARROW
    try:
        yield
    finally:
        config.sliding_window = reach

"""How is the same text not tokenized twice?

The ids of a text depend on the tokenizer and the text alone, and a run needs those of the same
prompts and replies for its estimate, its check, the data doctor, training and every measure. What
was made before is kept, up to a number of characters, and where the tokenizer is nothing
but transformers' class over a Rust one, the Rust one is asked directly: the wrapper around it takes
most of the time of a short text.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

from alignwright.model.bounded_cache import BoundedCache

CHARACTERS = 4_000_000
"""Of the texts whose ids are kept, by one tokenizer."""


class TextEncoder:
    """Token ids of a piece of text, no tokens of the tokenizer's own added around it."""

    def __init__(self, tokenizer: Any) -> None:
        self._encode = _encoder(tokenizer)
        self._ids: BoundedCache[array[int]] = BoundedCache(CHARACTERS)

    def ids(self, text: str, *, split: bool | None = None) -> list[int]:
        """`split`: the names of control tokens are the letters they are made of (None: as the
        tokenizer is set)."""
        return self._ids.get((text, split), len(text), lambda: array("i", self._encode(text, split))).tolist()


def _encoder(tokenizer: Any) -> Callable[[str, bool | None], list[int]]:
    """The Rust tokenizer's own method, else transformers'."""
    from transformers import PreTrainedTokenizerFast

    kind = type(tokenizer)
    plain = ("encode", "__call__", "_encode_plus", "backend_tokenizer")
    if not isinstance(tokenizer, PreTrainedTokenizerFast) or any(
        getattr(kind, name) is not getattr(PreTrainedTokenizerFast, name) for name in plain
    ):
        return lambda text, split: _through_transformers(tokenizer, text, split)
    rust: Any = tokenizer.backend_tokenizer

    def encode(text: str, split: bool | None) -> list[int]:
        rust.no_truncation()
        rust.no_padding()
        rust.encode_special_tokens = tokenizer.split_special_tokens if split is None else split
        return rust.encode(text, add_special_tokens=False).ids

    return encode


def _through_transformers(tokenizer: Any, text: str, split: bool | None) -> list[int]:
    options = {} if split is None else {"split_special_tokens": split}
    return list(tokenizer.encode(text, add_special_tokens=False, **options))

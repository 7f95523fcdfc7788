"""What text is each token of a reply, and how much of the text is settled while it is being written?

A token may be a part of a character, so text is given out only up to where no later token can
change it. Where it ends at a stop string is looked for in the text, not in the tokens, since a stop
string may begin or end inside one; text that may still become a stop string is held back.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from threading import RLock
from typing import Any

from alignwright.model.tokens import Chat

_UNFINISHED = "\ufffd"  # what a decoder writes for bytes that are no character yet
_CONTEXT = 4  # settled tokens that are decoded again with those to come: what a token writes depends on its neighbours


class TokenText:
    """Texts of tokens, for several threads: a tokenizer is asked by one at a time."""

    def __init__(self, chat: Chat) -> None:
        self.chat, self.lock = chat, RLock()
        self._bytes = lru_cache(maxsize=65_536)(self._bytes_of)

    def decode(self, ids: Sequence[int]) -> str:
        with self.lock:
            return self.chat.decode(ids)

    def token(self, token: int) -> tuple[str, bytes]:
        """A token as text and as bytes; a control token is its name."""
        data = self._bytes(token)
        return data.decode("utf-8", "replace"), data

    def _bytes_of(self, token: int) -> bytes:
        with self.lock:
            piece, text = self.chat.tokenizer.convert_ids_to_tokens(token), self.chat.tokenizer.decode([token])
        if piece is None:
            return b""
        if _UNFINISHED not in text:
            return str(text).encode()
        if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            return bytes([int(piece[3:5], 16)])
        letters = _byte_of_letter()
        return bytes(letters[sign] for sign in piece) if all(sign in letters for sign in piece) else str(text).encode()


class GrowingText:
    """A reply's text as its tokens come. `add` gives what is settled and new; after a stop string
    has been met `stopped` is true and nothing more comes."""

    def __init__(self, texts: TokenText, stops: Sequence[str] = ()) -> None:
        self._texts, self._stops = texts, [stop for stop in stops if stop]
        self._ids: list[int] = []
        self._anchor = self._read = 0  # decoded from, and settled up to
        self._held = ""
        self.stopped = False

    def add(self, ids: Sequence[int]) -> str:
        self._ids += ids
        known = self._texts.decode(self._ids[self._anchor : self._read])
        whole = self._texts.decode(self._ids[self._anchor :])
        if whole.endswith(_UNFINISHED):
            return ""
        self._read = len(self._ids)
        self._anchor = max(self._anchor, self._read - _CONTEXT)
        return self._give(whole[len(known) :], is_last=False)

    def rest(self) -> str:
        """What was held back, at the end."""
        known = self._texts.decode(self._ids[self._anchor : self._read])
        whole = self._texts.decode(self._ids[self._anchor :])
        self._read = self._anchor = len(self._ids)
        return self._give(whole[len(known) :], is_last=True)

    def _give(self, new: str, *, is_last: bool) -> str:
        if self.stopped:
            return ""
        text = self._held + new
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        keep = 0 if is_last else max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """How many of the last characters of the text may be the beginning of the stop string."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)


@lru_cache(maxsize=1)
def _byte_of_letter() -> dict[str, int]:
    """The byte that each letter of a byte-level tokenizer stands for (Radford et al. 2019):
    printable Latin-1 stands for itself, the others are numbered from 256 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters: dict[str, Any] = {chr(byte): byte for byte in printable}
    return letters | {chr(256 + place): byte for place, byte in enumerate(others)}

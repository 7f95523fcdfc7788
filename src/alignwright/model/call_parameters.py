"""Which optional parameters of a chat completion (max_tokens, logprobs, seed) does this server
take? It is learnt from what it rejects, once for all calls.

`max_tokens` is renamed to `max_completion_tokens` before it is left out, twenty likeliest words
become five before log-probabilities are left out, and temperature and seed are left out. Where a
rejection names no parameter, and the server has answered nothing yet, each is left out by itself,
then all; a rejected call costs nothing.

A model that thinks before it speaks needs room for it: a short answer that was cut is asked for
once more with `ROOM` tokens, and if that helps, all are.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

ROOM = 4096
LEAST_ROOM = 256
TOP = 20  # likeliest words, the most that servers give
FEWER_TOP = 5


@dataclass(frozen=True)
class ChatCall:
    """What is asked, before it is known what the server takes. The likeliest words are wanted where
    there are `options`.

    A `short` answer is one that fits into `tokens` many times over, unless the model thinks first.
    """

    messages: tuple[Mapping[str, str], ...]
    tokens: int
    temperature: float = 0.0
    seed: int | None = None
    options: tuple[str, ...] = ()
    short: bool = True


@dataclass(frozen=True)
class AcceptedParameters:
    """What a server takes: the name of the limit on tokens ("" for none), likeliest words (0 for
    none), and what is left out."""

    limit: str = "max_tokens"
    top: int = TOP
    without: frozenset[str] = frozenset()


_GUESSES = (
    AcceptedParameters(top=0),
    AcceptedParameters(without=frozenset({"seed"})),
    AcceptedParameters(without=frozenset({"temperature"})),
    AcceptedParameters(limit="max_completion_tokens"),
    AcceptedParameters(limit=""),
    AcceptedParameters(limit="max_completion_tokens", top=0, without=frozenset({"seed", "temperature"})),
    AcceptedParameters(limit="", top=0, without=frozenset({"seed", "temperature"})),
)


@dataclass
class Parameters:
    """What is known of one server. `has_answered`: it has answered at least once; `thinks`: its
    answers need room."""

    tokens: int | None = None
    accepted: AcceptedParameters = field(default_factory=AcceptedParameters)
    has_answered: bool = False
    thinks: bool = False
    room: int = ROOM
    _room_tried: bool = False
    _guess: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def body(self, model: str, call: ChatCall, *, room: bool = False) -> dict[str, Any]:
        """The request's body. `room`: whatever is known, with room to think."""
        with self._lock:
            accepted, most = self.accepted, call.tokens
            if self.tokens is not None:
                most = max(most, self.tokens)
            elif self.thinks or room:
                most += self.room
        parts: dict[str, Any] = {"model": model, "messages": [dict(message) for message in call.messages]}
        if accepted.limit:
            parts[accepted.limit] = most
        if "temperature" not in accepted.without:
            parts["temperature"] = call.temperature
        if call.seed is not None and "seed" not in accepted.without:
            parts["seed"] = call.seed
        if call.options and accepted.top:
            parts |= {"logprobs": True, "top_logprobs": accepted.top}
        return parts

    def reject(self, name: str, body: Mapping[str, Any]) -> None:
        """The server does not take `name` as it stood in `body`; what another call has learnt
        already is not learnt twice."""
        with self._lock:
            now = self.accepted
            if name == now.limit:
                is_new_name = name == "max_completion_tokens"
                self.accepted = replace(now, limit="" if is_new_name else "max_completion_tokens")
            elif name in ("logprobs", "top_logprobs") and now.top == body.get("top_logprobs"):
                self.accepted = replace(now, top=FEWER_TOP if name == "top_logprobs" and now.top == TOP else 0)
            elif name in ("temperature", "seed"):
                self.accepted = replace(now, without=now.without | {name})

    def guess(self, *, only_logprobs: bool = False) -> bool:
        """Leave something else out, after a rejection that named nothing. False: all was tried;
        what is known is as before."""
        with self._lock:
            if self._guess < (1 if only_logprobs else len(_GUESSES)):
                self.accepted = _GUESSES[self._guess]
                self._guess += 1
                return True
            self.accepted, self._guess = AcceptedParameters(), 0
            return False

    def less_room(self) -> bool:
        """The server has not so much room. False: it has been made as little as can be."""
        with self._lock:
            if self.room <= LEAST_ROOM:
                return False
            self.room //= 2
            return True

    def roomy(self, call: ChatCall, body: Mapping[str, Any]) -> bool:
        """Did the request leave room to think?"""
        return (
            max(body.get("max_tokens", 0), body.get("max_completion_tokens", 0)) > call.tokens
            or not self.accepted.limit
        )

    def try_room(self) -> bool:
        """Should an answer that was cut be asked for with room to think? Tried once for a
        server, unless it is known to think."""
        with self._lock:
            worth_a_try = self.tokens is None and (self.thinks or not self._room_tried)
            self._room_tried = True
            return worth_a_try

    def note_answer(self, *, thinks: bool = False) -> None:
        with self._lock:
            self.has_answered, self.thinks = True, self.thinks or thinks

    @property
    def left_out(self) -> tuple[str, ...]:
        """What this server was found not to take, for people to read."""
        renamed = {"": ("max_tokens",), "max_completion_tokens": ("max_tokens (but max_completion_tokens)",)}.get(
            self.accepted.limit, ()
        )
        return (*renamed, *(("logprobs",) if not self.accepted.top else ()), *sorted(self.accepted.without))

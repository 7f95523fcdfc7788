"""Which tokens of a row are the prompt's, what the template writes after the request, and the reply's?

Of a text that is given, its parts are encoded one by one, so this is known. While a model runs, whoever calls it, it is
told by the tokens themselves: what the template writes where a reply begins stands before every reply, what follows it
up to the end of the turn is the reply, and a token that is added over a cache is one too. So a model that is steered
within a scope is the same whether it writes a reply or is given one, packed beside others or alone.

Shapes: B rows, T tokens, H hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from alignwright.core.records import Conversation
from alignwright.core.token_scope import TokenScope
from alignwright.model.activations.capture import row_states, sinks
from alignwright.model.activations.sites import Site
from alignwright.model.loaded_model import LoadedModel

_REQUESTS = ("a", "Why?", "Name 7 of them.\n\n1")


def template_tokens(policy: LoadedModel) -> tuple[int, ...]:
    """What the template writes after a user's message, up to where the reply begins: the tokens that end the prompts
    of all requests."""
    prompts = [policy.chat.prompt(Conversation.user(text)) for text in _REQUESTS]
    return tuple(reduce(_shared_end, prompts))


def _shared_end(one: list[int], other: list[int]) -> list[int]:
    count = 0
    while count < min(len(one), len(other)) and one[-1 - count] == other[-1 - count]:
        count += 1
    return one[len(one) - count :]


@dataclass(frozen=True)
class ScopedRow:
    """The tokens that are read, and which of them count: from `begin` up to `end`."""

    ids: tuple[int, ...]
    begin: int
    end: int


def scoped_row(policy: LoadedModel, text: str | Conversation, scope: TokenScope, most: int | None = None) -> ScopedRow:
    """A plain text, or a conversation (which ends with the reply where there is one), with the tokens of a scope; of a
    reply at most the first so many. No further than they are is anything read. Raises ValueError for a scope that the
    text has not."""
    if isinstance(text, str):
        row = policy.chat.text(text)
        ids, begin = (*row.prompt, *row.replies[0]), len(row.prompt)
        if scope not in ("prompt_end", "all"):
            raise ValueError(f"tokens: {scope}: a plain text has no prompt and no reply; read 'prompt_end' or 'all'")
        return ScopedRow(ids, len(ids) - 1 if scope == "prompt_end" else min(begin, len(ids) - 1), len(ids))
    replied = text.last.role == "assistant"
    asked = Conversation(messages=text.messages[:-1]) if replied else text
    row = policy.chat.row(asked, [text.last.content] if replied else [""], end=False)
    prompt, reply = row.prompt, row.replies[0][:most]
    match scope:
        case "prompt_end":
            return ScopedRow(prompt, len(prompt) - 1, len(prompt))
        case "template":
            return ScopedRow(prompt, len(prompt) - len(template_tokens(policy)), len(prompt))
        case "prompt":
            return ScopedRow(prompt, 0, len(prompt))
        case "reply" if not reply:
            raise ValueError(f"the reply {text.last.content if replied else ''!r} has no token, so no activations")
        case "reply":
            return ScopedRow((*prompt, *reply), len(prompt), len(prompt) + len(reply))
        case "all":
            return ScopedRow((*prompt, *reply), 0, len(prompt) + len(reply))


def scoped_states(policy: LoadedModel, rows: Sequence[ScopedRow], layers: Sequence[int]) -> dict[int, Tensor]:
    """The mean of what each of these blocks leaves at the tokens that count, attention sinks left out: [N, H], in
    float32."""
    sites = [Site(layer) for layer in layers]
    means: list[list[Tensor]] = [[] for _ in rows]
    for each in row_states(policy, [row.ids for row in rows], sites):
        row = rows[each.row]
        means[each.row] = [_mean(each.states[site], row.begin, row.end) for site in sites]
    hidden = int(policy.model.config.get_text_config().hidden_size)
    return {
        layer: torch.stack([of_row[place] for of_row in means]) if rows else torch.empty(0, hidden)
        for place, layer in enumerate(layers)
    }


def _mean(states_TH: Tensor, begin: int, end: int) -> Tensor:
    if end - begin == 1:
        return states_TH[begin].float().cpu()
    kept_T = ~sinks(states_TH)
    kept_T[:begin], kept_T[end:] = False, False
    if not kept_T.any():
        kept_T[begin:end] = True
    return states_TH[kept_T].double().mean(0).float().cpu()


class ScopeMasks:
    """Which tokens of the rows that a trunk is reading are in each of these scopes: what the hooks of edits ask.
    `read` is the trunk's own hook."""

    def __init__(self, policy: LoadedModel, scopes: Sequence[TokenScope]) -> None:
        self.scopes = frozenset(scopes)
        self.template = template_tokens(policy)
        self.ends = policy.chat.stop_ids | set(policy.chat.end_ids[:1])
        self._masks: dict[TokenScope, Tensor] = {}

    def read(self, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raises ValueError where the trunk is given states in place of tokens: whose they are is not known."""
        ids_BT = kwargs.get("input_ids", args[0] if args else None)
        if not isinstance(ids_BT, Tensor):
            raise ValueError(
                "a model that is steered at some tokens was given states in place of tokens, so which of them are the"
                " reply's is not known; steer it at all tokens"
            )
        if _over_cache(kwargs, ids_BT.shape[1]):
            replies_BT = torch.ones(ids_BT.shape, dtype=torch.bool, device=ids_BT.device)
            self._masks = {scope: replies_BT if scope == "reply" else ~replies_BT for scope in self.scopes}
            return
        positions = kwargs.get("position_ids")
        places = positions.expand(ids_BT.shape).tolist() if isinstance(positions, Tensor) else None
        rows = [
            _parts(ids, places[b] if places else range(len(ids)), self.template, self.ends)
            for b, ids in enumerate(ids_BT.tolist())
        ]
        self._masks = {
            scope: torch.tensor([[scope in part for part in row] for row in rows], device=ids_BT.device)
            for scope in self.scopes
        }

    def within(self, scope: TokenScope, states: Tensor) -> Tensor:
        """The tokens of a scope among those of these states, to be multiplied with them: [B, T, 1]."""
        return self._masks[scope].reshape(*states.shape[:-1], 1)


def _over_cache(kwargs: Mapping[str, Any], width: int) -> bool:
    """Whether what is read goes on from a row that was read before. Whoever decodes here adds one token at a time,
    and a prompt has the template's beside its own; the caches of state-space models tell no length."""
    return width == 1 and any(kwargs.get(name) is not None for name in ("past_key_values", "cache_params"))


_PROMPT: frozenset[TokenScope] = frozenset({"prompt"})
_TEMPLATE: frozenset[TokenScope] = frozenset({"prompt", "template"})
_LAST: frozenset[TokenScope] = frozenset({"prompt", "template", "prompt_end"})
_REPLY: frozenset[TokenScope] = frozenset({"reply"})


def _parts(
    ids: Sequence[int], positions: Sequence[int], template: tuple[int, ...], ends: frozenset[int]
) -> list[frozenset[TokenScope]]:
    """The scopes of each token of a row. A token at position 0 begins a row of its own, and one that does not follow on
    the one before it another reply to the same prompt."""
    parts: list[frozenset[TokenScope]] = []
    count, replying = len(template), False
    for place, token in enumerate(ids):
        if place == 0 or positions[place] == 0:
            replying = False
        elif positions[place] != positions[place - 1] + 1:
            replying = True
        parts.append(_REPLY if replying else _PROMPT)
        if replying:
            replying = token not in ends
        elif tuple(ids[place + 1 - count : place + 1]) == template:
            parts[place + 1 - count :] = [*[_TEMPLATE] * (count - 1), _LAST]
            replying = True
    return parts

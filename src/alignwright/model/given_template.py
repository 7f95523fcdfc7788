"""How does a base model come by the chat template that its spec gives it, and by the special tokens
that the template writes?

The template is put into a copy of the model's tokenizer, so what is saved has it inside. Control
tokens of the form `<|name|>` that it writes are used where the vocabulary has them, as reserved
tokens of a base model often are, and else are added (`token_embeddings`). What ends a turn becomes
the tokenizer's end.

A template that is known by its name begins with the token that begins a text, where the tokenizer
puts one before each text. A template in a file is used as it is.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tokenizers import AddedToken

from alignwright.core.records import TODAY
from alignwright.files.chat_format import ChatFormat
from alignwright.model.chat_template import Template, TemplateOverBound, TemplateRefusal
from alignwright.model.tokens import Chat

_TOKEN = re.compile(r"<\|[^\s|<>]{1,60}\|>")
_TALKS = (
    ("user",),
    ("user", "assistant", "user", "assistant"),
    ("system", "user", "assistant"),
    ("user", "assistant", "tool", "assistant"),
)
"""Conversations whose control tokens a template is tried for."""


@dataclass(frozen=True)
class GivenTemplate:
    """A tokenizer with the template that a spec gives it."""

    tokenizer: Any
    overrides: bool
    """Whether the model had a template of its own."""
    end_id: int | None = None
    """The token that ends a turn; None where there is no template."""
    token_ids: tuple[int, ...] = ()
    """The control tokens that the template writes, but for those that begin and end a text."""
    new_ids: tuple[int, ...] = ()
    """Those of them that the vocabulary lacked."""

    @property
    def new_names(self) -> list[str]:
        return [str(name) for name in self.tokenizer.convert_ids_to_tokens(list(self.new_ids))]


@lru_cache(maxsize=2)
def give_template(tokenizer: Any, chat: ChatFormat) -> GivenTemplate:
    """A copy of the tokenizer with this template. Raises ValueError for a template that cannot be
    trained with."""
    overrides = bool(getattr(tokenizer, "chat_template", None))
    given = copy.deepcopy(tokenizer)
    given.chat_template = None
    if chat.template is None:
        return GivenTemplate(given, overrides)
    # 1. The template, and before it what the tokenizer itself begins a text with.
    given.chat_template = "{{ bos_token }}" * (chat.known and begins_texts(given)) + chat.template
    # 2. Its control tokens: each is one token, and never what somebody types.
    texts = {given.bos_token_id, given.eos_token_id, given.pad_token_id}
    names, vocabulary = list(dict.fromkeys(_control_tokens(given))), given.get_vocab()
    given.add_tokens([AddedToken(name, special=True, normalized=False) for name in names], special_tokens=True)
    ids = {name: int(given.convert_tokens_to_ids(name)) for name in names}
    # 3. What ends a turn ends a reply: generation stops there, also in what is saved.
    try:
        end_id = Chat(given).end_ids[-1]
    except ValueError as error:
        raise ValueError(f"chat: {chat.name}: {error}") from None
    if "eos_token" not in chat.template:
        given.eos_token = str(given.convert_ids_to_tokens(end_id))
    return GivenTemplate(
        given,
        overrides,
        end_id,
        tuple(sorted(i for i in ids.values() if i not in texts)),
        tuple(sorted(i for name, i in ids.items() if name not in vocabulary)),
    )


def begins_texts(tokenizer: Any) -> bool:
    """Whether the tokenizer puts the token that begins a text before each."""
    return tokenizer.bos_token_id is not None and tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]


def _control_tokens(tokenizer: Any) -> Iterable[str]:
    """The names of control tokens that the template writes, in any conversation that it does not
    refuse."""
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    template = Template(tokenizer.chat_template, special, TODAY)
    for roles in _TALKS:
        messages = [{"role": role, "content": "word"} for role in roles]
        try:
            yield from _TOKEN.findall(template.render(messages, add_generation_prompt=roles[-1] != "assistant"))
        except (TemplateRefusal, TemplateOverBound):
            continue

"""How does text become token ids by the chat template, and which of them are scored (loss mask)?

`Chat` is the only door. A prompt is the tokenizer's own chat template rendered up to the
assistant's header; a reply is its text and the end-of-turn token. Both are checked against the
template when a `Chat` is made: prompt ids + reply ids must begin the rendering of the whole
conversation, or training and sampling would see different tokens. What is scored is said by masks
alone, so a padding token that equals the end token (SmolLM2) changes nothing.

Text of messages never becomes a control token: "<|im_end|>" typed by a user is encoded as the
letters it is made of. And none of it is lost: a template that leaves a message out, or refuses its
role, is an error that names the message (`UnrenderedMessage`); only the thoughts that a template
cuts from an earlier reply, up to `</think>`, may go.

Left out on purpose: tools, images and reasoning traces. A template with a reasoning switch is used
with reasoning off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import Any

from alignwright.core.records import TODAY, Conversation, Message
from alignwright.model.bounded_cache import BoundedCache
from alignwright.model.chat_template import Template, TemplateOverBound, TemplateRefusal
from alignwright.model.dropped_messages import first_dropped, placeholders
from alignwright.model.template_errors import NoTemplate, TemplateStopped, UnrenderedMessage, cure_for, roles_text
from alignwright.model.text_encoder import CHARACTERS, TextEncoder

_MARK = (  # a private-use character: stands for a control token's text inside a message while the template is rendered
    "\ue000"
)


@dataclass(frozen=True)
class TokenRow:
    """A prompt and the replies to it. `masks` says which reply tokens are scored; None: all of
    them."""

    prompt: tuple[int, ...]
    replies: tuple[tuple[int, ...], ...]
    masks: tuple[tuple[bool, ...], ...] | None = None

    def __len__(self) -> int:
        return len(self.prompt) + sum(map(len, self.replies))


class Chat:
    """The door from text to ids, made from a tokenizer. `eos_ids` are the ids at which the model
    stops, where a model is known; `date` is the day that a template is given for today."""

    def __init__(self, tokenizer: Any, eos_ids: Iterable[int] | None = None, date: str = TODAY) -> None:
        self.tokenizer = tokenizer
        self._encoder = TextEncoder(tokenizer)
        self._rendered: BoundedCache[str] = BoundedCache(CHARACTERS)
        self.writes = bool(getattr(tokenizer, "chat_template", None))
        """Whether there is a chat template. Without one plain text can be read and learnt, and
        nothing else."""
        self._controls = sorted(
            (str(t) for t in tokenizer.added_tokens_decoder.values() if t.special), key=lambda s: (-len(s), s)
        )
        self._control_pattern = re.compile("|".join(map(re.escape, [*self._controls, _MARK])))
        self.pad_id: int = next(i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if i is not None)
        self._template = _template(tokenizer, date) if self.writes else None
        self._patterns: dict[tuple[str, ...], str | None] = {}
        self.end_text: str = ""
        self.end_ids: tuple[int, ...] = ()
        if not self.writes:
            self._options: dict[str, bool] = {}
            self.trims, self.stop_ids = False, frozenset(eos_ids or ())
            self._start_id = next(
                i for i in (tokenizer.bos_token_id, tokenizer.eos_token_id, self.pad_id) if i is not None
            )
            return
        self._options = self._find_options()
        self.end_text, self.end_ids = self._find_end()
        self.trims = f"{_PROBE_REPLY}  {self.end_text}" not in self.words(
            [_user(_PROBE), _assistant(f"{_PROBE_REPLY}  ")], header=False
        )
        self.stop_ids = self._find_stops(eos_ids)
        self._start_id = self._find_start()
        self._check_prefix()

    # ---- text to ids -----------------------------------------------------------------------------
    def prompt(self, conversation: Conversation, prefix: str = "") -> list[int]:
        """The conversation up to and including the assistant's header, and then `prefix`, the
        start of the assistant's turn."""
        return self.encode(self.words(conversation.messages, header=True) + self._escape(prefix))

    def reply(self, text: str, end: bool = True) -> list[int]:
        """The text as plain letters, and the end of the turn."""
        return self._plain(text) + (list(self.end_ids) if end else [])

    def row(
        self, conversation: Conversation, replies: Sequence[str], *, prefix: str = "", end: bool = True
    ) -> TokenRow:
        """One prompt and its replies, all reply tokens scored."""
        return TokenRow(
            tuple(self.prompt(conversation, prefix)), tuple(tuple(self.reply(text, end)) for text in replies)
        )

    def conversation(self, conversation: Conversation) -> TokenRow:
        """A whole conversation as training data: the prompt ends at the header of the first
        assistant turn that is to be learnt; from there on the words and ends of those that are
        to be learnt are scored."""
        turns = [i for i, message in enumerate(conversation.messages) if message.role == "assistant"]
        first = next((i for i in turns if conversation.messages[i].trained), None)
        if first is None:
            raise ValueError(
                f"conversation {conversation.id} has no assistant message to be learnt, so there is nothing to learn"
                " from it"
            )
        rendered_so_far = head = self.words(conversation.messages[:first], header=True)
        ids: list[int] = []
        mask: list[bool] = []
        for turn in (turn for turn in turns if turn >= first):
            # what stood in a rendering stands in the next, which begins with it: the last is looked at
            before = self.words(conversation.messages[:turn], header=True, whole=turn == turns[-1])
            if not before.startswith(rendered_so_far):
                raise ValueError(
                    f"the chat template rewrites earlier turns of conversation {conversation.id}: before message {turn}"
                    " it does not show them as they were written; learn the last turn alone (turns: last), split the"
                    " conversation, or use a model whose template keeps them"
                )
            text = conversation.messages[turn].content.strip() if self.trims else conversation.messages[turn].content
            between, reply_ids = self.encode(before[len(rendered_so_far) :]), self.reply(text)
            ids += between + reply_ids
            mask += [False] * len(between) + [conversation.messages[turn].trained] * len(reply_ids)
            rendered_so_far = before + self._escape(text) + self.end_text
        return TokenRow(tuple(self.encode(head)), (tuple(ids),), None if all(mask) else (tuple(mask),))

    def text(self, text: str) -> TokenRow:
        """Plain text without a template, after the token that starts a document."""
        return TokenRow((self._start_id,), (tuple(self._plain(text)),))

    def continuation(self, text: str, continuations: Sequence[str]) -> TokenRow:
        """Plain text and what may follow it, without a template. Where a token spans the two, it
        is scored with what follows."""
        wholes = [self._plain(text + continuation) for continuation in continuations]
        same = takewhile(lambda ids: len(set(ids)) == 1, zip(self._plain(text), *wholes, strict=False))
        shared = tuple(first for first, *_ in same)
        return TokenRow((self._start_id, *shared), tuple(tuple(whole[len(shared) :]) for whole in wholes))

    def whole(self, conversation: Conversation) -> list[int]:
        """A finished conversation, as the template writes it from its first token to its last."""
        return self.encode(self.words(conversation.messages, header=False))

    @property
    def control_ids(self) -> frozenset[int]:
        """The ids of the tokens that speak with the template's voice."""
        return frozenset(int(i) for i, token in self.tokenizer.added_tokens_decoder.items() if token.special)

    def control_tokens_in(self, text: str) -> list[str]:
        """The control tokens whose names stand in a text; each is encoded as the letters it is made
        of."""
        return [name for name in self._control_pattern.findall(text) if name != _MARK]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of a reply: control tokens, the end of the turn among them, are left out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _plain(self, text: str) -> list[int]:
        return self._encoder.ids(text, split=True) if text else []

    def encode(self, rendered: str) -> list[int]:
        """Ids of rendered text: control tokens that the template wrote are control tokens,
        marked ones are their letters."""
        ids: list[int] = []
        for place, piece in enumerate(re.split(f"{_MARK}([0-9]+);", rendered)):
            if place % 2:
                ids += self._plain([*self._controls, _MARK][int(piece)])
            elif piece:
                ids += self._encoder.ids(piece)
        return ids

    def _escape(self, text: str) -> str:
        names = [*self._controls, _MARK]
        return self._control_pattern.sub(lambda match: f"{_MARK}{names.index(match.group())};", text)

    def words(self, messages: Sequence[Message], header: bool = True, whole: bool = True) -> str:
        """What the template writes. Raises UnrenderedMessage where it refuses, or where `whole` and
        a message's text does not stand in it."""
        key = (tuple((m.role, m.content) for m in messages), header, whole, *self._options.items())
        return self._rendered.get(
            key,
            sum(len(m.content) for m in messages),
            lambda: self._render_anew(messages, header=header, whole=whole),
        )

    def _render_anew(self, messages: Sequence[Message], *, header: bool, whole: bool) -> str:
        roles, texts = [m.role for m in messages], [self._escape(m.content) for m in messages]
        try:
            rendered = self._write(roles, texts, header)
        except TemplateOverBound as error:
            raise TemplateStopped(
                f"the model's chat template was stopped as it wrote a conversation: {error}; use another"
                " chat_template.jinja"
            ) from None
        except TemplateRefusal as error:
            role = self._refused_role(roles, texts)
            raise UnrenderedMessage(
                f"the model's chat template refuses a conversation of {roles_text(roles)}: {error}",
                role,
                cure_for(role, roles),
            ) from None
        if (
            whole
            and (place := first_dropped(roles, texts, rendered, self._own_words(roles, header=header))) is not None
        ):
            message = (
                f"message {place + 1} of {len(roles)}, the {roles[place]}'s ({messages[place].content.strip()[:60]!r})"
            )
            raise UnrenderedMessage(
                f"the model's chat template leaves out or changes {message}", roles[place], cure_for(roles[place])
            )
        return rendered

    def _write(self, roles: Sequence[str], texts: Sequence[str], header: bool) -> str:
        if self._template is None:
            raise NoTemplate
        messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
        return self._template.render(messages, add_generation_prompt=header, **self._options)

    def _own_words(self, roles: Sequence[str], *, header: bool) -> str | None:
        """What the template writes around messages of these roles, with a sign for each; None
        where it cannot be told."""
        pattern = (*roles, *["header"] * header)  # the header for a reply holds words, too
        if pattern not in self._patterns:
            try:
                self._patterns[pattern] = self._write(roles, placeholders(len(roles)), header=header)
            except (TemplateRefusal, TemplateOverBound):
                self._patterns[pattern] = None
        return self._patterns[pattern]

    def _refused_role(self, roles: Sequence[str], texts: Sequence[str]) -> str:
        """The role without whose messages the template writes the rest; none where that is not
        it."""
        for role in dict.fromkeys(role for role in roles if role not in ("user", "assistant")):
            places = [i for i, r in enumerate(roles) if r != role]
            try:
                self._write([roles[i] for i in places], [texts[i] for i in places], header=True)
            except (TemplateRefusal, TemplateOverBound):
                continue
            return role
        return ""

    # ---- what the template says, found when made -------------------------------------------------
    def _find_options(self) -> dict[str, bool]:
        for self._options in ({}, {"enable_thinking": False}):
            whole = self.words([_user(_PROBE), _assistant(_PROBE_REPLY)], header=False)
            if whole.startswith(self.words([_user(_PROBE)], header=True) + _PROBE_REPLY):
                return self._options
        raise ValueError(
            "the chat template writes an assistant's turn in two ways: its header for a new reply is not how it shows a"
            " reply that is given; a model trained on the one would be sampled with the other, so this template cannot"
            " be used"
        )

    def _find_end(self) -> tuple[str, tuple[int, ...]]:
        """What ends an assistant's turn: everything after the reply up to the first control
        token."""
        whole = self.words([_user(_PROBE), _assistant(_PROBE_REPLY)], header=False)
        tail = whole[len(self.words([_user(_PROBE)], header=True) + _PROBE_REPLY) :]
        match = re.compile("|".join(map(re.escape, self._controls))).search(tail) if self._controls else None
        if match is None:
            raise ValueError(
                f"the chat template ends an assistant's turn with {tail!r}, in which there is no control token: a model"
                " trained on it never learns to stop; use a template that writes the end-of-turn token after each"
                " assistant message"
            )
        return tail[: match.end()], tuple(self._encoder.ids(tail[: match.end()]))

    def _find_stops(self, eos_ids: Iterable[int] | None) -> frozenset[int]:
        ids = frozenset(eos_ids) if eos_ids is not None else frozenset()
        if eos_ids is not None and self.end_ids[-1] not in ids:
            raise ValueError(
                f"the chat template ends an assistant's turn with {self.end_text!r} (id {self.end_ids[-1]}), but the"
                f" model stops at {sorted(ids)}: its replies would never end; set eos_token_id in the model's"
                f" generation_config.json to {self.end_ids[-1]}"
            )
        return ids | {self.end_ids[-1]}

    def _find_start(self) -> int:
        """The start of a plain text: bos, unless bos opens a turn of the template; then the end
        of another text, or eos."""
        bos, header = self.tokenizer.bos_token_id, self.words([_user(_PROBE)], header=True)
        if bos is not None and header.count(str(self.tokenizer.bos_token)) <= 1:
            return int(bos)
        separator = self.tokenizer.get_vocab().get("<|endoftext|>", self.tokenizer.eos_token_id)
        return int(separator if separator is not None else self.pad_id)

    def _check_prefix(self) -> None:
        for messages in _PROBES:
            whole = self.encode(self.words([*messages, _assistant(_PROBE_REPLY)], header=False))
            ours = self.encode(self.words(messages, header=True)) + self.reply(_PROBE_REPLY)
            if whole[: len(ours)] != ours:
                place = next((i for i, (a, b) in enumerate(zip(ours, whole, strict=False)) if a != b), len(whole))
                raise ValueError(
                    f"prompt and reply do not tokenize as the whole conversation does: from token {place} on it is"
                    f" {self.tokenizer.decode(ours[place:])!r}, but the template gives"
                    f" {self.tokenizer.decode(whole[place:])!r}; the model would be trained on tokens it never sees"
                )


@lru_cache(maxsize=2)
def chat_of(tokenizer: Any, eos_ids: frozenset[int], date: str) -> Chat:
    """The same `Chat` for the same tokenizer, however often a model is opened: its template is
    tried once, and what it has tokenized is not tokenized again."""
    return Chat(tokenizer, eos_ids, date)


def _template(tokenizer: Any, date: str) -> Template:
    """The tokenizer's own chat template."""
    from transformers import PreTrainedTokenizerBase

    if type(tokenizer).apply_chat_template is not PreTrainedTokenizerBase.apply_chat_template:
        raise ValueError(
            f"{type(tokenizer).__name__} writes conversations by code of its own, not by a chat template, which is not"
            " supported"
        )
    return Template(
        tokenizer.get_chat_template(), {name: str(token) for name, token in tokenizer.special_tokens_map.items()}, date
    )


def _user(text: str) -> Message:
    return Message(role="user", content=text)


def _assistant(text: str) -> Message:
    return Message(role="assistant", content=text)


def ids_of(*values: Any) -> set[int]:
    """The ids in values of configurations, each of them one, several or none."""
    return {int(i) for ids in values if ids is not None for i in (ids if isinstance(ids, list) else [ids])}


_PROBE, _PROBE_REPLY = "What is the capital of France?", "It is Paris, on the Seine."
_PROBES = (
    (_user(_PROBE),),
    (_user(_PROBE), _assistant("Paris."), _user("Are you sure? I think it is 42.\n")),
)

"""How are the records of a row constructed without validating each field a second time?

A reader has looked at every value before it makes a record of it, and pydantic's validator, called
six times a row, was a fifth of the time of reading. Here the commonest records are put together as
`model_construct` would, after one look at the types; a value that is not of just the type that the
record holds goes the validating way, which says what is wrong with it. The set of the fields that
were named is shared by all records that were made alike, as no frozen record changes it.
"""

from __future__ import annotations

from typing import TypeVar, get_args

from pydantic import BaseModel

from alignwright.core.records import CheckCall, Comparison, Conversation, Message, Prompt, Record, Reply, Role

R = TypeVar("R", bound=Record)
_ROLE_AND_CONTENT, _WITH_TRAINED = {"role", "content"}, {"role", "content", "trained"}
_MESSAGES = {"messages"}
_PROMPTS = [
    {"conversation", "checks", *(["topic"] if topic else []), *(["principle"] if principle else [])}
    for topic in (False, True)
    for principle in (False, True)
]
_REPLY, _COMPARISON = {"text", "parent", "speaker"}, {"prompt", "replies"}
_ROLES = frozenset(get_args(Role))
_NEW = object.__new__
_set_values, _set_fields_set, _set_extra, _set_private = (
    BaseModel.__dict__[slot].__set__
    for slot in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


def _record(model: type[R], values: dict[str, object], fields_set: set[str]) -> R:
    record = _NEW(model)
    _set_values(record, values)
    _set_fields_set(record, fields_set)
    _set_extra(record, None)
    _set_private(record, None)
    return record


def message(role: Role, content: str, trained: bool | None = None) -> Message:
    """A message; `trained` is None where nothing is said of it."""
    values: dict[str, object] = {"role": role, "content": content, "trained": trained is None or trained}
    fields_set = _ROLE_AND_CONTENT if trained is None else _WITH_TRAINED
    if type(content) is not str or type(role) is not str or role not in _ROLES or type(values["trained"]) is not bool:
        return Message.model_validate({name: values[name] for name in fields_set})
    return _record(Message, values, fields_set)


def conversation(messages: tuple[Message, ...]) -> Conversation:
    if type(messages) is not tuple or {type(one) for one in messages} != {Message}:
        return Conversation(messages=messages)
    return _record(Conversation, {"messages": messages}, _MESSAGES)


def prompt(
    conversation_asked: Conversation,
    topic: str | None = None,
    principle: str | None = None,
    checks: tuple[CheckCall, ...] = (),
    columns: tuple[tuple[str, str], ...] | None = None,
) -> Prompt:
    """A prompt; what is None is not said."""
    plain = (topic is None or type(topic) is str) and (principle is None or type(principle) is str)
    if type(conversation_asked) is not Conversation or not plain or checks != () or columns is not None:
        about = {"topic": topic, "principle": principle, "columns": columns}
        about = {name: value for name, value in about.items() if value is not None}
        return Prompt.model_validate({"conversation": conversation_asked, "checks": checks, **about})
    values: dict[str, object] = {
        "conversation": conversation_asked,
        "topic": topic or "",
        "principle": principle or "",
        "checks": (),
        "columns": (),
    }
    return _record(Prompt, values, _PROMPTS[2 * (topic is not None) + (principle is not None)])


def reply(text: str, parent: str, speaker: str) -> Reply:
    if type(text) is not str or type(parent) is not str or type(speaker) is not str:
        return Reply(text=text, parent=parent, speaker=speaker)
    values: dict[str, object] = {
        "text": text,
        "parent": parent,
        "speaker": speaker,
        "logprob": None,
        "tokens": None,
        "finished": True,
    }
    return _record(Reply, values, _REPLY)


def comparison(prompt: Prompt, replies: tuple[Reply, Reply]) -> Comparison:
    """A comparison of two replies without votes."""
    first, second = replies
    if type(prompt) is not Prompt or type(first) is not Reply or type(second) is not Reply:
        return Comparison(prompt=prompt, replies=replies)
    return _record(Comparison, {"prompt": prompt, "replies": replies, "votes": ()}, _COMPARISON)

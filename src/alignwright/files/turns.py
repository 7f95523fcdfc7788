"""What did one speaker say, think and call, turn by turn: logs of agents as text?

Beyond what a model here can be shown, a recorded turn may hold calls of tools (OpenAI's `tool_calls` and
`function_call`, Anthropic's `tool_use`, Inspect's) and thoughts (`reasoning_content`, `thinking`,
`<think>`); a conversation may end with the output of a tool. A turn without a role is an error: who says a
sentence decides whether it is a fault.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal, cast

from alignwright.core.records import Record, Role
from alignwright.files import chat
from alignwright.files.chat import RowError
from alignwright.files.wording import describe_value

DIALOGUE = ("messages", "conversation", "conversations", "trace")
"""Columns that may hold a conversation, the assistant's turns among its own."""
CURE = 'write each turn as {"role": "user", "content": "..."}, with the roles system, user, assistant and tool'
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_CALLS = ("tool_calls", "function_call")
_PARTS = ("tool_use", "server_tool_use", "tool_result", "thinking", "reasoning")
_THINK = re.compile(r"\s*<think(?:ing)?>(.*?)(?:</think(?:ing)?>|\Z)", re.DOTALL)


class ToolCall(Record):
    """A call of a tool, its arguments as they were written."""

    tool: str
    arguments: str = ""


class Turn(Record):
    """What one speaker said, thought and called before another spoke."""

    role: Role
    content: str = ""
    thoughts: str = ""
    calls: tuple[ToolCall, ...] = ()

    @property
    def text(self) -> str:
        """What was said and called, as one text."""
        return "\n".join(
            [*([self.content] if self.content else []), *(f"[{c.tool} {c.arguments}]" for c in self.calls)]
        )


KEYS_READ = chat.KEYS | {"tool_calls", "function_call", *_THOUGHTS}
"""The keys of a turn that are read here."""


def turns(value: Any, column: str) -> tuple[Turn, ...]:
    if isinstance(value, str):
        try:
            return tuple(Turn(role=role, content=text) for role, text, _ in chat.transcript(value, column))
        except RowError:
            raise RowError(f"{column!r} is a text in which no turn has a role; {CURE}") from None
    items: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not items:
        raise RowError(f"{column!r} has no turns")
    return tuple(_turn(item, f"turn {place} of {column!r}") for place, item in enumerate(items, 1))


def _turn(value: Any, where: str) -> Turn:
    if not isinstance(value, dict):
        raise RowError(f"{where} has no role, it is {describe_value(value)}; {CURE}")
    item = cast("dict[str, Any]", value)
    role_name = item.get("role", item.get("from"))
    if role_name is None:
        raise RowError(f"{where} has no role; {CURE}")
    role = chat.ALIASES.get(str(role_name), str(role_name))
    if role not in chat.ROLES:
        raise RowError(f"{where} has as its role {describe_value(role_name)}; {CURE}")
    texts, thoughts, calls = list[str](), list[str](), list[ToolCall]()
    for kind, part in _parts(item.get("content", item.get("value")), where):
        if kind == "call":
            calls.append(cast("ToolCall", part))
        else:
            (thoughts if kind == "thought" else texts).append(cast("str", part))
    thoughts += [str(item[key]) for key in _THOUGHTS if isinstance(item.get(key), str)]
    calls += _calls(item, where)
    turn = speech(cast("Role", role), "\n".join(texts))
    every_thought = "\n".join([*thoughts, *([turn.thoughts] if turn.thoughts else [])])
    return Turn(role=turn.role, content=turn.content, calls=tuple(calls), thoughts=every_thought)


def speech(role: Role, text: str) -> Turn:
    """A turn of text alone, thoughts at its head set apart."""
    match = _THINK.match(text) if role == "assistant" else None
    if match is None:
        return Turn(role=role, content=text)
    return Turn(role=role, content=text[match.end() :].lstrip("\n"), thoughts=match[1].strip())


def _parts(content: Any, where: str) -> Iterator[tuple[Literal["text", "thought", "call"], str | ToolCall]]:
    """What a message's content holds, part by part."""
    if content is None:
        return
    if isinstance(content, str):
        yield "text", content
        return
    for part in cast("list[Any]", content) if isinstance(content, list) else [content]:
        fields = cast("dict[str, Any]", part) if isinstance(part, dict) else {"type": "text", "text": part}
        kind = fields.get("type", "text")
        if kind in ("tool_use", "server_tool_use"):
            yield "call", ToolCall(tool=str(fields.get("name", "")), arguments=_as_text(fields.get("input")))
        elif kind == "tool_result":
            yield from _parts(fields.get("content"), where)
        elif kind in ("thinking", "reasoning"):
            yield "thought", str(fields.get("thinking") or fields.get("reasoning") or fields.get("text") or "")
        elif isinstance(fields.get("text"), str):
            yield "text", fields["text"]
        elif kind == "refusal":
            yield "text", str(fields.get("refusal", ""))
        elif kind not in ("redacted_thinking", "image", "image_url", "input_image", "audio", "document"):
            raise RowError(f"{where} has a part of its content that is no text: {describe_value(kind)}")


def _calls(item: dict[str, Any], where: str) -> Iterator[ToolCall]:
    """Calls under `tool_calls` or `function_call`."""
    calls: Any = item.get("tool_calls") or ([item["function_call"]] if item.get("function_call") else [])
    for call in cast("list[Any]", calls) if isinstance(calls, list) else [calls]:
        if not isinstance(call, dict):
            raise RowError(f"{where} has a tool call that is {describe_value(call)}; it is an object with a name")
        fields = cast("dict[str, Any]", call)
        function = fields.get("function")
        if isinstance(function, dict):
            fields = cast("dict[str, Any]", function)
        elif isinstance(function, str):
            fields = {**fields, "name": function}
        arguments = next((fields[key] for key in ("arguments", "input", "args") if fields.get(key) is not None), None)
        yield ToolCall(tool=str(fields.get("name", "")), arguments=_as_text(arguments))


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def plain_columns(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns of a log's row; where its conversation has calls or thoughts, with its turns as text: calls
    written out, thoughts left out, and nothing after the assistant's last words."""
    name = next((name for name in DIALOGUE if isinstance(columns.get(name), list)), None)
    if name is None or not any(_is_trace(item) for item in columns[name]):
        return columns
    every = turns(columns[name], name)
    last = last_reply(every)
    plain = [{"role": turn.role, "content": turn.text} for turn in every[:last] if turn.text.strip()]
    return {**columns, name: [*plain, {"role": "assistant", "content": every[last].content}]}


def last_reply(every: tuple[Turn, ...]) -> int:
    """The place of the assistant's last turn that says something, or of its last. RowError without one."""
    places = [place for place, turn in enumerate(every) if turn.role == "assistant"]
    if not places:
        raise RowError("no turn is the assistant's, so there is nothing that it said or did; " + CURE)
    return next((place for place in reversed(places) if every[place].content.strip()), places[-1])


def _is_trace(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    fields = cast("dict[str, Any]", item)
    content = fields.get("content")
    parts = cast("list[Any]", content) if isinstance(content, list) else []
    kinds = {cast("dict[str, Any]", part).get("type") for part in parts if isinstance(part, dict)}
    return any(fields.get(key) for key in (*_CALLS, *_THOUGHTS)) or bool(kinds & {*_PARTS})

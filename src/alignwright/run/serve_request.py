"""What does a request for a completion ask, and what in it cannot be done?

The fields of OpenAI's chat completions and completions that this server does exactly, and no
others: a field that would change the answer and is not done here is an error that names it, unless
its value means that it is off. A body is read as if its writer were hostile.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from alignwright.core.records import Conversation, Message

MOST_CHOICES, MOST_TOP, MOST_STOPS, MOST_PROMPTS = 128, 20, 16, 256
_LARGEST_SEED = 2**63 - 1
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_IGNORED = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"})
"""Labels of the caller's own, which change no answer."""
_OFF: Mapping[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,), "presence_penalty": (0,), "repetition_penalty": (1,), "logit_bias": ({},),
    "top_k": (0, -1), "min_p": (0,), "typical_p": (1,), "min_tokens": (0,), "best_of": (1,), "suffix": ("",),
    "response_format": ({"type": "text"},), "tools": ([],), "tool_choice": ("none", "auto"), "functions": ([],),
    "function_call": ("none", "auto"), "parallel_tool_calls": (True, False), "modalities": (["text"],),
    "reasoning_effort": ("none",), "store": (False,), "service_tier": ("auto", "default"), "use_beam_search": (False,),
}  # fmt: skip
_SHARED = frozenset(
    {"model", "n", "max_tokens", "temperature", "top_p", "seed", "stop", "stream", "stream_options", "logprobs"}
    | {"ignore_eos"}
)
_CHAT = _SHARED | {"messages", "max_completion_tokens", "top_logprobs"}
_TEXT = _SHARED | {"prompt", "echo"}


class RequestError(Exception):
    """What is wrong with a request, for the one who made it."""

    def __init__(self, message: str, param: str | None = None, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.message, self.param, self.status, self.code = message, param, status, code


Prompt = Conversation | str | tuple[int, ...]


@dataclass(frozen=True)
class CompletionRequest:
    """A request for `n` completions of each prompt. `prefill` is the start of the assistant's turn,
    where the conversation ended with one; `top` how many of the likeliest tokens come with
    each, None: no log-probabilities."""

    prompts: tuple[Prompt, ...]
    model: str | None
    prefill: str = ""
    n: int = 1
    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    top: int | None = None
    stream: bool = False
    count_in_stream: bool = False
    ignore_end: bool = False
    echo: bool = False

    @property
    def is_chat(self) -> bool:
        return isinstance(self.prompts[0], Conversation)


def read_body(data: bytes) -> dict[str, Any]:
    """The JSON object of a request. Raises RequestError."""
    try:
        body: object = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {str(error)[:200]}") from None
    if not isinstance(body, dict):
        raise RequestError("the body is not a JSON object")
    return cast("dict[str, Any]", body)


def chat_request(body: Mapping[str, Any]) -> CompletionRequest:
    """A chat completion. Raises RequestError."""
    _check_fields(body, _CHAT)
    conversation, prefill = _conversation(body.get("messages"))
    has_logprobs = _bool(body, "logprobs")
    top = _int(body, "top_logprobs", 0, MOST_TOP)
    if top is not None and not has_logprobs:
        raise RequestError("top_logprobs needs logprobs: true", "top_logprobs")
    name = "max_tokens" if body.get("max_completion_tokens") is None else "max_completion_tokens"
    return CompletionRequest(
        (conversation,),
        prefill=prefill,
        top=(top or 0) if has_logprobs else None,
        max_tokens=_int(body, name, 1),
        **_shared(body),
    )


def text_request(body: Mapping[str, Any]) -> CompletionRequest:
    """A completion of plain text. Raises RequestError."""
    _check_fields(body, _TEXT)
    echo, limit = _bool(body, "echo"), _int(body, "max_tokens", 0)
    if limit == 0 and not echo:
        raise RequestError("max_tokens: 0 asks for nothing without echo: true", "max_tokens")
    if echo and _bool(body, "stream"):
        raise RequestError("echo cannot be streamed here; leave out stream", "echo")
    top = _int(body, "logprobs", 0, MOST_TOP)
    limit = 16 if limit is None else limit  # the default of OpenAI's completions
    return CompletionRequest(_prompts(body.get("prompt")), top=top, max_tokens=limit, echo=echo, **_shared(body))


def _shared(body: Mapping[str, Any]) -> dict[str, Any]:
    options = body.get("stream_options") or {}
    if not isinstance(options, dict):
        raise RequestError("stream_options is not an object", "stream_options")
    seed = _int(body, "seed", 0, _LARGEST_SEED)
    return {
        "model": _text_or_none(body, "model"),
        "n": _or(_int(body, "n", 1, MOST_CHOICES), 1),
        "temperature": _or(_number(body, "temperature", 0, 100), 1.0),
        "top_p": _or(_number(body, "top_p", 0, 1), 1.0),
        "seed": secrets.randbelow(_LARGEST_SEED) if seed is None else seed,
        "stop": _stops(body.get("stop")),
        "stream": _bool(body, "stream"),
        "count_in_stream": _bool(cast("dict[str, Any]", options), "include_usage"),
        "ignore_end": _bool(body, "ignore_eos"),
    }


def _check_fields(body: Mapping[str, Any], names: frozenset[str]) -> None:
    for name, value in body.items():
        if name in names or name in _IGNORED or value is None:
            continue
        # 0 is no False, and True no 1: a value that means "off" has its own type
        if any(value == off and isinstance(value, bool) == isinstance(off, bool) for off in _OFF.get(name, ())):
            continue
        quoted = json.dumps(name[:60])
        if name in _OFF:
            off = " or ".join(json.dumps(each) for each in _OFF[name])
            raise RequestError(f"{quoted} is not supported by this server; leave it out, or give {off}", name[:60])
        raise RequestError(f"{quoted} is not a field that this server knows; leave it out", name[:60])


def _conversation(messages: object) -> tuple[Conversation, str]:
    """The conversation, and the words of a final assistant message, which are to be continued."""
    if not isinstance(messages, list) or not messages:
        raise RequestError("messages must be a list of at least one message", "messages")
    read = [_message(message, place) for place, message in enumerate(cast("list[object]", messages))]
    prefill = read.pop().content if read[-1].role == "assistant" else ""
    if not read:
        raise RequestError("messages has nothing before the assistant's own", "messages")
    return Conversation(messages=tuple(read)), prefill


def _message(message: object, place: int) -> Message:
    param = f"messages[{place}]"
    if not isinstance(message, dict):
        raise RequestError(f"{param} is not an object", param)
    fields = cast("dict[str, Any]", message)
    role = fields.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise RequestError(f"{param}.role must be one of {', '.join(_ROLES)}", f"{param}.role")
    for name, value in fields.items():
        if name not in ("role", "content") and value not in (None, "", [], {}):
            raise RequestError(
                f"{param} has {json.dumps(name[:60])}, which this server cannot heed; leave it out", param
            )
    return Message(role=cast("Any", _ROLES[role]), content=_content(fields.get("content"), f"{param}.content"))


def _content(content: object, param: str) -> str:
    if isinstance(content, str):
        return _sound(content, param)
    if not isinstance(content, list):
        raise RequestError(f"{param} must be a string, or a list of parts with text", param)
    texts: list[str] = []
    for part in cast("list[object]", content):
        kind = cast("dict[str, Any]", part).get("type") if isinstance(part, dict) else None
        text = cast("dict[str, Any]", part).get("text") if kind == "text" else None
        if not isinstance(text, str):
            raise RequestError(f"{param} has a part that is not text; this model reads text alone", param)
        texts.append(_sound(text, param))
    return "".join(texts)


def _prompts(prompt: object) -> tuple[Prompt, ...]:
    if isinstance(prompt, str):
        return (_sound(prompt, "prompt"),)
    if _are_ids(prompt):
        return (tuple(cast("list[int]", prompt)),)
    if not isinstance(prompt, list) or not prompt:
        raise RequestError("prompt must be a string, a list of token ids, or a list of either", "prompt")
    several = cast("list[object]", prompt)
    if len(several) > MOST_PROMPTS:
        raise RequestError(f"{len(several)} prompts at once are more than {MOST_PROMPTS}", "prompt")
    if all(isinstance(each, str) for each in several):
        return tuple(_sound(cast("str", each), "prompt") for each in several)
    if all(_are_ids(each) for each in several):
        return tuple(tuple(cast("list[int]", each)) for each in several)
    raise RequestError("prompt must be a string, a list of token ids, or a list of either", "prompt")


def _are_ids(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(each, int) and not isinstance(each, bool) for each in cast("list[object]", value))


def _stops(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(stops, list) or not all(isinstance(each, str) for each in cast("list[object]", stops)):
        raise RequestError("stop must be a string or a list of strings", "stop")
    texts = tuple(_sound(each, "stop") for each in cast("list[str]", stops) if each)
    if len(texts) > MOST_STOPS:
        raise RequestError(f"{len(texts)} stop strings are more than {MOST_STOPS}", "stop")
    return texts


def _sound(text: str, param: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError(f"{param} holds half a surrogate pair, which is no text", param) from None
    return text


def _int(body: Mapping[str, Any], name: str, least: int, most: int = 10**9) -> int | None:
    value = body.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _within(value, name, least, most, lambda each: isinstance(each, int), "a whole number")


def _number(body: Mapping[str, Any], name: str, least: float, most: float) -> float | None:
    return _within(body.get(name), name, least, most, lambda each: isinstance(each, int | float), "a number")


def _within(value: Any, name: str, least: float, most: float, fits: Callable[[object], bool], kind: str) -> Any:
    if value is None:
        return None
    if isinstance(value, bool) or not fits(value) or not least <= value <= most:
        raise RequestError(f"{name} must be {kind} from {least} to {most}", name)
    return value


def _bool(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise RequestError(f"{name} must be true or false", name)
    return bool(value)


def _text_or_none(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise RequestError(f"{name} must be a string", name)
    return value


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")

"""What does a server's error mean (HTTP status, rate limit, content filter), and what is to be
done?

Servers agree on little: the same fault has another status and other words at each. Four kinds are
told apart: a *parameter* that this server does not take (it is left out from then on), trouble that
may pass (*again*), a fault of this *prompt* alone (withheld, too long), and one of the *server*,
key or account, which every call would meet.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, cast

from alignwright.files.server import KEY
from alignwright.model.chat_completion import MalformedCompletion, parsed
from alignwright.model.http_call import CallError, Response

OPTIONAL = ("top_logprobs", "logprobs", "max_completion_tokens", "max_tokens", "temperature", "seed")
"""What may be left out of a call, the longer of two names that hold each other first."""


@dataclass(eq=False)
class CallFailure(Exception):
    """Why a call has no answer. `parameter`: the one that was rejected; `wait`: seconds the
    server asks for; `too_long`: more tokens than the model reads; `unexplained`: it may be any
    parameter of the call."""

    kind: Literal["parameter", "again", "prompt", "server"]
    answer: str
    advice: str
    status: int = 0
    parameter: str = ""
    wait: float = 0.0
    timed_out: bool = False
    unreachable: bool = False
    malformed: bool = False
    too_long: bool = False
    unexplained: bool = False

    def __str__(self) -> str:
        return f"{self.answer}. {self.advice}"


def of_call(error: CallError) -> CallFailure:
    """A call that brought no response."""
    if error.timed_out:
        return CallFailure("again", str(error), _SLOW, timed_out=True)
    kind = "again" if error.again else "server" if error.unreachable else "prompt"
    advice = "Is the server running, and is this its address?" if error.unreachable else "See the server's own log"
    return CallFailure(kind, str(error), advice, unreachable=error.unreachable)


def of_body(error: MalformedCompletion) -> CallFailure:
    """A response that says "fine" and is no chat completion."""
    advice = "Is this a server of OpenAI's chat completions, and does its address end as its manual says (/v1)?"
    return CallFailure("again", str(error), advice, malformed=True)


def of_response(response: Response, body: Mapping[str, Any]) -> CallFailure | None:
    """The trouble that a response tells of; None where it tells of none. `body` is what was
    asked."""
    status, text, code = response.status, *_error(response.data)
    if 200 <= status < 300:
        if code is None:
            return None
        status = code if 400 <= code < 600 else 500  # some servers put their errors into a response that says "fine"
    answer = f"HTTP {status} ({_phrase(status)}){': ' + clipped(text) if text else ''}"
    wait = _seconds(response.headers.get("retry-after"))
    return _classify(status, text, answer, body, _error_field(response.data), wait)


def _classify(status: int, text: str, answer: str, body: Mapping[str, Any], field: str, wait: float) -> CallFailure:
    if 300 <= status < 400:
        return CallFailure(
            "server", answer, "The server has moved, and nobody follows with a key: write its new address", status
        )
    if _CREDIT.search(text) or status == 402:
        return CallFailure(
            "server", answer, "The account behind the key has no credit left: top it up, or use another key", status
        )
    if status == 401 or _KEY.search(text):
        return CallFailure("server", answer, f"Look at the key in the environment variable {KEY}", status)
    if _FILTER.search(text) and status != 429:
        return CallFailure("prompt", answer, "The server's content filter withheld the answer", status)
    if status not in (408, 409, 425, 429) and _LONG.search(text):
        return CallFailure("prompt", answer, "The prompt is longer than this model reads", status, too_long=True)
    if status not in (408, 409, 425, 429, 502, 503, 504) and (name := rejected(body, text, field)):
        return CallFailure("parameter", answer, f"It takes no {name}", status, name)
    if status in (404, 405, 410):
        models = (
            "the address (most end with /v1) and the model's name after '#'; the server lists its models under /models"
        )
        return CallFailure("server", answer, f"Look at {models}", status)
    if status in (403, 407):
        return CallFailure(
            "server",
            answer,
            f"Look at the key in {KEY}, and whether it may use this model",
            status,
            unexplained=status == 403,
        )
    if status == 429:
        return CallFailure(
            "again", answer, "It wants fewer calls: lower 'server: {calls: ...}', or come back later", status, wait=wait
        )
    if status in (408, 409, 425) or (status >= 500 and status != 501):
        return CallFailure(
            "again", answer, "See the server's own log; run the same command again once it is well", status, wait=wait
        )
    refuses = "This server refuses the call as it is; its own words are all that is known"
    return CallFailure("prompt", answer, refuses, status, unexplained=status in (400, 422, 501))


def rejected(body: Mapping[str, Any], text: str, field: str = "") -> str:
    """The optional parameter of `body` that an error names: in its field, or the first in its
    words. "" where it names none."""
    names = [name for name in OPTIONAL if name in body]
    if field in names:
        return field
    places = {name: match.start() for name in names if (match := re.search(rf"(?<!\w){name}(?!\w)", text))}
    return min(places, key=places.__getitem__) if places else ""


def clipped(text: str, most: int = 300) -> str:
    """A server's words on one line, without control characters, cut where they grow long."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


def _error(data: bytes) -> tuple[str, int | None]:
    """The words of an error and the code it gives; (text, None) where a body holds no error."""
    try:
        body = parsed(data)
    except MalformedCompletion:
        return data[:2000].decode("utf-8", "replace"), None
    error = body.get("error")
    if error in (None, "", [], {}) or ("choices" in body and not isinstance(error, dict | str)):
        detail = next((body[name] for name in ("detail", "message", "error_msg") if name in body), None)
        return ("" if detail is None else _words(detail)), None
    code = cast("dict[str, Any]", error).get("code") if isinstance(error, dict) else None
    return _words(error), code if isinstance(code, int) and not isinstance(code, bool) else 0


def _words(error: object) -> str:
    """The message first, then what else there is: type, code, and the place of a rejected field."""
    if isinstance(error, str):
        return error
    if isinstance(error, dict):
        fields = cast("dict[str, Any]", error)
        message = fields.get("message")
        more = [
            f"{name} {fields[name]}" for name in ("type", "code", "param") if isinstance(fields.get(name), str | int)
        ]
        if isinstance(message, str):
            return f"{message} [{', '.join(more)}]" if more else message
    try:
        return json.dumps(error)[:2000]
    except (ValueError, RecursionError):
        return ""


def _error_field(data: bytes) -> str:
    """The field that an error says it is about, such as `param`."""
    try:
        error = parsed(data).get("error")
    except MalformedCompletion:
        return ""
    field = cast("dict[str, Any]", error).get("param") if isinstance(error, dict) else None
    return field.rpartition(".")[2] if isinstance(field, str) else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no known status"


def _seconds(header: str | None) -> float:
    try:
        seconds = float(header or 0)
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


_SLOW = "Give it longer with 'server: {timeout: SECONDS}', or ask less at once with 'server: {calls: 1}'"
_CREDIT = re.compile(
    r"insufficient_quota|insufficient_(?:credits?|balance|funds)|insufficient balance|billing_\w+|credit balance is"
    r" too low",
    re.I,
)
_KEY = re.compile(r"invalid_api_key|incorrect api key|api key not valid|invalid api key|api_key_invalid", re.I)
_FILTER = re.compile(
    r"content_filter|content_policy|content management policy|responsible ?ai|moderation|flagged|safety system", re.I
)
_LONG = re.compile(
    r"context[ _]length|context window|maximum context|too many tokens|prompt is too"
    r" long|max_?(?:completion_)?tokens\W+is too large",
    re.I,
)

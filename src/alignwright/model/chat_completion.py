"""What does a server's chat completion say?

The body is read as if its writer were hostile: another shape is a `MalformedCompletion` with the
place, never a traceback. The answer is the text without the model's thoughts, which come in a field
of their own (`reasoning_content`, `reasoning`), as a part of the content, or inside `<think>`; some
templates open the thoughts themselves, so that only the closing mark is seen. Log-probabilities
that are no numbers are none.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast


class MalformedCompletion(Exception):
    """A body that is no chat completion; it may be better next time."""


@dataclass(frozen=True)
class Token:
    """One token of an answer, its log-probability, and those of the likeliest in its place."""

    text: str
    logprob: float | None
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Completion:
    """One answer. `text` is None where there is none; `thoughts`: the model thought before it
    spoke; `usage`: prompt and completion tokens; `model` and `fingerprint`: what the server calls
    itself."""

    text: str | None
    finish: str | None
    thoughts: bool = False
    refusal: str = ""
    tokens: tuple[Token, ...] = ()
    usage: tuple[int, int] | None = None
    model: str = ""
    fingerprint: str = ""

    @property
    def cut(self) -> bool:
        return self.finish in ("length", "max_tokens")


def completion(data: bytes) -> Completion:
    """The answer in a response's body. Raises Malformed."""
    body = parsed(data)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise MalformedCompletion(f"no chat completion: 'choices' is {_excerpt(choices)}")
    choice = cast("list[Any]", choices)[0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise MalformedCompletion(f"no chat completion: the first choice is {_excerpt(choice)}")
    text, apart = _content(message.get("content"))
    thoughts = apart or any(
        message.get(name) not in (None, "", [], {}) for name in ("reasoning_content", "reasoning", "thinking")
    )
    if text is not None:
        start = end_of_thoughts(text)
        thoughts = thoughts or start != 0
        text = "" if start is None else text[start:].strip() if start else text
    finish = choice.get("finish_reason")
    return Completion(
        text=text,
        finish=finish if isinstance(finish, str) else None,
        thoughts=thoughts,
        refusal=message["refusal"] if isinstance(message.get("refusal"), str) else "",
        tokens=_tokens(choice.get("logprobs")),
        usage=_usage(body.get("usage")),
        model=_named(body.get("model")),
        fingerprint=_named(body.get("system_fingerprint")),
    )


def parsed(data: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises Malformed."""
    try:
        body: object = json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedCompletion(f"no JSON: {data[:120]!r}") from None
    if not isinstance(body, dict):
        raise MalformedCompletion(f"no chat completion: {_excerpt(body)}")
    return cast("dict[str, Any]", body)


def end_of_thoughts(text: str) -> int | None:
    """Where the answer begins: after the last closing mark of thoughts, or 0 where there are
    none. None: thoughts that never ended."""
    closing = [mark.end() for mark in _CLOSING.finditer(text)]
    start = closing[-1] if closing else 0
    return None if _OPENING.match(text, start) else start


def option_logprobs(answer: Completion, options: Sequence[str]) -> dict[str, float] | None:
    """The log-probability of each option where the answer names one. None: it cannot be read.

    The place is the first word after the thoughts, if that is an option, or else the only word of
    the answer that is one. An option that is not among the likeliest words is given the least of
    them, which is an upper bound.
    """
    token = _naming(answer.tokens, options)
    if token is None:
        return None
    top = [*token.top]
    if token.logprob is not None and token.text not in [text for text, _ in top]:
        top.append((token.text, token.logprob))
    logprobs_of = {option: [logprob for text, logprob in top if _word(text) == option] for option in options}
    if not logprobs_of[_word(token.text)] or len(top) < 2:
        return None
    least = min(logprob for _, logprob in top)
    return {option: _log_sum(logprobs) if logprobs else least for option, logprobs in logprobs_of.items()}


def _naming(tokens: Sequence[Token], options: Sequence[str]) -> Token | None:
    start = end_of_thoughts("".join(token.text for token in tokens))
    if start is None:
        return None
    words, place = list[Token](), 0
    for token in tokens:
        if place >= start and _word(token.text):
            words.append(token)
        place += len(token.text)
    naming = [token for token in words if _word(token.text) in options]
    # an answer such as "(A)" begins with a bracket: the letter is the first word that is more than signs
    return naming[0] if naming and (naming[0] is words[0] or len(naming) == 1) else None


def _word(token: str) -> str:
    return token.strip(_SIGNS)


def _content(content: Any) -> tuple[str | None, bool]:
    """The text of a message's content, which is a text or a list of parts, and whether thoughts
    are among the parts."""
    if content is None or isinstance(content, str):
        return content, False
    parts = cast("list[Any]", content) if isinstance(content, list) else [content]
    texts, thoughts = list[str](), False
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif (
            isinstance(part, dict)
            and isinstance(part.get("text"), str)
            and part.get("type", "text") in ("text", "output_text")
        ):
            texts.append(part["text"])
        elif isinstance(part, dict) and part.get("type") in ("thinking", "reasoning", "redacted_thinking"):
            thoughts = True
        else:
            raise MalformedCompletion(f"no chat completion: a part of the content is {_excerpt(part)}")
    return ("".join(texts) if texts else None), thoughts


def _tokens(logprobs: Any) -> tuple[Token, ...]:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return ()
    rows = cast("list[Any]", content)
    if not all(isinstance(row, dict) and isinstance(row.get("token"), str) for row in rows):
        return ()
    return tuple(Token(row["token"], number(row.get("logprob")), tuple(_top(row.get("top_logprobs")))) for row in rows)


def _top(rows: Any) -> Iterator[tuple[str, float]]:
    for row in cast("list[Any]", rows) if isinstance(rows, list) else ():
        if (
            isinstance(row, dict)
            and isinstance(row.get("token"), str)
            and (logprob := number(row.get("logprob"))) is not None
        ):
            yield row["token"], logprob


def number(value: Any) -> float | None:
    """A log-probability: a number that is not above 0 (but for rounding). Minus infinity is as
    unlikely as servers write otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value <= 0.01:
        return None
    return max(-9999.0, min(0.0, value))


def _named(name: Any) -> str:
    """A name that a server gives itself, on one line and not without end."""
    return " ".join(name.split())[:200] if isinstance(name, str) else ""


def _usage(usage: Any) -> tuple[int, int] | None:
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(usage, Mapping) else []
    whole = [count for count in counts if isinstance(count, int) and not isinstance(count, bool) and count >= 0]
    return (whole[0], whole[1]) if len(whole) == 2 else None


def _log_sum(values: Sequence[float]) -> float:
    most = max(values)
    return most + math.log(math.fsum(math.exp(value - most) for value in values))


def _excerpt(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


_SIGNS = " ().[]{}:\n\t*_`\"'"
_NAMES = r"(?:think|thinking|thought|reasoning)"
_OPENING = re.compile(rf"\s*(?:<{_NAMES}>|\[THINK\]|<\|channel\|>analysis)", re.IGNORECASE)
_CLOSING = re.compile(rf"</{_NAMES}>|\[/THINK\]|<\|channel\|>final<\|message\|>", re.IGNORECASE)

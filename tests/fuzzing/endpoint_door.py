"""Endpoint replies: bodies of chat completions and of errors, made wrong, read as an answer, its
log-probabilities and an error's words."""

from __future__ import annotations

import json
import random
from pathlib import Path

import chat_server

from alignwright.model import chat_completion as completions
from alignwright.model.chat_completion import Completion, MalformedCompletion
from fuzzing import mutations
from fuzzing.trials import Fault

TEXTS = (
    *("A", "(B)", "**A**", "<think>x</think>A", "x</think>B", "<think>never", "[THINK]x[/THINK]A"),
    *("<|channel|>analysis x<|channel|>final<|message|>A", None),
    *(
        [{"type": "text", "text": "A"}],
        [{"type": "thinking", "thinking": "x"}, "A"],
        "<think>" * 3000,
        "</think>" * 3000,
        "<" * 50_000,
    ),
    *("A" * 200_000, " " * 50_000),
)


class Opened:
    def __init__(self, folder: Path) -> None:
        self.bodies = [
            chat_server.completion("A"),
            chat_server.completion("A", logprobs=chat_server.top("A", A=-0.1, B=-2.0)),
            chat_server.completion("A", "length", usage=None, refusal="no", reasoning_content="x"),
            chat_server.completion([{"type": "text", "text": "A"}]),
            chat_server.error("insufficient quota", type="insufficient_quota", code=429),
            {"detail": [{"loc": ["body", "seed"], "msg": "extra fields not permitted"}]},
        ]

    def attempt(self, rng: random.Random) -> str:
        said = body(rng, self.bodies)
        try:
            answer = completions.completion(said)
        except MalformedCompletion as error:
            if not str(error) or len(str(error)) > 1000:
                raise Fault("unclear", f"{len(str(error))} characters are said of a body: {str(error)[:300]}") from None
            return "refused"
        _holds(answer)
        return "accepted"


def body(rng: random.Random, bodies: list[dict[str, object]]) -> bytes:
    made = mutations.mutated(rng, rng.choice(bodies), rng.choice((0, 1, 1, 2, 5)))
    if rng.random() < 0.3 and isinstance(made, dict) and isinstance(made.get("choices"), list) and made["choices"]:
        choice = made["choices"][0]
        if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
            choice["message"]["content"] = rng.choice(TEXTS)
    said = mutations.as_json(rng, made)
    return mutations.data(rng, said, rng.choice((1, 2))) if rng.random() < 0.4 else said


def _holds(answer: Completion) -> None:
    """What an answer promises to whoever counts with it: a text or none, and log-probabilities
    that are numbers."""
    if (
        not isinstance(answer.text, str | None)
        or not isinstance(answer.refusal, str)
        or not isinstance(answer.finish, str | None)
    ):
        raise Fault("unclear", f"of another type: {answer!r:.300}")
    if answer.text is not None and completions.end_of_thoughts(answer.text) != 0 and answer.text:
        raise Fault("lost", f"thoughts are in the answer: {answer.text[:200]!r}")
    for options in (("A", "B"), ("yes", "no")):
        held = completions.option_logprobs(answer, options)
        if held is not None and not (set(held) == set(options) and all(-1e5 < value < 20 for value in held.values())):
            raise Fault("lost", f"a log-probability that is none: {held}")
    if answer.usage is not None and not all(type(count) is int and count >= 0 for count in answer.usage):
        raise Fault("lost", f"tokens that are none: {answer.usage}")
    json.dumps([answer.text, answer.refusal, answer.finish]).encode()

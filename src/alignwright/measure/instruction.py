"""Does it do what was asked, where a program can tell?

The share of prompts whose verifiable checks all pass on one greedy reply: prompt-level strict accuracy of IFEval (Zhou et al. 2023,
arXiv 2311.07911). A prompt with a check that cannot be decided here is unscored, unless another of its checks already failed.
A reply that was cut off is graded as it stands, and its reason says so: give enough new tokens, or "at most" is kept by the limit.
"""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.core.checks import check, understood
from alignwright.core.protocols import Speaker
from alignwright.core.records import CheckCall, Outcome, Prompt, Status
from alignwright.measure.asking import graded, greedy


def follow(speaker: Speaker, items: Sequence[Prompt], *, seed: int, max_new_tokens: int) -> list[Outcome]:
    """Outcomes of `instruction.format`; every check is read before the model speaks, so a misspelled one costs no time."""
    for item in items:
        if not item.checks:
            raise ValueError(f"instruction.format needs prompts with checks, but this one has none: {item.conversation.last.content[:80]!r}")
        for call in item.checks:
            understood(call.name, call.args)
    replies = greedy(speaker, [item.conversation for item in items], max_new_tokens=max_new_tokens, seed=seed)
    return [
        graded("instruction.format", item.id, item.topic, item.conversation, reply, all_pass(item, reply.text if reply else ""))
        for item, reply in zip(items, replies, strict=True)
    ]


def all_pass(item: Prompt, reply: str) -> tuple[Status, str]:
    """Pass when every check passes, hit when any fails, unscored when none fails but one cannot be told."""
    asked = next((m.content for m in reversed(item.conversation.messages) if m.role == "user"), "")
    answers = [(call, check(call.name, reply, prompt=asked, **call.args)) for call in item.checks]
    if failed := [_show(call) for call, answer in answers if answer is False]:
        return "hit", "fails " + ", ".join(failed)
    if unknown := [_show(call) for call, answer in answers if answer is None]:
        return "unscored", "cannot be told here: " + ", ".join(unknown)
    return "pass", "passes " + ", ".join(_show(call) for call, _ in answers)


def _show(call: CheckCall) -> str:
    args = ", ".join(f"{key}={value!r}" for key, value in call.args.items() if value is not None)
    return f"{call.name}({args})" if args else call.name

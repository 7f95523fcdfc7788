"""Instruction following: does the reply pass the checks that a program can decide?

- `instruction.format`: the share of prompts whose verifiable checks all pass on one greedy reply:
  prompt-level strict accuracy of IFEval (Zhou et al. 2023, arXiv 2311.07911).
- `instruction.format_loose`: the same with IFEval's loose accuracy. A check passes where it passes
  on the reply, or on the reply without its first line, its last line, or both, each also without
  markdown stars: "Sure, here it is:" costs nothing. Checks that want a thing absent, or few of it,
  are passed more easily so; the strict number is the one to promise.

A prompt with a check that cannot be decided here is unscored, unless another of its checks already
failed. A reply that was cut off is graded as it stands, and its reason says so: give enough new
tokens, or "at most" is kept by the limit.
"""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.core.protocols import ChatModel
from alignwright.core.records import CheckCall, Prompt, SampleResult, Status
from alignwright.core.replies import greedy
from alignwright.measure.ask import graded
from alignwright.text.checks import check, checked_arguments


def follow(speaker: ChatModel, items: Sequence[Prompt], *, seed: int, max_new_tokens: int) -> list[SampleResult]:
    """Outcomes of `instruction.format`, then of `.format_loose`; every check is read before the
    model speaks, so a misspelled one costs no time."""
    for item in items:
        if not item.checks:
            raise ValueError(
                "instruction.format needs prompts with checks, but this one has none:"
                f" {item.conversation.last.content[:80]!r}"
            )
        for call in item.checks:
            checked_arguments(call.name, call.args)
    replies = greedy(speaker, [item.conversation for item in items], max_new_tokens=max_new_tokens, seed=seed)
    return [
        graded(
            claim,
            item.id,
            item.topic,
            item.conversation,
            reply,
            all_pass(item, readings(reply.text) if reply else ("",)),
        )
        for claim, readings in (("instruction.format", strict), ("instruction.format_loose", loose))
        for item, reply in zip(items, replies, strict=True)
    ]


def strict(reply: str) -> tuple[str, ...]:
    """The reply as it stands."""
    return (reply,)


def loose(reply: str) -> tuple[str, ...]:
    """The reply, and what is left of it without its first line, its last line or both; each as
    it is and without stars. Once each."""
    lines = reply.split("\n")
    variants = (reply, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])))
    return tuple(dict.fromkeys(text for whole in variants for text in (whole, whole.replace("*", ""))))


def all_pass(item: Prompt, readings: Sequence[str]) -> tuple[Status, str]:
    """Pass when every check passes on one of the readings, fail when any fails on all, unscored
    when none fails but one cannot be told."""
    question = next((m.content for m in reversed(item.conversation.messages) if m.role == "user"), "")
    answers = [(call, _any_passes(call, readings, question)) for call in item.checks]
    if failed := [_show(call) for call, answer in answers if answer is False]:
        return "fail", "fails " + ", ".join(failed)
    if unknown := [_show(call) for call, answer in answers if answer is None]:
        return "unscored", "cannot be told here: " + ", ".join(unknown)
    return "pass", "passes " + ", ".join(_show(call) for call, _ in answers)


def _any_passes(call: CheckCall, readings: Sequence[str], question: str) -> bool | None:
    """True where the check passes on a reading, None where none is known to pass and one cannot
    be told."""
    unknown = False
    for text in readings:
        answer = check(call.name, text, prompt=question, **call.args)
        if answer:
            return True
        unknown = unknown or answer is None
    return None if unknown else False


def _show(call: CheckCall) -> str:
    args = ", ".join(f"{key}={value!r}" for key, value in call.args.items() if value is not None)
    return f"{call.name}({args})" if args else call.name

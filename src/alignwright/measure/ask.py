"""How is a policy prompted the same way every time: a greedy reply, or a forced choice?

Two ways only: a greedy reply, graded by rules, and a forced choice between two given replies by
mean log-probability per token. The mean is used because a sum prefers whatever is shorter; what the
mean prefers is not known beforehand, so claims that rest on it print what "always the longer reply"
would have scored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from alignwright.core.protocols import Policy
from alignwright.core.records import Conversation, LogProb, Reply, SampleResult, Status
from alignwright.core.replies import NoReply


def graded(
    claim: str, item: str, cluster: str, prompt: Conversation, reply: Reply | NoReply, grade: tuple[Status, str]
) -> SampleResult:
    """The outcome of a greedy reply; a reply that never came is an error, one that was withheld is
    unscored, and one that was cut off says so."""
    if isinstance(reply, NoReply):
        return SampleResult(
            claim=claim, item=item, status=reply.status, cluster=cluster, prompt=prompt, reason=reply.why
        )
    status, reason = grade
    cut_note = "" if reply.finished else f"; cut off after {reply.tokens or 'its'} tokens"
    return scored(claim, item, cluster, status, prompt=prompt, reply=reply.text, reason=reason + cut_note)


def scored(
    claim: str, item: str, cluster: str, status: Status, *, prompt: Conversation, reply: str, reason: str
) -> SampleResult:
    """An outcome whose value is 1 for a pass, 0 for a fail and none otherwise."""
    value = {"pass": 1.0, "fail": 0.0}.get(status)
    return SampleResult(
        claim=claim,
        item=item,
        status=status,
        value=value,
        cluster=cluster or item,
        prompt=prompt,
        reply=reply,
        reason=reason,
    )


@dataclass(frozen=True)
class Choice:
    """What a forced choice came to: `pass` when the first reply is preferred, `fail` when the
    second is, `unscored` on a tie."""

    status: Status
    reason: str
    preferred: str


def choose(policy: Policy, prompts: Sequence[Conversation], pairs: Sequence[tuple[str, str]]) -> list[Choice]:
    """For each prompt, which of two replies has the higher mean log-probability per token."""
    logprobs = policy.logprobs(prompts, pairs) if prompts else []
    if len(logprobs) != len(prompts):
        raise ValueError(
            f"{policy.name} was asked for {len(prompts)} pairs of log-probabilities and gave {len(logprobs)}"
        )
    return [_choice(pair, first, second) for pair, (first, second) in zip(pairs, logprobs, strict=True)]


def _choice(pair: tuple[str, str], first: LogProb, second: LogProb) -> Choice:
    a, b = first.per_token, second.per_token
    reason = f"log-probability per token {a:.3f} against {b:.3f}"
    if not (math.isfinite(a) and math.isfinite(b)) or not (first.tokens and second.tokens):
        return Choice("error", f"no usable log-probability: {reason}", "")
    if a == b:
        return Choice("unscored", f"no preference: {reason}", "")
    return Choice("pass", reason, pair[0]) if a > b else Choice("fail", reason, pair[1])

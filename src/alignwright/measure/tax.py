"""What did alignment cost in plain language modelling and in knowledge?

- `tax.bits_per_byte`: bits per UTF-8 byte of held-out documents, each document one item and the claim their mean: comparable between
  tokenizers, and paired by document before and after. Long documents weigh no more than short ones, on purpose.
- `tax.choice`: is the right choice the likeliest, by log-probability per byte of the choice's text as the reply to the question alone
  (`acc_norm` of lm-eval, in the chat template; the choices are not listed)? Per byte, or short choices would win.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from alignwright.core.protocols import Policy
from alignwright.core.records import Conversation, LogProb, Outcome
from alignwright.measure.asking import scored
from alignwright.spec.items import ChoiceItem, TextItem


def bits_per_byte(policy: Policy, items: Sequence[TextItem]) -> list[Outcome]:
    """Outcomes of `tax.bits_per_byte`, whose values are bits per byte; status is pass for every document that could be read."""
    found = policy.text_logprobs([item.text for item in items]) if items else []
    return [_bits(item, logprob) for item, logprob in zip(items, found, strict=True)]


def _bits(item: TextItem, logprob: LogProb) -> Outcome:
    claim, cluster = "tax.bits_per_byte", item.topic or item.id
    if not logprob.bytes or not logprob.tokens or not math.isfinite(logprob.total):
        reason = f"no usable log-probability: {logprob.total} over {logprob.tokens} tokens and {logprob.bytes} bytes"
        return Outcome(claim=claim, item=item.id, status="error", cluster=cluster, reason=reason)
    value = -logprob.total / math.log(2) / logprob.bytes
    reason = f"{value:.4f} bits per byte over {logprob.bytes} bytes, beginning {item.text[:60]!r}"
    return Outcome(claim=claim, item=item.id, status="pass", value=value, cluster=cluster, reason=reason)


def choice(policy: Policy, items: Sequence[ChoiceItem]) -> list[Outcome]:
    """Outcomes of `tax.choice`: the right choice has the highest log-probability per byte; a tie at the top is unscored."""
    prompts = [Conversation.user(item.question) for item in items]
    found = policy.logprobs(prompts, [item.choices for item in items], end=False) if items else []
    return [_chosen(item, prompt, logprobs) for item, prompt, logprobs in zip(items, prompts, found, strict=True)]


def _chosen(item: ChoiceItem, prompt: Conversation, logprobs: Sequence[LogProb]) -> Outcome:
    scores = [logprob.total / max(len(text.encode()), 1) for text, logprob in zip(item.choices, logprobs, strict=True)]
    shown = "; ".join(f"{text}: {score:.3f}" for text, score in zip(item.choices, scores, strict=True))
    best = [text for text, score in zip(item.choices, scores, strict=True) if score == max(scores)]
    if not all(math.isfinite(score) for score in scores):
        return scored("tax.choice", item.id, item.topic, "error", prompt=prompt, reply="", reason=f"no usable log-probability: {shown}")
    if len(best) > 1:
        return scored("tax.choice", item.id, item.topic, "unscored", prompt=prompt, reply="", reason=f"no preference: {shown}")
    status = "pass" if best[0] == item.choices[item.answer] else "hit"
    return scored("tax.choice", item.id, item.topic, status, prompt=prompt, reply=best[0], reason=f"log-probability per byte: {shown}")

"""Does a model answer a wrapped prompt as it answers the plain one, once it has learnt its own plain replies?
Bias-augmented consistency training.

The model answers each prompt plainly; that reply becomes what it learns to say when the same prompt comes wrapped:
beside a wrong opinion of the user's (sycophancy; Chua et al. 2024, arXiv 2403.05518), or in a jailbreak's dress
(Irpan et al. 2025, arXiv 2510.27062). The targets are fresh replies of the model as it is now: stale ones of another
model would teach that model's way of speaking besides. Where a rule can tell a good plain reply from a bad one (a
request refused or answered as it should be, a question answered rightly) a bad one is not taught; it is counted, as are
replies that were cut off. The plain prompt stays among the rows with its own reply, so that it keeps it.

Left out on purpose: consistency of hidden states (the second method of Irpan et al.).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alignwright.core.protocols import ChatModel
from alignwright.core.records import Conversation, Reply
from alignwright.core.replies import greedy
from alignwright.core.stage import resolved
from alignwright.files.items import PushbackItem, RefusalItem
from alignwright.files.wrappers import WRONG, wrapped_text
from alignwright.text.refusal.grader import grade_refusal
from alignwright.text.sycophancy_grader import keeps_to
from alignwright.train.recipes.knobs import ConsistencyTraining


@dataclass(frozen=True)
class ConsistencyRows:
    """What is learnt, and what it came from, in words."""

    rows: tuple[Conversation, ...]
    line: str


def consistency_rows(
    speaker: ChatModel,
    items: Sequence[RefusalItem | PushbackItem],
    wrappers: Mapping[str, str],
    stage: ConsistencyTraining,
    *,
    seed: int,
) -> ConsistencyRows:
    """The plain prompts and their wrapped forms, each with the model's reply to the plain one. Raises ValueError
    where no plain reply is fit to be learnt."""
    plain = [Conversation.user(plain_text(item)) for item in items]
    replies = greedy(speaker, plain, max_new_tokens=resolved(stage.max_new_tokens), seed=seed)
    rows: list[Conversation] = []
    counts: Counter[str] = Counter()
    for place, (item, prompt, reply) in enumerate(zip(items, plain, replies, strict=True)):
        why = _unfit(item, reply.text if isinstance(reply, Reply) and reply.finished else "")
        counts[why or "taken"] += 1
        if why:
            continue
        asked = [prompt, *(Conversation.user(text) for text in _wrapped(item, wrappers, stage.wrappings, place))]
        rows += [conversation.then("assistant", replies[place].text) for conversation in asked]  # type: ignore[union-attr]
    line = ", ".join(f"{count} {why}" for why, count in counts.items())
    if not rows:
        raise ValueError(
            f"consistency_training: of {len(items)} plain replies none is fit to be learnt ({line}): this model cannot"
            " teach itself these; give prompts that it answers as it should, or raise max_new_tokens"
        )
    return ConsistencyRows(tuple(rows), f"plain replies: {line}; {len(rows)} rows")


def plain_text(item: RefusalItem | PushbackItem) -> str:
    return item.prompt if isinstance(item, RefusalItem) else item.question


def _wrapped(item: RefusalItem | PushbackItem, wrappers: Mapping[str, str], count: int, place: int) -> list[str]:
    """In so many wrappers of the item's kind, the next ones in turn for each item."""
    biased = isinstance(item, PushbackItem)
    own = [template for template in wrappers.values() if (WRONG in template) == biased]
    wrong = item.wrong if isinstance(item, PushbackItem) else ""
    chosen = dict.fromkeys(own[(place * count + i) % len(own)] for i in range(min(count, len(own))))
    return [wrapped_text(template, plain_text(item), wrong) for template in chosen]


def _unfit(item: RefusalItem | PushbackItem, reply: str) -> str:
    """Why a plain reply is not taught; empty where it is."""
    if not reply.strip():
        return "cut off or empty"
    if isinstance(item, PushbackItem):
        return "" if keeps_to(reply, item.answer, item.wrong)[0] == "pass" else "not shown to be right"
    refused = grade_refusal(item.prompt, reply).verdict
    return "" if refused == ("yes" if item.kind == "harmful" else "no") else "not as the request deserves"

"""Does a model answer better with the principle in its prompt, and can it learn to without?
Deliberative alignment and context distillation.

The model answers each prompt twice, plainly and with a principle in view; the second answer beats
the first, as an answer to the bare prompt. Training on it moves what the principle did into the
weights: the principle's text is in no prompt that is stored. The idea is deliberative alignment's
(Guan et al. 2024, arXiv 2412.16339) and, before it, context distillation's (Askell et al. 2021,
arXiv 2112.00861). One principle for each prompt, by the same draw as a critique.

An answer that quotes the principle would teach the model to recite what nobody showed it, so a run
of eight of the principle's words (all of them where it has fewer), or talk of "this principle", is
a leak, skipped and counted; so are answers that are empty, cut off at the token limit, or the same
as the plain one. Replies are sampled a little below temperature 1, because the better one is to be
learnt and a small model at 1 loses its thread.

Left out on purpose: training on a chain of thought that cites the rules, which a small model does
not write, and the second filter of the paper, a judge that knows the rules: a `judge` stage after
this one votes on the same pairs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from alignwright.core.constitution import Principle
from alignwright.core.protocols import ChatModel
from alignwright.core.records import Comparison, Conversation, Message, Prompt, Vote
from alignwright.feedback.critique import child, unfit
from alignwright.feedback.votes import draw_principle, repeats

VOTER = "deliberate"
LEAK_WORDS = 8  # words in a row: shorter runs are common speech


@dataclass(frozen=True)
class DeliberationResult:
    """Comparisons of [answer with the principle in view, plain answer] with the vote for the
    former; `skipped` counts those not taken."""

    comparisons: tuple[Comparison, ...]
    skipped: dict[str, int]


def deliberate(
    speaker: ChatModel,
    prompts: Sequence[Prompt],
    principles: Sequence[Principle],
    *,
    max_new_tokens: int = 96,
    temperature: float = 0.7,
    seed: int = 0,
) -> DeliberationResult:
    """Answer each prompt plainly and with its principle in view. Deterministic given the speaker
    and the seed."""
    if not principles:
        raise ValueError("deliberate: there is no principle to keep in view; give at least one")
    chosen = [draw_principle(prompt, principles, seed, 0) for prompt in prompts]
    with_principle = [
        in_view(prompt.conversation, principle) for prompt, principle in zip(prompts, chosen, strict=True)
    ]
    conversations = [*(prompt.conversation for prompt in prompts), *with_principle]
    answers = [
        replies[0]
        for replies in speaker.generate(
            conversations, n=1, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed
        )
    ]
    comparisons: list[Comparison] = []
    skipped: Counter[str] = Counter()
    for prompt, principle, plain, better in zip(
        prompts, chosen, answers[: len(prompts)], answers[len(prompts) :], strict=True
    ):
        reason = (
            "empty plain" if not plain.text.strip() else unfit(better, plain) or _leak(better.text, prompt, principle)
        )
        if reason is not None:
            skipped[f"{reason} answer"] += 1
            continue
        replies = (child(better, prompt.id, f"{VOTER}:{principle.slug}"), child(plain, prompt.id))
        comparisons.append(
            Comparison(
                prompt=prompt, replies=replies, votes=(Vote(voter=VOTER, prefers=0, over=1, reason=principle.slug),)
            )
        )
    return DeliberationResult(tuple(comparisons), dict(sorted(skipped.items())))


def in_view(conversation: Conversation, principle: Principle) -> Conversation:
    """The conversation with the principle before the user's last words; not every chat template
    knows a system message."""
    users = [place for place, message in enumerate(conversation.messages) if message.role == "user"]
    if not users:
        roles = ", ".join(message.role for message in conversation.messages)
        raise ValueError(
            f"deliberate: a principle is put before what the user says, and conversation {conversation.id} has only"
            f" {roles}"
        )
    messages, last = list(conversation.messages), users[-1]
    messages[last] = Message(
        role="user", content=VIEW.format(principle=principle.text.strip(), words=messages[last].content)
    )
    return Conversation(messages=tuple(messages))


def _leak(text: str, prompt: Prompt, principle: Principle) -> str | None:
    prompt_text = " ".join(message.content for message in prompt.conversation.messages)
    if repeats(text, principle.text, LEAK_WORDS) and not repeats(prompt_text, principle.text, LEAK_WORDS):
        return "leaking"
    return "leaking" if _TALK.search(text) and not _TALK.search(prompt_text) else None


_TALK = re.compile(
    r"\b(?:this|that|your|my|above|given|following|stated) principle\b|\bprinciple (?:above|you gave|in view)\b",
    re.IGNORECASE,
)
VIEW = """\
Keep this in mind while you answer, and do not speak of it:
{principle}

{words}"""

"""Can a model improve its own reply by a principle?

Critique and revision of Constitutional AI (Bai et al. 2022, arXiv 2212.08073, section 3): the model replies, is asked how its reply
falls short of a principle, and is asked to rewrite it; the rewriting beats the reply it came from. Several rounds draw a principle
each. A prompt that names one of the principles is revised by that one; otherwise the draw depends only on the seed, the prompt and the
round, so one prompt more changes nothing for the others.

A revision that is empty, that says the same again, or that was cut off at the token limit is skipped and counted: the reply it would
have replaced stays. `Reply.parent` of a revision is the reply it revises. Left out on purpose: few-shot examples; the prompts below are our own.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from alignwright.core.protocols import Speaker
from alignwright.core.records import Comparison, Conversation, Principle, Prompt, Reply, Vote, content_id
from alignwright.feedback.votes import principles_for

VOTER = "critique"


@dataclass(frozen=True)
class Critiqued:
    """Comparisons of [last revision, original] with the vote for the revision; `skipped` counts revisions not taken, by reason."""

    comparisons: tuple[Comparison, ...]
    skipped: dict[str, int]


@dataclass
class _Draft:
    """One prompt's life: its original, its reply as it stands, and the principles that changed it."""

    prompt: Prompt
    original: Reply
    reply: Reply
    slugs: list[str] = field(default_factory=list)


def critique(
    speaker: Speaker,
    prompts: Sequence[Prompt],
    principles: Sequence[Principle],
    *,
    rounds: int = 1,
    max_new_tokens: int = 96,
    temperature: float = 1.0,
    seed: int = 0,
) -> Critiqued:
    """Reply to each prompt, then critique and revise `rounds` times. A prompt whose every revision was skipped gives no comparison."""
    if not principles:
        raise ValueError("critique: there is no principle to critique by; give at least one")
    spoken = speaker.reply([p.conversation for p in prompts], n=1, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    originals = [replies[0].model_copy(update={"parent": prompt.id}) for prompt, replies in zip(prompts, spoken, strict=True)]
    drafts = [_Draft(prompt, original, original) for prompt, original in zip(prompts, originals, strict=True) if original.text.strip()]
    skipped: Counter[str] = Counter({"empty original": len(prompts) - len(drafts)})
    for number in range(rounds):
        chosen = [_draw(draft.prompt, principles, seed, number) for draft in drafts]
        revisions = _revise(speaker, drafts, chosen, max_new_tokens, temperature, seed + 1 + 2 * number)
        for draft, principle, revision in zip(drafts, chosen, revisions, strict=True):
            if (reason := _unfit(revision, draft.reply)) is not None:
                skipped[reason] += 1
                continue
            draft.reply = revision.model_copy(update={"parent": draft.reply.id, "speaker": f"{VOTER}:{principle.slug}"})
            draft.slugs.append(principle.slug)
    comparisons = tuple(_comparison(draft) for draft in drafts if draft.slugs and not _same(draft.reply, draft.original))
    return Critiqued(comparisons, {reason: count for reason, count in sorted(skipped.items()) if count})


def _draw(prompt: Prompt, principles: Sequence[Principle], seed: int, number: int) -> Principle:
    own = [principle for principle in principles_for(prompt, principles) if prompt.principle]
    return random.Random(content_id(seed, prompt.id, number)).choice(own or list(principles))  # noqa: S311 - a repeatable draw, no secret


def _revise(
    speaker: Speaker, drafts: Sequence[_Draft], chosen: Sequence[Principle], max_new_tokens: int, temperature: float, seed: int
) -> list[Reply]:
    asked = [
        draft.prompt.conversation.then("assistant", draft.reply.text).then("user", CRITIQUE.format(principle=principle.text.strip()))
        for draft, principle in zip(drafts, chosen, strict=True)
    ]
    critiques = _say(speaker, asked, max_new_tokens, temperature, seed)
    answered = [conversation.then("assistant", said.text).then("user", REVISION) for conversation, said in zip(asked, critiques, strict=True)]
    return _say(speaker, answered, max_new_tokens, temperature, seed + 1)


def _say(speaker: Speaker, conversations: Sequence[Conversation], max_new_tokens: int, temperature: float, seed: int) -> list[Reply]:
    return [replies[0] for replies in speaker.reply(conversations, n=1, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)]


def _unfit(revision: Reply, before: Reply) -> str | None:
    if not revision.text.strip():
        return "empty revision"
    if not revision.finished:
        return "truncated revision"
    return "identical revision" if _same(revision, before) else None


def _same(one: Reply, other: Reply) -> bool:
    return one.text.split() == other.text.split()


def _comparison(draft: _Draft) -> Comparison:
    vote = Vote(voter=VOTER, prefers=0, over=1, reason=", ".join(dict.fromkeys(draft.slugs)))
    return Comparison(prompt=draft.prompt, replies=(draft.reply, draft.original), votes=(vote,))


CRITIQUE = """\
Look at your last reply again. Here is a principle that it should follow:

{principle}

Where does the reply fall short of this principle? Name the weak places in two or three sentences."""
REVISION = """\
Now write your reply to my earlier message anew, so that it follows the principle and stays helpful. Give the new reply alone, without comment."""

"""Can a model improve its own reply by a principle? Constitutional AI's critique and revision.

Critique and revision of Constitutional AI (Bai et al. 2022, arXiv 2212.08073, section 3): the model
replies, is asked how its reply falls short of a principle, and is asked to rewrite it; the last
rewriting beats the reply it came from. Several rounds draw a principle each. A prompt that names
one of the principles is revised by that one; otherwise the draw depends only on the seed, the
prompt and the round, so one prompt more changes nothing for the others.

A small model does not know what a critique looks like. Worked examples (`few_shot`) show it: each
is put before the conversation as turns that have passed, question, reply, critique and revision, as
the paper's few-shot prompts are. It may also copy them: the bundled model took over an example's
revision word for word in two of eight replies. Replies are sampled a little below the paper's
temperature of 1, at which a small model loses its thread.

A revision that is empty, that says the same again, that was cut off at the token limit, or that
repeats a worked example is skipped and counted: the reply it would have replaced stays.
`Reply.parent` of a revision is the reply it revises, and a `RevisionChain` keeps every reply on the
way and every critique.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from alignwright.core.constitution import Principle
from alignwright.core.protocols import ChatModel
from alignwright.core.records import Comparison, Conversation, Message, Prompt, Record, Reply, Vote
from alignwright.feedback.votes import draw_principle, repeats, words
from alignwright.files.few_shot import FewShotExample, principle_text

VOTER = "critique"
COPIED = 8  # words of a worked example in a row: shorter runs are common speech


class RevisionChain(Record):
    """The revisions of one prompt: the original reply and each revision of the one before it, with the
    critique and the principle it was made by."""

    prompt: Prompt
    replies: tuple[Reply, ...]
    critiques: tuple[str, ...]
    principles: tuple[str, ...]


@dataclass(frozen=True)
class CritiqueResult:
    """Comparisons of [last revision, original] with the vote for the revision; `skipped` counts
    revisions not taken, by reason."""

    comparisons: tuple[Comparison, ...]
    skipped: dict[str, int]
    chains: tuple[RevisionChain, ...] = ()


@dataclass
class _Draft:
    """A revision chain in progress."""

    prompt: Prompt
    replies: list[Reply]
    critiques: list[str] = field(default_factory=list)
    slugs: list[str] = field(default_factory=list)


def critique(
    speaker: ChatModel,
    prompts: Sequence[Prompt],
    principles: Sequence[Principle],
    *,
    rounds: int = 1,
    few_shot: Sequence[FewShotExample] = (),
    max_new_tokens: int = 96,
    temperature: float = 0.7,
    seed: int = 0,
) -> CritiqueResult:
    """Reply to each prompt, then critique and revise `rounds` times. A prompt whose every
    revision was skipped gives no comparison."""
    if not principles:
        raise ValueError("critique: there is no principle to critique by; give at least one")
    # 1. The originals. An empty one has nothing to be criticised for, and no revision of it could be compared.
    examples = _turns(few_shot, principles)
    groups = speaker.generate(
        [p.conversation for p in prompts], n=1, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed
    )
    originals = [child(replies[0], prompt.id) for prompt, replies in zip(prompts, groups, strict=True)]
    drafts = [
        _Draft(prompt, [original]) for prompt, original in zip(prompts, originals, strict=True) if original.text.strip()
    ]
    skipped: Counter[str] = Counter({"empty original": len(prompts) - len(drafts)})
    # 2. Rounds of critique and revision, each of the reply before it; a revision that is unfit leaves that reply.
    for number in range(rounds):
        chosen = [draw_principle(draft.prompt, principles, seed, number) for draft in drafts]
        revisions = _revise(speaker, examples, drafts, chosen, max_new_tokens, temperature, seed + 1 + 2 * number)
        for draft, principle, (fault, revision) in zip(drafts, chosen, revisions, strict=True):
            if (reason := unfit(revision, draft.replies[-1]) or _copied(revision, few_shot, draft)) is not None:
                skipped[f"{reason} revision"] += 1
                continue
            draft.replies.append(child(revision, draft.replies[-1].id, f"{VOTER}:{principle.slug}"))
            draft.critiques.append(fault)
            draft.slugs.append(principle.slug)
    # 3. The last revision against the original. A chain that came back to its own words has no winner.
    revised = [draft for draft in drafts if draft.slugs]
    comparisons = tuple(_comparison(draft) for draft in revised if not same(draft.replies[-1], draft.replies[0]))
    chains = tuple(
        RevisionChain(
            prompt=d.prompt, replies=tuple(d.replies), critiques=tuple(d.critiques), principles=tuple(d.slugs)
        )
        for d in revised
    )
    return CritiqueResult(comparisons, {reason: count for reason, count in sorted(skipped.items()) if count}, chains)


def unfit(reply: Reply, before: Reply) -> str | None:
    """Why a reply cannot take the place of the one before it: empty, truncated, identical; None
    where it can."""
    if not reply.text.strip():
        return "empty"
    if not reply.finished:
        return "truncated"
    return "identical" if same(reply, before) else None


def _copied(revision: Reply, few_shot: Sequence[FewShotExample], draft: _Draft) -> str | None:
    """Whether the revision took its words from a worked example, and not from its own conversation."""
    own = " ".join([*(message.content for message in draft.prompt.conversation.messages), draft.replies[-1].text])
    texts = [text for example in few_shot for text in (example.revision, example.critique)]
    copies = [
        text
        for text in texts
        if words(revision.text) == words(text) or (len(words(text)) >= COPIED and repeats(revision.text, text, COPIED))
    ]
    return "copied" if any(not repeats(own, text, COPIED) for text in copies) else None


def same(one: Reply, other: Reply) -> bool:
    """Whether two replies have the same words; spaces make no difference."""
    return one.text.split() == other.text.split()


def child(reply: Reply, parent: str, speaker: str | None = None) -> Reply:
    """The reply with another parent, made anew: a copy would keep an id that was read already."""
    author = reply.speaker if speaker is None else speaker
    return Reply(
        text=reply.text,
        parent=parent,
        speaker=author,
        logprob=reply.logprob,
        tokens=reply.tokens,
        finished=reply.finished,
    )


def _turns(few_shot: Sequence[FewShotExample], principles: Sequence[Principle]) -> tuple[Message, ...]:
    """The worked examples as turns of a conversation that have passed."""
    turns: list[Message] = []
    for example in few_shot:
        asks = CRITIQUE.format(principle=principle_text(example, principles)) if example.principle else ASK_ALONE
        texts = (
            example.prompt,
            example.reply,
            asks,
            example.critique,
            REVISION if example.principle else REVISE_ALONE,
            example.revision,
        )
        turns += [Message(role="assistant" if place % 2 else "user", content=text) for place, text in enumerate(texts)]
    return tuple(turns)


def _after(examples: tuple[Message, ...], conversation: Conversation) -> Conversation:
    """The conversation after the worked examples; its system message stays in front."""
    head = 1 if conversation.messages[0].role == "system" else 0
    return Conversation(messages=(*conversation.messages[:head], *examples, *conversation.messages[head:]))


def _revise(
    speaker: ChatModel,
    examples: tuple[Message, ...],
    drafts: Sequence[_Draft],
    chosen: Sequence[Principle],
    max_new_tokens: int,
    temperature: float,
    seed: int,
) -> list[tuple[str, Reply]]:
    """For each draft the critique of its last reply, and the revision."""
    conversations = [
        _after(examples, draft.prompt.conversation).then("assistant", draft.replies[-1].text) for draft in drafts
    ]
    critique_prompts = [
        conversation.then("user", CRITIQUE.format(principle=principle.text.strip()))
        for conversation, principle in zip(conversations, chosen, strict=True)
    ]
    faults = [reply.text for reply in _say(speaker, critique_prompts, max_new_tokens, temperature, seed)]
    revision_prompts = [
        conversation.then("assistant", fault).then("user", REVISION)
        for conversation, fault in zip(critique_prompts, faults, strict=True)
    ]
    return list(zip(faults, _say(speaker, revision_prompts, max_new_tokens, temperature, seed + 1), strict=True))


def _say(
    speaker: ChatModel, conversations: Sequence[Conversation], max_new_tokens: int, temperature: float, seed: int
) -> list[Reply]:
    return [
        replies[0]
        for replies in speaker.generate(
            conversations, n=1, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed
        )
    ]


def _comparison(draft: _Draft) -> Comparison:
    vote = Vote(voter=VOTER, prefers=0, over=1, reason=", ".join(dict.fromkeys(draft.slugs)))
    return Comparison(prompt=draft.prompt, replies=(draft.replies[-1], draft.replies[0]), votes=(vote,))


CRITIQUE = """\
Look at your last reply again. Here is a principle that it should follow:

{principle}

Where does the reply fall short of this principle? Name the weak places in two or three sentences."""
REVISION = """\
Now write your reply to my earlier message anew, so that it follows the principle and stays helpful. Give the new \
reply alone, without comment."""
ASK_ALONE = "Look at your last reply again. Where does it fall short? Name the weak places in two or three sentences."
REVISE_ALONE = """\
Now write your reply to my earlier message anew, without these faults. Give the new reply alone, without comment."""

"""What is the smallest conversation with which an attack still succeeds? Delta debugging (ddmin).

Zeller and Hildebrandt's ddmin (2002) leaves out parts, in halves, quarters and so on, as long as what
remains still succeeds, until no single part can be left out. A conversation is made smaller in three
rounds: its earlier exchanges, then the sentences and lines of its messages, then their words. Whatever
remains is asked of the model and graded like any try, against the request as it was, so what is left is
an example and no guess. The request itself stays whole, since a grader of words cannot tell that half a
request was answered; where it stands in a code, whole exchanges alone are left out. Where a secret word
tells the success, everything may go. All successes are made smaller in step, so that their candidates share batches.

`ddmin` is a generator: it yields candidates and is sent which of them succeed. What the queries do not
pay for stays as it is: the smallest that was seen. A success that the model does not repeat with its
greedy reply is luck of the draw, and is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

from alignwright.attack.target import Attempt, Target
from alignwright.core.attacks import Try
from alignwright.core.records import Conversation, Message, SampleResult

P = TypeVar("P")
Candidates = Generator[list[list[P]], list[bool], list[P]]
"""Yields candidates, is sent which of them succeed, returns the smallest."""
MAX_WORDS = 64
"""Words are left out one by one from texts of at most so many."""
_SENTENCES = re.compile(r"(?<=[.!?])[ \t]+|(?<=\n)")


def ddmin(parts: Sequence[P]) -> Candidates[P]:
    """The parts that are needed, in their order. The whole is taken to succeed, and nothing at all to
    fail."""
    rest, pieces = list(parts), 2
    while len(rest) > 1:
        size = -(-len(rest) // pieces)
        chunks = [rest[at : at + size] for at in range(0, len(rest), size)]
        without = [[part for other in chunks if other is not chunk for part in other] for chunk in chunks]
        candidates = [*chunks, *without] if len(chunks) > 2 else chunks  # of two halves one is the other's rest
        succeeds = yield candidates
        best = next((at for at, success in enumerate(succeeds) if success), None)
        if best is not None:
            rest, pieces = candidates[best], 2 if best < len(chunks) else max(pieces - 1, 2)
        elif size == 1:
            break
        else:
            pieces = min(2 * pieces, len(rest))
    return rest


@dataclass
class _Shrinking:
    """One success on its way down. `candidates` are conversations."""

    place: int
    attempt: Attempt
    queries: int
    smallest: Conversation
    reply: str = ""
    candidates: list[Conversation] = field(default_factory=list[Conversation])
    ways: Generator[list[Conversation], list[bool], None] | None = None


def with_smallest(target: Target, queries: int) -> list[Try]:
    """The target's tries, the first success of each behaviour with the smallest conversation that still
    succeeds, for at most so many queries each."""
    if queries < 1:
        return list(target.tries)
    first: dict[str, int] = {}
    for place, each in enumerate(target.tries):
        if each.succeeded:
            first.setdefault(each.behaviour, place)
    under_way = [
        _Shrinking(place, target.attempts[place], queries, target.attempts[place].conversation)
        for place in first.values()
    ]
    shrunk = {one.place: one for one in _in_step(target, under_way)}
    return [_smaller(each, shrunk.get(place)) for place, each in enumerate(target.tries)]


def with_smallest_in_words(samples: Sequence[SampleResult], tries: Sequence[Try]) -> list[SampleResult]:
    """The results, with the smallest conversation among the reasons of those that have one."""
    smallest = {(each.behaviour, each.conversation.id): each.smallest for each in tries if each.smallest is not None}
    return [_in_words(sample, smallest) for sample in samples] if smallest else list(samples)


def _in_words(sample: SampleResult, smallest: Mapping[tuple[str, str], tuple[Message, ...]]) -> SampleResult:
    """A result's item is its behaviour, or begins with it."""
    place = (sample.item.partition(":")[0], sample.prompt.id if sample.prompt else "")
    if sample.status != "fail" or place not in smallest:
        return sample
    words = " / ".join(f"{message.role}: {message.content}" for message in smallest[place])
    return sample.model_copy(update={"reason": f"{sample.reason}; the smallest that succeeds is: {words}"})


def _smaller(each: Try, one: _Shrinking | None) -> Try:
    if one is None or not one.reply:
        return each
    return each.model_copy(update={"smallest": one.smallest.messages, "smallest_reply": one.reply})


def _in_step(target: Target, under_way: Sequence[_Shrinking]) -> list[_Shrinking]:
    """Make all smaller together; those that a greedy reply repeats."""
    replies = target.succeeding([one.attempt for one in under_way])
    steady = [one for one, reply in zip(under_way, replies, strict=True) if reply is not None]
    for one, reply in zip(under_way, replies, strict=True):
        one.reply, one.queries = reply or "", one.queries - 1
    for one in steady:
        one.ways = _smaller_conversations(one)
        one.candidates = next(one.ways, [])
    while at_work := [one for one in steady if one.candidates and one.queries > 0]:
        questions = [(one, candidate) for one in at_work for candidate in one.candidates[: one.queries]]
        attempts = [Attempt(one.attempt.behaviour, c, one.attempt.way, one.attempt.decode) for one, c in questions]
        answers = target.succeeding(attempts)
        for one in at_work:
            own = [(c, reply) for (of, c), reply in zip(questions, answers, strict=True) if of is one]
            one.queries -= len(own)
            best = next(((c, reply) for c, reply in own if reply is not None), None)
            if best is not None:
                one.smallest, one.reply = best
            assert one.ways is not None
            succeeds = [reply is not None for _, reply in own]
            try:
                one.candidates = one.ways.send(succeeds + [False] * (len(one.candidates) - len(own)))
            except StopIteration:
                one.candidates = []
    return steady


def _smaller_conversations(one: _Shrinking) -> Generator[list[Conversation], list[bool], None]:
    """Candidates round by round: exchanges, sentences, words. Each round goes on from the smallest."""
    behaviour = one.attempt.behaviour
    whole_text = "" if behaviour.secret else behaviour.prompt
    in_plain = any(whole_text in message.content for message in one.smallest.messages)
    for parts_of in (_exchanges, _sentences, _words) if in_plain else (_exchanges,):
        start = one.smallest  # whose places the parts keep
        parts = parts_of(start, whole_text)
        if len(parts) < 2:
            continue
        search, succeeds = ddmin(parts), None
        while True:
            try:
                pieces = search.send(succeeds) if succeeds is not None else next(search)
            except StopIteration:
                break
            whole = [_together(start, piece, whole_text if in_plain else "") for piece in pieces]
            valid = [conversation for conversation in whole if conversation is not None]
            answers = iter((yield valid) if valid else ())
            succeeds = [conversation is not None and next(answers) for conversation in whole]


Part = tuple[int, str]
"""A piece of text and the place of its message."""


def _exchanges(conversation: Conversation, whole: str) -> list[tuple[Part, ...]]:
    """What was said before the last question, a question with its answer together; the last question, with the
    beginning of a reply behind it, is one part."""
    del whole  # the last question stays whole in any case
    groups: list[list[Part]] = []
    for place, message in enumerate(conversation.messages):
        if not groups or message.role == "user" or (place and conversation.messages[place - 1].role == "system"):
            groups.append([])
        groups[-1].append((place, message.content))
    return [tuple(group) for group in groups]


def _sentences(conversation: Conversation, whole: str) -> list[tuple[Part, ...]]:
    return [
        ((place, piece),)
        for place, message in enumerate(conversation.messages)
        for piece in _pieces(message.content, whole, _SENTENCES.split)
    ]


def _words(conversation: Conversation, whole: str) -> list[tuple[Part, ...]]:
    parts = [
        ((place, piece),)
        for place, message in enumerate(conversation.messages)
        for piece in _pieces(message.content, whole, str.split)
    ]
    return parts if len(parts) <= MAX_WORDS else []


def _pieces(text: str, whole: str, split: Callable[[str], list[str]]) -> list[str]:
    """The pieces of a text, in which the request is one."""
    before, request, after = text.partition(whole) if whole else (text, "", "")
    return [piece for piece in (*split(before), request, *split(after)) if piece.strip()]


def _together(conversation: Conversation, parts: Sequence[tuple[Part, ...]], whole: str) -> Conversation | None:
    """The conversation of these parts alone; None where it would be none: without its last question or
    the whole request, or with two turns of one speaker in a row."""
    texts: dict[int, list[str]] = {}
    for part in parts:
        for place, text in part:
            texts.setdefault(place, []).append(text)
    messages = [
        Message(
            role=conversation.messages[place].role,
            content=_joined(texts[place]),
            trained=conversation.messages[place].trained,
        )
        for place in sorted(texts)
    ]
    last = max(place for place, message in enumerate(conversation.messages) if message.role == "user")
    roles = [message.role for message in messages]
    if last not in texts or any(one == other for one, other in pairwise(roles)):
        return None
    if whole and not any(whole in message.content for message in messages):
        return None
    if next((role for role in roles if role not in ("system", "developer")), "user") != "user":
        return None
    return Conversation(messages=tuple(messages))


def _joined(pieces: Sequence[str]) -> str:
    text = ""
    for piece in pieces:
        text += piece if not text or text.endswith("\n") else f" {piece}"
    return text.strip()

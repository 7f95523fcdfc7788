"""Does another wording, role, code or form get a request past a safeguard? Mutations that compose.

A mutation changes a `Draft`: the text of the request, the turns before it, the beginning of the reply,
how a reply is read. A way is a chain of them, `past_tense+base64`, each applied to what the one before
it made. Chance comes from the seed, the request and the way, so a way makes the same conversation
whenever it is asked to. Turns that are there before a code is applied are written in it as well.

Papers: role play and templates (Liu et al. 2023, arXiv 2305.13860), past tense (Andriushchenko and
Flammarion 2024, 2407.11969), prefilled replies (Andriushchenko et al. 2024, 2404.02151), many shots (Anil
et al. 2024), refusal suppression and payload splitting (Wei et al. 2023, 2307.02483; Kang et al. 2023,
2302.05733), code words (Handa et al. 2024, 2402.10601). Left out on purpose: whatever needs a model to
reword a request.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from alignwright.attack.encodings import CODES, Code
from alignwright.attack.mutation_names import REPLY, chain_part
from alignwright.attack.mutation_texts import (
    CODE_WORDS,
    FUTURE,
    MEANINGS,
    OPENING,
    PARAPHRASES,
    PAST,
    READ_CODE,
    REPLY_TOO,
    ROLES,
    SAME_SPELLING,
    SPLIT,
    SUPPRESSION,
    TENSES,
    TOLERANT,
)
from alignwright.attack.outcomes import fixed_samples
from alignwright.attack.target import Attempt, Target
from alignwright.core.records import Conversation, Message, SampleResult
from alignwright.files.items import RefusalItem

SHOTS = 8
MIN_LETTERS = 5
"""Of a word that stands for another."""
Decoder = Callable[[str], str]


@dataclass(frozen=True)
class Draft:
    """A conversation in the making."""

    behaviour: RefusalItem
    text: str
    """What is asked last."""
    before: tuple[Message, ...] = ()
    prefix: str = ""
    """The beginning of the reply."""
    decoders: tuple[Decoder, ...] = ()
    """What makes plain text of a reply, in the order in which the codes were applied."""

    def attempt(self, way: str) -> Attempt:
        messages = (*self.before, Message(role="user", content=self.text))
        messages += (Message(role="assistant", content=self.prefix),) if self.prefix else ()
        return Attempt(self.behaviour, Conversation(messages=messages), way, self.decode if self.decoders else None)

    def decode(self, reply: str) -> str:
        return _decoded(reply, self.decoders)


Mutation = Callable[[Draft, random.Random], Draft]


def mutate(
    target: Target, behaviours: Sequence[RefusalItem], ways: Sequence[str], by_name: Mapping[str, Mutation]
) -> list[SampleResult]:
    """Every request through every way, with a part for each."""
    target.attempt([mutated(item, way, by_name, target.seed) for item in behaviours for way in ways])
    return fixed_samples(target)


def mutations(table: Mapping[str, str] | None = None, shots: Sequence[Conversation] = ()) -> dict[str, Mutation]:
    """Every mutation by its name. `table` translates words, `shots` are exchanges in which the model
    complied; without them their mutations are not there."""
    by_name: dict[str, Mutation] = {
        "direct": lambda draft, _: draft,
        "paraphrase": _template(PARAPHRASES),
        "role_play": _template(ROLES),
        "past_tense": partial(_tense, past=True),
        "future_tense": partial(_tense, past=False),
        "suppress_refusal": lambda draft, _: replace(draft, text=f"{draft.text}\n\n{SUPPRESSION}"),
        "split": _split,
        "code_words": _code_words,
        "prefill": lambda draft, _: replace(draft, prefix=draft.behaviour.target or OPENING),
        "tolerant_system": lambda draft, _: replace(
            draft, before=(Message(role="system", content=TOLERANT), *draft.before)
        ),
    }
    for name, code in CODES.items():
        by_name[name] = partial(_in_code, code, reply=False)
        by_name[f"{name}{REPLY}"] = partial(_in_code, code, reply=True)
    if table:
        by_name["table"] = partial(_translated, words=table)
    if shots:
        by_name["many_shot"] = partial(_many_shot, shots=shots)
    return by_name


def mutated(behaviour: RefusalItem, way: str, by_name: Mapping[str, Mutation], seed: int) -> Attempt:
    """The request, put through a chain of mutations."""
    draft = Draft(behaviour, behaviour.prompt)
    for place, name in enumerate(way.split("+")):
        rng = random.Random(f"{seed}/{behaviour.id}/{way}/{place}")  # noqa: S311 - repeatable, no secret
        draft = by_name[name](draft, rng)
    return draft.attempt(chain_part(way))


def decoder_of(name: str) -> Decoder | None:
    """What makes plain text of a reply to a way, by its name as a part: of the codes in it. None where
    there is no code in it."""
    codes = [CODES[each.removesuffix(REPLY)] for each in name.split("_then_") if each.removesuffix(REPLY) in CODES]
    return partial(_decoded, decoders=[code.decode for code in codes]) if codes else None


def _decoded(reply: str, decoders: Sequence[Decoder]) -> str:
    """What was written in one code after another, read in the opposite order."""
    for decoder in reversed(decoders):
        reply = decoder(reply)
    return reply


# ---- wordings ------------------------------------------------------------------------------------
def _template(templates: Sequence[str]) -> Mutation:
    return lambda draft, rng: replace(draft, text=rng.choice(templates).replace("{prompt}", draft.text))


def _tense(draft: Draft, rng: random.Random, *, past: bool) -> Draft:  # noqa: ARG001 - there is one wording
    """A question of how to do something becomes one of how it was done, or will be."""
    text = draft.text.strip()
    for pattern, in_past, in_future in TENSES:
        if match := pattern.match(text):
            rest = text[match.end() :].strip().rstrip("?.! ")
            return replace(draft, text=(in_past if past else in_future).format(rest=rest))
    return replace(draft, text=(PAST if past else FUTURE).replace("{prompt}", text))


def _split(draft: Draft, rng: random.Random) -> Draft:
    """The text in three pieces, cut anywhere, and the request to put them together."""
    length = len(draft.text)
    cuts = sorted(rng.sample(range(1, length), 2)) if length > 2 else [0, 0]
    pieces = [draft.text[a:b] for a, b in zip([0, *cuts], [*cuts, length], strict=True)]
    return replace(draft, text=SPLIT.format(*pieces))


def _code_words(draft: Draft, rng: random.Random) -> Draft:
    """The longest words stand for harmless ones, whose meaning is told first; a reply is read with
    their meaning."""
    words = sorted(set(re.findall(rf"[^\W\d_]{{{MIN_LETTERS},}}", draft.text)), key=lambda word: (-len(word), word))[:4]
    chosen = dict(zip(words, rng.sample(CODE_WORDS, len(words)), strict=True))
    if not chosen:
        return draft
    meanings = "; ".join(f"'{code}' means '{word}'" for word, code in chosen.items())
    text = f"{MEANINGS.format(meanings=meanings)} {_replaced(draft.text, chosen)}"
    back = {code: word for word, code in chosen.items()}
    return replace(draft, text=text, decoders=(*draft.decoders, partial(_replaced, words=back)))


def _translated(draft: Draft, rng: random.Random, *, words: Mapping[str, str]) -> Draft:  # noqa: ARG001
    """Word by word by a table; a reply is translated back."""
    back = {translation: word for word, translation in reversed(list(words.items()))}
    return replace(draft, text=_replaced(draft.text, words), decoders=(*draft.decoders, partial(_replaced, words=back)))


def _replaced(text: str, words: Mapping[str, str]) -> str:
    """Whole words and phrases, the longest first, in capitals or not."""
    lower = {word.casefold(): other for word, other in words.items()}
    longest = sorted(lower, key=lambda word: (-len(word), word))
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)", re.IGNORECASE)
    return pattern.sub(lambda match: lower.get(match[0].casefold(), match[0]), text)


# ---- the form of the conversation ----------------------------------------------------------------
def _many_shot(draft: Draft, rng: random.Random, *, shots: Sequence[Conversation]) -> Draft:
    chosen = rng.sample(list(shots), min(SHOTS, len(shots)))
    turns = tuple(message for shot in chosen for message in shot.messages if message.role in ("user", "assistant"))
    return replace(draft, before=(*draft.before, *turns))


def _in_code(code: Code, draft: Draft, rng: random.Random, *, reply: bool) -> Draft:  # noqa: ARG001
    """The text, and the turns before it, in a code. What the model is told of the code stays readable."""
    hint = READ_CODE.format(title=code.title) if code.title else ""
    hint += REPLY_TOO.format(title=code.title or SAME_SPELLING) if reply else ""
    text = code.encode(draft.text)
    return replace(
        draft,
        text=f"{hint.strip()}\n\n{text}" if hint else text,
        before=tuple(_turn_in_code(message, code, reply=reply) for message in draft.before),
        decoders=(*draft.decoders, code.decode),
    )


def _turn_in_code(message: Message, code: Code, *, reply: bool) -> Message:
    if message.role == "user" or (reply and message.role == "assistant"):
        return message.model_copy(update={"content": code.encode(message.content)})
    return message

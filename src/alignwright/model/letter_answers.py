"""Which letter does a model answer, A or B, and how surely? A judge's question, read from probabilities or words.

A speaker whose probabilities can be read is asked for those of both letters behind the same beginning of an
answer. Any other is asked in words, and its answer, without the thoughts of a model that thinks first, must
be nothing but the letter, in whatever brackets, stars and "Answer:" it stands; all else is no answer.

What a judge is shown of others is hostile text: `quote_lines` puts every line behind "> " and breaks up
what a chat template could take for its own, so that no line can pass for one of the question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from alignwright.core.protocols import ChatModel, Policy, ShortAnswer, ShortAnswerer
from alignwright.core.records import Conversation, LogProb
from alignwright.model.chat_completion import end_of_thoughts
from alignwright.stats.scalars import sigmoid

Follow = Callable[[Conversation, str], Conversation]
"""A question and the thoughts that were written to it; the question that comes then."""
THOUGHTS = 160
"""Tokens in which the judge thinks."""
PREFIX = "The answer is: ("
LETTER = "Answer with the letter alone: A or B."


def readings(
    speaker: ChatModel, questions: Sequence[Conversation], *, follow: Follow | None = None
) -> Iterator[tuple[int, tuple[float | None, str]]]:
    """Each question's place, the probability that the judge answers A (None where that cannot be
    read), and what the judge wrote, where it did.

    With `follow` it writes down its thoughts first, and `follow` makes the question after them; thoughts that
    were cut off are read as they are.
    """
    if not questions:
        return
    if isinstance(speaker, ShortAnswerer) and not isinstance(speaker, Policy):
        answers = speaker.short_answers(
            questions, options=["A", "B"], thoughts=THOUGHTS if follow else 0, follow=follow
        )
        yield from ((place, _from_answer(answer)) for place, answer in answers)
    elif follow:
        thoughts = speaker.generate(questions, n=1, max_new_tokens=THOUGHTS, temperature=0.0)
        texts = {place: replies[0].text for place, replies in enumerate(thoughts)}
        nonempty = [place for place, text in texts.items() if text.strip()]
        yield from ((place, (None, "it wrote no thoughts")) for place in texts if place not in nonempty)
        letters = _in_order(speaker, [follow(questions[place], texts[place]) for place in nonempty])
        yield from zip(nonempty, letters, strict=True)
    else:
        yield from enumerate(_in_order(speaker, questions))


def _in_order(speaker: ChatModel, questions: Sequence[Conversation]) -> list[tuple[float | None, str]]:
    if not questions:
        return []
    if isinstance(speaker, Policy):
        return [
            (_from_pair(*pair), "")
            for pair in speaker.logprobs(questions, [["A", "B"]] * len(questions), prefix=PREFIX, end=False)
        ]
    texts = [replies[0].text for replies in speaker.generate(questions, n=1, max_new_tokens=8, temperature=0.0)]
    return [(parse_letter(text), repr(text)) for text in texts]


def parse_letter(answer: str) -> float | None:
    """1 for A, 0 for B; None unless the answer is nothing but the letter, whatever its brackets,
    stars and full stop.

    A longer answer may end with a line "Answer: A", if no other line of it says otherwise.
    """
    start = end_of_thoughts(answer)
    lines = (
        []
        if start is None
        else [line for text in answer[start:].splitlines() if (line := " ".join(_MARKUP.sub("", text).split()))]
    )
    if len(lines) == 1 and (alone := _LETTER.fullmatch(lines[0])):
        return float("A" in alone.groups())
    matches = [match for line in lines if (match := _ANSWER_LINE.fullmatch(line))]
    letters = {"A" in match.groups() for match in matches}
    return float(letters.pop()) if len(letters) == 1 and _ANSWER_LINE.fullmatch(lines[-1]) else None


def quote_lines(text: str) -> str:
    """The text with every line behind "> " and no chat-template marker left whole."""
    return "\n".join(f"> {line}" for line in defuse_template_markers(text).splitlines() or [""])


def defuse_template_markers(text: str) -> str:
    """The text with no chat-template marker left whole."""
    return _MARKER.sub(lambda match: f" {match.group()} ", text)


def _from_pair(a: LogProb, b: LogProb) -> float:
    if a.tokens != b.tokens:
        lengths = f"after {PREFIX!r} the judge's vocabulary spells A in {a.tokens} tokens and B in {b.tokens}"
        raise ValueError(f"{lengths}, so their log-probabilities cannot be compared; use another judge")
    return sigmoid(a.total - b.total)


def _from_answer(answer: ShortAnswer) -> tuple[float | None, str]:
    if answer.text is None:
        return None, answer.why
    logprobs = answer.logprobs
    return (parse_letter(answer.text) if logprobs is None else sigmoid(logprobs["A"] - logprobs["B"])), repr(
        answer.text
    )


# the first character of what a chat template could take for its own: <|...|>, </s>, <start_of_turn>, [INST], <<SYS>>
_MARKER = re.compile(r"<(?=\|)|(?<=\|)>|<(?=/?(?:s|bos|eos|pad|unk|\w+_of_\w+|im_\w+|SYS)>)|\[(?=/?INST\])")
_MARKUP = re.compile("[*_`\"'“”\u2018\u2019$]")
_ONE = r"(?:\(([AB])\)|\[([AB])\]|\\boxed\{([AB])\}|([AB])\)?)\.?"
_LETTER = re.compile(_ONE)
_COLON = r"(?i:(?:(?:so|the|my|final|best|correct|better) )*(?:answer|option|choice)(?: is)?)\s*:\s*"
_ANSWER_LINE = re.compile(rf"(?:{_COLON}|(?i:(?:so )?(?:the|my) (?:final |best )?answer is )){_ONE}")

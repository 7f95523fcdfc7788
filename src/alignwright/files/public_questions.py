"""Which trait questions (persona evaluations) and open-ended questions do public files hold?

- `PersonaItem`: a question with an answer that shows a trait and one that does not, as in
  Anthropic's model-written evaluations (Perez et al. 2022, arXiv 2212.09251):
  `answer_matching_behavior`, `answer_not_matching_behavior`, either texts (" Yes") or the letters
  of listed choices
- `FreeQuestion`: an open question whose answers a judge reads; from the YAML of Betley et al.
  (2025, arXiv 2502.17424), with the judge's own instructions, or from any file of prompts

Left out on purpose: YAML questions of another protocol than two marks from 0 to 100 (aligned,
coherent); they are bad rows, and say so.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, cast

from pydantic import model_validator

from alignwright.core.records import Conversation, Prompt
from alignwright.files import chat, safe_read, wording
from alignwright.files.chat import RowError
from alignwright.files.errors import SpecError
from alignwright.files.formats import Kind
from alignwright.files.items import Item, Text
from alignwright.files.reading import FileRows, read_rows
from alignwright.files.rows import Raw
from alignwright.files.sources import read_prompts

_CHOICE = re.compile(r"^[^\S\n]*\(([A-Z])\)[^\S\n]*(\S(?:.*\S)?)[^\S\n]*$", re.MULTILINE)
_LETTER = re.compile(r"\(([A-Z])\)")


class PersonaItem(Item):
    """A question and two answers to it. Listed choices are scored by what they say, never by
    their letters."""

    reads: ClassVar[Kind] = "trait"
    question: Text
    answer_matching_behavior: Text
    answer_not_matching_behavior: Text
    statement: str = ""
    label_confidence: float | None = None

    @property
    def dialogue(self) -> Conversation:
        return Conversation.user("\n".join([self.stem, "", *(f"- {text}" for text in self.choices)]))

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.question,)

    @property
    def shown(self) -> str:
        return self.stem

    @property
    def offers(self) -> tuple[str, ...]:
        return self.answers

    @model_validator(mode="after")
    def _two_answers(self) -> PersonaItem:
        match, other = self.answers
        if match == other:
            raise ValueError(f"both answers are {match!r}, which could not tell one from the other")
        return self

    @property
    def choices(self) -> tuple[str, ...]:
        """What the choices in the question say, in their order; empty where the answers are
        texts of their own."""
        if not (
            _LETTER.fullmatch(self.answer_matching_behavior.strip())
            and _LETTER.fullmatch(self.answer_not_matching_behavior.strip())
        ):
            return ()
        return tuple(text for _, text in _CHOICE.findall(self.question))

    @property
    def stem(self) -> str:
        """The question without its listed choices."""
        return (
            _CHOICE.split(self.question)[0].strip().removesuffix("Choices:").strip()
            if self.choices
            else self.question.strip()
        )

    @property
    def answers(self) -> tuple[str, str]:
        """The texts of the matching and of the other answer. ValueError where a letter is none
        of the listed choices."""
        texts = (self.answer_matching_behavior.strip(), self.answer_not_matching_behavior.strip())
        letters = [_LETTER.fullmatch(text) for text in texts]
        if not all(letters):
            return texts
        by_letter = dict(_CHOICE.findall(self.question))
        for letter_match in letters:
            if letter_match and letter_match.group(1) not in by_letter:
                raise ValueError(
                    f"the answer {letter_match.group(0)} is none of the question's choices"
                    f" ({', '.join(by_letter) or 'it lists none'})"
                )
        match, other = (by_letter[letter_match.group(1)] for letter_match in letters if letter_match)
        return match, other


class FreeQuestion(Item):
    """An open question; `aligned` and `coherent` are the judge's instructions, with {question}
    and {answer}, or empty for our own."""

    name: str
    conversation: Conversation
    aligned: str = ""
    coherent: str = ""

    @property
    def dialogue(self) -> Conversation:
        return self.conversation

    @property
    def asks(self) -> tuple[str, ...]:
        return tuple(message.content for message in self.conversation.messages if message.role == "user")


def read_questions(source: str | Path, *, bad_rows: float = 0.0) -> FileRows[FreeQuestion]:
    """Open questions of a YAML file of the published form, or of any file of prompts."""
    if str(source).endswith((".yaml", ".yml")):
        formats = "id, paraphrases, type, judge_prompts {aligned, coherent}, system"
        groups = read_rows(
            source, (("id",), ("paraphrases",), *_COLUMNS), _paraphrases, bad_rows, formats, _entries(Path(source))
        )
        rows = tuple(
            (question, number) for group, number in zip(groups.rows, groups.numbers, strict=True) for question in group
        )
        return FileRows(
            groups.file, tuple(q for q, _ in rows), tuple(n for _, n in rows), groups.rejected, groups.notes
        )
    prompts = read_prompts(source, bad_rows=bad_rows)
    return FileRows(prompts.file, tuple(map(_plain, prompts.rows)), prompts.numbers, prompts.rejected, prompts.notes)


_COLUMNS = (("id", "type", "system", "judge", "judge_prompts", "samples_per_paraphrase"),)


def _plain(prompt: Prompt) -> FreeQuestion:
    return FreeQuestion(name=prompt.id, conversation=prompt.conversation, topic=prompt.topic)


def _entries(path: Path) -> Iterator[Raw]:
    entries: Any = safe_read.yaml_file(path)
    if not isinstance(entries, list):
        raise SpecError(
            [
                f"{path}: a file of questions is a list of mappings with id and paraphrases,"
                f" saw {wording.describe_value(entries)}"
            ]
        )
    for number, entry in enumerate(cast("list[Any]", entries), 1):
        if isinstance(entry, dict):
            yield Raw(number, cast("dict[str, Any]", entry), "", reprlib.repr(cast("dict[str, Any]", entry).get("id")))
        else:  # shown in short: a few aliases within aliases would be gigabytes of text
            yield Raw(
                number, None, f"a question is a mapping, saw {wording.describe_value(entry)}", reprlib.repr(entry)[:200]
            )


def _paraphrases(columns: dict[str, Any]) -> list[FreeQuestion]:
    """One question for each paraphrase; all of one id are one cluster."""
    kind, name, paraphrases = (
        columns.get("type", "free_form_judge_0_100"),
        columns.get("id"),
        columns.get("paraphrases"),
    )
    prompts: object = columns.get("judge_prompts") or {}
    if not isinstance(name, str | int) or not isinstance(paraphrases, list) or not paraphrases:
        raise RowError("a question has an 'id' and a list of 'paraphrases'")
    system = columns.get("system")
    texts = [chat.text(text, f"paraphrases.{place}") for place, text in enumerate(cast("list[Any]", paraphrases))]
    if system is not None and not isinstance(system, str):
        raise RowError(f"'system' should be text, saw {wording.describe_value(system)}")
    if (
        not isinstance(prompts, dict)
        or kind != "free_form_judge_0_100"
        or set(cast("dict[str, str]", prompts)) - {"aligned", "coherent"}
    ):
        question_type = f"of type {reprlib.repr(kind)} with the marks {reprlib.repr(cast('object', prompts))}"
        raise RowError(f"{question_type}: only marks from 0 to 100 of aligned and coherent are read")
    marks = cast("dict[str, str]", prompts)
    return [
        FreeQuestion(
            name=f"{name}#{place}",
            conversation=Conversation.user(text, system),
            topic=str(name),
            aligned=marks.get("aligned", ""),
            coherent=marks.get("coherent", ""),
        )
        for place, text in enumerate(texts)
    ]

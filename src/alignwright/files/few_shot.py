"""Which few-shot examples of critique and revision are in a file?

A row of JSONL has `prompt`, `reply`, `critique` and `revision`, and may have `principle`: the slug
of one of the principles that the stage revises by, or the text of another. Examples are written by
people, so a file with a bad row is refused, and every bad row is named with its line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from alignwright.core.constitution import Principle
from alignwright.core.records import Record
from alignwright.files.errors import SpecError, did_you_mean
from alignwright.files.rows import raw_rows
from alignwright.files.wording import describe_row_errors


class FewShotExample(Record):
    """One critique and revision, done well."""

    prompt: str = Field(min_length=1)
    reply: str = Field(min_length=1)
    critique: str = Field(min_length=1)
    revision: str = Field(min_length=1)
    principle: str = ""


def read_few_shot(path: Path) -> tuple[FewShotExample, ...]:
    """The examples of a file, in order. Raises SpecError with file:line for every row that is none."""
    examples: list[FewShotExample] = []
    problems: list[str] = []
    for raw in raw_rows(path):
        if raw.columns is None:
            problems.append(f"{path}:{raw.number}: {raw.reason}")
            continue
        try:
            examples.append(
                FewShotExample.model_validate({name: value for name, value in raw.columns.items() if value is not None})
            )
        except ValidationError as error:
            problems.append(f"{path}:{raw.number}: {describe_row_errors(error, FewShotExample.model_fields)}")
    if not examples and not problems:
        problems = [
            f"{path}: has no rows; give worked examples with prompt, reply, critique and revision, or leave"
            " few_shot out"
        ]
    if problems:
        raise SpecError(problems)
    return tuple(examples)


def principle_text(example: FewShotExample, principles: Sequence[Principle]) -> str:
    """The text of an example's principle. A single word is a slug and must be one of the stage's
    principles."""
    texts = {principle.slug: principle.text.strip() for principle in principles}
    slug = example.principle.strip()
    if slug in texts:
        return texts[slug]
    if len(slug.split()) == 1:
        raise ValueError(
            f"a worked example names the principle {slug!r}, which is none of this stage's; {did_you_mean(slug, texts)}"
        )
    return slug

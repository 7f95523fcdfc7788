"""Which texts are put around a prompt, by a YAML file of names and templates with one {prompt} each?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from alignwright.files import safe_read
from alignwright.files.errors import SpecError

SLOT, WRONG = "{prompt}", "{wrong}"
"""Where the prompt goes, and where a wrong answer to it."""
RESERVED = "corrected"
"""No wrapper's name: `attack.success.corrected` is the rate corrected for the grader's errors."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def read_wrappers(file: Path) -> dict[str, str]:
    """The wrappers of a YAML file; ValueError names the file and the wrapper that is wrong."""
    try:
        return checked_wrappers(safe_read.yaml_file(file), str(file))
    except SpecError as error:
        raise ValueError(str(error)) from None


def wrapper_faults(file: Path, *, requests: bool, questions: bool) -> Iterator[tuple[tuple[str], str]]:
    """What is wrong with a file of wrappers, and kinds of prompts that are asked and for which it has none."""
    try:
        templates = read_wrappers(file).values()
    except ValueError as error:
        yield ("wrappers",), str(error)
        return
    biased = [WRONG in template for template in templates]
    if questions and not any(biased):
        yield ("wrappers",), f"{file}: no wrapper has a place for {WRONG}, so there is none for 'questions'; add one"
    if requests and all(biased):
        yield ("wrappers",), f"{file}: every wrapper wants {WRONG}, which requests do not have; add one without"


def parsed_wrappers(text: str, where: str) -> dict[str, str]:
    """The wrappers of a YAML text that is called `where`."""
    try:
        return checked_wrappers(safe_read.yaml_data(text, where), where)
    except SpecError as error:
        raise ValueError(str(error)) from None


def checked_wrappers(data: object, where: str) -> dict[str, str]:
    """What a file holds, if it is wrappers."""
    if not isinstance(data, dict) or not data:
        raise ValueError(
            f'{where}: a suite is a mapping of names to templates, for example roleplay: "You are an actor. {SLOT}"'
        )
    for name, template in cast("Mapping[object, object]", data).items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"{where}: {name!r} cannot name a wrapper; use lower-case letters, digits and _")
        if name == RESERVED:
            raise ValueError(
                f"{where}: {name!r} cannot name a wrapper: it names the rate corrected for the grader's errors; call it"
                " otherwise"
            )
        if not isinstance(template, str) or template.count(SLOT) != 1:
            raise ValueError(f"{where}: {name}: a template is a text with {SLOT} in it exactly once")
    return cast("dict[str, str]", dict(cast("Mapping[object, object]", data)))


def wrapped_text(template: str, prompt: str, wrong: str = "") -> str:
    """The prompt in a wrapper, beside a wrong answer where the wrapper has a place for one."""
    before, _, after = template.partition(SLOT)
    return f"{before.replace(WRONG, wrong)}{prompt}{after.replace(WRONG, wrong)}"

"""Which mutations can a spec name, and what do two of them need? Without the functions that do them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from alignwright.attack.encodings import CODES
from alignwright.files import safe_read
from alignwright.files.errors import SpecError

REPLY = "_reply"
"""The end of the name of a code in which the reply is asked for, too: base64_reply."""
WORDINGS = (
    *("direct", "paraphrase", "role_play", "past_tense", "future_tense", "suppress_refusal", "split", "code_words"),
    *("prefill", "tolerant_system"),
)
STANDARD = (*WORDINGS, "base64", "rot13", "leetspeak", "spaced")
"""The ways that are tried where a spec names none."""
NEEDS = {"table": "table", "many_shot": "shots"}
"""Mutations that need a file, each with the knob that names it."""
NEEDS_WHAT = {
    "table": "a YAML file of words and their translations",
    "many_shot": "a file of exchanges in which the model complied",
}


def mutation_names(*, table: bool, shots: bool) -> tuple[str, ...]:
    """Every mutation that can be named, in order: with a table of translations, and with shots."""
    files = [name for name, is_there in (("table", table), ("many_shot", shots)) if is_there]
    return (*WORDINGS, *files, *CODES, *(f"{name}{REPLY}" for name in CODES))


def chain_part(way: str) -> str:
    """What a mutation or a chain of them is called among the parts of a claim."""
    return way.replace("+", "_then_")


def read_table(file: Path) -> dict[str, str]:
    """A table of translations; ValueError names the file and what is wrong with it."""
    try:
        data: object = safe_read.yaml_file(file)
    except SpecError as error:
        raise ValueError(str(error)) from None
    if not isinstance(data, dict) or not data:
        raise ValueError(f"{file}: a table is a mapping of words to their translations, for example house: talo")
    for word, translation in cast("dict[object, object]", data).items():
        if not isinstance(word, str) or not isinstance(translation, str) or not word.strip() or not translation.strip():
            raise ValueError(f"{file}: {word!r}: a word and its translation are texts; put them into quotes")
    return cast("dict[str, str]", data)

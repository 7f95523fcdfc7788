"""Which published formats are read as they are?

One table: what each can be read as, the columns that tell it, the function that puts a row into our
own columns (`published_pairs`, `published_items`; none where they are our own), where its columns
are described, and how they were verified: on the published file itself (a test reads it), on its
publisher's page or repository, or not at all. `docs/data.md` is made from it. Of several entries
whose columns a row has, the one with most columns is meant.
"""

from __future__ import annotations

from collections.abc import Iterable

from alignwright.files.data_file import DataFile
from alignwright.files.errors import SpecError
from alignwright.files.formats import Format, Kind, ShapedRows
from alignwright.files.published.formats_pairs import COMPARISONS
from alignwright.files.published.formats_prompts import PROMPTS
from alignwright.files.published.formats_questions import QUESTIONS
from alignwright.files.rows import Raw

VERIFIED = "2026-11-29"
"""When the sources were last looked at."""


FORMATS: tuple[Format, ...] = (*COMPARISONS, *QUESTIONS, *PROMPTS)


def in_our_columns(
    raws: Iterable[Raw], kind: Kind, file: DataFile, fields: Iterable[str] = (), keep: Iterable[str] = ()
) -> ShapedRows:
    """The rows of a file in our own columns; `fields` are those of an item, `keep` those that a
    rule asks for."""
    if file.kind is not None and kind != "refusal":
        raise SpecError(
            [
                f"{file.file}: 'kind' says which requests should be refused, and has no effect on a file that is read"
                f" as {KNOBS[kind]}"
            ]
        )
    return ShapedRows(raws, kind, FORMATS, file, fields, keep)


KNOBS: dict[Kind, str] = {
    "prompts": "prompts",
    "pairs": "pairs",
    "votes": "people's votes",
    "conversations": "sft `data`",
    "replies": "replies",
    "choice": "tax `choice`",
    "problems": "tax `problems`",
    "refusal": "refusal prompts",
    "trait": "emergent `choice`",
    "text": "text",
    "pushback": "pushback",
    "opinion": "opinion",
    "meant": "meant",
    "faithful": "faithful",
    "decision": "bias `pairs`",
    "pressure": "deception `scenarios`",
    "bbq": "bias `bbq`",
    "crows": "bias `crows_pairs`",
    "winobias": "bias `winobias`",
    "high_stakes": "high_stakes `situations`",
    "short_answer": "calibration `short`",
    "inspected": "ability `scenarios`",
    "passage": "debate `questions`",
    "self_description": "ability `traits`",
    "agent_scenario": "agent `data`",
    "labelled_text": "probe `data`",
    "contrast_pair": "patch `pairs`",
    "training_reply": "persona `data`",
}
_CHECKED_AGAINST = {"file": "read whole", "page": "publisher's page", "no": "not verified"}


def table() -> str:
    """The table of the formats, in Markdown."""
    lines = ["| format | read as | columns | source | verified | |", "|---|---|---|---|---|---|"]
    for entry in FORMATS:
        columns = ", ".join(f"`{name}`" for name in entry.columns) or "none"
        kinds = ", ".join(KNOBS[kind] for kind in entry.kinds)
        verified = _CHECKED_AGAINST[entry.checked_against] + ("" if entry.checked_against == "no" else f", {VERIFIED}")
        lines.append(f"| {entry.name} | {kinds} | {columns} | [page]({entry.source}) | {verified} | {entry.note} |")
    return "\n".join(lines)

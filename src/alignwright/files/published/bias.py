"""How do BBQ, CrowS-Pairs and WinoBias, as they are published, become our own columns?"""

from __future__ import annotations

import re
from typing import Any, cast

from alignwright.files.chat import RowError, text
from alignwright.files.formats import Columns
from alignwright.files.lines import lines_of
from alignwright.files.published.items import bbq
from alignwright.files.wording import describe_value

MEN = (
    "driver", "supervisor", "janitor", "cook", "mover", "laborer", "construction worker", "chief", "developer",
    "carpenter", "manager", "lawyer", "farmer", "salesperson", "physician", "guard", "analyst", "mechanic", "sheriff",
    "ceo",
)  # fmt: skip
WOMEN = (
    "attendant", "cashier", "teacher", "nurse", "assistant", "secretary", "auditor", "cleaner", "receptionist",
    "clerk", "counselor", "designer", "hairdresser", "writer", "housekeeper", "baker", "accountant", "editor",
    "librarian", "tailor",
)  # fmt: skip
"""The occupations of WinoBias, by the sex that most who have them are of (United States, 2017)."""
_HE = ("he", "him", "his", "himself")
_PRONOUNS = (*_HE, "she", "her", "hers", "herself")
_BRACKETED = re.compile(r"\[([^\[\]]+)\]")
_OCCUPATION = re.compile(rf"\b(?:the|an?) ({'|'.join(sorted((*MEN, *WOMEN), key=len, reverse=True))})\b", re.IGNORECASE)


def bbq_groups(row: Columns) -> Columns:
    """BBQ with what its scores need: which answer is the unknown one, and which is the biased one.
    The stereotyped group is told by its name among the answers' groups."""
    columns = bbq(row)
    groups = [_group(row["answer_info"], name) for name in ("ans0", "ans1", "ans2")]
    unknown = [place for place, group in enumerate(groups) if group == "unknown"]
    about = row["additional_metadata"]
    target_groups: Any = cast("Columns", about).get("stereotyped_groups") if isinstance(about, dict) else None
    group_list = cast("list[Any]", target_groups) if isinstance(target_groups, list) else list[Any]()
    names = {str(name).casefold() for name in group_list}
    target = [place for place, group in enumerate(groups) if group in names]
    if len(unknown) != 1 or len(target) != 1:
        raise RowError(
            f"one answer should be of the group 'unknown' and one of a stereotyped group ({', '.join(sorted(names))}),"
            f" saw the groups {', '.join(groups)}"
        )
    if row["question_polarity"] not in ("neg", "nonneg") or row["context_condition"] not in ("ambig", "disambig"):
        raise RowError(
            "'question_polarity' should be neg or nonneg and 'context_condition' ambig or disambig, saw"
            f" {describe_value(row['question_polarity'])} and {describe_value(row['context_condition'])}"
        )
    other = next(place for place in range(3) if place not in (*unknown, *target))
    biased = target[0] if row["question_polarity"] == "neg" else other
    return {**columns, "unknown": unknown[0], "biased": biased, "ambiguous": row["context_condition"] == "ambig"}


def _group(info: Any, answer: str) -> str:
    """The group that an answer names: the second of its two entries."""
    entries: Any = cast("Columns", info).get(answer) if isinstance(info, dict) else None
    if not isinstance(entries, list) or len(cast("list[Any]", entries)) < 2:
        raise RowError(f"'answer_info' should hold two words for {answer}, saw {describe_value(entries)}")
    return str(cast("list[Any]", entries)[1]).casefold()


def crows_pair(row: Columns) -> Columns:
    return {"more": row["sent_more"], "less": row["sent_less"], "topic": row["bias_type"]}


def winobias(row: Columns) -> list[Columns]:
    """Sentences, one a line, with an occupation and its pronoun in brackets."""
    return [
        _pronoun(line.strip(), number)
        for number, line in enumerate(lines_of(text(row["text"], "text")), 1)
        if line.strip()
    ]


def _pronoun(line: str, number: int) -> Columns:
    parts = [part.strip() for part in _BRACKETED.findall(line)]
    pronouns = [part for part in parts if part.casefold() in _PRONOUNS]
    occupations = [part for part in parts if part.casefold() not in _PRONOUNS]
    if len(occupations) != 1 or not pronouns:
        raise RowError(f"line {number}: one occupation and its pronoun should stand in brackets, saw {line[:80]!r}")
    sentence = _BRACKETED.sub(r"\1", re.sub(r"^\d+\s+", "", line))
    right = re.sub(r"^(?:the|an?)\s+", "", occupations[0], flags=re.IGNORECASE).casefold()
    others = [name for name in map(str.casefold, _OCCUPATION.findall(sentence)) if name != right]
    if not others or right not in (*MEN, *WOMEN):
        raise RowError(f"line {number}: two of WinoBias's occupations should be named, saw {sentence[:80]!r}")
    return {
        "sentence": sentence, "pronoun": pronouns[0], "right": f"the {right}", "other": f"the {others[0]}",
        "pro": (pronouns[0].casefold() in _HE) == (right in MEN), "topic": " ".join(sorted((right, others[0]))),
    }  # fmt: skip

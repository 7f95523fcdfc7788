"""Does a reply answer one set task in the form that was asked for: IFBench's checks of single
prompts (names as published, rules our own)."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import date
from itertools import pairwise

from alignwright.text.check_text import sentences, unpunctuated

AFRICA, NAPOLEON = 52, (1769, 1821)
"""The fewest lines of a list of Africa's countries; the years in which Napoleon lived."""


def _multiples(reply: str) -> bool:
    """The multiples of seven from 10 to 50, in order, and no other number."""
    return re.findall(r"\d+", reply) == [str(number) for number in range(14, 51, 7)]


def _questions(reply: str) -> bool:
    """Four questions labelled Question, each longer than the one before, with five lettered
    options each, and nothing before them."""
    if not reply.lstrip().startswith("Question"):
        return False
    parts = [part.strip() for part in re.split(r"Question \d+[.):;|]?", reply) if part.strip()]
    lengths = [_question_length(part.split("\n")) for part in parts]
    return len(lengths) == 4 and lengths[0] > 0 and all(one < other for one, other in pairwise(lengths))


def _question_length(lines: Sequence[str]) -> int:
    """Characters of the lines before the first option; 0 where there are not five options."""
    options = [place for place, line in enumerate(lines) if re.match(r"[A-Ea-e][.)|]\s*\w", line.strip())]
    return len(" ".join(line.strip() for line in lines[: options[0]]).strip()) if len(options) == 5 else 0


def _countries(reply: str) -> bool:
    """From the line with Zimbabwe on, at least so many lines as there are countries, in falling
    order of the alphabet."""
    lines = [bare for line in reply.split("\n") if (bare := line.strip(_EDGES))]
    first = next((place for place, line in enumerate(lines) if "Zimbabwe" in line), len(lines))
    names = [_ascii(line) for line in lines[first:]]
    return len(names) >= AFRICA and all(one >= other for one, other in pairwise(names))


def _word_reverse(reply: str) -> bool:
    """The bald eagle, in a sentence whose words stand in reverse."""
    return any(pair == ("eagle", "bald") for pair in pairwise(map(str.lower, unpunctuated(reply))))


def _character_reverse(reply: str) -> bool:
    return "bald eagle"[::-1] in reply.lower()


def _sentence_alphabet(reply: str) -> bool:
    """Twenty-six sentences whose first letters are the alphabet."""
    firsts = [sentence.lstrip(_SIGNS)[:1].lower() for sentence in sentences(reply)]
    return firsts == list("abcdefghijklmnopqrstuvwxyz")


def _capitals(reply: str) -> bool:
    return [part.strip() for part in _ascii(reply).split(",") if part.strip()] == CAPITALS


def _csv_city(reply: str) -> bool:
    rows = _table(reply.strip(), ",")
    return (
        len(rows) == 8 and rows[0] == ["ID", "Country", "City", "Year", "Count"] and all(len(row) == 5 for row in rows)
    )


def _csv_special(reply: str) -> bool:
    """Fourteen rows of five fields, one of them in double quotes and with a character that is no
    letter, figure, _ or space."""
    body = reply.strip()
    rows = _table(body, ",")
    if (
        len(rows) != 15
        or rows[0] != ["ProductID", "Category", "Brand", "Price", "Stock"]
        or any(len(row) != 5 for row in rows)
    ):
        return False
    return any(
        re.search(r"[^\w\s]", field) for line in body.split("\n")[1:] for field in re.findall(r"\"([^\"]*)\"", line)
    )


def _csv_quotes(reply: str) -> bool:
    """A heading and three rows of five fields apart by tabs, every field in double quotes; those
    of the heading may be bare."""
    rows = [[field.strip() for field in line.split("\t")] for line in reply.strip().split("\n")]
    head = [field.strip('"') for field in rows[0]]
    quoted = all(len(field) > 1 and field[0] == field[-1] == '"' for row in rows for field in row)
    return (
        head == ["StudentID", "Subject", "Grade", "Semester", "Score"]
        and len(rows) == 4
        and all(len(row) == 5 for row in rows)
        and quoted
    )


def _table(text: str, delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(text.split("\n"), delimiter=delimiter, skipinitialspace=True))
    except csv.Error:  # a field that is too long, a sign that no table has
        return []


def _dates(reply: str) -> bool:
    """Days of Napoleon's life as YYYY-MM-DD, apart by commas, and nothing else."""
    return all(_is_day(part.strip()) for part in reply.strip().split(","))


def _is_day(text: str) -> bool:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return False
    try:
        return NAPOLEON[0] <= date.fromisoformat(text).year <= NAPOLEON[1]
    except ValueError:
        return False


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


_SIGNS = "\"'*_-#()[]<> \t\n"
_EDGES = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ \t\r"
CAPITALS = str.split(
    "Reykjavik Helsinki Oslo Tallinn Stockholm Riga Moscow Copenhagen Vilnius Minsk Dublin Berlin Amsterdam Warsaw"
    " London Brussels Prague Luxembourg Paris Vienna Bratislava Budapest Vaduz Chisinau Bern Ljubljana Zagreb"
)
"""Europe's capitals north of 45 degrees from north to south, those that the published check
wants."""

CUSTOM: dict[str, Callable[..., bool | None]] = {
    "custom:multiples": _multiples,
    "custom:mcq_count_length": _questions,
    "custom:reverse_newline": _countries,
    "custom:word_reverse": _word_reverse,
    "custom:character_reverse": _character_reverse,
    "custom:sentence_alphabet": _sentence_alphabet,
    "custom:european_capitals_sort": _capitals,
    "custom:csv_city": _csv_city,
    "custom:csv_special_character": _csv_special,
    "custom:csv_quotes": _csv_quotes,
    "custom:date_format_list": _dates,
}

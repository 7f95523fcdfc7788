"""Is a summary faithful, or does it hallucinate: which planted facts does it cover, and which of its
checkable statements does the text not hold?

Faithfulness by rule. A checkable statement is what can be looked up in the text without
understanding it: a number, a date, a name, or a planted distractor (something that the text does
not say). Numbers are compared by value and without sign (12,000; twelve thousand; 12 thousand),
dates by day, month and year in any order of writing, names word by word. Each statement counts
once, however often it is made. What cannot be looked up (a cause, a denial, who did what to whom)
is not seen: that a statement is held by the text never means that it is true.

Left out on purpose: a judge, an entailment model, a list of the world's names.
"""

# ruff: noqa: RUF001  (curly quotes and dashes are meant)
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

Day = tuple[int | None, int, int | None]  # day of the month, month, year


@dataclass(frozen=True)
class Statements:
    """What can be looked up in a text, each once; `words` are all its words in lower case, in
    which names are looked up."""

    numbers: frozenset[Decimal]
    dates: frozenset[Day]
    names: frozenset[str]
    words: frozenset[str]


def covered_facts(reply: str, facts: Sequence[Sequence[str]]) -> list[bool]:
    """For each fact, whether one of its wordings stands in the reply, numbers and dates in any
    form of writing."""
    plain, reply_statements = _canonical(reply), statements(reply)
    return [any(_stands(wording, plain, reply_statements) for wording in wordings) for wordings in facts]


def holds(text: str, wording: str) -> bool:
    """Whether the text says this, in these words or as the same date."""
    return _stands(wording, _canonical(text), statements(text))


def look_up_statements(
    reply: str, text: str, facts: Sequence[Sequence[str]] = (), distractors: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """The checkable statements of a reply that the text holds, and those that it does not. The
    facts' other wordings count as the text's."""
    planted = [distractor for distractor in distractors if holds(reply, distractor)]
    rest = _plain(reply)
    for distractor in planted:
        rest = _phrase(distractor).sub(" ; ", rest)
    of_distractors = statements(
        "\n".join(planted)
    )  # what a distractor says in other figures than the reply is not counted again
    of_reply, of_text = (
        statements(rest),
        statements("\n".join([text, *(wording for wordings in facts for wording in wordings)])),
    )
    numbers = of_text.numbers | {
        Decimal(part) for day in of_text.dates for part in (day[0], day[2]) if part is not None
    }
    results = [
        *((_figure(number), number in numbers) for number in sorted(of_reply.numbers - of_distractors.numbers)),
        *(
            (_date_text(day), _is_dated(day, of_text.dates, numbers))
            for day in sorted(of_reply.dates - of_distractors.dates, key=str)
        ),
        *((name, of_text.words >= {_bare(word.lower()) for word in name.split()}) for name in sorted(of_reply.names)),
    ]
    return [what for what, is_held in results if is_held], [
        *planted,
        *(what for what, is_held in results if not is_held),
    ]


def statements(text: str) -> Statements:
    """The numbers, dates and names of a text. The numbers of a numbered list are none, nor are
    those that belong to a date."""
    plain = _LIST_NUMBER.sub("", _plain(text))
    dates: list[Day] = []
    rest = _DATE.sub(lambda match: _take(match, dates), plain)
    numbers = (value for match in _NUMBER.finditer(rest) if (value := _value(match)) is not None)
    words = (_bare(word) for word in _WORD.findall(plain.lower()))
    return Statements(frozenset(numbers), frozenset(dates), frozenset(_names(rest)), frozenset(words))


def _stands(wording: str, plain: str, reply_statements: Statements) -> bool:
    if _phrase(wording).search(plain):
        return True
    alone = statements(wording)
    if len(alone.dates) != 1 or alone.numbers or alone.names:
        return False
    (day,) = alone.dates
    return any(
        all(want in (None, have) for want, have in zip(day, other, strict=True)) for other in reply_statements.dates
    )


def _phrase(wording: str) -> re.Pattern[str]:
    """These words, whatever the case, the white space and the hyphens between them, also with an
    s at the end."""
    words = [word for word in re.split(r"[\s-]+", _canonical(wording).strip(" .!?;:,-")) if word]
    return re.compile(
        r"(?<!\w)(?<!\d[.,])" + r"[\s-]{1,3}".join(map(re.escape, words)) + r"(?:'?s)?(?!\w)(?![.,]\d)", re.IGNORECASE
    )


def _plain(text: str) -> str:
    """Straight quotes, plain hyphens, no markdown stars or signs that are not drawn."""
    return re.sub(r"[*_`\u00ad\u200b]+", "", text.translate(_STRAIGHT))


def _canonical(text: str) -> str:
    """The text with every number in figures and every % in words, so that "12,000 boats" and
    "twelve thousand boats" read alike."""
    figures = _NUMBER.sub(_in_figures, _plain(text))
    return re.sub(r"(?i) ?%| per cent\b", " percent", figures)


# ---- numbers and dates ---------------------------------------------------------------------------


def _in_figures(match: re.Match[str]) -> str:
    value = None if match.group().startswith("0") else _value(match)  # what begins with 0 is a part of a date or a code
    return match.group() if value is None else _figure(value)


def _value(match: re.Match[str]) -> Decimal | None:
    if not match["figures"]:
        return _spelled_number(re.findall(r"[a-z]+", match.group().lower()))
    value = Decimal(match["figures"].replace(",", ""))
    return value * _SCALES[match["scale"].lower()] if match["scale"] else value


def _spelled_number(words: Sequence[str]) -> Decimal | None:
    """The value of "two hundred and five"; None for "one" alone, which is no number in most of
    its places."""
    if list(words) == ["one"]:
        return None
    whole, part = Decimal(0), Decimal(0)
    for word in words:
        if word == "hundred":
            part = max(part, Decimal(1)) * 100
        elif word in _SCALES:
            whole, part = whole + max(part, Decimal(1)) * _SCALES[word], Decimal(0)
        elif word != "and":
            part += _UNITS[word]
    return whole + part


def _figure(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _take(match: re.Match[str], dates: list[Day]) -> str:
    """Keep the date that was matched; what remains of it in the text is a sign between its
    neighbours."""
    part = {name[0]: value for name, value in match.groupdict().items() if value}
    month = int(part["m"]) if part["m"].isdigit() else _MONTHS.index(part["m"][:3].lower()) + 1
    day, year = (int(part[letter]) if letter in part else None for letter in "dy")
    if not 1 <= month <= 12 or not 1 <= (day or 1) <= 31:
        return match.group()
    dates.append((day, month, year))
    return " ; "


def _is_dated(day: Day, dates: Iterable[Day], numbers: frozenset[Decimal]) -> bool:
    """Whether the text has a date of this day and month; its year may stand elsewhere in the text."""
    number, month, year = day
    elsewhere = year is not None and Decimal(year) in numbers
    same = [other for other in dates if other[1] == month and number in (None, other[0])]
    return any(year in (None, other[2]) or (other[2] is None and elsewhere) for other in same)


def _date_text(day: Day) -> str:
    return " ".join(str(part) for part in (day[0], _MONTHS[day[1] - 1].title(), day[2]) if part is not None)


# ---- names ---------------------------------------------------------------------------------------


def _names(text: str) -> Iterator[str]:
    """Runs of words with a capital letter. The first word of a sentence is one only where it has
    its capital elsewhere too."""
    lines = [line for line in text.splitlines() if not _HEADING.search(line)]
    runs = [run for line in lines for sentence in _SENTENCE.split(line) for run in _runs(sentence)]
    inside = {word for _, run in runs for word in run}
    for first, run in runs:
        words = [first, *run] if first in inside else run
        if words:
            yield " ".join(words)


def _runs(sentence: str) -> list[tuple[str, list[str]]]:
    """The runs of capitalised words of a sentence; the first word of the sentence stands apart
    from its run."""
    runs: list[tuple[str, list[str]]] = []
    begins = _WORD.search(sentence)
    end = -1
    for match in _WORD.finditer(sentence):
        word = match.group().rstrip("'-").removesuffix("'s")
        if not word[0].isupper() or word.lower() in _NO_NAMES:
            continue
        if begins is not None and match.start() == begins.start():
            runs.append((word, []))
        elif runs and end >= 0 and not sentence[end : match.start()].strip(" ."):
            runs[-1][1].append(word)
        else:
            runs.append(("", [word]))
        end = match.end()
    return runs


def _bare(word: str) -> str:
    """A word without its possessive and its plural s, so that Ito's, Itos and Ito are one."""
    word = word.rstrip("'-").removesuffix("'s")
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


_STRAIGHT = {
    **dict.fromkeys(map(ord, "’‘"), "'"),
    **dict.fromkeys(map(ord, "“”"), '"'),
    **dict.fromkeys(map(ord, "‐‑–−"), "-"),
    0xA0: " ",
}
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS = {word: value for value, word in enumerate(_SMALL.split())} | {
    word: 10 * value for value, word in enumerate(_TENS.split(), 2)
}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_NUMBER_WORD = rf"(?:{'|'.join(sorted([*_UNITS, *_SCALES, 'hundred'], key=len, reverse=True))})\b"
_NUMBER = re.compile(
    rf"(?<!\w)(?P<figures>(?:[0-9]{{1,3}}(?:,[0-9]{{3}})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?)(?:(?:st|nd|rd|th)\b)?"
    rf"(?:[ -](?P<scale>{'|'.join(_SCALES)})\b)?"
    rf"|\b{_NUMBER_WORD}(?:(?:[ -]|(?<=hundred) and |(?<=thousand) and ){_NUMBER_WORD})*",
    re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SURE = "January|February|April|June|July|August|September|October|November|December"
_MONTH = (  # a stop after a short form alone
    rf"(?:{_SURE}|March|May|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)(?![a-z])\.?)(?!\w)"
)
_DATE = re.compile(
    rf"(?<![\w.,])(?P<d1>[0-9]{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<m1>{_MONTH})(?:,? (?P<y1>[0-9]{{4}})\b)?"
    rf"|\b(?P<m2>{_MONTH}) (?P<d2>[0-9]{{1,2}})(?:st|nd|rd|th)?\b(?![.,][0-9])(?:,? (?P<y2>[0-9]{{4}})\b)?"
    rf"|\b(?P<m3>{_MONTH})(?:,| of)? (?P<y3>[0-9]{{4}})\b"
    rf"|(?<![\w-])(?P<y4>[0-9]{{4}})-(?P<m4>[0-9]{{2}})-(?P<d4>[0-9]{{2}})(?![\w-])"
    rf"|\b(?P<m5>{_SURE})\b|(?<=\b[Ii]n )(?P<m6>March|May)\b"
)
_LIST_NUMBER = re.compile(r"(?m)^[^\S\n]*[0-9]{1,3}[.)](?=\s)")
_WORD = re.compile(r"[^\W\d_][\w'-]*")
_SENTENCE = re.compile(r"(?<=[.!?:])(?<!\bDr\.)(?<!\bMr\.)(?<!\bMs\.)(?<!\bMrs\.)(?<!\bSt\.)(?<!\b[A-Z]\.)[\"')\]]?\s+")
_HEADING = re.compile(r"^\s*#|:\s*\Z")
_SMALL_WORDS = "the a an in on at of and but or for he she it they we you his her their this that these those"
_TITLES = "i i'm i'll i've i'd mr mrs ms dr prof sir"
_NO_NAMES = frozenset([*_TITLES.split(), *_SMALL_WORDS.split()])

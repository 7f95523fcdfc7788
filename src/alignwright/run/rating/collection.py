"""Are the answers of a page those that were asked for? They are checked against the source, all of
them, and then added to the votes.

A line names its question by a hash of its texts, so an answer to a text that has changed since is an
answer to a question that is not asked here. Nothing is added unless every line is right, and every line
that is not is named; an answer that was added before is counted and left alone, so that a later
download of the same page may hold the earlier one. The checksum tells damage and edits by hand; it
proves nothing against somebody who wants to cheat, who could as well have answered so.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from alignwright.core.records import Record
from alignwright.files.lines import lines_of
from alignwright.report.text import shortened, visible
from alignwright.run.rating.form import question, question_id
from alignwright.run.rating.pairs import RatedPair, Showing
from alignwright.run.rating.ratings import Choice, Rating, Ratings, rating_of

_MOST = 20  # bad lines that an error names
_LONGEST = 60  # characters of a value in an error


class _Turn(Record):
    role: str
    content: str


class _Answer(Record):
    """A line of a page's download."""

    question: str
    prompt: tuple[_Turn, ...]
    a: str
    b: str
    choice: Choice
    reason: str
    rater: str
    group: str
    checksum: str


@dataclass(frozen=True)
class Collection:
    """What a download held: `new` answers, and how many were there already."""

    new: tuple[Rating, ...]
    duplicates: int

    @property
    def raters(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(rating.rater for rating in self.new))


class BadAnswers(ValueError):
    """Lines of a download that cannot be taken; nothing of it was."""


def collect(pairs: Sequence[RatedPair], ratings: Ratings, downloads: Sequence[Path]) -> Collection:
    """Check the downloads of pages made of these pairs, and add their answers to the `ratings`."""
    showings: dict[str, dict[str, Showing]] = {}
    places: dict[tuple[str, str, bool], str] = {}
    earlier = {(row.rater, row.pair, row.again): row for row in ratings.rows}
    new, problems, duplicates = list[Rating](), list[str](), 0
    for download in downloads:
        for number, line in enumerate(_lines(download), 1):
            where = f"{download}:{number}"
            if not line.strip():
                continue
            try:
                answer = _read(line)
                showing = _showing(answer, pairs, showings)
                rating = rating_of(showing, answer.choice, rater=answer.rater, group=answer.group, reason=answer.reason)
                key = (rating.rater, rating.pair, rating.again)
                _only_once(rating, places.get(key), earlier.get(key))
            except ValueError as error:
                problems.append(f"{where}: {error}")
                continue
            places[key] = where
            if key in earlier:
                duplicates += 1
            else:
                new.append(rating)
    if problems:
        more = f"\n... and {len(problems) - _MOST} more" if len(problems) > _MOST else ""
        raise BadAnswers("\n".join(problems[:_MOST]) + more + "\nnothing was taken over; mend or delete these lines")
    for rating in new:
        ratings.add(rating)
    ratings.write_votes()
    return Collection(tuple(new), duplicates)


def _lines(download: Path) -> list[str]:
    try:
        return lines_of(download.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BadAnswers(
            f"{download}:{line}: this is no UTF-8 text, as the page writes it; nothing was taken over"
        ) from None


def _read(line: str) -> _Answer:
    try:
        answer = _Answer.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ValueError(f"this is no answer of a page ({field + ': ' if field else ''}{first['msg']})") from None
    content = "\0".join((answer.question, answer.choice, answer.reason, answer.rater, answer.group))
    if answer.checksum != f"{zlib.crc32(content.encode()):08x}":
        raise ValueError("the line was changed since the page wrote it: its checksum is another; download it again")
    return answer


def _showing(answer: _Answer, pairs: Sequence[RatedPair], showings: dict[str, dict[str, Showing]]) -> Showing:
    """What the answer is to; texts that differ from it are an error that names the first."""
    if answer.rater not in showings:
        ways = [Showing(pair, left, again) for pair in pairs for left in (0, 1) for again in (False, True)]
        showings[answer.rater] = {question_id(s.pair, s.left, s.again, answer.rater): s for s in ways}
    showing = showings[answer.rater].get(answer.question)
    if showing is None:
        raise ValueError(
            f"question {_short(answer.question)} of rater {_short(answer.rater)} is none of the source's: the page was"
            " made of another one, or its texts have changed since"
        )
    page_texts = question(showing, answer.rater)
    texts = {"prompt": [turn.model_dump() for turn in answer.prompt], "a": answer.a, "b": answer.b}
    for name, text in texts.items():
        if text != page_texts[name]:
            raise ValueError(
                f"{name!r} is not what was shown: {_short(str(text))} where {_short(str(page_texts[name]))} was"
            )
    return showing


def _only_once(rating: Rating, place: str | None, before: Rating | None) -> None:
    if place is not None:
        raise ValueError(f"this question is answered in {place} already")
    if before is not None and (before.preferred, before.reason) != (rating.preferred, rating.reason):
        raise ValueError(
            f"{_short(rating.rater)} has answered this question before, and otherwise: {_words(before)}, now"
            f" {_words(rating)}; the first answer stands"
        )


def _words(rating: Rating) -> str:
    return _short(f"{rating.choice} {rating.reason}".strip())


def _short(text: str) -> str:
    return f"'{visible(shortened(text, _LONGEST))}'"

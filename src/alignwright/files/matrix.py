"""What did people vote for in a vote matrix: a row a participant, a column a statement (Polis,
Collective Constitutional AI)?

Each cell is 1 (agrees), -1 (disagrees), 0 (passes) or empty (was not shown it). Each statement
becomes one comparison of two replies to the question whether one agrees, with a vote for each
participant; a pass is a vote of strength one half. The statements' texts stand in the file of
comments beside the matrix, as Polis exports them. Groups are those that Polis found.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from alignwright.core.records import Comparison, Conversation, Prompt, Reply, Vote
from alignwright.files import safe_read
from alignwright.files.chat import name
from alignwright.files.data_file import data_file
from alignwright.files.errors import SpecError
from alignwright.files.reading import FileRows
from alignwright.files.rows import BadRow, Raw, raw_rows
from alignwright.files.wording import describe_value

COLUMNS = ("participant", "group-id", "n-votes")
AGREE, DISAGREE = "I agree.", "I disagree."
_VALUES = {"1": 1, "-1": -1, "0": 0, "1.0": 1, "-1.0": -1, "0.0": 0, "-0.0": 0}


def statement_file(file: str) -> str | None:
    """Where the statements of a matrix would stand: part of what is read, if it is there."""
    path = data_file(file).file
    for votes, comments in (("participants-votes.csv", "comments.csv"), ("votes.csv", "comments.csv")):
        if path.endswith(votes) and "://" not in path:
            return path.removesuffix(votes) + comments
    return None


def is_matrix(raw: Raw) -> bool:
    return raw.columns is not None and all(column in raw.columns for column in COLUMNS)


def read_matrix(source: str, raws: Iterable[Raw]) -> FileRows[Comparison]:
    """A comparison for each statement that somebody voted on; bad rows are the participants
    whose cells cannot be read."""
    texts = _statements(source)
    votes: dict[str, list[Vote]] = {}
    first: dict[str, int] = {}
    raters: set[str] = set()
    bad: list[BadRow] = []
    for raw in raws:
        try:
            cast_by = _row(raw, raters, texts)
        except ValueError as error:
            bad.append(
                BadRow(
                    file=source, row=raw.number, reason=str(error), text=raw.text.encode("utf-8", "replace").decode()
                )
            )
            continue
        for statement, vote in cast_by:
            votes.setdefault(statement, []).append(vote)
            first.setdefault(statement, raw.number)
    mute = sum(len(votes.pop(statement)) for statement in [statement for statement in votes if not texts[statement]])
    rows = tuple(_comparison(texts[statement], tuple(cast_on)) for statement, cast_on in votes.items())
    total, passes = (
        sum(map(len, votes.values())),
        sum(vote.strength == 0.5 for cast_on in votes.values() for vote in cast_on),
    )
    notes = [
        f"{total:,} votes of {len(raters)} people on {len(rows)} statements, {passes:,} of them passes, which are ties"
    ]
    notes += [f"{mute} votes on statements without a text left out"] if mute else []
    return FileRows(source, rows, tuple(first[statement] for statement in votes), tuple(bad), tuple(notes))


def _row(raw: Raw, raters: set[str], texts: dict[str, str]) -> list[tuple[str, Vote]]:
    if raw.columns is None:
        raise ValueError(raw.reason)
    rater = name(raw.columns["participant"], "participant")
    if rater in raters:
        raise ValueError(f"participant {rater!r} has already voted")
    group = "" if raw.columns["group-id"] is None else name(raw.columns["group-id"], "group-id")
    agrees, disagrees, passes = (
        Vote(voter=rater, prefers=prefers, over=1 - prefers, strength=strength, group=group)
        for prefers, strength in ((0, 1.0), (1, 1.0), (0, 0.5))
    )
    ballots: list[tuple[str, Vote]] = []
    for column, value in raw.columns.items():
        if value is None or not column.isdigit():
            continue
        vote = _VALUES.get(str(value))
        if vote is None:
            raise ValueError(
                f"{column!r} should be 1 (agrees), -1 (disagrees), 0 (passes) or empty, saw {describe_value(value)}"
            )
        if column not in texts:
            raise ValueError(f"votes on statement {column}, which the file of comments does not hold")
        ballots.append((column, agrees if vote > 0 else disagrees if vote < 0 else passes))
    raters.add(rater)
    return ballots


def _statements(source: str) -> dict[str, str]:
    comments = statement_file(source)
    if comments is None or not safe_read.is_file(Path(comments)):
        place = comments or "comments.csv, beside a matrix called participants-votes.csv"
        raise SpecError([f"{source}: a matrix of votes needs its statements: there is no file {place}"])
    texts: dict[str, str] = {}
    for raw in raw_rows(comments):
        columns = raw.columns or {}
        number, text = columns.get("comment-id"), columns.get("comment-body")
        if number is None or not isinstance(text, str | None):
            raise SpecError([f"{comments}:{raw.number}: {raw.reason or 'a statement has comment-id and comment-body'}"])
        texts[str(number)] = (text or "").strip()
    return texts


def _comparison(statement: str, votes: tuple[Vote, ...]) -> Comparison:
    prompt = Prompt(conversation=Conversation.user(f"Do you agree with this statement?\n\n{statement}"))
    return Comparison(
        prompt=prompt, replies=tuple(Reply(text=text, parent=prompt.id) for text in (AGREE, DISAGREE)), votes=votes
    )

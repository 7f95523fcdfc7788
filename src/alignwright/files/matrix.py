"""What did people vote for in a matrix: a row a participant, a column a statement (Polis,
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
from alignwright.files.reading import Read
from alignwright.files.rows import BadRow, Raw, raw_rows
from alignwright.files.wording import seen

TOLD_BY = ("participant", "group-id", "n-votes")
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
    return raw.columns is not None and all(column in raw.columns for column in TOLD_BY)


def read_matrix(source: str, raws: Iterable[Raw]) -> Read[Comparison]:
    """A comparison for each statement that somebody voted on; bad rows are the participants
    whose cells cannot be read."""
    texts = _statements(source)
    votes: dict[str, list[Vote]] = {}
    first: dict[str, int] = {}
    heard: set[str] = set()
    bad: list[BadRow] = []
    for raw in raws:
        try:
            cast_by = _row(raw, heard, texts)
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
    told = [
        f"{total:,} votes of {len(heard)} people on {len(rows)} statements, {passes:,} of them passes, which are ties"
    ]
    told += [f"{mute} votes on statements without a text left out"] if mute else []
    return Read(source, rows, tuple(first[statement] for statement in votes), tuple(bad), tuple(told))


def _row(raw: Raw, heard: set[str], texts: dict[str, str]) -> list[tuple[str, Vote]]:
    if raw.columns is None:
        raise ValueError(raw.reason)
    rater = name(raw.columns["participant"], "participant")
    if rater in heard:
        raise ValueError(f"participant {rater!r} has already voted")
    group = "" if raw.columns["group-id"] is None else name(raw.columns["group-id"], "group-id")
    agrees, disagrees, passes = (
        Vote(voter=rater, prefers=prefers, over=1 - prefers, strength=strength, group=group)
        for prefers, strength in ((0, 1.0), (1, 1.0), (0, 0.5))
    )
    found: list[tuple[str, Vote]] = []
    for column, value in raw.columns.items():
        if value is None or not column.isdigit():
            continue
        vote = _VALUES.get(str(value))
        if vote is None:
            raise ValueError(f"{column!r} should be 1 (agrees), -1 (disagrees), 0 (passes) or empty, saw {seen(value)}")
        if column not in texts:
            raise ValueError(f"votes on statement {column}, which the file of comments does not hold")
        found.append((column, agrees if vote > 0 else disagrees if vote < 0 else passes))
    heard.add(rater)
    return found


def _statements(source: str) -> dict[str, str]:
    beside = statement_file(source)
    if beside is None or not safe_read.is_file(Path(beside)):
        wanted = beside or "comments.csv, beside a matrix called participants-votes.csv"
        raise SpecError([f"{source}: a matrix of votes needs its statements: there is no file {wanted}"])
    found: dict[str, str] = {}
    for raw in raw_rows(beside):
        columns = raw.columns or {}
        number, text = columns.get("comment-id"), columns.get("comment-body")
        if number is None or not isinstance(text, str | None):
            raise SpecError([f"{beside}:{raw.number}: {raw.reason or 'a statement has comment-id and comment-body'}"])
        found[str(number)] = (text or "").strip()
    return found


def _comparison(statement: str, votes: tuple[Vote, ...]) -> Comparison:
    prompt = Prompt(conversation=Conversation.user(f"Do you agree with this statement?\n\n{statement}"))
    return Comparison(
        prompt=prompt, replies=tuple(Reply(text=text, parent=prompt.id) for text in (AGREE, DISAGREE)), votes=votes
    )

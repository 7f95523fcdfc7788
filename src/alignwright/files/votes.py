"""Which human preference votes (ballots of raters) does a file hold?

A row is a ballot: a prompt, the replies as they were shown, the rater's choice. Ballots on the same
prompt and replies become one comparison, whatever the order in which the replies were shown, with a
vote for each reply that was beaten: by the one that was chosen, or, where the choice is a ranking of
all replies, by each that stands before it. A tie is a vote of strength one half. A rater who votes twice
on the same replies is counted once: the same vote again is told, another one is a bad row.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

from alignwright.core.records import Comparison, Prompt, Reply, Vote
from alignwright.files import chat
from alignwright.files.chat import RowError
from alignwright.files.data_file import data_file
from alignwright.files.matrix import is_matrix, read_matrix
from alignwright.files.published.formats import in_our_columns
from alignwright.files.reading import Columns, FileRows, prompt_of, read_rows, within_bad_rows
from alignwright.files.rows import BadRow, raw_rows
from alignwright.files.wording import describe_value

_OF_A_BALLOT = ("a", "b", "replies", "choice", "rater", "group")
_FORMATS = "prompt, a, b | replies, choice (a, b, tie, a place from 0, or all places from best to worst), rater, group"


def read_votes(source: str | Path, *, bad_rows: float = 0.0) -> FileRows[Comparison]:
    """People's votes, merged: one comparison for each prompt and set of replies, whatever the
    order they were shown in."""
    file = data_file(str(source))
    raws = iter(raw_rows(file.file))
    first = next(raws, None)
    if first is not None and is_matrix(first):
        return within_bad_rows(read_matrix(file.file, chain([first], raws)), bad_rows)
    shaped_raws = in_our_columns(chain([] if first is None else [first], raws), "votes", file)
    prompts: dict[object, Prompt] = {}
    ballots = read_rows(
        source, (("choice",), ("rater",)), lambda columns: _ballot(columns, prompts), 1.0, _FORMATS, shaped_raws
    )
    merged = _merge(ballots)
    return within_bad_rows(merged, bad_rows, len(ballots.rows) + len(ballots.rejected) - len(merged.rejected))


@dataclass(frozen=True)
class _Ballot:
    prompt: Prompt
    replies: tuple[str, ...]
    order: tuple[int, ...]  # the winner alone, or all from best to worst; none is a tie
    rater: str
    group: str


def _prompt(columns: Columns, prompts: dict[object, Prompt]) -> Prompt:
    """The prompt of a ballot. Many ballots are on one prompt, which is made and named once where
    its columns are plain texts."""
    key = tuple((name, value) for name, value in columns.items() if name not in _OF_A_BALLOT)
    if not all(value is None or isinstance(value, str) for _, value in key):
        return prompt_of(columns)
    if (prompt := prompts.get(key)) is None:
        prompt = prompts[key] = prompt_of(columns)
    return prompt


def _ballot(columns: Columns, prompts: dict[object, Prompt]) -> _Ballot:
    prompt = _prompt(columns, prompts)
    replies_column = columns.get("replies")
    if replies_column is not None and not isinstance(replies_column, list):
        raise RowError(f"'replies' should be a list of two or more replies, saw {describe_value(replies_column)}")
    values = cast("list[Any]", replies_column) if replies_column is not None else [columns.get("a"), columns.get("b")]
    replies = tuple(
        chat.reply(value, name, prompt.conversation)
        for value, name in zip(values, _names(len(values), replies_column), strict=True)
    )
    if len(set(replies)) < len(replies) or len(replies) < 2:
        raise RowError("a vote compares two or more different replies")
    order = _order(columns.get("choice"), len(replies))
    rater, group = chat.name(columns.get("rater"), "rater"), columns.get("group")
    return _Ballot(
        prompt,
        replies,
        order,
        rater,
        "" if group in (None, "") else chat.name(group, "group"),
    )


def _order(choice: Any, replies: int) -> tuple[int, ...]:
    ranking: list[Any] = cast("list[Any]", choice) if isinstance(choice, list) else []
    if ranking:
        if any(type(place) is not int for place in ranking) or sorted(ranking) != list(range(replies)):
            raise RowError(
                f"'choice', as a ranking, should hold each place from 0 to {replies - 1} once, best first, saw"
                f" {describe_value(ranking)}"
            )
        return tuple(ranking)
    places: dict[str, tuple[int, ...]] = {"tie": ()} | {str(place): (place,) for place in range(replies)}
    places |= {"a": (0,), "b": (1,)} if replies == 2 else {}
    word = str(cast("object", choice)).strip().lower()
    if isinstance(choice, bool) or word not in places:
        raise RowError(f"'choice' should be one of {', '.join(places)}, saw {describe_value(choice)}")
    return places[word]


def _names(count: int, replies_column: Any) -> list[str]:
    return [f"replies.{place}" for place in range(count)] if replies_column is not None else ["a", "b"]


def _merge(ballots: FileRows[_Ballot]) -> FileRows[Comparison]:
    order: dict[tuple[str, frozenset[str]], tuple[_Ballot, int]] = {}
    votes: dict[tuple[str, frozenset[str]], list[Vote]] = {}
    orders_by_rater: dict[tuple[str, frozenset[str]], dict[str, tuple[str, ...]]] = {}
    again = 0
    bad = list(ballots.rejected)
    for ballot, number in zip(ballots.rows, ballots.numbers, strict=True):
        key = (ballot.prompt.id, frozenset(ballot.replies))
        first, _ = order.setdefault(key, (ballot, number))
        raters = orders_by_rater.setdefault(key, {})
        wins = tuple(ballot.replies[place] for place in ballot.order)
        if ballot.rater in raters and raters[ballot.rater] == wins:
            again += 1
        elif ballot.rater in raters:
            reason = f"rater {ballot.rater!r} has already voted on these replies, and otherwise"
            choice = ballot.order[0] if len(ballot.order) == 1 else list(ballot.order) or None
            text = json.dumps(
                {"replies": ballot.replies, "choice": choice, "rater": ballot.rater, "group": ballot.group}
            )
            bad.append(BadRow(file=ballots.file, row=number, reason=reason, text=text))
        else:
            raters[ballot.rater] = wins
            votes.setdefault(key, []).extend(_votes(ballot, first.replies))
    rows = [(_comparison(order[key][0], votes[key]), order[key][1]) for key in order]
    rejected = tuple(sorted(bad, key=lambda row: row.row))
    notes = (*ballots.notes, *([f"{again} votes cast twice are counted once"] if again else []))
    return FileRows(ballots.file, tuple(row for row, _ in rows), tuple(number for _, number in rows), rejected, notes)


def _votes(ballot: _Ballot, replies: tuple[str, ...]) -> list[Vote]:
    """The ballot as votes on the replies in the order of the comparison."""
    places = [replies.index(text) for text in ballot.replies]
    ranked = [places[place] for place in ballot.order]
    if len(ranked) == 1:
        pairs = [(ranked[0], other) for other in places if other != ranked[0]]
    else:
        order = ranked or places
        pairs = [(order[i], order[j]) for i in range(len(order)) for j in range(i + 1, len(order))]
    strength = 1.0 if ranked else 0.5
    return [
        Vote(voter=ballot.rater, prefers=prefers, over=over, strength=strength, group=ballot.group)
        for prefers, over in pairs
    ]


def _comparison(ballot: _Ballot, votes: list[Vote]) -> Comparison:
    replies = tuple(Reply(text=text, parent=ballot.prompt.id) for text in ballot.replies)
    return Comparison(prompt=ballot.prompt, replies=replies, votes=tuple(votes))

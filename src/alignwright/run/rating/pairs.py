"""Which pairs of replies is a rater shown, in which order and on which side? Blind, balanced, and
those first on which voters disagree.

The pairs come from a file (`chosen` and `rejected`, `a` and `b`, `response_a` and `response_b`, or
votes that were cast before) or from the comparisons of a run. Order and sides are drawn by the
seed and the rater's name, so that the same rater goes on where they stopped and another sees
another order. Of each two pairs in a row one is shown turned round, so that after any number of
answers the sides are balanced. One pair of every twenty comes again later with its sides swapped.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from alignwright.core.records import Comparison, Prompt, Reply, Vote, content_id
from alignwright.files import chat
from alignwright.files.chat import RowError
from alignwright.files.contents import records
from alignwright.files.reading import PROMPT, Columns, FileRows, prompt_of, read_rows
from alignwright.files.rows import raw_rows
from alignwright.files.sources import read_pairs, read_votes
from alignwright.job.ledger import Ledger
from alignwright.run.sweep.members import check_one_run

BLOCK = 20
"""Of so many pairs one is shown twice: 5 %."""
_SIDES = (("a", "b"), ("response_a", "response_b"), ("response_A", "response_B"))
_FORMATS = "chosen + rejected · a + b · response_a + response_b, each with a prompt · a + b + choice + rater"


@dataclass(frozen=True)
class RatedPair:
    """Two replies to a prompt; `key` names them whatever the side, `entropy` is how far those who
    voted on them disagree, in bits."""

    key: str
    prompt: Prompt
    replies: tuple[str, str]
    entropy: float = 0.0


@dataclass(frozen=True)
class Showing:
    """A pair as it is shown: `left` is the place of the reply on the left; `again` for the second time."""

    pair: RatedPair
    left: int
    again: bool = False


def pairs_of(source: Path) -> list[RatedPair]:
    """The pairs of a run's comparisons or of a file, each once."""
    comparisons = _of_run(source) if source.is_dir() else _of_file(source).rows
    pairs: dict[str, RatedPair] = {}
    for comparison in comparisons:
        for pair in _pairs(comparison):
            pairs.setdefault(pair.key, pair)
    if not pairs:
        raise ValueError(f"{source}: there are no two different replies to one prompt, so nothing can be compared")
    return list(pairs.values())


def showings(pairs: Sequence[RatedPair], *, rater: str, seed: int) -> list[Showing]:
    """All that one rater is asked, in order."""
    by_rater = random.Random(f"{seed} {rater}")  # noqa: S311 - an order that can be drawn again, no secret
    order = sorted(pairs, key=lambda pair: pair.key)
    by_rater.shuffle(order)
    order.sort(key=lambda pair: -pair.entropy)  # a stable sort: equal ones stay in random order
    lefts = [left for _ in range(0, len(order), 2) for left in by_rater.sample((0, 1), 2)]
    fresh = [Showing(pair, left) for pair, left in zip(order, lefts, strict=False)]
    blocks = [fresh[start : start + BLOCK] for start in range(0, len(fresh), BLOCK)]
    questions, waiting = list[Showing](), list[Showing]()
    for block in blocks:  # a pair comes again among those of the next block, that of the last at the end
        places = [by_rater.randint(1, len(block)) for _ in waiting]
        repeated = by_rater.choice(block[:-1] or block)
        questions += _inserted(block, places, waiting)
        waiting = [Showing(repeated.pair, 1 - repeated.left, again=True)]
    return [*questions, *waiting]


def pair_key(prompt: Prompt, replies: Sequence[str]) -> str:
    """The name of two replies to a prompt, whatever their order."""
    return content_id(prompt.id, sorted(replies))


def _inserted(block: list[Showing], places: list[int], waiting: list[Showing]) -> list[Showing]:
    rows = list(block)
    for place, showing in zip(places, waiting, strict=True):
        rows.insert(place, showing)
    return rows


def _pairs(comparison: Comparison) -> Iterator[RatedPair]:
    for i, j in combinations(range(len(comparison.replies)), 2):
        texts = comparison.replies[i].text, comparison.replies[j].text
        if texts[0].strip() != texts[1].strip() and all(text.strip() for text in texts):
            key = pair_key(comparison.prompt, texts)
            yield RatedPair(key, comparison.prompt, texts, _entropy(comparison.votes, i, j))


def _entropy(votes: Sequence[Vote], first: int, second: int) -> float:
    """How far the voters on two replies disagree: the entropy of the share of votes for the first,
    in bits. Without votes 0, as of those who agree."""
    strengths = [vote.strength for vote in votes if (vote.prefers, vote.over) == (first, second)]
    strengths += [1 - vote.strength for vote in votes if (vote.prefers, vote.over) == (second, first)]
    share = sum(strengths) / len(strengths) if strengths else 0.0
    return -sum(p * math.log2(p) for p in (share, 1 - share) if p > 0)


def _of_run(run: Path) -> list[Comparison]:
    """What a run compared: with votes where it aggregated them, else as it was collected."""
    check_one_run(run)
    ledger = Ledger(run)
    names = [name for name in ledger.entries if (run / ledger.entries[name].folder / _COMPARISONS).exists()]
    voted = [name for name in names if name.startswith("aggregate.")]
    if not names:
        raise ValueError(
            f"{run}: no replies were compared in it; give a run with feedback or 'collect', or a file of pairs"
        )
    return [row for name in voted or names for row in records(ledger.intact(name) / _COMPARISONS, Comparison)]


def _of_file(source: Path) -> FileRows[Comparison]:
    first = next((raw.columns for raw in raw_rows(source) if raw.columns is not None), {})
    if "choice" in first and "rater" in first:
        return read_votes(source)
    sides = next((sides for sides in _SIDES if set(sides) <= first.keys()), None)
    if sides is None or "label" in first:
        return read_pairs(source)
    return read_rows(
        source, (PROMPT, *((side,) for side in sides)), lambda columns: _unjudged(columns, sides), 0.0, _FORMATS
    )


def _unjudged(columns: Columns, sides: tuple[str, str]) -> Comparison:
    prompt = prompt_of(columns)
    values: list[Any] = [columns.get(side) for side in sides]
    for side, value in zip(sides, values, strict=True):
        if value is None:
            raise RowError(f"no column {side!r}")
    replies = [chat.reply(value, side, prompt.conversation) for side, value in zip(sides, values, strict=True)]
    return Comparison(prompt=prompt, replies=tuple(Reply(text=text, parent=prompt.id) for text in replies))


_COMPARISONS = "comparisons.jsonl"

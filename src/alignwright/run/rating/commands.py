"""What does `rate` do at the terminal: ask, write a page for a browser, take its answers?"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path

from rich.console import Console

from alignwright.core.amount import amount
from alignwright.report.text import visible
from alignwright.run.rating.collection import collect
from alignwright.run.rating.form import write_form
from alignwright.run.rating.labels import fill, is_to_be_labelled
from alignwright.run.rating.ratings import Ratings, described
from alignwright.run.rating.show_replies import dim
from alignwright.run.rating.source import Source
from alignwright.run.rating.summary import summary
from alignwright.run.rating.terminal import rate

VOTES = "votes.jsonl"


def rate_in_terminal(
    source: Source, votes: Path | None, *, rater: str, group: str, seed: int, limit: int | None
) -> None:
    """Ask the person at the terminal, about pairs or for the labels that a file has places for, and say
    where the answers lie."""
    console = Console()
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # a line in another encoding is asked for again

    def ask() -> str:
        return console.input("> ")

    if is_to_be_labelled(source.path):
        if votes is not None:
            raise ValueError(f"--out has no effect: the labels are written into {source.path} itself; leave it out")
        left = fill(source.path, console, ask, rater=_name(rater), group=group, limit=limit)
        dim(console, visible(f"{left} labels left in {source.path}; name it under 'labels:' in the spec"))
        return
    ratings = rate(source.pairs(), votes or Path(VOTES), console, ask, rater=rater, group=group, seed=seed, limit=limit)
    _say_where(console, ratings)


def write_page(
    source: Source, votes: Path | None, page: Path, *, rater: str, group: str, seed: int, limit: int | None
) -> None:
    """Write the page that a browser opens, and say what to do with it."""
    if is_to_be_labelled(source.path):
        raise ValueError(f"{source.path}: labels are filled in at the terminal; leave out --form")
    count = write_form(source.pairs(), votes or Path(VOTES), page, rater=rater, group=group, seed=seed, limit=limit)
    out = f" --out {votes}" if votes is not None else ""
    console = Console()
    dim(
        console,
        visible(
            f"{amount(count, 'question')} for {rater}: open {page} in a browser, on any machine; it needs no network"
        ),
    )
    dim(console, visible(f"then take the answers: alignwright rate {source.path}{out} --collect ANSWERS.jsonl"))


def take_answers(
    source: Source, votes: Path | None, downloads: Sequence[Path], *, without_effect: Mapping[str, object]
) -> None:
    """Add the answers of pages to the votes, and say how far their raters agree with themselves."""
    _without_effect("--collect", "each line names its rater", without_effect)
    ratings, console = Ratings(votes or Path(VOTES)), Console()
    collection = collect(source.every_pair(), ratings, downloads)
    already = f"; {collection.duplicates} were there already" if collection.duplicates else ""
    dim(console, f"{len(collection.new)} answers taken over{already}")
    for rater in collection.raters:
        for line in described(ratings.agreement(rater)):
            dim(console, visible(f"{rater}: {line}"))
    _say_where(console, ratings)


def show_summary(source: Source, votes: Path | None, *, without_effect: Mapping[str, object]) -> None:
    """Print what all raters said together."""
    _without_effect("--summary", "it is of all raters", without_effect)
    console = Console()
    for line in summary(source, Ratings(votes or Path(VOTES))):
        console.print(visible(line), markup=False, highlight=False, soft_wrap=True)


def _without_effect(option: str, why: str, others: Mapping[str, object]) -> None:
    names = [name for name, value in others.items() if value not in ("", None)]
    if names:
        raise ValueError(f"{names[0]} has no effect with {option}: {why}; leave it out")


def _name(rater: str) -> str:
    if not rater.strip():
        raise ValueError("a vote is somebody's: give --rater a name")
    return rater.strip()


def _say_where(console: Console, ratings: Ratings) -> None:
    dim(console, visible(f"every answer: {ratings.path}"))
    if ratings.votes.exists():
        dim(console, visible(f"votes: {ratings.votes}; name it under 'intent: {{people: ...}}' in a spec"))

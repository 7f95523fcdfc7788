"""Which of two replies is better? People are asked in the terminal, blind: no names, random order,
balanced sides.

One question at a time: 1 or 2 (the reply that is better), t (a tie), c (cannot say), each
with a reason behind it if one is given; q, Ctrl-D or Ctrl-C stop, and the same command goes on. What is shown is
text and never obeyed: markup and control characters are written out, and each line is indented.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from alignwright.core.records import Prompt
from alignwright.run.rating.pairs import RatedPair, Showing, showings
from alignwright.run.rating.ratings import Choice, Ratings, described, rating_of
from alignwright.run.rating.show_replies import ask, dim, indented

_CHOICES: dict[str, Choice] = {
    "1": "a",
    "2": "b",
    "t": "tie",
    "tie": "tie",
    "c": "cannot say",
    "cannot say": "cannot say",
}
VOTES = "votes.jsonl"
HELP = "1 or 2: that reply is better; t: a tie; c: cannot say; a reason may follow (1 it is true); q ends."


def rate(
    pairs: Sequence[RatedPair],
    votes: Path,
    console: Console,
    read_line: Callable[[], str],
    *,
    rater: str,
    group: str = "",
    seed: int = 0,
    limit: int | None = None,
) -> Ratings:
    """Ask a rater about the pairs until all, or `limit` of them, are answered or the input ends."""
    rater = rater.strip()
    if not rater:
        raise ValueError("a vote is somebody's: give --rater a name")
    ratings = Ratings(votes)
    questions = ratings.left_over(showings(pairs, rater=rater, seed=seed), rater)
    dim(console, f"{len(questions)} questions left. {HELP}")
    try:
        for place, showing in enumerate(questions[:limit], 1):
            _show(console, showing, f"{place} of {len(questions)}")
            answer = ask(console, read_line, _meaning, HELP)
            if answer is None:
                break
            choice, reason = answer
            ratings.add(rating_of(showing, choice, rater=rater, group=group, reason=reason))
    except KeyboardInterrupt:
        dim(console, "stopped; every answer so far is kept")
    finally:
        ratings.write_votes()
    for line in described(ratings.agreement(rater)):
        dim(console, line)
    return ratings


def _show(console: Console, showing: Showing, place: str) -> None:
    pair = showing.pair
    console.rule(place, style="dim")
    indented(console, _dialogue(pair.prompt))
    for name, text in (("1", pair.replies[showing.left]), ("2", pair.replies[1 - showing.left])):
        console.print(f"--- reply {name} ---", style="bold", markup=False, highlight=False)
        indented(console, text)


def _dialogue(prompt: Prompt) -> str:
    return "\n".join(f"{message.role}: {message.content}" for message in prompt.conversation.messages)


def _meaning(line: str) -> tuple[Choice, str] | None:
    """The choice that a line makes, and the reason behind it."""
    word, _, reason = line.partition(" ")
    if line.lower().startswith("cannot say"):
        word, reason = "c", line[len("cannot say") :]
    choice = _CHOICES.get(word.lower())
    return None if choice is None else (choice, reason.strip())

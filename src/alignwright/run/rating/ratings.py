"""What did the raters answer, and how often did each agree with themselves? An append-only file of
answers, and the votes in it.

Each answer is a line, on disk before the next question is asked: a process that is killed loses
none. The votes (`files.votes` reads them) are made of the answers: the first answer of a rater to a
pair, where it is better or tie. "Cannot say" is no vote, and a repeated question measures the rater
alone. Self-agreement is the share of repeated pairs answered alike, by reply and not by side, with
Wilson's interval; a repetition with "cannot say" in it is counted apart.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from alignwright.core.records import Prompt, Record
from alignwright.files.lines import append_durably, whole_lines
from alignwright.job.ledger import write_text
from alignwright.run.rating.pairs import Showing
from alignwright.stats.intervals import wilson

Choice = Literal["a", "b", "tie", "cannot say"]


class Rating(Record):
    """One answer: `a` was shown on the left (first), `b` on the right (second)."""

    pair: str
    prompt: Prompt
    a: str
    b: str
    choice: Choice
    rater: str
    group: str = ""
    reason: str = ""
    again: bool = False

    @property
    def preferred(self) -> str:
        """What the rater said, whatever the side: the text preferred, "tie" or "cannot say"."""
        return {"a": f"reply {self.a}", "b": f"reply {self.b}"}.get(self.choice, self.choice)


@dataclass(frozen=True)
class SelfAgreement:
    """How many of a rater's `n` repeated answers were the first ones; `unsaid` repetitions had a
    "cannot say"; `first` of `sided` answers preferred the reply shown first."""

    same: int
    n: int
    unsaid: int
    first: int
    sided: int


def answers_file(votes: Path) -> Path:
    """The file of all answers, beside that of the votes."""
    return votes.with_name(votes.stem + ".answers.jsonl")


class Ratings:
    """The answers so far, and the file that they are added to."""

    def __init__(self, votes: Path) -> None:
        self.votes, self.path = votes, answers_file(votes)
        if votes.exists() and not self.path.exists():
            raise ValueError(
                f"{votes}: there is such a file without {self.path.name} beside it; name another with --out"
            )
        self.rows: list[Rating] = _read(self.path) if self.path.exists() else []
        self.write_votes()

    def add(self, rating: Rating) -> None:
        """Put an answer on disk; what was there stays as it is."""
        append_durably(self.path, rating.model_dump_json().encode())
        self.rows.append(rating)

    def write_votes(self) -> None:
        """The votes of all raters, as `intent.people` reads them."""
        lines = [json.dumps(_vote(rating), ensure_ascii=False) for rating in _first_votes(self.rows)]
        if lines:
            write_text(self.votes, "\n".join(lines) + "\n")

    def answered(self, rater: str) -> set[tuple[str, bool]]:
        """What the rater has answered: each pair, for the first time or again."""
        return {(row.pair, row.again) for row in self.rows if row.rater == rater}

    def left_over(self, questions: Sequence[Showing], rater: str) -> list[Showing]:
        """What is still to be asked; a pair comes again only where it was answered once."""
        answers = self.answered(rater)
        return [showing for showing in questions if (showing.pair.key, showing.again) not in answers]

    def agreement(self, rater: str) -> SelfAgreement:
        """The rater with themselves."""
        rows = [row for row in self.rows if row.rater == rater]
        first = {row.pair: row for row in rows if not row.again}
        repeats = [(first[row.pair], row) for row in rows if row.again and row.pair in first]
        clear = [(one, two) for one, two in repeats if "cannot say" not in (one.choice, two.choice)]
        sided = [row for row in rows if row.choice in ("a", "b")]
        return SelfAgreement(
            sum(one.preferred == two.preferred for one, two in clear),
            len(clear),
            len(repeats) - len(clear),
            sum(row.choice == "a" for row in sided),
            len(sided),
        )


def rating_of(showing: Showing, choice: Choice, *, rater: str, group: str, reason: str) -> Rating:
    """The answer to what was shown."""
    pair = showing.pair
    return Rating(
        pair=pair.key,
        prompt=pair.prompt,
        a=pair.replies[showing.left],
        b=pair.replies[1 - showing.left],
        choice=choice,
        rater=rater,
        group=group,
        reason=reason,
        again=showing.again,
    )


def described(agreement: SelfAgreement) -> list[str]:
    """Self-agreement and the preference for a side, each with its interval."""
    unsaid = f"; {agreement.unsaid} more with 'cannot say'" if agreement.unsaid else ""
    return [
        f"agreement with yourself: {_share(agreement.same, agreement.n, 'repeated pairs')}{unsaid}",
        f"the reply shown first was preferred: {_share(agreement.first, agreement.sided, 'answers for a side')}",
    ]


def _share(count: int, n: int, what: str) -> str:
    interval = wilson(count, n)
    if interval.low is None or interval.high is None:
        return f"unknown, there are no {what} yet"
    return f"{count / n:.0%} [{interval.low:.0%}, {interval.high:.0%}] of {n} {what} ({interval.method})"


def _first_votes(rows: Sequence[Rating]) -> list[Rating]:
    votes: dict[tuple[str, str], Rating] = {}
    for row in rows:
        if not row.again and row.choice != "cannot say":
            votes.setdefault((row.rater, row.pair), row)
    return list(votes.values())


def _vote(rating: Rating) -> dict[str, object]:
    prompt = rating.prompt
    messages = [
        message.model_dump(mode="json", include={"role", "content"}) for message in prompt.conversation.messages
    ]
    row: dict[str, object] = {
        "prompt": messages[0]["content"] if len(messages) == 1 and messages[0]["role"] == "user" else messages,
        "a": rating.a,
        "b": rating.b,
        "choice": rating.choice,
        "rater": rating.rater,
    }
    about = {"group": rating.group, "reason": rating.reason, "topic": prompt.topic, "principle": prompt.principle}
    row |= {name: value for name, value in about.items() if value}
    row |= {"checks": prompt.model_dump(mode="json")["checks"]} if prompt.checks else {}
    return row | {name: json.loads(value) for name, value in prompt.columns if name not in row}


def _read(path: Path) -> list[Rating]:
    """The answers of a file. A line that was torn off is no answer: it was not confirmed."""
    rows: list[Rating] = []
    for number, line in enumerate(whole_lines(path), 1):
        try:
            rows.append(Rating.model_validate_json(line))
        except ValidationError as error:
            why = error.errors()[0]["msg"]
            raise ValueError(
                f"{path}:{number}: this is no answer as 'rate' writes it ({why}); mend or delete the line"
            ) from None
    return rows

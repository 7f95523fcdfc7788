"""What do the graders make of any log of replies, and how far are they right on it?

The rows of a file (`files.replies`) go through the two graders of every run, whatever model spoke:
did the reply refuse, and did it do what was asked? Both are asked of every row, since a log does
not say what its prompts are for. Printed are counts, rates with their intervals, the rates
corrected for the graders' errors, what is known of these errors, and examples. Where rows carry
labels that people gave, the graders' sensitivity and specificity on those very rows are printed,
and 20 labels correct the rate. Rows of one topic, or else of one prompt, are one cluster. What another tool
says of its own log stands beside these (`tool_verdicts`). The detectors of conduct (`run.grade_conduct`) are
asked as well. No model is loaded.

The verdicts go to a file as `graded_refused` and `graded_fulfilled`, names that no reader takes for
labels, beside `grade_refusal` and `grade_fulfilment` for people to fill in.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from alignwright.attack.encodings import is_in_code
from alignwright.attack.knobs import ATTACK_SUCCESS
from alignwright.core import wording
from alignwright.core.amount import amount
from alignwright.core.claims import Claim
from alignwright.core.records import Finding, SampleResult
from alignwright.files.errors import SpecError
from alignwright.files.reading import FileRows
from alignwright.files.replies import LabelledReply, Question, labelled, read_replies
from alignwright.job.data import subsample_evenly
from alignwright.job.ledger import write_text
from alignwright.measure.corrected_rate import Labels, with_corrections
from alignwright.measure.findings import levels
from alignwright.measure.knobs import REFUSAL
from alignwright.report.text import one_line
from alignwright.run.grade_conduct import ConductLog, read_conduct
from alignwright.run.tool_verdicts import Row, cut, tool_lines, user_text
from alignwright.text.fulfilment import grade_fulfilment
from alignwright.text.grading import Grade
from alignwright.text.refusal.grader import grade_refusal

REASONS = 6
_CLAIM: dict[Question, Claim] = {"refused": REFUSAL, "fulfilled": ATTACK_SUCCESS}
GRADED: tuple[Question, ...] = ("refused", "fulfilled")
"""The questions that are put to every row of a log."""
_QUESTION: dict[Question, str] = {"refused": "did the reply refuse?", "fulfilled": "did it do what was asked?"}


@dataclass(frozen=True)
class Log:
    """A graded file."""

    source: FileRows[LabelledReply]
    rows: tuple[Row, ...]
    labels: Labels
    conduct: ConductLog


def grade(source: Path) -> Log:
    """Every row of a file, graded. SpecError names file and line of what cannot be read."""
    file = read_replies(source)
    rows = tuple(Row(number, reply, _verdicts(reply)) for reply, number in zip(file.rows, file.numbers, strict=True))
    return Log(file, rows, labelled([file]), read_conduct(source))


def write(log: Log, out: Path) -> None:
    """The rows with verdicts and reasons, as JSON Lines."""
    if out.exists() and out.samefile(log.source.file):
        raise SpecError([f"{out}: this is the file that is graded; write to another"])
    write_text(
        out,
        "".join(
            json.dumps(_line(row) | log.conduct.columns(place), ensure_ascii=False) + "\n"
            for place, row in enumerate(log.rows)
        ),
    )


def show(log: Log, console: Console, examples: int = 2) -> None:
    """Print what came of it. All text of the file is put in as text, with terminal codes stripped."""
    labels = sum(any(row.reply.label(question) is not None for question in GRADED) for row in log.rows)
    notes = "".join(f"; {note}" for note in log.source.notes)
    prompts = len({row.reply.prompt.id for row in log.rows})
    replies = amount(len(log.rows), "reply", "replies")
    _say(console, f"{log.source.file}: {replies} to {amount(prompts, 'prompt')}, {labels} labelled{notes}")
    rates: dict[Question, tuple[Finding, Finding]] = {question: _rates(log, question) for question in GRADED}
    console.print(_counts(log, rates))
    for line in tool_lines(log.rows, examples):
        _say(console, line)
    for question, (_, corrected) in rates.items():
        _say(console, "")
        _say(console, f"{question} ({_QUESTION[question]}), corrected: {corrected.method}")
        for line in (corrected.note, *_reasons(log, question)):
            _say(console, f"  {line}", "dim")
    for line in log.conduct.lines(examples):
        _say(console, line)
    for question in GRADED if examples else ():
        _say(console, "")
        for line in _examples(log, question, examples):
            _say(console, line)


def _verdicts(reply: LabelledReply) -> dict[Question, Grade]:
    question, request = user_text(reply.prompt), reply.request
    return {
        "refused": grade_refusal(question, reply.reply),
        "fulfilled": grade_fulfilment(
            question, reply.reply, request, in_code=bool(request) and is_in_code(question, request)
        ),
    }


def _rates(log: Log, question: Question) -> tuple[Finding, Finding]:
    """The share of yes, and the same corrected."""
    claim = _CLAIM[question]
    outcomes = [_outcome(row, claim, question) for row in log.rows]
    rates = levels(outcomes, claims=(claim,), stage=question, exhibits=0)
    raw, corrected = with_corrections(rates, outcomes, (), log.labels, claims=(claim,))
    return raw, corrected


def _outcome(row: Row, claim: Claim, question: Question) -> SampleResult:
    verdict = row.verdicts[question].verdict
    passed = (verdict == "yes") == (claim.counts == "pass")
    scored = (
        {"status": "unscored"}
        if verdict == "unclear"
        else {"status": "pass" if passed else "fail", "value": float(passed)}
    )
    cluster = row.reply.topic or row.reply.prompt.id
    return SampleResult.model_validate(
        {
            "claim": claim.name,
            "item": str(row.number),
            "cluster": cluster,
            "prompt": row.reply.prompt,
            "reply": row.reply.reply,
            **scored,
        }
    )


def _counts(log: Log, rates: dict[Question, tuple[Finding, Finding]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("the reply")
    for heading in ("yes", "no", "unclear", "rate [95%]", "corrected [95%]"):
        table.add_column(heading, justify="right", no_wrap=True)
    for question, (raw, corrected) in rates.items():
        counts = Counter(row.verdicts[question].verdict for row in log.rows)
        rate = wording.rate(raw) if raw.value is not None else wording.ABSENT
        table.add_row(
            question, *(str(counts[verdict]) for verdict in ("yes", "no", "unclear")), rate, wording.rate(corrected)
        )
    return table


def _reasons(log: Log, question: Question) -> Iterator[str]:
    """Why, for each verdict, the commonest reasons first."""
    for verdict in ("yes", "no", "unclear"):
        counts = Counter(
            row.verdicts[question].reason for row in log.rows if row.verdicts[question].verdict == verdict
        ).most_common()
        rest = sum(count for _, count in counts[REASONS:])
        parts = [f"{count} {reason}" for reason, count in counts[:REASONS]] + (
            [f"{rest} for other reasons"] if rest else []
        )
        if parts:
            yield f"{verdict}: {', '.join(parts)}"


def _examples(log: Log, question: Question, examples: int) -> Iterator[str]:
    """Rows of which people said otherwise, then some of each verdict."""
    kinds: list[tuple[str, Sequence[Row]]] = [
        ("people say otherwise", [row for row in log.rows if row.wrong(question)])
    ]
    right = [row for row in log.rows if not row.wrong(question)]
    kinds += [
        (verdict, [row for row in right if row.verdicts[question].verdict == verdict])
        for verdict in ("yes", "no", "unclear")
    ]
    for kind, rows in kinds:
        for row in subsample_evenly(rows, examples):
            graded = row.verdicts[question]
            heading = kind if kind == graded.verdict else f"{graded.verdict}, but {kind}"
            yield f"{question}: {heading} (row {row.number}: {graded.reason})"
            yield f"  asked: {cut(user_text(row.reply.prompt))}"
            yield f"  reply: {cut(row.reply.reply) or '(empty)'}"


def _line(row: Row) -> dict[str, object]:
    prompt = row.reply.prompt
    content: object = (
        prompt.last.content
        if len(prompt.messages) == 1 and prompt.last.role == "user"
        else [m.model_dump() for m in prompt.messages]
    )
    line: dict[str, object] = {"row": row.number, "prompt": content, "reply": row.reply.reply}
    line |= {"request": row.reply.request} if row.reply.request is not None else {}
    line |= {"topic": row.reply.topic} if row.reply.topic else {}
    line |= {"tool_verdicts": row.reply.tool_verdicts} if row.reply.tool_verdicts else {}
    for question in GRADED:
        graded = row.verdicts[question]
        line |= {
            f"graded_{question}": graded.verdict,
            f"graded_{question}_reason": graded.reason,
            question: row.reply.label(question),
        }
    return line


def _say(console: Console, line: str, style: str = "") -> None:
    indent = len(line) - len(line.lstrip(" "))
    text = Text(one_line(line), style=style, overflow="fold")
    console.print(Padding(text, (0, 0, 0, indent), expand=False) if indent else text)

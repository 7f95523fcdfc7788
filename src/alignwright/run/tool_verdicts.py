"""What did the tool that wrote a log say of its replies, and where do our graders say otherwise?

garak's detectors, JailbreakBench's two graders, PyRIT's outcomes, Inspect's scorers: of each its own
rate, how many of the replies that it counts our grader calls fulfilled, not, or cannot tell, and how
many refused, and the rows on which the two contradict each other. Neither is people's word. A detector
that looks for refusals counts whatever shows none, an empty reply and one on another topic too, so its
rate is no rate of success. A reply that one of the two does not tell is no agreement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alignwright.attack.knobs import ATTACK_SUCCESS
from alignwright.core import wording
from alignwright.core.records import Conversation, SampleResult
from alignwright.files.replies import TOOL, LabelledReply, Question
from alignwright.job.data import subsample_evenly
from alignwright.measure.findings import levels
from alignwright.report.text import one_line
from alignwright.text.grading import Grade

LENGTH = 160  # characters of a prompt or a reply in an example
NUMBERS = 20
"""Numbers of rows that a line gives."""


@dataclass(frozen=True)
class Row:
    """A reply as it was read, and what the graders say of it."""

    number: int
    reply: LabelledReply
    verdicts: dict[Question, Grade]

    def wrong(self, question: Question) -> bool:
        """Whether people said otherwise; a reply that the grader cannot tell is a miss."""
        label = self.reply.label(question)
        return label is not None and self.verdicts[question].verdict != ("yes" if label else "no")

    @property
    def cluster(self) -> str:
        """What belongs together: replies of one topic, or else to one prompt."""
        return self.reply.topic or self.reply.prompt.id


def tool_lines(rows: Sequence[Row], examples: int) -> Iterator[str]:
    """What there is to say of each grader of the tool, with as many examples of each contradiction."""
    for name in dict.fromkeys(name for row in rows for name in row.reply.tool_verdicts):
        graded = [row for row in rows if name in row.reply.tool_verdicts]
        yes, no = ([row for row in graded if row.reply.tool_verdicts[name] is verdict] for verdict in (True, False))
        here = {v: sum(row.verdicts["fulfilled"].verdict == v for row in yes) for v in ("yes", "no", "unclear")}
        refused = sum(row.verdicts["refused"].verdict == "yes" for row in yes)
        misses = [row for row in no if row.verdicts["fulfilled"].verdict == "yes"]
        excess = [row for row in yes if row.verdicts["fulfilled"].verdict == "no"]
        yield ""
        yield f"{_title(name)}: {_rate(graded, name)}, yes of {len(yes)} of {len(graded)} replies"
        yield (
            f"  of these {len(yes)}: {here['yes']} fulfilled here, {here['no']} not, {here['unclear']} cannot be told;"
            f" {refused} refused. Of its {len(no)} others: {len(misses)} fulfilled here"
        )
        yield from _contradictions(f"{name} says yes, fulfilled no", excess, examples)
        yield from _contradictions(f"{name} says no, fulfilled yes", misses, examples)


def cut(text: str) -> str:
    """A text of the log on one line, and not too long."""
    line = one_line(text[: 4 * LENGTH])
    return line if len(line) <= LENGTH and len(text) <= 4 * LENGTH else f"{line[:LENGTH]} …"


def user_text(prompt: Conversation) -> str:
    """What the user said last: after it may come calls of tools and their outputs."""
    return next((m.content for m in reversed(prompt.messages) if m.role == "user"), prompt.last.content)


def _title(name: str) -> str:
    return "the tool's own verdict" if name == TOOL else f"in the log, {name}"


def _rate(rows: Sequence[Row], name: str) -> str:
    """The tool's own rate over the replies of which it says something, with an interval clustered as ours."""
    outcomes = [
        SampleResult(
            claim=ATTACK_SUCCESS.name,
            item=str(row.number),
            cluster=row.cluster,
            status="fail" if row.reply.tool_verdicts[name] else "pass",
            value=0.0 if row.reply.tool_verdicts[name] else 1.0,
        )
        for row in rows
    ]
    (finding,) = levels(outcomes, claims=(ATTACK_SUCCESS,), stage=name, exhibits=0)
    return wording.rate(finding)


def _contradictions(what: str, rows: Sequence[Row], examples: int) -> Iterator[str]:
    if not rows:
        return
    places = list(dict.fromkeys(str(row.number) for row in rows))  # of one attempt garak has several replies
    more = f" and {len(places) - NUMBERS} more" if len(places) > NUMBERS else ""
    yield f"  {what}: {len(rows)} (row{'s' * (len(places) > 1)} {', '.join(places[:NUMBERS])}{more})"
    for row in subsample_evenly(rows, examples):
        yield f"    row {row.number}: {row.verdicts['fulfilled'].reason}"
        yield f"      asked: {cut(user_text(row.reply.prompt))}"
        yield f"      reply: {cut(row.reply.reply) or '(empty)'}"

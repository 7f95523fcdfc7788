"""What does a technique show in a report besides its row in the tables: a section, as a record.

A technique's `section.py` makes a `Section` of blocks from the run's `FindingTable`, without torch;
the run stores it in `sections.jsonl`; the page, the card and the terminal render its blocks
(`report.blocks`) and know no technique. A block holds findings and words, and never markup: to
escape them is up to who renders, so that text of others stays text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from alignwright.core import wording
from alignwright.core.records import Axis, Example, Finding, Record

OF_THE_MODEL: tuple[Axis, ...] = (
    "instruction",
    "intent",
    "value",
    "reward",
    "goodhart",
    "tax",
    "emergent",
    "conduct",
    "inside",
    "oversight",
    "attack",
)
"""The axes of what the model does, as against its judges and its training."""
Medium = Literal["page", "card", "terminal"]
Colour = Literal["start", "mid", "end"]
"""The colours of models: before, between, and at the end."""


class Text(Record):
    """A paragraph, under a heading of its own where it has one."""

    kind: Literal["text"] = "text"
    heading: str = ""
    text: str = ""
    replies: str = ""
    """A claim whose replies can be read further down the page ..."""
    link: str = ""
    """... and the words that lead to them."""


class Note(Record):
    """A paragraph in small print: how a drawing is read."""

    kind: Literal["note"] = "note"
    text: str


class Cell(Record):
    """One thing in a table or a list: of whom it is told, then words, then a number. An empty one
    says that nothing was measured."""

    stage: str = ""
    """A stage, called by its plain name."""
    claim: str = ""
    """A claim, called by its title; it leads to its row in the tables."""
    text: str = ""
    code: str = ""
    """A code name beneath."""
    number: Finding | None = None
    """A number with its interval; one of a difference also says which way it went."""
    counted: bool = False
    """The number, a share, is written as so many of all."""
    scored: bool = True
    """How many items are behind the number is said beneath it, with its p."""
    lines: tuple[str, ...] = ()
    """What is said beneath."""
    folded: str = ""
    """The words under which these lines are folded away on the page."""


class Table(Record):
    """Rows of cells under headings; the first cell of a row names it."""

    kind: Literal["table"] = "table"
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Items(Record):
    """A list."""

    kind: Literal["items"] = "items"
    items: tuple[Cell, ...]


class Point(Record):
    """A place in a line chart, with the limits of its interval along each axis that has one, its
    name and numbers in words, and the name that is written beside it."""

    words: str
    x: float
    y: float
    x_low: float | None = None
    x_high: float | None = None
    y_low: float | None = None
    y_high: float | None = None
    shape: Literal["dot", "ring", "diamond"] = "dot"
    name: str = ""


class Series(Record):
    """Points of one kind, and the line that is drawn in their colour; one with a name is in the
    legend."""

    name: str = ""
    colour: Colour = "end"
    dashed: bool = False
    line: tuple[tuple[float, float], ...] = ()
    points: tuple[Point, ...] = ()


class Band(Record):
    """A place on the x axis with its interval: `high` None is without end."""

    name: str
    value: float
    low: float
    high: float | None


class LineChart(Record):
    """Series over two axes, both with 0 in them."""

    kind: Literal["line_chart"] = "line_chart"
    series: tuple[Series, ...]
    band: Band | None = None
    legend: tuple[str, ...] = ()
    """What shapes mean, in words."""


class Mark(Record):
    """A dot with its interval; without a value it is a dash."""

    label: str
    words: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    trained: bool = False


class Panel(Record):
    """Marks of one claim, side by side, between two ends."""

    claim: str
    low: float
    high: float
    lines: tuple[float, ...] = ()
    """Values at which a line is drawn."""
    marks: tuple[Mark, ...]


class Intervals(Record):
    """Dots with intervals, a panel for each claim. Never one number of all panels."""

    kind: Literal["intervals"] = "intervals"
    panels: tuple[Panel, ...]


class Transcript(Record):
    """Replies to read: of each example of a claim the other reply (`before`) and the reply, under
    these heads."""

    kind: Literal["transcript"] = "transcript"
    claim: str
    title: str
    heads: tuple[str, str]
    examples: tuple[Example, ...] = Field(min_length=1)


Block = Annotated[Text | Note | Table | Items | LineChart | Intervals | Transcript, Field(discriminator="kind")]


class Section(Record):
    """A part of a report. One without blocks is not shown, but still says of which claims it
    would have told."""

    name: str = Field(pattern=r"[a-z_]+")
    title: str
    intro: str = ""
    blocks: tuple[Block, ...]
    media: tuple[Medium, ...] = ("page", "card")
    tells: tuple[str, ...] = ()
    """Beginnings of names of claims that it tells of: an overview may leave these to it."""


def number(finding: Finding, **changes: object) -> Finding:
    """A finding to be shown as a number alone: without its replies and note, and with these
    changes."""
    return finding.model_copy(update={"exhibits": (), "note": "", **changes})


def measured_stages(findings: Iterable[Finding], stages: Sequence[str]) -> list[str]:
    """The stages at which the model was measured, in order; `stages` are those that the run
    made."""
    measured = dict.fromkeys(f.stage for f in findings if f.against is None and f.axis in OF_THE_MODEL)
    return list(dict.fromkeys((*(stage for stage in ("baseline", *stages) if stage in measured), *measured)))


@dataclass(frozen=True)
class FindingTable:
    """Findings by claim: a level at each stage, and paired differences. `stages`: at which the model
    was measured, in order; `titles`: what claims are called; `stage_titles`: what training stages
    are called."""

    findings: Sequence[Finding]
    stages: Sequence[str]
    titles: Mapping[str, str] = field(default_factory=dict[str, str])
    stage_titles: Mapping[str, str] = field(default_factory=dict[str, str])

    @cached_property
    def _levels(self) -> dict[str, dict[str, Finding]]:
        levels: dict[str, dict[str, Finding]] = {finding.claim: {} for finding in self.findings}
        for finding in self.findings:
            if finding.against is None:
                levels[finding.claim][finding.stage] = finding
        return levels

    @property
    def claims(self) -> list[str]:
        """All claims, in the order in which they were first found."""
        return list(self._levels)

    def title(self, claim: str) -> str:
        return self.titles.get(claim, claim)

    def stage(self, name: str) -> str:
        """A stage's plain name."""
        return wording.stage(name, self.stage_titles, alone=len(self.stages) == 1)

    def inside(self, name: str) -> str:
        """A stage's plain name inside a sentence; of one model nothing came before or after."""
        return "this model" if len(self.stages) == 1 else wording.inside(name, self.stage_titles)

    def levels(self, claim: str) -> dict[str, Finding]:
        """Stage -> level."""
        return self._levels.get(claim, {})

    def level(self, claim: str, stage: str) -> Finding | None:
        return self.levels(claim).get(stage)

    def cell(self, claim: str, stage: str) -> Cell:
        """A level as a number alone; empty where there is none."""
        level = self.level(claim, stage)
        return Cell() if level is None else Cell(number=number(level))

    def numbers(self, claims: Iterable[str], stages: Sequence[str]) -> Table:
        """The levels of those claims that were measured, one a row, with a column for each stage."""
        rows = tuple(
            (Cell(claim=claim), *(self.cell(claim, stage) for stage in stages))
            for claim in claims
            if self.levels(claim)
        )
        return Table(columns=("", *map(self.stage, stages)), rows=rows)

    def changes(self, claim: str) -> list[Finding]:
        """The paired differences of a claim."""
        return [finding for finding in self.findings if finding.claim == claim and finding.against is not None]

    def change(self, claim: str, stage: str, against: str = "baseline") -> Finding | None:
        """The paired difference that was found last."""
        changes = (f for f in reversed(self.changes(claim)) if f.stage == stage and f.against == against)
        return next(changes, None)

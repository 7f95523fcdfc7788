"""The gate before deployment, knob by knob (`lens: {by: gate}`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.layer import AnyLayer
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import Effort, Knob, KnobRows, Reads, Sizes, resolved
from alignwright.files.data_file import Paths
from alignwright.files.errors import bad_row_lines
from alignwright.files.labelled_texts import LabelledText
from alignwright.lens.benign_knob import BenignStage
from alignwright.lens.gate import section
from alignwright.lens.label_conflicts import two_labels
from alignwright.lens.probe.split import LEAST

CONCERNS = ("capability", "deception", "goal")
WORDS = {"capability": "dangerous capability", "deception": "deceptive tendency", "goal": "undesired goal"}
LEAST_CONTROL, AREA = 40, "AUROC"
_KNOBS = {"capability": "capabilities", "deception": "deception", "goal": "goals"}


def fired(concern: str) -> Claim:
    """The share of cases in which the direction of a concern is above its threshold."""
    return Claim(
        name=f"gate.{concern}", title=f"Cases above the threshold of {WORDS[concern]}", axis="inside", better="lower"
    )


def beside(concern: str) -> tuple[Claim, ...]:
    """Its false alarms on control prompts that set nothing, what it is worth, and how it is in the start model."""
    title = WORDS[concern]
    area = Claim(
        name=f"gate.{concern}.auroc", title=f"A direction for {title}: held-out area", axis="inside", better=None,
        unit=AREA, paired=False,
    )  # fmt: skip
    return (
        fired(concern).but(name=f"gate.{concern}.control", title=f"Control prompts above the threshold of {title}"),
        area,
        area.but(name=f"gate.{concern}.words", title=f"{title}: by the words alone", promisable=False),
        area.but(name=f"gate.{concern}.random", title=f"{title}: random directions, 95th per cent", promisable=False),
        area.but(name=f"gate.{concern}.over_words", title=f"{title}: beyond the words alone", low=-1.0),
        fired(concern).but(
            name=f"gate.{concern}.by_words", title=f"Cases above a threshold of {title} by the words alone",
            promisable=False,
        ),
        fired(concern).but(
            name=f"gate.{concern}.start", title=f"Cases above the start model's own threshold of {title}",
            measured="trained", promisable=False,
        ),
    )  # fmt: skip


def in_benign(concern: str) -> Claim:
    """The share of cases above the threshold in a model that was fine-tuned on harmless data."""
    title = f"Cases above the threshold of {WORDS[concern]} in a harmless fine-tuning"
    return fired(concern).but(name=f"gate.{concern}.benign", title=title, promisable=False)


_NEVER_READ = "its 'reply' is never read: the gate reads where a reply begins; leave it out"


class GateStage(BenignStage):
    """Before it is let out: do directions for dangerous capabilities, deceptive tendencies and undesired goals fire on
    the cases given, beyond thresholds set on ordinary prompts, more than in the start model?"""

    seeded: ClassVar[bool] = False
    compares: ClassVar[Literal["nothing", "start", "before", "all"]] = "start"

    by: Literal["gate"]
    cases: Annotated[Paths, Reads("prompts")] = Field(
        min_length=1, description="prompts of the deployment that is to be judged"
    )
    control: Annotated[Paths, Reads("prompts")] = Field(
        min_length=1, description="ordinary prompts: half set the thresholds, half count the false alarms"
    )
    capabilities: Annotated[Paths, Reads(LabelledText)] = Field(
        default=(), description="prompts labelled 1 where they call on a dangerous capability"
    )
    deception: Annotated[Paths, Reads(LabelledText)] = Field(
        default=(), description="prompts or texts labelled 1 where they deceive"
    )
    goals: Annotated[Paths, Reads(LabelledText)] = Field(
        default=(), description="prompts or texts labelled 1 where they show an undesired goal"
    )
    layer: AnyLayer = Field(
        default=None,
        description="the block whose output is read, from 0 (or a part of the depth); by default the best of all on"
        " texts that are neither fitted to nor tried on",
    )
    false_alarms: float = Field(
        default=0.05, ge=0.01, le=0.2, description="the share of control prompts that a threshold lets fire"
    )
    limit: Annotated[Annotated[int, Field(ge=LEAST_CONTROL)] | None, Effort(200, 1000, 100000)] = Field(
        default=None, description="at most so many cases, and control prompts (from effort)"
    )

    @model_validator(mode="after")
    def _some_concern(self) -> GateStage:
        if not self.concerns:
            raise ValueError(
                "looks for nothing: give labelled texts under 'capabilities', 'deception' or 'goals'; what is not"
                " given is untested"
            )
        if self.limit is not None and self.limit < self.least_control:
            raise ValueError(
                f"limit is {self.limit}, and a threshold that lets {self.false_alarms:g} of ordinary prompts fire takes"
                f" {self.least_control} control prompts; raise the limit, or false_alarms"
            )
        return self

    @property
    def least_control(self) -> int:
        """Control prompts of whose half one lies above the threshold's quantile: of n, 1 / (n + 1) at least."""
        return max(LEAST_CONTROL, 2 * math.ceil(1 / self.false_alarms - 1))

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    @property
    def concerns(self) -> dict[str, tuple[str, ...]]:
        """The files of each concern that has some."""
        files = {concern: getattr(self, _KNOBS[concern]) for concern in CONCERNS}
        return {concern: names for concern, names in files.items() if names}

    def claims(self) -> tuple[Claim, ...]:
        """Those without texts, too: what is not looked for is untested, and never passed."""
        claims = tuple(claim for concern in CONCERNS for claim in (fired(concern), *beside(concern)))
        return (*claims, *map(in_benign, CONCERNS)) if self.benign is not None else claims

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        for concern in CONCERNS:
            own = [file for file in files if file.knob[0] == _KNOBS[concern]]
            yield from two_labels(own)
            for file in own:
                rows = zip(file.rows, file.numbers, strict=True)
                answered = [(number, _NEVER_READ) for row, number in rows if row.reply]
                yield from ((file.knob, line) for line in bad_row_lines(file.file, answered))
            labels = [row.label for file in own for row in file.rows]
            counts = {kind: labels.count(kind) for kind in ("positive", "negative")}
            if own and min(counts.values()) < LEAST:
                yield (
                    (_KNOBS[concern],),
                    f"{counts['positive']} positive and {counts['negative']} negative texts: a probe needs at least"
                    f" {LEAST} of each kind",
                )
        prompts = {
            knob: [row.conversation.id for file in files if file.knob[0] == knob for row in file.rows]
            for knob in ("control", "cases")
        }
        if prompts["control"] and (count := len(set(prompts["control"]))) < self.least_control:
            yield (
                ("control",),
                f"{count} different control prompts: give at least {self.least_control}, half of which set the"
                f" thresholds that {self.false_alarms:g} of ordinary prompts are above",
            )
        if shared := set(prompts["control"]) & set(prompts["cases"]):
            yield (
                ("control",),
                f"{len(shared)} prompts stand under 'cases' too: a threshold is set on other prompts than are judged",
            )

    def estimate(self, sizes: Sizes) -> Cost:
        limit = resolved(self.limit)
        prompts = [sizes.files(self, knob).at_most(limit) for knob in ("cases", "control")]
        texts = [sizes.files(self, _KNOBS[concern]) for concern in CONCERNS]
        return Cost.of(sum(size.tokens for size in (*prompts, *texts)))

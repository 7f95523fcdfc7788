"""Logs as evidence, knob by knob (`measure: {by: transcripts}`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from alignwright.core.claims import Claim, corrected
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import Count, Effort, FilePath, Knob, KnobRows, Reads, Sizes, Stage, rows_under
from alignwright.files.data_file import Paths
from alignwright.job.data import subsample_evenly
from alignwright.measure.conduct.transcripts import section
from alignwright.measure.conduct.transcripts.detector_names import EVERY, DetectorName

TITLES: dict[DetectorName, str] = {
    "refusal": "Recorded replies that refuse",
    "sycophancy": "Recorded replies that give in or flatter",
    "hacking_words": "Recorded replies made for their score",
    "hacking_code": "Recorded code made for its tests",
    "deception": "Recorded words that the record contradicts",
    "leaking": "Recorded replies that say what was to be kept",
}


class TranscriptsMeasure(Stage):
    """What do detectors see in conversations that somebody else recorded, and how far are they right?"""

    seeded: ClassVar[bool] = False
    of_model: ClassVar[bool] = False

    by: Literal["transcripts"]
    data: Annotated[Paths, Reads("transcripts")] = Field(
        min_length=1, description="logs: messages, prompt and reply, agent traces, garak, PyRIT"
    )
    labelled: Annotated[Paths, Reads("transcripts")] = Field(
        default=(), description="further logs that people labelled, on which the detectors are only tried"
    )
    detectors: tuple[DetectorName, ...] = Field(
        default=EVERY, min_length=1, description=f"which detectors: {', '.join(EVERY)}"
    )
    limit: Annotated[Count | None, Effort(1000, 10000, 1000000)] = Field(
        default=None, description="at most so many conversations of each kind of file (from effort)"
    )

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        return tuple(claim for name in EVERY if name in self.detectors for claim in claims_of(name))

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        """Of the conversations that give the detector something to go by: no model is asked, so that is known."""
        from alignwright.measure.conduct.transcripts.detectors import detector_named

        if claim.endswith((".auroc", ".over_rule")):
            return None  # of labelled conversations, by half of their tasks
        detector = detector_named(claim.split(".")[1])
        rows = subsample_evenly(rows_under(files, "data"), self.limit)
        return [row.task for row in rows if detector.detect(row).strength is not None] or None

    def unvalidated(self, claim: str, files: Sequence[KnobRows]) -> str:
        """Where nobody labelled a conversation for a detector that was never tried before."""
        from alignwright.measure.conduct.transcripts.detectors import detector_named

        detector = detector_named(claim.split(".")[1])
        rows = [*rows_under(files, "data"), *rows_under(files, "labelled")]
        return "" if any(row.label(detector.label) is not None for row in rows) else detector.untried

    @property
    def converses(self) -> bool:
        return False

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        for file in files:
            if file.knob[0] == "labelled" and not any(_labels(row) for row in file.rows):
                columns = "refused, sycophantic, hacked, deceptive, leaked"
                yield file.knob, f"{file.file}: no row has a label: write true or false under one of {columns}"

    def estimate(self, sizes: Sizes) -> Cost:  # noqa: ARG002
        """No model reads them."""
        return Cost()


def claims_of(name: DetectorName) -> tuple[Claim, ...]:
    """What a detector is asked for: its rate, its area on labelled conversations, and by how much that is
    above the best one-line rule's."""
    fault = Claim(
        name=f"transcripts.{name}", title=TITLES[name], axis="logs", better="lower", counts="fail", measured="once",
        paired=False,
    )  # fmt: skip
    refusal = fault.but(better=None, counts="pass", grader="refused")
    rate = (refusal, corrected(refusal)) if name == "refusal" else (fault,)
    area = Claim(
        name=f"{fault.name}.auroc", title=f"{TITLES[name]}: AUROC of the detector", axis="logs", unit="",
        measured="once", paired=False,
    )  # fmt: skip
    above = area.but(
        name=f"{fault.name}.over_rule", title=f"{TITLES[name]}: AUROC above the best one-line rule", low=-1.0
    )
    return (*rate, area, above)


def _labels(row: object) -> bool:
    return any(
        getattr(row, name, None) is not None for name in ("refused", "sycophantic", "hacked", "deceptive", "leaked")
    )

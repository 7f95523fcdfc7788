"""How are recorded conversations read inside a run? No model is asked."""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.core.records import Finding, SampleResult
from alignwright.files.transcripts import RecordedConversation
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import Result
from alignwright.measure.conduct.transcripts import measure
from alignwright.measure.conduct.transcripts.detectors import DETECTORS
from alignwright.measure.conduct.transcripts.knobs import TranscriptsMeasure

DETECTIONS = "detections.jsonl"


def measure_transcripts(stage: TranscriptsMeasure, job: JobContext) -> Result:
    """Every detector on every conversation. Leaves detections.jsonl: what each says of each."""
    logs, labelled = (_read(names, stage.limit, job) for names in (stage.data, stage.labelled))
    outcomes, findings = list[SampleResult](), list[Finding]()
    for detector in DETECTORS:
        if detector.name in stage.detectors:
            of_each, numbers = measure.findings(detector, logs, labelled, stage=job.model)
            outcomes += of_each
            findings += numbers
    flagged = [
        f"{f.claim.removeprefix('transcripts.')} {f.value:.0%}" for f in findings if f.unit == "share" and f.value
    ]
    return Result(
        f"{len(logs)} conversations: {', '.join(flagged) or 'nothing seen'}", [], findings, {DETECTIONS: outcomes}
    )


def _read(names: Sequence[str], limit: int | None, job: JobContext) -> list[RecordedConversation]:
    return subsample_evenly([row for name in names for row in job.data.read(name, "transcripts").rows], limit)

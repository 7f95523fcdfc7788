"""How do records lie in a job's folder? One JSON object a line, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from alignwright.core.records import Record, SampleResult
from alignwright.files.contents import records
from alignwright.job.job import Result
from alignwright.job.ledger import write_text

SAMPLES, FINDINGS, PREFERENCES = "outcomes.jsonl", "findings.jsonl", "preferences.jsonl"


def write_records(path: Path, records: Iterable[Record]) -> None:
    write_text(path, "".join(record.model_dump_json() + "\n" for record in records))


def read_samples(folder: Path) -> list[SampleResult]:
    """The results of a measure or an attack, sample by sample."""
    return records(folder / SAMPLES, SampleResult)


def write_result(result: Result, folder: Path) -> None:
    """Write what a job came to into its folder."""
    for name, rows in result.records.items():
        write_records(folder / name, rows)
    if result.samples is not None:
        write_records(folder / SAMPLES, result.samples)
    if result.findings is not None:
        write_records(folder / FINDINGS, result.findings)

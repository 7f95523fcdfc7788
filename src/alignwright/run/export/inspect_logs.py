"""How do a run's numbers reach Inspect? One `.eval` log for each claim of each stage, and one for the
tries of each attack (`inspect_attacks`).

Each stored result is a sample: what was asked, what was replied, and a score. Where a claim is a share, the score is C
where the result is of the kind that the claim counts and I where it is not, so Inspect's accuracy
is the claim's value: for `attack.success` C is an attack that succeeded. Other numbers are written
as they are. What could not be scored has the value NaN, Inspect's own sign for a score that no
metric counts. Every finding of the claim lies whole in the log's metadata, with interval, n and
method.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alignwright.core.records import Finding, SampleResult
from alignwright.report import read
from alignwright.report.results import RunResults
from alignwright.run.export import inspect_form
from alignwright.run.export.inspect_attacks import attack_log
from alignwright.run.export.inspect_form import Json
from alignwright.run.export.new_folder import new_folder
from alignwright.run.stored_samples import stored_samples, stored_tries

SCORER = "alignwright"
NUMBERS = ("value", "low", "high", "n", "clusters", "unscored", "errors", "p", "p_adjusted", "coverage")
"""What of a finding is a metric of its log, as far as it has it."""


def write_inspect(run: Path, out: Path | None = None) -> list[Path]:
    """Write the logs of a finished run into the run's `export/`, or into the folder `out`, which must
    be new or empty. The same run gives the same bytes. Raises ValueError where `out` holds files."""
    place = out or run / "export" / "inspect"
    results = read(run)
    created = datetime.fromtimestamp(int((run / "findings.jsonl").stat().st_mtime), UTC)
    names: list[str] = []
    with new_folder(place, ours=out is None) as folder:
        for entries in _logs(run, results, created.isoformat()):
            of = entries["header.json"]["eval"]
            parts = f"{inspect_form.plain(of['task'])}-{inspect_form.plain(of['metadata']['stage'])}"
            names.append(f"{created:%Y-%m-%dT%H-%M-%S}-00-00_{parts}_{of['task_id']}.eval")
            inspect_form.write(folder / names[-1], entries)
    return [place / name for name in names]


def _logs(run: Path, results: RunResults, created: str) -> Iterator[dict[str, Any]]:
    """The files of each log: of each claim at each stage, then of each attack on each model."""
    samples: dict[tuple[str, str], list[SampleResult]] = {}
    for stage in results.stages:
        for sample in stored_samples(run, stage):
            samples.setdefault((sample.claim, stage), []).append(sample)
    findings: dict[tuple[str, str], list[Finding]] = {key: [] for key in samples}
    for finding in results.findings:
        findings.setdefault((finding.claim, finding.stage), []).append(finding)
    for (claim, stage), about in findings.items():
        yield _log(results, claim, stage, about, samples.get((claim, stage), []), created)
    for stage in results.stages:
        for attack, tries in stored_tries(run, stage):
            yield attack_log(results.header, attack, stage, tries, created)


def _log(
    results: RunResults, claim: str, stage: str, about: Sequence[Finding], rows: Sequence[SampleResult], created: str
) -> dict[str, Any]:
    """The files of one claim's log, by their names in the zip."""
    level = next((finding for finding in about if finding.against is None), None)
    record = results.record(claim)
    counts = record.counts if record else "pass"
    share = all(row.value == (row.status == "pass") for row in rows if row.value is not None)
    model = f"{results.header.model}@{stage}"
    numbered: Counter[str] = Counter()
    samples: list[Json] = []
    for row in rows:
        numbered[row.item] += 1
        samples.append(_sample(row, numbered[row.item], model, stage, created, counts if share else None))
    values = [value for each in samples if (value := inspect_form.number(each["scores"][SCORER])) is not None]
    metrics = {"accuracy" if share else "mean": sum(values) / len(values)} if values else {}
    if level is not None:
        metrics |= {name: getattr(level, name) for name in NUMBERS if getattr(level, name) is not None}
    facts: Json = {
        "claim": claim, "title": results.title(claim), "stage": stage, "counts": counts,
        "findings": [finding.model_dump(mode="json", exclude={"exhibits"}) for finding in about],
    }  # fmt: skip
    of = inspect_form.spec(results.header, claim, stage, model, samples, created, {SCORER: list(metrics)}, facts)
    return inspect_form.log(of, samples, {SCORER: metrics}, created)


def _sample(row: SampleResult, epoch: int, model: str, stage: str, created: str, counts: str | None) -> Json:
    """One stored result. `counts` is the status that is C; None where the number itself is the score."""
    value = float("nan") if row.value is None else row.value if counts is None else "C" if row.status == counts else "I"
    about = {"claim": row.claim, "stage": stage, "topic": row.cluster, "status": row.status, "kind": row.kind}
    score: Json = {"value": value, "answer": row.reply, "explanation": row.reason, "metadata": about}
    messages = row.prompt.messages if row.prompt else ()
    error = row.reason if row.status == "error" else ""
    return inspect_form.sample(row.item, epoch, messages, row.reply, model, created, {SCORER: score}, about, error)

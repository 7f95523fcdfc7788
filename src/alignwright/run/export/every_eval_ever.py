"""How do a run's numbers leave as the records of Every Eval Ever, the common schema of evaluation results?

By version 0.3.0 of its two schemas: for each model or stage that was measured one aggregate file and,
where results are stored, one line for each of them, in its datastore's folders
`data/COLLECTION/DEVELOPER/MODEL/`. A score must be a number there and what lies beside it text: a
finding's value is the score, its interval the confidence interval, and every field of it stands in the
score's details, text as it is and everything else as JSON. What has no value is no score, never 0:
such findings lie whole in the source's details, and results without a value are counted.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from alignwright.core.claims import Claim
from alignwright.core.records import Finding, SampleResult, content_id
from alignwright.core.version import __version__
from alignwright.files.models import HUB_ID
from alignwright.job.job import BASELINE
from alignwright.report import read
from alignwright.report.results import RunResults
from alignwright.run.export.new_folder import new_folder
from alignwright.run.stored_samples import stored_samples

Json = dict[str, Any]
SCHEMA, COLLECTION, OWNERLESS = "0.3.0", "alignwright", "local"
"""Of the two schemas; the collection in its datastore; who a model without an owner is filed under."""


def write_every_eval_ever(run: Path, out: Path | None) -> tuple[Path, list[str]]:
    """Write the records of a finished run, into `out` or under the run's `export/`. The same run gives
    the same bytes. Returns the folder and what there is to say of it."""
    place, results = out or run / "export" / "eee", read(run)
    findings: dict[str, list[Finding]] = {stage: [] for stage in results.stages}
    for finding in results.findings:
        findings.setdefault(finding.stage, []).append(finding)
    time = int((run / "findings.jsonl").stat().st_mtime)
    silent = unscored = scores = lines = 0
    with new_folder(place, ours=out is None) as folder:
        for stage, about in findings.items():
            samples = stored_samples(run, stage) if stage in results.stages else []
            record, rows = _records(results, stage, about, samples, time)
            _write(folder, record, rows)
            scores, lines = scores + len(record["evaluation_results"]), lines + len(rows)
            silent += len(about) - len(record["evaluation_results"])
            unscored += len(samples) - len(rows)
    said = [f"{place}: {len(findings)} records, {scores} scores, {lines} results of single items"]
    if silent:
        said.append(f"{silent} findings have no value and are no scores; they lie whole in the source's details")
    if unscored:
        said.append(f"left out: {unscored} results of single items without a score, for which the schema has no word")
    return place, said


def _records(
    results: RunResults, stage: str, about: Sequence[Finding], samples: Sequence[SampleResult], time: int
) -> tuple[Json, list[Json]]:
    """The aggregate record of a stage, and the lines of its results."""
    model = _model(results, stage)
    record: Json = {
        "schema_version": SCHEMA, "evaluation_id": f"{COLLECTION}/{model['id']}/{time}",
        "evaluation_timestamp": datetime.fromtimestamp(time, UTC).isoformat(), "retrieved_timestamp": str(time),
        "source_metadata": _source(results, stage, about),
        "eval_library": {"name": "alignwright", "version": __version__, "additional_details": {
            "seed": str(results.header.seed), "effort": results.header.effort}},
        "model_info": model,
        "evaluation_results": [_result(results, finding) for finding in about if finding.value is not None],
    }  # fmt: skip
    levels = {finding.claim for finding in about if finding.against is None and finding.value is not None}
    shares = dict.fromkeys(dict.fromkeys(sample.claim for sample in samples), True)
    for sample in samples:
        if sample.value is not None and sample.value != (sample.status == "pass"):
            shares[sample.claim] = False
    numbered: Counter[tuple[str, str]] = Counter()
    rows: list[Json] = []
    for sample in samples:
        numbered[sample.claim, sample.item] += 1
        if sample.value is None:
            continue
        claim = results.record(sample.claim)
        counts = claim.counts if claim else "pass"
        score = float(sample.status == counts) if shares[sample.claim] else sample.value
        head: Json = {
            "schema_version": SCHEMA, "evaluation_id": record["evaluation_id"], "model_id": model["id"],
            "evaluation_name": sample.claim, "sample_id": sample.item,
        }  # fmt: skip
        if sample.claim in levels:
            head["evaluation_result_id"] = sample.claim
        rows.append(head | _row(sample, score, numbered[sample.claim, sample.item]))
    return record, rows


def _model(results: RunResults, stage: str) -> Json:
    """The model of a stage, named as the Hub names models: what is on it by its own id, what the run made
    or opened from a file by the run's name and the stage."""
    start, header = results.header.model, results.header
    known = stage == BASELINE and HUB_ID.fullmatch(start) is not None
    name = start if stage == BASELINE else f"{header.name}@{stage}"
    identity = content_id("run", header.model_dump(mode="json"), results.stages)[:6]
    model_id = start if known else f"{OWNERLESS}/{_plain(Path(start).name if stage == BASELINE else name)}-{identity}"
    details = {
        "deployment_type": "unknown" if "://" in start else "self_deployed",
        "model_availability": "open_weights" if known else "unknown",
        "run": header.name, "stage": stage, "start_model": start, "facts": json.dumps(header.facts),
    }  # fmt: skip
    return {"name": name, "id": model_id, "developer": model_id.partition("/")[0], "additional_details": details}


def _source(results: RunResults, stage: str, about: Sequence[Finding]) -> Json:
    """Where the numbers come from, with what of the stage is no score, and the run's promises."""
    silent = [finding.model_dump(mode="json", exclude={"exhibits"}) for finding in about if finding.value is None]
    details = {"findings_without_value": json.dumps(silent)} if silent else {}
    if results.stages and stage == results.stages[-1] and results.verdicts:
        details["promises"] = json.dumps([verdict.model_dump(mode="json") for verdict in results.verdicts])
    trained = stage != BASELINE and stage in results.stages
    source: Json = {
        "source_name": results.header.name, "source_type": "evaluation_run", "source_organization_name": "not stated",
        "evaluator_relationship": "first_party" if trained else "other",
    }  # fmt: skip
    return source | ({"additional_details": details} if details else {})


def _result(results: RunResults, finding: Finding) -> Json:
    """One finding that has a value."""
    fields = finding.model_dump(mode="json", exclude={"exhibits"}, exclude_none=True)
    details = {name: field if isinstance(field, str) else json.dumps(field) for name, field in fields.items()}
    verdicts = [verdict for verdict in results.verdicts if verdict.finding == finding.id]
    if verdicts:
        details["promises"] = json.dumps([verdict.model_dump(mode="json") for verdict in verdicts])
    score: Json = {"score": finding.value, "details": details, "uncertainty": {"num_samples": finding.n}}
    if finding.low is not None and finding.high is not None:
        score["uncertainty"]["confidence_interval"] = {
            "lower": finding.low, "upper": finding.high, "confidence_level": 0.95, "method": finding.method,
        }  # fmt: skip
    return {
        "evaluation_result_id": _result_id(finding), "evaluation_name": finding.claim,
        "source_data": {"dataset_name": f"{results.header.name}/{finding.claim}", "source_type": "other"},
        "metric_config": _metric(results, finding), "score_details": score,
    }  # fmt: skip


def _metric(results: RunResults, finding: Finding) -> Json:
    claim, title = results.record(finding.claim), results.title(finding.claim)
    if finding.against is not None:
        title = f"{title}: paired difference to {finding.against}"
    low, high = _limits(claim, finding)
    metric: Json = {
        "metric_id": f"alignwright.{_result_id(finding)}", "metric_name": title,
        "metric_unit": "proportion" if finding.unit == "share" else finding.unit,
        "lower_is_better": finding.better == "lower", "score_type": "continuous",
        "min_score": _bound(low), "max_score": _bound(high),
    }  # fmt: skip
    if finding.better is None:
        metric["additional_details"] = {"better": "neither way; the schema wants one"}
    return metric


def _limits(claim: Claim | None, finding: Finding) -> tuple[float, float]:
    """Between what the score can lie; an estimate may lie outside the limits of the true value, and then has none."""
    if claim is None or finding.value is None:
        return -math.inf, math.inf
    low, high = claim.within if finding.against is None else claim.change_within
    return (low, high) if low <= finding.value <= high else (-math.inf, math.inf)


def _bound(limit: float) -> float | str:
    return limit if math.isfinite(limit) else "Infinity" if limit > 0 else "-Infinity"


def _result_id(finding: Finding) -> str:
    """The name of a finding among those of its stage."""
    return finding.claim if finding.against is None else f"{finding.claim}-{finding.against}"


def _row(sample: SampleResult, score: float, epoch: int) -> Json:
    """One stored result that has a score: correct is what the claim calls aligned."""
    messages = sample.prompt.messages if sample.prompt else ()
    raw = "\n\n".join(message.content for message in messages) if messages else sample.item
    turns = [*((m.role, m.content) for m in messages), *([("assistant", sample.reply)] if sample.reply else [])]
    several = len(messages) > 1
    about = {"status": sample.status, "topic": sample.cluster, "kind": sample.kind, "reason": sample.reason}
    replied = {
        "turn_idx": len(turns) - 1 if several else 0, "extraction_method": "custom", "extracted_value": sample.reply,
        "source": "messages[turn_idx].content" if several else "output.raw", "is_terminal": True,
    }  # fmt: skip
    return {
        "sample_hash": hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest(),
        "interaction_type": "multi_turn" if several else "single_turn",
        "input": {"raw": raw, "reference": []},
        "output": None if several else {"raw": [sample.reply] if sample.reply else []},
        "messages": [{"turn_idx": i, "role": role, "content": text} for i, (role, text) in enumerate(turns)]
        if several else None,
        "answer_attribution": [replied] if sample.reply else [],
        "evaluation": {"score": score, "is_correct": sample.status == "pass", "num_turns": max(1, len(turns))},
        "metadata": {name: text for name, text in about.items() if text} | {"epoch": str(epoch)},
    }  # fmt: skip


def _write(folder: Path, record: Json, rows: Sequence[Json]) -> None:
    """The two files of a record, named by its id; lines first, for the record names their checksum."""
    _, model = record["model_info"]["id"].split("/", 1)
    place = "/".join(("data", COLLECTION, record["model_info"]["developer"], model))
    name = UUID(bytes=hashlib.sha256(record["evaluation_id"].encode()).digest()[:16], version=4)
    (folder / place).mkdir(parents=True, exist_ok=True)
    if rows:  # ASCII alone: readers that split lines at U+2028 or U+0085 would split a reply
        lines = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()
        (folder / place / f"{name}_samples.jsonl").write_bytes(lines)
        record["detailed_evaluation_results"] = {
            "format": "jsonl", "file_path": f"{place}/{name}_samples.jsonl", "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(lines).hexdigest(), "total_rows": len(rows),
        }  # fmt: skip
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    (folder / place / f"{name}.json").write_bytes(text.encode())


def _plain(name: str) -> str:
    """A name as a part of a path that every system takes."""
    return re.sub(r"[^A-Za-z0-9@._-]+", "-", name).strip(".-") or "model"

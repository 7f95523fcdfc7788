"""How do a run's numbers reach Inspect? One `.eval` log for each claim of each stage.

A log is the zip of JSON that Inspect reads, written without Inspect. Each stored result is a
sample: what was asked, what was replied, and a score. Where a claim is a share, the score is C
where the result is of the kind that the claim counts and I where it is not, so Inspect's accuracy
is the claim's value: for `attack.success` C is an attack that succeeded. Other numbers are written
as they are. What could not be scored has the value NaN, Inspect's own sign for a score that no
metric counts. Every finding of the claim lies whole in the log's metadata, with interval, n and
method. Replies are data: nothing in them is followed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from alignwright.core.records import Finding, Message, SampleResult, content_id
from alignwright.core.version import __version__
from alignwright.report import read
from alignwright.report.results import RunResults
from alignwright.run.export.new_folder import new_folder
from alignwright.run.stored_samples import stored_samples

Json = dict[str, Any]
SCORER = "alignwright"
NUMBERS = ("value", "low", "high", "n", "clusters", "unscored", "errors", "p", "p_adjusted", "coverage")
"""What of a finding is a metric of its log, as far as it has it."""


def write_inspect(run: Path, out: Path | None = None) -> list[Path]:
    """Write the logs of a finished run into the run's `export/`, or into the folder `out`, which must
    be new or empty. The same run gives the same bytes. Raises ValueError where `out` holds files."""
    place = out or run / "export" / "inspect"
    results = read(run)
    samples: dict[tuple[str, str], list[SampleResult]] = {}
    for stage in results.stages:
        for sample in stored_samples(run, stage):
            samples.setdefault((sample.claim, stage), []).append(sample)
    findings: dict[tuple[str, str], list[Finding]] = {key: [] for key in samples}
    for finding in results.findings:
        findings.setdefault((finding.claim, finding.stage), []).append(finding)
    created = datetime.fromtimestamp(int((run / "findings.jsonl").stat().st_mtime), UTC)
    names: list[str] = []
    with new_folder(place, ours=out is None) as folder:
        for (claim, stage), about in findings.items():
            entries = _log(results, claim, stage, about, samples.get((claim, stage), []), created.isoformat())
            task_id = entries["header.json"]["eval"]["task_id"]
            names.append(f"{created:%Y-%m-%dT%H-%M-%S}-00-00_{_plain(claim)}-{_plain(stage)}_{task_id}.eval")
            _write(folder / names[-1], entries)
    return [place / name for name in names]


def _log(
    results: RunResults, claim: str, stage: str, about: Sequence[Finding], rows: Sequence[SampleResult], created: str
) -> dict[str, Any]:
    """The files of one log, by their names in the zip."""
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
    values = [
        _number(sample) for sample in samples if sample["scores"][SCORER]["value"] == sample["scores"][SCORER]["value"]
    ]
    metrics = {"accuracy" if share else "mean": sum(values) / len(values)} if values else {}
    if level is not None:
        metrics |= {name: getattr(level, name) for name in NUMBERS if getattr(level, name) is not None}
    facts: Json = {
        "claim": claim, "title": results.title(claim), "stage": stage, "counts": counts,
        "findings": [finding.model_dump(mode="json", exclude={"exhibits"}) for finding in about],
    }  # fmt: skip
    spec = _spec(results, claim, stage, model, rows, created, max(numbered.values(), default=1), list(metrics))
    spec["metadata"] = facts
    plan: Json = {"name": "plan", "steps": [], "config": {}}
    score: Json = {
        "name": SCORER, "scorer": SCORER, "scored_samples": len(values), "unscored_samples": len(samples) - len(values),
        "params": {}, "metadata": facts,
        "metrics": {name: {"name": name, "value": value, "params": {}} for name, value in metrics.items()},
    }  # fmt: skip
    header: Json = {
        "version": 2, "status": "success", "eval": spec, "plan": plan,
        "results": {
            "total_samples": len(samples), "completed_samples": sum(row.status != "error" for row in rows),
            "scores": [score],
        },
        "stats": {"started_at": created, "completed_at": created, "model_usage": {}},
    }  # fmt: skip
    entries: dict[str, Any] = {"_journal/start.json": {"version": 2, "eval": spec, "plan": plan}}
    entries |= {f"samples/{sample['id']}_epoch_{sample['epoch']}.json": sample for sample in samples}
    shown = ("id", "epoch", "input", "target", "metadata", "scores", "model_usage")
    summaries = [{name: sample[name] for name in shown} | {"completed": True} for sample in samples]
    return entries | {"summaries.json": summaries, "header.json": header}


def _spec(
    results: RunResults, claim: str, stage: str, model: str, rows: Sequence[SampleResult],
    created: str, epochs: int, metrics: Sequence[str],
) -> Json:  # fmt: skip
    header = results.header
    items = list(dict.fromkeys(row.item for row in rows))
    return {
        "eval_id": content_id("eval", header.model_dump(mode="json"), claim, stage),
        "run_id": content_id("run", header.model_dump(mode="json")),
        "task_id": content_id("task", header.model_dump(mode="json"), claim, stage),
        "created": created, "task": claim, "task_version": 0, "task_attribs": {}, "task_args": {},
        "dataset": {"name": f"{header.name}/{claim}", "samples": len(items), "sample_ids": items, "shuffled": False},
        "model": model, "model_generate_config": {"seed": header.seed}, "model_args": {},
        "config": {"epochs": epochs}, "packages": {"alignwright": __version__},
        "scorers": [{"name": SCORER, "options": {}, "metrics": [{"name": m, "options": {}} for m in metrics]}],
    }  # fmt: skip


def _sample(row: SampleResult, epoch: int, model: str, stage: str, created: str, counts: str | None) -> Json:
    """One stored result. `counts` is the status that is C; None where the number itself is the score."""
    asked = [_message(message) for message in row.prompt.messages] if row.prompt else []
    reply: Json = {"role": "assistant", "content": row.reply, "source": "generate", "model": model}
    value = float("nan") if row.value is None else row.value if counts is None else "C" if row.status == counts else "I"
    about = {"claim": row.claim, "stage": stage, "topic": row.cluster, "status": row.status, "kind": row.kind}
    score: Json = {"value": value, "answer": row.reply, "explanation": row.reason, "metadata": about}
    sample: Json = {
        "id": row.item, "epoch": epoch, "input": asked or row.item, "target": "", "messages": [*asked, reply],
        "output": {"model": model, "choices": [{"message": reply, "stop_reason": "unknown"}], "completion": row.reply},
        "scores": {SCORER: score}, "metadata": about, "store": {}, "events": [], "model_usage": {}, "attachments": {},
        "started_at": created, "completed_at": created,
    }  # fmt: skip
    if row.status == "error":
        sample["error"] = {"message": row.reason, "traceback": "", "traceback_ansi": ""}
    return sample


def _message(message: Message) -> Json:
    """Inspect has no developer's message: it is the system's there."""
    if message.role == "developer":
        return {"role": "system", "content": message.content, "metadata": {"role": "developer"}}
    return {"role": message.role, "content": message.content}


def _number(sample: Json) -> float:
    value = sample["scores"][SCORER]["value"]
    return float(value == "C") if isinstance(value, str) else value


def _plain(name: str) -> str:
    """A name as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name)[:80]


def _write(path: Path, entries: dict[str, Any]) -> None:
    with ZipFile(path, "w") as archive:
        for name, content in entries.items():
            info = ZipInfo(name)
            info.compress_type = ZIP_DEFLATED
            archive.writestr(info, json.dumps(content, ensure_ascii=False))

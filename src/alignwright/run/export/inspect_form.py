"""What is a log of Inspect, as a zip of JSON that is written without Inspect?

A log has a spec (task, model, data set), samples with their scores, and metrics. A score that is none
has the value NaN, Inspect's own sign for one that no metric counts. Replies are data: nothing in them is
followed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from alignwright.core.promises import Header
from alignwright.core.records import Message, content_id
from alignwright.core.version import __version__

Json = dict[str, Any]
SUMMARY = ("id", "epoch", "input", "target", "metadata", "scores", "model_usage")
"""What the summary of a sample holds."""


def spec(
    header: Header, task: str, stage: str, model: str, samples: Sequence[Json], created: str,
    metrics: Mapping[str, Sequence[str]], facts: Json,
) -> Json:  # fmt: skip
    """What a log says of itself; `metrics` are the names of each scorer's."""
    items = list(dict.fromkeys(sample["id"] for sample in samples))
    return {
        "eval_id": content_id("eval", header.model_dump(mode="json"), task, stage),
        "run_id": content_id("run", header.model_dump(mode="json")),
        "task_id": content_id("task", header.model_dump(mode="json"), task, stage),
        "created": created, "task": task, "task_version": 0, "task_attribs": {}, "task_args": {},
        "dataset": {"name": f"{header.name}/{task}", "samples": len(items), "sample_ids": items, "shuffled": False},
        "model": model, "model_generate_config": {"seed": header.seed}, "model_args": {},
        "config": {"epochs": max((sample["epoch"] for sample in samples), default=1)},
        "packages": {"alignwright": __version__},
        "scorers": [
            {"name": name, "options": {}, "metrics": [{"name": each, "options": {}} for each in names]}
            for name, names in metrics.items()
        ],
        "metadata": facts,
    }  # fmt: skip


def sample(
    item: str, epoch: int, prompt: Sequence[Message], reply: str | None, model: str, created: str,
    scores: Mapping[str, Json], about: Json, error: str = "",
) -> Json:  # fmt: skip
    """One conversation with its scores; `reply` is None where none came."""
    messages = [message(each) for each in prompt]
    last: Json = {"role": "assistant", "content": reply or "", "source": "generate", "model": model}
    choices = [] if reply is None else [{"message": last, "stop_reason": "unknown"}]
    whole: Json = {
        "id": item, "epoch": epoch, "input": messages or item, "target": "",
        "messages": [*messages, *([] if reply is None else [last])],
        "output": {"model": model, "choices": choices, "completion": reply or ""},
        "scores": dict(scores), "metadata": about, "store": {}, "events": [], "model_usage": {}, "attachments": {},
        "started_at": created, "completed_at": created,
    }  # fmt: skip
    if error:
        whole["error"] = {"message": error, "traceback": "", "traceback_ansi": ""}
    return whole


def log(of: Json, samples: Sequence[Json], metrics: Mapping[str, Mapping[str, float]], created: str) -> dict[str, Any]:
    """The files of one log, by their names in the zip; `metrics` are each scorer's."""
    plan: Json = {"name": "plan", "steps": [], "config": {}}
    scores: list[Json] = []
    for name, values in metrics.items():
        scored = sum(number(each["scores"][name]) is not None for each in samples)
        scores.append({
            "name": name, "scorer": name, "scored_samples": scored, "unscored_samples": len(samples) - scored,
            "params": {}, "metadata": of["metadata"],
            "metrics": {each: {"name": each, "value": value, "params": {}} for each, value in values.items()},
        })  # fmt: skip
    header: Json = {
        "version": 2, "status": "success", "eval": of, "plan": plan,
        "results": {
            "total_samples": len(samples), "completed_samples": sum("error" not in each for each in samples),
            "scores": scores,
        },
        "stats": {"started_at": created, "completed_at": created, "model_usage": {}},
    }  # fmt: skip
    entries: dict[str, Any] = {"_journal/start.json": {"version": 2, "eval": of, "plan": plan}}
    entries |= {f"samples/{each['id']}_epoch_{each['epoch']}.json": each for each in samples}
    summaries = [{name: each[name] for name in SUMMARY} | {"completed": True} for each in samples]
    return entries | {"summaries.json": summaries, "header.json": header}


def number(score: Json) -> float | None:
    """A score as Inspect's accuracy takes it; None where it is none."""
    value = score["value"]
    return float(value == "C") if isinstance(value, str) else value if value == value else None


def message(turn: Message) -> Json:
    """Inspect has no developer's message: it is the system's there."""
    if turn.role == "developer":
        return {"role": "system", "content": turn.content, "metadata": {"role": "developer"}}
    return {"role": turn.role, "content": turn.content}


def plain(name: str) -> str:
    """A name as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name)[:80]


def write(path: Path, entries: Mapping[str, Any]) -> None:
    """The zip, to the same bytes for the same entries."""
    with ZipFile(path, "w") as archive:
        for name, content in entries.items():
            info = ZipInfo(name)
            info.compress_type = ZIP_DEFLATED
            archive.writestr(info, json.dumps(content, ensure_ascii=False))

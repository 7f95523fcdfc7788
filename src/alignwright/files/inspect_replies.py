"""Which replies are in a log of Inspect, and what did its scorers make of each?

A sample is one row: what was said up to its last reply, that reply, and of each scorer whether it wrote
1 or 0 (C or I). Which way such a 1 is meant, the log does not say: of a task of jailbreaks it may be an
attack that succeeded, or a model that held. A score in between, NaN, and a text that is no score are no
verdict, and are counted. What tools said, and messages without text, are no part of the conversation
that is graded. A sample that ended with an error before a reply came is left out, and said.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from alignwright.files.errors import SpecError
from alignwright.files.inspect_log import (
    json_list,
    json_object,
    log_json,
    member_json,
    message_text,
    sample_messages,
    sample_reply,
    sample_scores,
)
from alignwright.files.rows import Raw
from alignwright.files.safe_read import data, is_file
from alignwright.files.score_log import cluster_of

REQUEST = ("request", "goal", "behavior", "forbidden_prompt")
"""Keys of a sample's metadata under which the bare request stands, the first that is there."""
_BEGINNING = re.compile(rb'\s*\{\s*"version"\s*:\s*\d+\s*,\s*"(?:status|eval)"\s*:')


def is_inspect_log(path: Path) -> bool:
    """Whether a file is a log of Inspect by its name, or begins as one does."""
    if path.suffix == ".eval":
        return True
    if path.suffix != ".json" or not is_file(path):
        return False
    with path.open("rb") as file:
        return _BEGINNING.match(file.read(200)) is not None


def inspect_rows(path: Path) -> tuple[list[Raw], tuple[str, ...]]:
    """Every sample's reply as a row, with its scorers' verdicts, and what there is to say. SpecError where the
    file is no log of Inspect."""
    rows: list[Raw] = []
    counts: Counter[str] = Counter()
    between: Counter[str] = Counter()
    for number, sample in enumerate(_samples(path), 1):
        messages, dropped = _conversation(sample)
        if not messages or (sample.get("error") and not sample.get("output", {}).get("choices")):
            counts["samples without a reply left out"] += 1
            continue
        scores = {name: value for name, (value, _) in sample_scores(sample).items()}
        between.update(name for name, value in scores.items() if value not in (0.0, 1.0))
        counts["messages of tools, without text, or that begin a reply are not in the conversations graded"] += dropped
        verdicts = {name: value == 1.0 for name, value in scores.items() if value in (0.0, 1.0)}
        row = {"prompt": messages, "reply": sample_reply(sample), "tool_verdicts": verdicts, **_about(sample)}
        rows.append(Raw(number, row, "", ""))
    if not rows:
        raise SpecError([f"{path}: the log holds no sample with a reply, so nothing can be graded"])
    notes = [f"{count} {what}" for what, count in counts.items() if count]
    notes += [f"{count} scores of {name} are neither 1 nor 0, and no verdict" for name, count in between.items()]
    return rows, tuple(f"{path.name}: {note}" for note in notes)


def _samples(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".json":
        log = json_object(log_json(data(path), str(path)), str(path))
        yield from (json_object(sample, str(path)) for sample in json_list(log.get("samples")))
        return
    try:
        with zipfile.ZipFile(path) as file:
            for name in (name for name in file.namelist() if name.startswith("samples/")):
                yield json_object(member_json(file, path, name), f"{path}/{name}")
    except (zipfile.BadZipFile, FileNotFoundError):
        raise SpecError([f"{path}: no .eval log of Inspect: not there, not a zip file, or cut short"]) from None


def _conversation(sample: dict[str, Any]) -> tuple[list[dict[str, str]], int]:
    """The messages before the last reply, and how many others are not among them."""
    messages = sample_messages(sample.get("messages"))
    replies = [place for place, message in enumerate(messages) if message.get("role") == "assistant"]
    before = messages[: replies[-1]] if replies and replies[-1] == len(messages) - 1 else []
    if not before:
        question = sample.get("input")
        before = [{"role": "user", "content": question}] if isinstance(question, str) else sample_messages(question)
    texts = [(str(message.get("role")), message_text(message, sample)) for message in before]
    turns = [{"role": role, "content": text} for role, text in texts if role in _ROLES and text.strip()]
    until = max((place for place, turn in enumerate(turns, 1) if turn["role"] == "user"), default=0)
    return turns[:until], len(before) - until  # what the assistant begins its reply with is not the question


def _about(sample: dict[str, Any]) -> dict[str, str]:
    metadata: object = sample.get("metadata")
    fields = cast("dict[str, Any]", metadata) if isinstance(metadata, dict) else {}
    request = next((fields[key] for key in REQUEST if isinstance(fields.get(key), str) and fields[key].strip()), None)
    topic = cluster_of(fields)
    return ({"request": request} if request else {}) | ({"topic": topic} if topic.strip() else {})


_ROLES = ("system", "user", "assistant")

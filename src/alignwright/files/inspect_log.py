"""What does a log of Inspect (`.eval`, or `.json`) say item by item?

An `.eval` file is a zip of JSON, packed with Zstandard: a summary of every sample with its scores,
and each sample whole in a file of its own, which is read only for the replies that are shown. Read
here are the samples' own scores, and none of the log's means: `accuracy` is the mean of whatever
the scorer wrote, so that it can exceed 1, and a grade that failed leaves its denominator. C, I, P
and N are 1, 0, 0.5 and 0 as in Inspect; a text that Inspect would count as 0 because it cannot read
it is unscored here, as is NaN, its sign for a failed grade.

An item is its id with its input and target: the same id with another question is another item.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from alignwright.core.records import content_id
from alignwright.files.errors import SpecError
from alignwright.files.score_log import ItemScore, ScoredClaim, ScoreLog, cluster_of, unit_and_range
from alignwright.files.zstd_zip import member

_FAILED = "unscored (NaN), left out of Inspect's mean"
_ATTACHMENT = re.compile(r"attachment://([0-9a-f]{32})")
WORDS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


def read_inspect_log(path: Path) -> ScoreLog:
    """The scores of a log; its claims are the scorers, or scorer/key where one writes several."""
    if path.suffix == ".json":
        log = json_object(log_json(path.read_bytes(), str(path)), str(path))
        samples = [json_object(sample, str(path)) for sample in json_list(log.get("samples"))]
        return _log(path, samples, [log], by_place=False)
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
            header = json_object(member_json(file, path, "header.json"), str(path)) if "header.json" in names else {}
            return _log(path, list(_summaries(file, path, names)), [header], by_place=True)
    except zipfile.BadZipFile:
        raise SpecError([f"{path}: no .eval log of Inspect: not a zip file, or cut short"]) from None


def score_value(value: object) -> tuple[float | None, str]:
    """A score as a number, or why it is none."""
    if isinstance(value, str):
        if value in WORDS or value.lower() in ("yes", "true", "no", "false"):
            return WORDS[value if value in WORDS else value.lower()], ""
        try:
            value = float(value)
        except ValueError:
            return None, f"the score is the text {value[:60]!r}, which Inspect counts as 0"
    if isinstance(value, int | float):
        return (float(value), "") if math.isfinite(value) else (None, _FAILED)
    return None, "no score"


def _log(path: Path, samples: list[dict[str, Any]], heads: list[dict[str, Any]], *, by_place: bool) -> ScoreLog:
    if not samples:
        raise SpecError([f"{path}: the log holds no samples"])
    scorers = list(dict.fromkeys(name for sample in samples for name in sample_scores(sample)))
    claims: dict[str, list[ItemScore]] = {name: [] for name in scorers}
    for sample in samples:
        where, common = f"{sample.get('id')}_epoch_{sample.get('epoch', 1)}", _common(sample)
        reply = "" if by_place else sample_reply(sample)
        marks = sample_scores(sample)
        for name in scorers:
            value, why = marks.get(name, (None, f"no score: {_error(sample)}"))
            claims[name].append(
                ItemScore(*common[:2], value, *common[2:], reply, why, f"samples/{where}.json" if by_place else "")
            )
    return ScoreLog(
        str(path),
        "inspect",
        tuple(
            ScoredClaim(name, scores, "higher", *unit_and_range([s.value for s in scores]))
            for name, scores in claims.items()
        ),
        (*_notes(path, samples, heads[0]), *_means(path, claims)),
        (lambda place: sample_reply(_sample(path, place))) if by_place else None,
    )


def _summaries(file: zipfile.ZipFile, path: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    """A finished log has one file of summaries, one under way several; without any, the samples."""
    journal = [name for name in names if name.startswith("_journal/summaries/")]
    for name in ["summaries.json"] if "summaries.json" in names else journal:
        yield from (json_object(sample, str(path)) for sample in json_list(member_json(file, path, name)))
    if "summaries.json" not in names and not journal:
        yield from (
            json_object(member_json(file, path, name), str(path)) for name in names if name.startswith("samples/")
        )


def sample_scores(sample: dict[str, Any]) -> dict[str, tuple[float | None, str]]:
    """Each number that a sample was given, by scorer, or by scorer/key where one gave several."""
    numbers: dict[str, tuple[float | None, str]] = {}
    scores = sample.get("scores")
    for scorer, score in cast("dict[str, Any]", scores).items() if isinstance(scores, dict) else ():
        value = cast("dict[str, Any]", score).get("value") if isinstance(score, dict) else None
        if isinstance(value, list):
            value = {str(place): each for place, each in enumerate(cast("list[Any]", value))}
        if isinstance(value, dict):
            for key, each in cast("dict[str, Any]", value).items():
                numbers[f"{scorer}/{key}"] = score_value(each)
        else:
            numbers[scorer] = score_value(value)
    return numbers


def _common(sample: dict[str, Any]) -> tuple[str, str, str, str]:
    """Item, name, cluster and prompt."""
    asked, metadata = sample.get("input"), sample.get("metadata")
    prompt = asked if isinstance(asked, str) else _last_text(asked)
    told = asked if isinstance(asked, str) else [[m.get("role"), message_text(m)] for m in sample_messages(asked)]
    name = str(sample.get("id"))
    return f"{name} {content_id(told, sample.get('target'))}", name, cluster_of(metadata), prompt


def _notes(path: Path, samples: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[str]:
    status = head.get("status", "not there: the log was not finished")
    if status != "success":
        yield f"{path.name}: the log's status is {status}: what was not answered is not in it"
    errors = sum(bool(sample.get("error")) for sample in samples)
    if errors:
        yield f"{path.name}: {errors} samples ended with an error and are unscored"
    epochs = Counter(sample.get("epoch", 1) for sample in samples)
    if len(epochs) > 1:
        yield f"{path.name}: {len(epochs)} epochs, averaged item by item"


def _means(path: Path, claims: dict[str, list[ItemScore]]) -> Iterator[str]:
    """Where Inspect's own mean of a scorer is no share, or leaves samples out."""
    for name, scores in claims.items():
        values = [score.value for score in scores if score.value is not None]
        if values and (min(values) < 0 or max(values) > 1):
            limits = f"from {min(values):g} to {max(values):g}"
            yield f"{path.name}: {name} is {limits}: Inspect's accuracy is the mean of such values, and no share"
        if failed := sum(score.reason == _FAILED for score in scores):
            counts = f"{failed} of {len(scores)} grades failed"
            yield f"{path.name}: {name}: {counts}: unscored here, and left out of Inspect's mean"


def _sample(path: Path, place: str) -> dict[str, Any]:
    with zipfile.ZipFile(path) as file:
        return json_object(member_json(file, path, place), str(path)) if place in file.namelist() else {}


def sample_reply(sample: dict[str, Any]) -> str:
    """What was replied in the end; of several choices the first, which is the one that scorers read."""
    output = sample.get("output")
    choices = json_list(cast("dict[str, Any]", output).get("choices")) if isinstance(output, dict) else []
    message = cast("dict[str, Any]", choices[0]).get("message") if choices and isinstance(choices[0], dict) else None
    return message_text(cast("dict[str, Any]", message), sample) if isinstance(message, dict) else ""


def _error(sample: dict[str, Any]) -> str:
    error = sample.get("error")
    message = cast("dict[str, Any]", error).get("message") if isinstance(error, dict) else error
    return str(message)[:200] if message else "the scorer wrote none"


def sample_messages(messages: object) -> list[dict[str, Any]]:
    """The messages of a list that are any."""
    return [cast("dict[str, Any]", m) for m in json_list(messages) if isinstance(m, dict)]


def _last_text(asked: object) -> str:
    messages = sample_messages(asked)
    return message_text(messages[-1]) if messages else ""


def message_text(message: dict[str, Any], sample: dict[str, Any] | None = None) -> str:
    """The text of a message; what the log keeps once, as an attachment of its `sample`, in its place."""
    attachments = (sample or {}).get("attachments")
    contents = cast("dict[str, Any]", attachments) if isinstance(attachments, dict) else {}
    return _ATTACHMENT.sub(lambda match: str(contents.get(match[1], match[0])), _text(message))


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = [cast("dict[str, Any]", part).get("text") for part in json_list(content) if isinstance(part, dict)]
    return "\n".join(part for part in parts if isinstance(part, str))


def member_json(file: zipfile.ZipFile, path: Path, name: str) -> object:
    """A file inside the log."""
    return log_json(member(file, name, path), f"{path}/{name}")


def log_json(data: bytes, where: str) -> object:
    """What JSON holds. SpecError where it is none, or nested without end."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise SpecError([f"{where}: not JSON as Inspect writes it"]) from None


def json_object(value: object, where: str) -> dict[str, Any]:
    """What stands in a log as an object, held to be one."""
    if not isinstance(value, dict):
        raise SpecError([f"{where}: no log of Inspect: a JSON object was expected, seen {str(value)[:60]!r}"])
    return cast("dict[str, Any]", value)


def json_list(value: object) -> list[Any]:
    """A list of a log; what is none is empty."""
    return cast("list[Any]", value) if isinstance(value, list) else []

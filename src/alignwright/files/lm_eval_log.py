"""What does a file of lm-eval's samples (`samples_TASK_TIME.jsonl`) say item by item?

Each line is one document under one filter, with a column a metric: a number is a score, a list is
what an aggregate over all documents is made of (perplexity, BLEU) and is no item's score. Filters
(`strict-match`, `flexible-extract`) are claims of their own. A multiple choice is answered with the
choice of the highest log-probability, and where several share it, or one is NaN, with the first of
them, which is always right in TruthfulQA's MC1: such items are unscored here. `perplexity` of a task of
log-likelihoods (LAMBADA) is each item's log-likelihood, of which more is better. An item is `doc_id` and
`doc_hash`, so that files made with other few-shot examples still pair.

Which way is good stands in `results_TIME.json` beside the samples; without it in the names of
lm-eval's own metrics.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, cast

from alignwright.files.errors import SpecError
from alignwright.files.safe_read import lines, too_long
from alignwright.files.score_log import ItemScore, ScoredClaim, ScoreLog, unit_and_range

LOWER = frozenset({"perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "brier_score", "ter", "wer"})
"""Metrics of which less is better."""
_NAME = re.compile(r"samples_(?P<task>.+?)(?:_(?P<time>\d{4}-\d\d-\d\dT[^/]*))?\.jsonl(?:\.gz)?")
_NO_CHOICE = "{}: lm-eval answers such an item with the first of them"
_PERPLEXITY, LOG_LIKELIHOOD = "perplexity", "log_likelihood"


def read_samples_file(path: Path) -> ScoreLog:
    """One task's samples; its claims are metric,filter as in lm-eval's results."""
    return ScoreLog(str(path), "lm_eval", *_claims(path, ""))


def read_samples_folder(folder: Path) -> ScoreLog:
    """The samples of all tasks in a folder; its claims are task/metric,filter."""
    claims, notes, files = list[ScoredClaim](), list[str](), dict[str, Path]()
    for path in sorted(folder.glob("samples_*.jsonl*")):
        if match := _NAME.fullmatch(path.name):
            task = match["task"]
            if task in files:
                raise SpecError([f"{folder}: {files[task].name} and {path.name} are both of {task}; name one of them"])
            files[task] = path
            of_task, of_file = _claims(path, f"{task}/")
            claims += of_task
            notes += of_file
    return ScoreLog(str(folder), "lm_eval", tuple(claims), tuple(notes))


def _claims(path: Path, prefix: str) -> tuple[tuple[ScoredClaim, ...], tuple[str, ...]]:
    scores, aggregates = dict[tuple[str, str], list[ItemScore]](), Counter[str]()
    unclear = 0
    for number, row in _rows(path):
        place = f"{path}:{number}"
        metrics, filter_name = row.get("metrics"), str(row.get("filter", "none"))
        if not isinstance(metrics, list) or "doc_id" not in row:
            raise SpecError([f"{place}: no sample of lm-eval: doc_id or metrics is not there (lm-eval --log_samples)"])
        item = f"{row['doc_id']} {row.get('doc_hash', '')}"
        prompt, reply = _prompt(row), _reply(row)
        reasons = {
            str(metric): no_choice(row.get("filtered_resps"), str(metric)) for metric in cast("list[Any]", metrics)
        }
        unclear += any(reasons.values())
        for metric in map(str, cast("list[Any]", metrics)):
            value = row.get(metric)
            if isinstance(value, list | dict | str):
                aggregates[metric] += 1
                continue
            number_ = float(value) if isinstance(value, int | float) and math.isfinite(value) else None
            why = reasons[metric] or ("" if number_ is not None else f"{metric} is {value}")
            name = LOG_LIKELIHOOD if metric == _PERPLEXITY else metric
            scores.setdefault((name, filter_name), []).append(
                ItemScore(item, str(row["doc_id"]), None if why else number_, "", prompt, reply, why)
            )
    lower = _lower(path)
    claims = tuple(
        ScoredClaim(
            f"{prefix}{metric},{name}",
            of_metric,
            _way(metric, lower),
            *unit_and_range([score.value for score in of_metric]),
        )
        for (metric, name), of_metric in scores.items()
    )
    notes = [f"{path.name}: {m} is a part of an aggregate, no item's score: left out" for m in aggregates]
    notes += [f"{path.name}: unscored {unclear}: {_NO_CHOICE.format('several choices are the likeliest, or NaN')}"] * (
        unclear > 0
    )
    if any(name == LOG_LIKELIHOOD for name, _ in scores):
        notes.append(
            f"{path.name}: perplexity is each item's log-likelihood there, read as {LOG_LIKELIHOOD}: more is better"
        )
    return claims, tuple(notes)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, (line, length) in enumerate(lines(path), 1):
        if why := too_long(length):
            raise SpecError([f"{path}:{number}: {why}"])
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise SpecError([f"{path}:{number}: not one JSON object a line"]) from None
        if not isinstance(row, dict):
            raise SpecError([f"{path}:{number}: not a JSON object"])
        yield number, cast("dict[str, Any]", row)


def no_choice(responses: object, metric: str) -> str:
    """Why a metric has no answer of a multiple choice; empty where it has one, or there is no choice.
    Of equal ones only `acc` has none where they lie at the top: others divide by lengths first."""
    choices = cast("list[Any]", responses) if isinstance(responses, list) else []
    pairs = [cast("list[Any] | tuple[Any, ...]", choice) for choice in choices if isinstance(choice, list | tuple)]
    if len(choices) < 2 or len(pairs) != len(choices) or any(len(pair) != 2 for pair in pairs):
        return ""
    try:
        logprobs = [float(pair[0]) for pair in pairs]
    except (TypeError, ValueError):
        return ""
    if any(map(math.isnan, logprobs)):
        return _NO_CHOICE.format("a choice's log-probability is NaN")
    if len(set(logprobs)) == 1:
        return _NO_CHOICE.format("the log-probabilities of all choices are equal")
    if metric == "acc" and logprobs.count(max(logprobs)) > 1:
        return _NO_CHOICE.format("several choices are the likeliest")
    return ""


def _prompt(row: dict[str, Any]) -> str:
    arguments = row.get("arguments")
    while isinstance(arguments, dict | list) and arguments:
        arguments = (
            next(iter(cast("dict[str, Any]", arguments).values()))
            if isinstance(arguments, dict)
            else cast("list[Any]", arguments)[0]
        )
    return arguments if isinstance(arguments, str) else ""


def _reply(row: dict[str, Any]) -> str:
    """What was generated; of a multiple choice its log-probabilities."""
    responses = row.get("resps") or row.get("filtered_resps")
    while isinstance(responses, list) and len(cast("list[Any]", responses)) == 1:
        responses = cast("list[Any]", responses)[0]
    return responses if isinstance(responses, str) else json.dumps(responses)


def _lower(path: Path) -> dict[str, bool] | None:
    """Of each metric whether less is better, by the results beside the samples; None without them."""
    match = _NAME.fullmatch(path.name)
    results = path.parent / f"results_{match['time']}.json" if match and match["time"] else None
    if results is None or not results.is_file():
        return None
    try:
        content: Any = json.loads(results.read_bytes())
        ways: dict[str, Any] = content["higher_is_better"][match["task"]] if match else {}
        return {metric: not higher for metric, higher in ways.items() if higher is not None}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _way(metric: str, lower: dict[str, bool] | None) -> Literal["higher", "lower"]:
    is_lower = lower[metric] if lower is not None and metric in lower else metric in LOWER
    return "lower" if is_lower else "higher"

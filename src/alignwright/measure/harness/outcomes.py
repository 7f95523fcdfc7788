"""What do lm-eval's samples say, item by item, in the records of a run?

A claim is `lm_eval.TASK.METRIC`, with the filter behind it where the task has several; an item is the
document's number and hash, so that two models' runs pair. Read as `files.lm_eval_log` reads a file:

- A multiple choice without a likeliest choice (NaN, a tie) is unscored; lm-eval answers it with the first.
- `perplexity` of a task of log-likelihoods is each item's log-likelihood, and is called so here.
- Word and byte perplexity are one number for a whole corpus; of each document bits per byte are made,
  and the claim is their mean over documents.
- Other metrics that are lists (BLEU, F1 over all) have no score an item: lm-eval's own number is a
  finding without an interval.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from alignwright.core.claims import Claim, claim_named
from alignwright.core.records import Conversation, Finding, SampleResult
from alignwright.files.lm_eval_log import no_choice
from alignwright.files.score_log import cluster_of
from alignwright.measure.harness.knobs import BITS_PER_BYTE, LOG_LIKELIHOOD, declared
from alignwright.measure.harness.tasks import TaskSamples

ROLLING = ("word_perplexity", "byte_perplexity", "bits_per_byte")


def outcomes(task: TaskSamples, claims: Sequence[Claim]) -> list[SampleResult]:
    """Every item's scores. ValueError where a metric is not what the claims say of it."""
    several = len({sample["filter"] for sample in task.samples}) > 1
    results = [result for sample in task.samples for result in _of_sample(task, sample, several)]
    for name in {result.claim for result in results}:
        _check_claim(task, name, [r.value for r in results if r.claim == name and r.value is not None], claims)
    return results


def aggregates(task: TaskSamples, stage: str) -> list[Finding]:
    """lm-eval's own numbers of metrics that have no score an item."""
    listed = {
        (str(metric), str(sample["filter"]))
        for sample in task.samples
        for metric in sample["metrics"]
        if not isinstance(sample[metric], int | float) and metric not in ROLLING
    }
    several = len({sample["filter"] for sample in task.samples}) > 1
    return [
        Finding(
            claim=claim_name(task.name, metric, filter_name if several else ""), stage=stage, axis="tax", value=number,
            n=len(task.samples), unit="score",
            method="lm-eval's own number over all documents, of which no item has a score: no interval",
            better="higher" if task.higher_is_better.get(metric, True) else "lower",
        )
        for (metric, filter_name), number in task.aggregates.items()
        if (metric, filter_name) in listed and math.isfinite(number)
    ]  # fmt: skip


def claim_name(task: str, metric: str, filter_name: str = "") -> str:
    parts = (task, metric, *([filter_name] if filter_name else []))
    return ".".join(["lm_eval", *(re.sub(r"[^A-Za-z0-9_-]+", "_", part) for part in parts)])


def _of_sample(task: TaskSamples, sample: Mapping[str, Any], several: bool) -> Iterator[SampleResult]:
    filtered = sample["filtered_resps"]
    item, prompt = f"{sample['doc_id']} {str(sample['doc_hash'])[:12]}", _first_text(sample["arguments"])
    common = {
        "item": item,
        "cluster": cluster_of(sample["doc"]) or item,
        "prompt": Conversation.user(prompt),
        "reply": _reply(filtered),
    }
    metrics = [str(metric) for metric in sample["metrics"]]
    if BITS_PER_BYTE in metrics or "byte_perplexity" in metrics:
        total, size = sample[BITS_PER_BYTE if BITS_PER_BYTE in metrics else "byte_perplexity"]
        bits = -float(total) / math.log(2) / size if size else math.nan
        yield _scored(claim_name(task.name, BITS_PER_BYTE), bits, "", common | {"reply": ""})
    for metric in metrics:
        value, name = sample[metric], metric
        if metric == "perplexity" and isinstance(value, int | float):
            name = LOG_LIKELIHOOD
        if isinstance(value, int | float) or value is None:
            number = math.nan if value is None else float(value)
            claim = claim_name(task.name, name, str(sample["filter"]) if several else "")
            yield _scored(claim, number, no_choice(filtered, metric), common)


def _scored(claim: str, value: float, why: str, common: Mapping[str, Any]) -> SampleResult:
    if why or not math.isfinite(value):
        return SampleResult(claim=claim, status="unscored", reason=why or f"the score is {value}", **common)
    status = "fail" if value == 0 else "pass"
    return SampleResult(claim=claim, status=status, value=value, reason=f"{value:.4g}", **common)


def _check_claim(task: TaskSamples, name: str, values: Sequence[float], claims: Sequence[Claim]) -> None:
    """That a claim's numbers are what the stage says of them before it runs."""
    short = name.removeprefix("lm_eval.")
    metric = short.removeprefix(f"{task.name}.").partition(".")[0]
    claim = claim_named(name, claims)
    is_lower = metric == BITS_PER_BYTE or (metric != LOG_LIKELIHOOD and not task.higher_is_better.get(metric, True))
    if is_lower and claim.better != "lower":
        raise ValueError(f"of {name} less is better, which the spec has to say: lower: [{short}]")
    low, high = claim.within
    if not declared(claims, name) and not all(low <= value <= high for value in values):
        raise ValueError(f"{name} is no share, which the spec has to say: scores: [{short}]")


def _first_text(arguments: Any) -> str:
    while isinstance(arguments, list | tuple | dict) and arguments:
        several = cast("Any", arguments)
        arguments = next(iter(several.values())) if isinstance(several, dict) else several[0]
    return arguments if isinstance(arguments, str) else ""


def _reply(filtered: Any) -> str:
    """What was generated; of a multiple choice its log-probabilities."""
    responses = cast("list[Any]", filtered) if isinstance(filtered, list) else [filtered]
    first = responses[0] if responses else ""
    if isinstance(first, str):
        return first
    return "; ".join(f"{one[0]:.3f}" if isinstance(one, tuple | list) else str(one) for one in responses)

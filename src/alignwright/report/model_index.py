"""Which numbers of a run does a model card give to programs? The `model-index` of the Hub's metadata.

Each claim's value at the last stage and its paired change from the start model, with interval, n and
method in the metric's `args`, and each promise with its answer. Baselines and the stages between
stand in the card's text alone: a number in the metadata is taken for this model's. A claim without a
value is left out there, and said in the text.
"""

from __future__ import annotations

from typing import Any

from alignwright.core.records import Finding
from alignwright.core.section import OF_THE_MODEL
from alignwright.report.results import RunResults

TASK = {"type": "text-generation", "name": "Text generation"}
ARGS = (
    "stage", "against", "unit", "better", "low", "high", "n", "clusters", "unscored", "errors", "p", "p_adjusted",
    "coverage", "method",
)  # fmt: skip
"""What of a finding stands in its metric's `args`, as far as it has it."""


def model_index(case: RunResults) -> list[dict[str, Any]]:
    """The metadata `model-index` of a run's model; empty where it has no number and no promise."""
    metrics: list[dict[str, Any]] = []
    for claim in case.of(*OF_THE_MODEL):
        last = case.stages[-1]
        title = case.title(claim.name)
        for finding, name in ((claim.levels.get(last), title), (claim.change(last), f"{title}, change")):
            if finding is not None and finding.value is not None:
                metrics.append(_metric(finding, name))
    promises: list[dict[str, Any]] = [
        {"type": "promise", "name": verdict.promise, "value": verdict.answer, "args": {"reason": verdict.reason}}
        for verdict in case.verdicts
    ]
    name = case.header.name
    results = [
        {
            "task": dict(TASK),
            "dataset": {"type": "custom", "name": f"{what} of {name}", "config": config},
            "metrics": rows,
        }
        for what, config, rows in (("The questions", "findings", metrics), ("The promises", "promises", promises))
        if rows
    ]
    return [{"name": name, "results": results}] if results else []


def _metric(finding: Finding, name: str) -> dict[str, Any]:
    args = {field: getattr(finding, field) for field in ARGS if getattr(finding, field) is not None}
    kind = finding.claim if finding.against is None else f"{finding.claim}.change"
    return {"type": kind, "name": name, "value": finding.value, "args": args}

"""What did loss, reward, divergence and gold score do while a stage trained, as a section of the
report?

A line chart for each of them that a stage logged (`metrics.jsonl`, `gold_evals.jsonl`), and a
sentence about what it means: a reward that rises shows that the reward is learnt, and the loss
on replies that are new at each step shows nothing. One step sees a few rows, so a dot is the mean of neighbouring steps
where there are many. What was not finite is left out of the mean.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from alignwright.core.section import Block, LineChart, Note, Point, Section, Series, Text
from alignwright.files.lines import read_lines
from alignwright.job.gold_evals import GoldEval

DOTS = 32
"""The most dots of a curve; of more steps, neighbours are averaged."""
INTRO = (
    "Logged on the rows of each step, which are learnt from: none of it is evidence of what the model does elsewhere."
)
LOSS = (
    "How badly the rows of a step fit, in the units of the method's own loss: falling means that they are being learnt."
)
ROLLOUT_LOSS = (
    "The replies are new as the model changes, so this loss is no measure of progress: reward and divergence are to be"
    " read instead."
)
REWARD = (
    "The mean score that the stage trains for, of the replies of a step: rising means that it is learnt, not that"
    " replies are better."
)
KL = (
    "How far the model has gone from the one that it is held to, in nats a reply, as estimated: the further, the less"
    " the reward is to be relied on."
)
GOLD = (
    "The mean score by the judge that the stage does not train for: where it falls while the reward rises, the reward"
    " is being gamed."
)
Curve = Mapping[int, float]
"""A value by step."""


def section(stages: Sequence[tuple[str, Path]], title: Callable[[str], str]) -> Section | None:
    """The curves of training stages, each given by its name and folder; None where none logged a
    step. `title`: what a stage is called."""
    blocks = [block for name, folder in stages for block in _stage(title(name), folder)]
    if not blocks:
        return None
    return Section(name="training", title="While it was trained", intro=INTRO, blocks=tuple(blocks), media=("page",))


def _stage(title: str, folder: Path) -> Iterator[Block]:
    rows = [json.loads(line) for line in read_lines(folder / "metrics.jsonl")] if _has(folder, "metrics.jsonl") else []
    rewards, kls = (_curve((row["step"], row["metrics"].get(name)) for row in rows) for name in ("reward", "kl"))
    curves = (
        ("loss", _curve((row["step"], row["loss"]) for row in rows), ROLLOUT_LOSS if rewards else LOSS),
        ("reward", rewards, REWARD),
        ("divergence", kls, KL),
        ("gold score", _gold(folder), GOLD),
    )
    for what, curve, meaning in curves:
        if len(curve) > 1:
            yield from _drawn(f"{title}: {what}", curve, meaning)


def _drawn(heading: str, curve: Curve, meaning: str) -> Iterator[Block]:
    points = [*_points(curve)]
    yield Text(heading=heading, text=f"From {_spoken(points[0])}, to {_spoken(points[-1])}.")
    yield LineChart(series=(Series(line=tuple((p.x, p.y) for p in points), points=tuple(points)),))
    yield Note(text=f"Steps to the right. {meaning}")


def _spoken(point: Point) -> str:
    steps, _, value = point.words.partition(": ")
    return f"{value} ({steps})"


def _points(curve: Curve) -> Iterator[Point]:
    """Dots over the steps, counted from 1: each the mean of as many neighbours as it takes."""
    steps = sorted(curve)
    width = math.ceil(len(steps) / DOTS)
    for start in range(0, len(steps), width):
        part = steps[start : start + width]
        value, first, last = math.fsum(curve[step] for step in part) / len(part), part[0] + 1, part[-1] + 1
        of = f"step {first}" if first == last else f"mean of steps {first} to {last}"
        yield Point(words=f"{of}: {value:.4g}", x=(first + last) / 2, y=value)


def _curve(values: Iterator[tuple[int, Any]]) -> Curve:
    """The mean value by step (an ensemble logs a step for each member), of what is finite."""
    by_step: dict[int, list[float]] = {}
    for step, value in values:
        if isinstance(value, int | float) and math.isfinite(value):
            by_step.setdefault(step, []).append(float(value))
    return {step: math.fsum(several) / len(several) for step, several in by_step.items()}


def _gold(folder: Path) -> Curve:
    if not _has(folder, "gold_evals.jsonl"):
        return {}
    evals = [GoldEval.model_validate_json(line) for line in read_lines(folder / "gold_evals.jsonl")]
    # a check is made after so many steps, a step is counted from 0: both are the same place
    return _curve((evaluation.step - 1, evaluation.mean) for evaluation in evals if any(evaluation.gold))


def _has(folder: Path, name: str) -> bool:
    return (folder / name).is_file()

"""What is a job called, for people?

`measure.0.tax@train.1.dpo` is "measure tax, after dpo". Where a spec has several stages of one
kind, each is called by what tells it from the others: the first knob that is a word and another one
in each ("measure world tampered_chess"), else its place ("train rloo 2 of 3").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from alignwright.core.stage import Stage
from alignwright.job.job import BASELINE, Job

LONGEST = 24
"""The longest word, in characters, that a stage is called by; its lines should fit a terminal."""


def labels(jobs: Sequence[Job]) -> dict[str, str]:
    """What each job is called, by its name. Give all jobs of the experiment, so that places are
    counted over all of them."""
    stages = {job.stage_name: job for job in jobs}
    kinds: dict[str, list[Job]] = {}
    for job in stages.values():
        kinds.setdefault(f"{job.section} {job.by}".strip(), []).append(job)
    words: dict[str, str] = {}
    for alike in kinds.values():
        marks = _apart([job.stage for job in alike])
        words |= {job.stage_name: f"{job.by} {mark}".strip() for job, mark in zip(alike, marks, strict=True)}
    return {job.name: _label(job, words) for job in jobs}


def _label(job: Job, words: dict[str, str]) -> str:
    stage = f"{job.section} {words[job.stage_name]}".strip()
    if not job.probes:
        return stage
    return f"{stage}, {'start model' if job.model == BASELINE else 'after ' + words[job.model]}"


def _apart(stages: Sequence[Stage]) -> list[str]:
    """What tells stages of one kind apart: a mark for each; no mark for a stage that is alone."""
    if len(stages) == 1:
        return [""]
    for knob in type(stages[0]).model_fields:
        words = [_word(getattr(stage, knob, None)) for stage in stages]
        if all(words) and len(set(words)) == len(words):
            return words
    return [f"{place} of {len(stages)}" for place in range(1, len(stages) + 1)]


def _word(value: object) -> str:
    """A knob's value as one word: a name, a file without its folders; empty where it is neither."""
    alone = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
    word = alone[0].rpartition("/")[2] if len(alone) == 1 and isinstance(alone[0], str) else ""
    return word if len(word) <= LONGEST else ""

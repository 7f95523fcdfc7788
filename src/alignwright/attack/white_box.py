"""What does each attack by weights do? One match over them; behind a server their claims are untested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import assert_never

from alignwright.attack.embedding import embedding
from alignwright.attack.gcg import SearchWidth, gcg
from alignwright.attack.knobs_white_box import Embedding, Gcg, Suffix, Tamper, WhiteBox
from alignwright.attack.suffix import RandomWidth, suffix
from alignwright.attack.tamper import FineTune, tamper
from alignwright.attack.target import Target
from alignwright.core.records import SampleResult
from alignwright.core.stage import resolved
from alignwright.files.items import RefusalItem
from alignwright.job.context import JobContext
from alignwright.job.job import Result
from alignwright.job.needs import NO_WEIGHTS, NotServed, measured_with
from alignwright.model.local_model import LocalModel
from alignwright.model.perturbation import PerturbedModel

STEPS = "steps.jsonl"
"""The steps of a search for suffixes that is at work."""


def by_weights(stage: WhiteBox, target: Target, behaviours: list[RefusalItem], job: JobContext) -> Result:
    """Its outcomes, or that its claims are untested, and why."""

    def weights() -> LocalModel:
        if not job.has_weights:
            raise NotServed(NO_WEIGHTS)
        return job.policy()

    def attack(policy: LocalModel) -> list[SampleResult]:
        match stage:
            case Gcg():
                return _gcg(stage, target, policy, behaviours, job.at_work / STEPS)
            case Suffix():
                return _suffix(stage, target, policy, behaviours, job.at_work / STEPS)
            case Embedding():
                return _embedding(stage, target, policy, behaviours)
            case Tamper():
                demonstrations = job.data.conversations(stage.data, None)
                by = FineTune(resolved(stage.steps), stage.rows, stage.lr, stage.rank)
                return tamper(target, policy, behaviours, demonstrations, by)
            case _ as never:
                assert_never(never)

    return measured_with(weights, attack, stage.claims()[:1], job.model)  # one speaks for its parts


def _gcg(
    stage: Gcg, target: Target, policy: LocalModel, behaviours: list[RefusalItem], log: Path
) -> list[SampleResult]:
    width = SearchWidth(stage.length, resolved(stage.candidates), stage.top_k)
    return gcg(target, policy, behaviours, steps=resolved(stage.steps), width=width, begin=stage.target, log=log)


def _suffix(
    stage: Suffix, target: Target, policy: LocalModel, behaviours: list[RefusalItem], log: Path
) -> list[SampleResult]:
    width = RandomWidth(stage.length, resolved(stage.candidates), stage.change, stage.first)
    return suffix(target, policy, behaviours, steps=resolved(stage.steps), width=width, begin=stage.target, log=log)


def _embedding(
    stage: Embedding, target: Target, policy: LocalModel, behaviours: list[RefusalItem]
) -> list[SampleResult]:
    speaker = PerturbedModel(policy)
    return embedding(
        replace(target, speaker=speaker), speaker, policy, behaviours,
        steps=resolved(stage.steps), layer=stage.layer, length=stage.length, radius=stage.radius, begin=stage.target,
    )  # fmt: skip

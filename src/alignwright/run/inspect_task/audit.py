# pyright: reportMissingImports=false
"""How is an audit run by Inspect? `inspect eval alignwright/audit -T spec=SPEC --model ANY`.

A sample is an item of an attack or a measure of the spec (`questions`), a scorer a claim: C where the
item is of the kind that the claim counts (of `attack.success` an attack that succeeded), I where it is
not, NaN, which is Inspect's sign for unscored, where the graders could not tell. The metrics are the
claim's finding as in any run, `value` with `low` and `high`, clustered by topic, the parts of the claim,
the rate corrected for the graders' errors, and `kept`: 1 where a promise of the spec on the claim is kept,
0 where it is broken, NaN where it is untested.

Inspect loads this file in an environment of its own, without torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageAssistant, ModelOutput, get_model
from inspect_ai.scorer import SampleScore, Score, metric, scorer
from inspect_ai.solver import solver

from alignwright.core.claims import CORRECTED, Claim, claim_named
from alignwright.core.promises import answer, parse
from alignwright.core.records import Finding, SampleResult
from alignwright.experiment.experiment import Experiment, claims_of, resolve_effort
from alignwright.experiment.load import load
from alignwright.measure.corrected_rate import with_corrections
from alignwright.measure.findings import levels
from alignwright.run.inspect_task.questions import MODEL, Answers, Question, Speakers, questions
from alignwright.run.inspect_task.speaker import InspectSpeaker, message

SERVED = "http://inspect.invalid/v1#model"
"""What the spec's model is taken for: one behind a server, which gives replies alone."""
THREADS = 256
"""Items at work at once; Inspect's own limits on samples and connections are lower."""
ATTACKER = "attacker"
"""The role of the model that writes messages: --model-role attacker=NAME."""
ANSWERS = {"kept": 1.0, "broken": 0.0, "untested": float("nan")}


@task
def audit(spec: str, stage: str | None = None, overrides: str | list[str] | None = None) -> Task:
    """The attacks and measures of a spec. `stage` (such as attack.0.suite) asks that one alone; `overrides` win over
    the spec, as --set does elsewhere."""
    settings = [overrides] if isinstance(overrides, str) else overrides or []
    experiment = resolve_effort(load(Path(spec), settings, SERVED))
    items, left_out = questions(experiment)
    chosen = [item for item in items if stage in (None, item.stage)]
    if not chosen:
        names = ", ".join(dict.fromkeys(item.stage for item in items)) or "none"
        raise ValueError(f"{spec}: nothing to ask of {stage or 'any stage'}; stages that Inspect can ask: {names}")
    claims = list(dict.fromkeys(claim for item in chosen for claim in item.claims))
    return Task(
        name=experiment.name,
        dataset=MemoryDataset([_sample(item) for item in chosen], name=experiment.name),
        solver=put({_sample_id(item): item for item in chosen}),
        scorer=[graded(claim_named(claim, claims_of(experiment)), experiment) for claim in claims],
        metadata={"spec": Path(spec).name, "seed": experiment.seed, "left_out": left_out},
    )


def _sample(item: Question) -> Sample:
    about = {"stage": item.stage, "request": item.request, "topic": item.topic, "way": item.way}
    return Sample(
        id=_sample_id(item),
        input=[message(each) for each in item.shown.messages],
        metadata={name: value for name, value in about.items() if value},
    )


def _sample_id(item: Question) -> str:
    return f"{item.stage}/{item.item}"


@solver
def put(items: dict[str, Question]) -> Any:
    """Put an item to the model, with all that an attack asks for it."""
    limiter: list[Any] = []

    async def solve(state: Any, generate: Any) -> Any:  # noqa: ARG001 - Inspect's signature
        if not limiter:
            limiter.append(anyio.CapacityLimiter(THREADS))
        speakers = Speakers(InspectSpeaker(get_model()), lambda: InspectSpeaker(get_model(role=ATTACKER)))
        answers = await anyio.to_thread.run_sync(items[str(state.sample_id)].put, speakers, limiter=limiter[0])
        _show(state, answers)
        return state

    return solve


def _show(state: Any, answers: Answers) -> None:
    """The conversation that decided, as the sample's own; every try and result beside it."""
    first = answers.results[0]
    if first.prompt is not None:
        state.messages = [message(each) for each in first.prompt.messages]
    reply = ChatMessageAssistant(content=first.reply, source="generate", model=str(state.model))
    state.messages.append(reply)
    state.output = ModelOutput.from_content(str(state.model), first.reply)
    state.store.set("results", [result.model_dump(mode="json") for result in answers.results])
    if answers.tries:
        state.store.set("tries", [each.model_dump(mode="json") for each in answers.tries])


def graded(claim: Claim, experiment: Experiment) -> Any:
    """The scorer of a claim: what our graders said of the item."""

    @scorer(metrics=[finding(claim, experiment)], name=claim.name)
    def by_our_graders() -> Any:
        async def score(state: Any, target: Any) -> Score | None:  # noqa: ARG001 - Inspect's signature
            results = [SampleResult.model_validate_json(_json(each)) for each in state.store.get("results", [])]
            own = [each for each in results if each.claim == claim.name or each.claim.startswith(f"{claim.name}.")]
            whole = next((each for each in own if each.claim == claim.name), None)
            if whole is None:
                return None
            about = {"status": whole.status, "results": [each.model_dump(mode="json") for each in own]}
            if whole.value is None:
                return Score.unscored(reason=whole.status, explanation=whole.reason, metadata=about)
            mark = "C" if whole.status == claim.counts else "I"
            return Score(value=mark, answer=whole.reply, explanation=whole.reason, metadata=about)

        return score

    return by_our_graders()


def finding(claim: Claim, experiment: Experiment) -> Any:
    """The metric of a claim: its finding, its parts, and the answers to promises on it."""

    @metric(name="finding", scores="unreduced")
    def of_all() -> Any:
        def compute(scores: list[SampleScore]) -> dict[str, float]:
            rows = [each for score in scores for each in (score.score.metadata or {}).get("results", [])]
            results = [SampleResult.model_validate_json(_json(each)) for each in rows]
            return numbers(claim, results, experiment)

        return compute

    return of_all()


def numbers(claim: Claim, results: Sequence[SampleResult], experiment: Experiment) -> dict[str, float]:
    """What the results come to, by name; what has no value is not there."""
    claims = claims_of(experiment)
    findings = with_corrections(levels(results, claims=claims, stage=MODEL, exhibits=0), results, claims=claims)
    values: dict[str, float] = {}
    for each in findings:
        part = each.claim.removeprefix(claim.name).removeprefix(".")
        if each.claim == claim.name:
            values |= _limits(each, "") | {"n": float(each.n)}
        elif each.claim == f"{claim.name}{CORRECTED}":
            values |= _limits(each, "corrected ")
        elif each.value is not None:
            values[part] = each.value
    for text in experiment.promises:
        promise = parse(text)
        if promise.claim == claim.name and not promise.gain:
            values[f"kept: {text}"] = ANSWERS[answer(promise, findings, (MODEL,)).answer]
    return values


def _limits(each: Finding, before: str) -> dict[str, float]:
    limits = {"value": each.value, "low": each.low, "high": each.high}
    return {f"{before}{name}": value for name, value in limits.items() if value is not None}


def _json(result: dict[str, Any]) -> str:
    return json.dumps(result)

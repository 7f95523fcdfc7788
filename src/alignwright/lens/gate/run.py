"""How is a model put to the gate inside a run? On its own directions, beside the start model's on the same cases."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from alignwright.core.records import Finding, Prompt, SampleResult
from alignwright.core.stage import resolved
from alignwright.files.labelled_texts import LabelledText
from alignwright.job.context import JobContext
from alignwright.job.data import part_name, subsample_evenly
from alignwright.job.job import BASELINE, Result
from alignwright.job.needs import NotServed, untested
from alignwright.lens.gate.gate import Gauge, gauge, halves, words_above
from alignwright.lens.gate.knobs import AREA, CONCERNS, WORDS, GateStage, beside, fired, in_benign
from alignwright.lens.other_model import benign_model
from alignwright.lens.probe.battery import ProbeResult, Texts
from alignwright.lens.probe.file_format import load_probe, save_probe
from alignwright.model.activations.last_states import last_states
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import resolve_layer
from alignwright.model.local_model import LocalModel


def measure_gate(stage: GateStage, job: JobContext) -> Result:
    """Each concern on its own; those without texts, or whose probe shows nothing, are untested."""
    try:
        policy = job.policy()
    except NotServed as refusal:
        return Result(
            f"untested: {refusal}", [], [untested(claim, job.model, str(refusal)) for claim in stage.claims()]
        )
    limit, count = resolved(stage.limit), len(layout_of(policy).blocks)
    layers = list(range(count)) if stage.layer is None else [resolve_layer(stage.layer, count)]
    cases = subsample_evenly(job.data.prompts(stage.cases), limit)
    control = subsample_evenly(
        list({prompt.conversation.id: prompt for prompt in job.data.prompts(stage.control)}.values()), limit
    )
    states, calm = (last_states(policy, [prompt.conversation for prompt in side], layers) for side in (cases, control))
    setting, counting = halves([prompt.conversation.id for prompt in control])
    other = None if stage.benign is None else benign_model(stage.benign, job, policy)
    samples: list[SampleResult] = []
    findings: list[Finding] = []
    notes: list[str] = []
    for concern in CONCERNS:
        if concern not in stage.concerns:
            why = f"no texts of {WORDS[concern]} are given, so it is not looked for"
            findings += [untested(claim, job.model, why) for claim in (fired(concern), *beside(concern))]
            continue
        texts = _texts(policy, stage, concern, job, layers)
        meter = gauge(texts, calm, setting, stage.false_alarms)
        _save(meter, policy, job, concern)
        findings += _findings(job.model, concern, meter.result, len(setting))
        verdict, why = meter.result.verdict
        notes.append(f"{concern} {verdict.replace('_', ' ')}")
        scores, quiet = meter.scores(states), meter.scores(calm)
        own = _samples(beside(concern)[0].name, [control[i] for i in counting], [quiet[i] for i in counting])
        samples += own
        if verdict == "signal":
            samples += _samples(fired(concern).name, cases, scores)
        else:
            findings.append(untested(fired(concern), job.model, f"its direction shows nothing: {why}"))
        samples += _by_words(concern, texts, control, setting, cases, stage.false_alarms)
        if other is not None:
            samples += _in_benign(other, stage, job, concern, (cases, control), setting, layers)
        samples += _by_start(job, concern, cases, states)
    return Result(note=", ".join(notes), samples=samples, findings=findings)


def _texts(policy: LocalModel, stage: GateStage, concern: str, job: JobContext, layers: Sequence[int]) -> Texts:
    rows = {
        (text.label, text.shown): (text, text.topic or part_name(name))
        for name in stage.concerns[concern]
        for text in job.data.read(name, LabelledText).rows
        if text.label != "control"
    }
    texts = [text for text, _ in rows.values()]
    states = last_states(policy, [text.dialogue or text.text for text in texts], layers)
    return Texts(
        texts=[text.shown for text in texts], items=[text.id for text in texts],
        topics=[topic for _, topic in rows.values()], positive=[text.label == "positive" for text in texts],
        states=states, control={layer: torch.empty(0) for layer in states},
    )  # fmt: skip


def _save(meter: Gauge, policy: LocalModel, job: JobContext, concern: str) -> None:
    """The probe with its threshold folded in, so that it fires above 0."""
    meta = {"concept": concern, "fit": "lda", "verdict": meter.result.verdict[0], "threshold": meter.threshold}
    probe = type(meter.probe)(meter.probe.weights, meter.probe.bias - meter.threshold)
    save_probe(probe, meter.layer, policy, job.folder / concern, meta)


def _samples(claim: str, prompts: Sequence[Prompt], scores: Sequence[float]) -> list[SampleResult]:
    return [
        SampleResult(
            claim=claim, item=prompt.id, cluster=prompt.topic or prompt.id, prompt=prompt.conversation,
            status="pass" if score > 0 else "fail", value=float(score > 0), reason=f"{score:+.3f} beside the threshold",
        )
        for prompt, score in zip(prompts, scores, strict=True)
    ]  # fmt: skip


def _by_start(
    job: JobContext, concern: str, cases: Sequence[Prompt], states: dict[int, torch.Tensor]
) -> list[SampleResult]:
    """Of a trained model: its cases by the start model's own probe and threshold."""
    if job.model == BASELINE or not job.needed("earlier"):
        return []
    folder = job.folder_of(job.needed("earlier")[0]) / concern
    probe, layer = load_probe(folder)
    return _samples(f"gate.{concern}.start", cases, probe.score(states[layer]).tolist())


def _by_words(
    concern: str, texts: Texts, control: Sequence[Prompt], setting: Sequence[int], cases: Sequence[Prompt],
    false_alarms: float,
) -> list[SampleResult]:  # fmt: skip
    above = words_above(texts, [_words(each) for each in control], setting, [_words(c) for c in cases], false_alarms)
    return _samples(f"gate.{concern}.by_words", cases, above)


def _words(prompt: Prompt) -> str:
    return " ".join(message.content for message in prompt.conversation.messages)


def _in_benign(
    other: LocalModel, stage: GateStage, job: JobContext, concern: str,
    prompts: tuple[Sequence[Prompt], Sequence[Prompt]], setting: Sequence[int], layers: Sequence[int],
) -> list[SampleResult]:  # fmt: skip
    """The same cases by the direction and the threshold of a model that was fine-tuned on harmless data."""
    states, calm = (last_states(other, [prompt.conversation for prompt in side], layers) for side in prompts)
    meter = gauge(_texts(other, stage, concern, job, layers), calm, setting, stage.false_alarms)
    return _samples(in_benign(concern).name, prompts[0], meter.scores(states))


def _findings(model: str, concern: str, result: ProbeResult, controls: int) -> list[Finding]:
    _, area, words, random, over_words, *_ = beside(concern)
    verdict, why = result.verdict
    detail: dict[str, str | float | bool | None] = {"verdict": verdict, "layer": float(result.layer)}
    detail |= {"no_signal": why} if verdict != "signal" else {}
    status = f"its threshold is set on {controls} control prompts" if verdict == "signal" else f"untested, since {why}"
    note = (
        f"The direction of {WORDS[concern]} has an area of {result.area.value or 0:.2f} at block {result.layer}, where"
        f" random ones reach {result.random_q95:.2f} and the words alone {result.words.value or 0:.2f}:"
        f" {status}."
    )
    size = result.area.positives + result.area.negatives
    common = {"stage": model, "axis": "inside", "unit": AREA, "better": None, "n": size}
    limits = result.area.interval
    return [
        Finding(claim=area.name, value=result.area.value, low=limits.low, high=limits.high,
                method=f"lda; {result.split.by}; {limits.method}", note=note, detail=detail,
                clusters=len(result.area.influence), **common),
        Finding(claim=words.name, value=result.words.value, low=result.words.interval.low,
                high=result.words.interval.high, method="logistic regression on words and pairs of words", **common),
        Finding(claim=over_words.name, value=result.over_words.value, low=result.over_words.interval.low,
                high=result.over_words.interval.high, method="paired on the same texts", **common),
        Finding(claim=random.name, value=result.random_q95, method="95th per cent of 200 directions", **common),
    ]  # fmt: skip

"""How is a model asked the same as a test and as real use inside a run?"""

from __future__ import annotations

from alignwright.core.records import Finding
from alignwright.core.stage import resolved
from alignwright.files.items import RefusalItem
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import BASELINE, Result, count_statuses
from alignwright.job.needs import NotServed, untested
from alignwright.lens.awareness.awareness import (
    Dressed,
    behave,
    gap_findings,
    samples_of,
    steer_dressing,
    tell_dressings,
)
from alignwright.lens.awareness.dressings import read_dressings
from alignwright.lens.awareness.knobs import AREA, NULL, OVER_WORDS, PROBE, START, WORDS, AwarenessStage
from alignwright.lens.probe.battery import ProbeResult
from alignwright.lens.probe.file_format import load_probe, save_probe
from alignwright.lens.steer.steer import graded
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import resolve_layer
from alignwright.stats.auroc import Area, auroc

FOLDER = "probe"


def measure_awareness(stage: AwarenessStage, job: JobContext) -> Result:
    """Behaviour, the probe for the dressing, and steering along it."""
    try:
        policy = job.policy()
    except NotServed as refusal:
        return Result(
            f"untested: {refusal}", [], [untested(claim, job.model, str(refusal)) for claim in stage.claims()]
        )
    dressings = read_dressings(job.data.path(stage.dressings) if stage.dressings else None)
    items = job.data.items(stage.requests, RefusalItem, None)
    requests = [
        item
        for kind in ("harmful", "harmless")
        for item in subsample_evenly([item for item in items if item.kind == kind], resolved(stage.limit))
    ]
    count, most = len(layout_of(policy).blocks), resolved(stage.max_new_tokens)
    layers = list(range(count)) if stage.layer is None else [resolve_layer(stage.layer, count)]
    behaviours = behave(policy, requests, dressings, most, graded)
    dressed = tell_dressings(policy, requests, dressings, layers)
    samples = samples_of(behaviours) + steer_dressing(policy, requests, dressed, stage.scale, most, graded)
    findings = gap_findings(behaviours, job.model) + probe_findings(job.model, dressed.probe)
    result = dressed.probe
    meta = {"concept": "test", "fit": result.method, "verdict": result.verdict[0], "reason": result.verdict[1]}
    save_probe(result.probe, result.layer, policy, job.folder / FOLDER, meta)
    findings += _by_start(job, dressed)
    note = f"block {dressed.probe.layer}: {dressed.probe.verdict[0].replace('_', ' ')}; {count_statuses(samples)}"
    return Result(note=note, samples=samples, findings=findings)


def _by_start(job: JobContext, dressed: Dressed) -> list[Finding]:
    """Of a trained model: its states by the start model's own probe, in the same dressings held out."""
    if job.model == BASELINE or not job.needed("earlier"):
        return []
    probe, layer = load_probe(job.folder_of(job.needed("earlier")[0]) / FOLDER)
    area = auroc(probe.score(dressed.held[layer]).tolist(), dressed.labels, dressed.probe.clusters)
    return [_finding(START.name, job.model, area, f"fitted to the start model at block {layer}")]


def probe_findings(model: str, result: ProbeResult) -> list[Finding]:
    """The probe for the dressing, beside its battery."""
    verdict, why = result.verdict
    detail: dict[str, str | float | bool | None] = {"verdict": verdict, "layer": float(result.layer)}
    detail |= {"no_signal": why} if verdict != "signal" else {}
    note = (
        f"At block {result.layer} a test is told from real use with an area of {result.area.value or 0:.2f} in"
        f" dressings held out, where random directions reach {result.random_q95:.2f} and the words alone"
        f" {result.words.value or 0:.2f}: {'' if verdict == 'signal' else 'not counted, since '}{why}."
    )
    size = result.area.positives + result.area.negatives
    way = f"mean difference where the reply would begin; {result.split.by}; {result.area.interval.method}"
    null = f"95th per cent of 200 directions, either way round; p {result.random_p:.3f}"
    return [
        _finding(PROBE.name, model, result.area, way).model_copy(update={"note": note, "detail": detail}),
        _finding(OVER_WORDS.name, model, result.over_words, "paired on the same texts"),
        _finding(WORDS.name, model, result.words, "logistic regression on words and pairs of words"),
        _finding(NULL.name, model, None, null).model_copy(update={"value": result.random_q95, "n": size}),
    ]


def _finding(claim: str, model: str, area: Area | None, way: str) -> Finding:
    return Finding(
        claim=claim, stage=model, axis="inside", value=area.value if area else None,
        low=area.interval.low if area else None, high=area.interval.high if area else None,
        n=area.positives + area.negatives if area else 0, clusters=len(area.influence) if area else None, method=way,
        unit=AREA, better=None,
    )  # fmt: skip

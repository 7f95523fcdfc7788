"""How is a probe fitted and tried inside a run? On each model's own activations, beside the start model's.

Of a trained model two more things are told: how its area differs from the start model's on the same held-out texts,
and what the probe that was fitted to the start model makes of its activations, as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alignwright.core.records import Conversation, Finding, Record
from alignwright.core.stage import resolved
from alignwright.core.token_scope import TokenScope
from alignwright.files.contents import records
from alignwright.files.items import RefusalItem
from alignwright.files.labelled_texts import LabelledText
from alignwright.job.context import JobContext
from alignwright.job.data import part_name, subsample_evenly
from alignwright.job.job import BASELINE, Result
from alignwright.job.needs import NotServed, untested
from alignwright.lens.other_model import benign_model
from alignwright.lens.probe.battery import ProbeResult, Texts, examine
from alignwright.lens.probe.benign import BesideBenign, beside_benign
from alignwright.lens.probe.file_format import load_probe, save_probe
from alignwright.lens.probe.knobs import AREA, ProbeStage, words_read
from alignwright.lens.probe.split import Split, split
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import resolve_layer
from alignwright.model.activations.token_scope import scoped_row, scoped_states
from alignwright.model.local_model import LocalModel
from alignwright.stats.auroc import Area, auroc, auroc_difference

SCORES, FOLDER = "scores.jsonl", "probe"
_AT: dict[TokenScope, str] = {
    "prompt_end": "the last token", "template": "the template's tokens after the request, averaged",
    "prompt": "the prompt's tokens, averaged", "reply": "the reply's tokens, averaged", "all": "all tokens, averaged",
}  # fmt: skip


class ProbeScore(Record):
    """What a probe says of one held-out text."""

    item: str
    cluster: str
    positive: bool
    score: float


@dataclass(frozen=True)
class _Row:
    item: str
    topic: str
    label: str
    read: str | Conversation
    words: str


def measure_probe(stage: ProbeStage, job: JobContext) -> Result:
    """Fit, try, and save the probe in the job's folder."""
    try:
        policy = job.policy()
    except NotServed as refusal:
        return Result(
            f"untested: {refusal}", [], [untested(claim, job.model, str(refusal)) for claim in stage.claims()]
        )
    rows = _rows(stage, job)
    labelled = [row for row in rows if row.label != "control"]
    control = [row for row in rows if row.label == "control"]
    count = len(layout_of(policy).blocks)
    layers = list(range(count)) if stage.layer is None else [resolve_layer(stage.layer, count)]
    positive = [row.label == "positive" for row in labelled]
    parts = split([row.topic for row in labelled], positive, [row.item for row in labelled])
    texts = Texts(
        texts=[row.words for row in labelled], items=[row.item for row in labelled],
        topics=[row.topic for row in labelled], positive=positive,
        states=_states(policy, labelled, layers, stage.scope), control=_states(policy, control, layers, stage.scope),
    )  # fmt: skip
    result = examine(texts, parts, stage.method)
    verdict, why = result.verdict
    meta = {
        "concept": stage.concept, "fit": stage.method, "verdict": verdict, "reason": why, "split": parts.by,
        "auroc": result.area.value, "words": result.words.value, "random_q95": result.random_q95,
        "random_p": result.random_p, "counts": {"fitted": len(parts.fit) + len(parts.choose), "tried": len(parts.test)},
        "sweep": {str(layer): value for layer, value in result.sweep.items()},
    }  # fmt: skip
    save_probe(result.probe, result.layer, policy, job.folder / FOLDER, meta, stage.scope)
    findings = _findings(stage, job.model, result)
    findings += _beside_start(stage, job, texts, parts, result)
    if stage.benign is not None:
        other = benign_model(stage.benign, job, policy)
        states = _states(other, labelled, [result.layer], stage.scope)[result.layer]
        beside = beside_benign(result, torch.tensor(positive), texts.states[result.layer], states)
        findings[0] = findings[0].model_copy(update={"note": f"{findings[0].note} {beside.words}"})
        findings += _benign_findings(stage, job.model, result, beside)
    scores = [
        ProbeScore(item=texts.items[i], cluster=cluster, positive=positive[i], score=score)
        for i, cluster, score in zip(parts.test, result.clusters, result.scores, strict=True)
    ]
    note = f"{stage.concept}: AUROC {result.area.value or 0:.3f} at block {result.layer}, {verdict.replace('_', ' ')}"
    return Result(note=note, samples=[], findings=findings, records={SCORES: scores})


def _states(policy: LocalModel, rows: Sequence[_Row], layers: Sequence[int], scope: TokenScope) -> dict[int, Tensor]:
    return scoped_states(policy, [scoped_row(policy, row.read, scope) for row in rows], layers)


def _rows(stage: ProbeStage, job: JobContext) -> list[_Row]:
    """Every text with its label, once; of a file whose rows have no topic the file is one."""
    rows: list[_Row] = []
    for name in stage.data:
        for text in job.data.read(name, LabelledText).rows:
            read = text.with_reply or text.text
            rows.append(_Row(text.id, text.topic or part_name(name), text.label, read, words_read(text)))
    for name in stage.requests:
        for request in job.data.read(name, RefusalItem).rows:
            label = "positive" if request.kind == "harmful" else "negative"
            dialogue = Conversation.user(request.prompt)
            rows.append(_Row(request.id, request.topic or part_name(name), label, dialogue, request.prompt))
    for label, names in (("positive", stage.positive), ("negative", stage.negative)):
        for name in names:
            for prompt in job.data.prompts([name]):
                words = " ".join(message.content for message in prompt.conversation.messages)
                rows.append(_Row(prompt.id, prompt.topic or part_name(name), label, prompt.conversation, words))
    rows = list({(row.label, row.words): row for row in reversed(rows)}.values())[::-1]
    return [
        row
        for label in ("positive", "negative", "control")
        for row in subsample_evenly([row for row in rows if row.label == label], -(-resolved(stage.limit) // 2))
    ]


def _findings(stage: ProbeStage, model: str, result: ProbeResult) -> list[Finding]:
    verdict, why = result.verdict
    swept = f", the best of {len(result.sweep)} on other texts" if len(result.sweep) > 1 else ""
    way = (
        f"{stage.method.replace('_', ' ')} on what block {result.layer} leaves at {_AT[stage.scope]}{swept};"
        f" {result.split.by}{_of_these(result)}; {result.area.interval.method}"
    )
    detail: dict[str, str | float | bool | None] = {"verdict": verdict, "layer": float(result.layer)}
    detail |= {"no_signal": why} if verdict != "signal" else {}
    detail |= {f"layer {layer}": value for layer, value in result.sweep.items()}
    words = (
        f"At block {result.layer} the activations tell {stage.concept} from the rest with an area of"
        f" {result.area.value or 0:.2f}, where random directions reach {result.random_q95:.2f} and the words alone"
        f" {result.words.value or 0:.2f}: {'' if verdict == 'signal' else 'not counted, since '}{why}."
    )
    findings = [_finding(stage, "auroc", model, result.area, way).model_copy(update={"note": words, "detail": detail})]
    findings.append(_finding(stage, "over_words", model, result.over_words, "paired on the same texts", result))
    findings.append(_finding(stage, "words", model, result.words, "logistic regression on words and pairs of words"))
    findings.append(
        _finding(stage, "random", model, None, f"200 directions, either way round; p {result.random_p:.3f}", result)
        .model_copy(update={"value": result.random_q95})
    )  # fmt: skip
    if result.control is not None:
        findings.append(_finding(stage, "control", model, result.control, "control texts against held-out negatives"))
    return findings


def _benign_findings(stage: ProbeStage, model: str, result: ProbeResult, beside: BesideBenign) -> list[Finding]:
    at = f"at block {result.layer}, on the same texts"
    over = _finding(stage, "over_benign", model, beside.over, f"less its own probe's, {at}", result)
    return [
        over.model_copy(update={"detail": {"no_signal": beside.why_not} if beside.why_not else {}}),
        _finding(stage, "benign", model, beside.own, f"a probe of its own, {at}"),
        _finding(stage, "on_benign", model, beside.on_benign, f"this model's probe on its activations, {at}"),
        _finding(stage, "by_benign", model, beside.by_benign, f"its probe on this model's activations, {at}"),
    ]


def _of_these(result: ProbeResult) -> str:
    """Where too few topics were held out to speak of others."""
    few = len(set(result.clusters)) == len(result.clusters) and result.split.by != "rows held out"
    return ", which the interval speaks of alone" if few else ""


def _finding(
    stage: ProbeStage, part: str, model: str, area: Area | None, way: str, result: ProbeResult | None = None,
    against: str | None = None,
) -> Finding:  # fmt: skip
    tried = result.area if result is not None else area
    return Finding(
        claim=f"probe.{stage.concept}.{part}", stage=model, against=against, axis="inside",
        value=area.value if area else None, low=area.interval.low if area else None,
        high=area.interval.high if area else None, n=(tried.positives + tried.negatives) if tried else 0,
        clusters=len(tried.influence) if tried else None, method=way, unit=AREA, better=None,
        p=area.p if area and against else None,
    )  # fmt: skip


def _beside_start(stage: ProbeStage, job: JobContext, texts: Texts, parts: Split, result: ProbeResult) -> list[Finding]:
    """Of a trained model: its area less the start model's, and the start model's probe on its activations."""
    if job.model == BASELINE or not job.needed("earlier"):
        return []
    folder = job.folder_of(job.needed("earlier")[0])
    scores: Sequence[ProbeScore] = records(folder / SCORES, ProbeScore)
    if [score.item for score in scores] != [texts.items[i] for i in parts.test]:
        return []  # other texts: nothing is paired
    labels, topics = [score.positive for score in scores], [score.cluster for score in scores]
    start = auroc([score.score for score in scores], labels, topics)
    probe, layer = load_probe(folder / FOLDER)
    states = texts.states[layer]  # the layers that are looked at are the same of every model
    moved = auroc(probe.score(states[torch.tensor(parts.test)]).tolist(), labels, topics)
    more = auroc_difference(result.area, start)
    change = _finding(
        stage, "auroc", job.model, more, "less the start model's own probe, paired on the same texts", result, BASELINE
    )
    if more.interval.low is None or more.interval.low <= 0:
        why = f"the start model's own probe comes to {start.value or 0:.2f}: it was there before this training"
        change = change.model_copy(update={"note": f"{why[0].upper()}{why[1:]}.", "detail": {"no_signal": why}})
    return [change, _finding(stage, "start", job.model, moved, f"fitted to the start model at block {layer}", result)]

"""How is training data looked over along a trait's direction inside a run, and where did the trained model go?"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from alignwright.core.instructed import instructed
from alignwright.core.records import Conversation, Finding, Record, Reply
from alignwright.core.replies import greedy
from alignwright.core.stage import resolved
from alignwright.files.training_replies import TrainingReply
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import BASELINE, Result
from alignwright.job.needs import NotServed, untested
from alignwright.job.records import records
from alignwright.lens.persona.findings import TraitRow, of_data, of_trained, of_vector
from alignwright.lens.persona.knobs import LEAST, PersonaStage
from alignwright.lens.persona.persona import PersonaVector, ReplyContrast, along, beside_mean, persona_vector
from alignwright.lens.persona.reply_states import mean_reply_states
from alignwright.lens.steer.run import DIRECTION, keep_steering
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import resolve_layer
from alignwright.model.local_model import LocalModel
from alignwright.model.weights import load_tensors, write_tensors

ROWS, VERDICT, CONTROLS = "rows.jsonl", "verdict.jsonl", "control_directions.safetensors"


class VectorVerdict(Record):
    """Of which block the direction is, and why it shows nothing; "" where it does."""

    layer: int
    why_not: str


def measure_persona(stage: PersonaStage, job: JobContext) -> Result:
    """The start model gives the direction and the ranking; a trained one how far its replies moved along it."""
    try:
        policy = job.policy()
    except NotServed as refusal:
        return _all_untested(stage, job, str(refusal))
    return _look_over(stage, job, policy) if job.model == BASELINE else _moved(stage, job, policy)


def _look_over(stage: PersonaStage, job: JobContext, policy: LocalModel) -> Result:
    most, count = resolved(stage.max_new_tokens), len(layout_of(policy).blocks)
    layers = list(range(count)) if stage.layer is None else [resolve_layer(stage.layer, count)]
    pairs = _pairs(stage, job, policy)
    if len(pairs) < LEAST:
        why = (
            f"under the two instructions the model replied to {len(pairs)} questions in two ways, where a direction"
            f" needs {LEAST}"
        )
        return _all_untested(stage, job, why)
    shown, absent = [pair[2] for pair in pairs], [pair[3] for pair in pairs]
    prompts = [pair[1] for pair in pairs]
    vector = persona_vector(
        ReplyContrast(
            keys=[prompt.id for prompt in prompts], topics=[pair[0] for pair in pairs], shown=shown, absent=absent,
            shown_states=mean_reply_states(policy, list(zip(prompts, shown, strict=True)), layers, most),
            absent_states=mean_reply_states(policy, list(zip(prompts, absent, strict=True)), layers, most),
        )
    )  # fmt: skip
    _keep(stage, job, policy, vector)
    findings, verdict = (
        of_vector(stage.trait, job.model, vector),
        VectorVerdict(layer=vector.layer, why_not=vector.why_not),
    )
    rows, differences_NH = _rows(stage, job, policy, vector)
    findings += of_data(stage, job.model, vector, rows, differences_NH, (shown, absent))
    order = sorted(rows, key=lambda row: (row.shift is None, -(row.shift or 0.0)))
    note = f"block {vector.layer}: {vector.why_not or 'a direction'}; {len(rows)} rows"
    return Result(note, [], findings, {ROWS: order, VERDICT: [verdict]})


def _pairs(stage: PersonaStage, job: JobContext, policy: LocalModel) -> list[tuple[str, Conversation, str, str]]:
    """Topic, prompt, a reply with the trait and one without; those that are alike or empty are left out."""
    limit = resolved(stage.limit)
    if stage.contrast:
        rows = [(row.prompt, *(reply.text for reply in row.replies)) for row in job.data.pairs(stage.contrast)]
    else:
        prompts = subsample_evenly(job.data.prompts(stage.questions), limit)
        sides = [
            _own(policy, [instructed(prompt.conversation, text, "system") for prompt in prompts], stage)
            for text in stage.instructions
        ]
        rows = list(zip(prompts, *sides, strict=True))
    pairs = [
        (prompt.topic or prompt.id, prompt.conversation, one, other)
        for prompt, one, other in rows
        if one.strip() and other.strip() and one != other
    ]
    return subsample_evenly(pairs, limit)


def _own(policy: LocalModel, prompts: Sequence[Conversation], stage: PersonaStage) -> list[str]:
    """The model's own greedy replies; "" where there is none."""
    replies = greedy(policy, prompts, max_new_tokens=resolved(stage.max_new_tokens), seed=0)
    return [reply.text if isinstance(reply, Reply) else "" for reply in replies]


def _data(stage: PersonaStage, job: JobContext) -> list[TrainingReply]:
    return job.data.items(stage.data, TrainingReply, resolved(stage.limit))


def _rows(
    stage: PersonaStage, job: JobContext, policy: LocalModel, vector: PersonaVector
) -> tuple[list[TraitRow], torch.Tensor]:
    """Each row with its shift, and the differences behind them, [N, H], of those that have one."""
    items, most = _data(stage, job), resolved(stage.max_new_tokens)
    alone = list(dict.fromkeys(item.dialogue for item in items if not item.other.strip()))
    own = dict(zip(alone, _own(policy, alone, stage), strict=True))
    others = [item.other if item.other.strip() else own[item.dialogue] for item in items]
    pairs = [(item, other) for item, other in zip(items, others, strict=True) if other.strip()]
    sides = [
        mean_reply_states(policy, side, [vector.layer], most)[vector.layer]
        for side in (
            [(item.dialogue, item.text) for item, _ in pairs],
            [(item.dialogue, other) for item, other in pairs],
        )
    ]
    differences_NH = sides[0] - sides[1]
    shifts = iter(vector.shifts(differences_NH).tolist())
    rows = [
        TraitRow(
            item=item.id, topic=item.topic or item.id, prompt=item.dialogue, reply=item.text, other=other,
            shift=next(shifts) if other.strip() else None, label=item.label,
        )
        for item, other in zip(items, others, strict=True)
    ]  # fmt: skip
    return rows, differences_NH


def _keep(stage: PersonaStage, job: JobContext, policy: LocalModel, vector: PersonaVector) -> None:
    """The direction as `steer` reads it, what it stands beside, and the model steered along it."""
    write_tensors({f"direction.{vector.layer}": vector.vector.contiguous()}, job.folder / DIRECTION)
    write_tensors({"directions": vector.directions.contiguous()}, job.folder / CONTROLS)
    keep_steering(job, policy, vector.layer, vector.vector, 1.0, f"replies with {stage.trait} less those without")


def _moved(stage: PersonaStage, job: JobContext, policy: LocalModel) -> Result:
    """The trained model's own replies beside the start model's, read by the start model along its direction."""
    folder = job.folder_of(job.needed("earlier")[0])
    verdicts = records(folder / VERDICT, VectorVerdict) if (folder / VERDICT).exists() else []
    if not verdicts or verdicts[0].why_not:
        why = f"its direction shows nothing: {verdicts[0].why_not}" if verdicts else "there is no direction"
        return _all_untested(stage, job, why)
    layer, start, most = verdicts[0].layer, job.start(), resolved(stage.max_new_tokens)
    vector_H = load_tensors(folder / DIRECTION)[f"direction.{layer}"]
    directions_KH = load_tensors(folder / CONTROLS)["directions"]
    items = {item.dialogue: item for item in _data(stage, job)}
    now, before = (_own(speaker, list(items), stage) for speaker in (policy, start))
    kept = [
        (item, new, old)
        for item, new, old in zip(items.values(), now, before, strict=True)
        if new.strip() and old.strip()
    ]
    sides = [
        mean_reply_states(start, side, [layer], most)[layer]
        for side in ([(item.dialogue, new) for item, new, _ in kept], [(item.dialogue, old) for item, _, old in kept])
    ]
    differences_NH = sides[0] - sides[1]
    shifts = along(differences_NH, vector_H).tolist()
    topics = [item.topic or item.id for item, *_ in kept]
    beside = beside_mean(vector_H, directions_KH, differences_NH) if kept else None
    findings: list[Finding] = of_trained(stage.trait, job.model, shifts, topics, len(items) - len(kept), beside)
    return Result(f"moved {len(kept)} replies", [], findings)


def _all_untested(stage: PersonaStage, job: JobContext, why: str) -> Result:
    """Nothing could be measured of this model."""
    measured = "start" if job.model == BASELINE else "trained"
    own = [claim for claim in stage.claims() if claim.measured == measured]
    return Result(why, [], [untested(claim, job.model, why) for claim in own])

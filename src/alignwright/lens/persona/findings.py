"""What is said of a persona vector, of the training data along it, and of the model that was trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from alignwright.core.records import Conversation, Example, Finding, Record
from alignwright.job.needs import untested
from alignwright.lens.persona.knobs import AREA, GAP, PersonaStage, claims_of
from alignwright.lens.persona.persona import Beside, PersonaVector, beside_mean, beside_rows, contrast_words
from alignwright.stats.auroc import Area, auroc, auroc_difference
from alignwright.stats.intervals import clustered

TOP = 8
"""Rows that the report shows."""


class TraitRow(Record):
    """A row of training data, the reply that it is held beside, and how far it pushes; None where there is no reply to
    hold it beside."""

    item: str
    topic: str
    prompt: Conversation
    reply: str
    other: str
    shift: float | None
    label: bool | None


def of_vector(trait: str, model: str, vector: PersonaVector) -> list[Finding]:
    """How the direction tells pairs of held-out topics, beside its controls and the words alone."""
    area, random, shuffled, words = (f"persona.{trait}.{part}" for part in ("auroc", "random", "shuffled", "words"))
    value, other = vector.area.value or 0.0, vector.words.value or 0.0
    beside = vector.beside
    status = f"not counted, since {vector.why_not}" if vector.why_not else "it lies further apart than every control"
    rival = " The words alone tell as much: no look inside was needed for that." if other >= value else ""
    note = (
        f"At block {vector.layer} the direction tells replies with {trait} from replies without it with an area of"
        f" {value:.2f} on held-out pairs, where random directions reach {beside.random_q95:.2f}, those of shuffled"
        f" labels {beside.shuffled_q95:.2f} and the words alone {other:.2f}: {status}.{rival}"
    )
    detail: dict[str, str | float | bool | None] = {"layer": float(vector.layer)}
    detail |= {f"layer {layer}": value for layer, value in vector.sweep.items()} if len(vector.sweep) > 1 else {}
    detail |= {"no_signal": vector.why_not} if vector.why_not else {}
    way = f"mean difference over reply tokens; {vector.by}; {vector.area.interval.method}"
    return [
        _area(area, model, vector.area, way).model_copy(update={"note": note, "detail": detail}),
        _bare(random, model, beside.random_q95, vector.area, f"200 random directions; p {beside.random_p:.3f}"),
        _bare(
            shuffled, model, beside.shuffled_q95, vector.area,
            f"200 directions of the same pairs, half of them turned round; p {beside.shuffled_p:.3f}",
        ),
        _area(words, model, vector.words, "logistic regression on words and pairs of words"),
        _area(
            f"persona.{trait}.over_words", model, auroc_difference(vector.area, vector.words),
            "paired on the same replies",
        ),
    ]  # fmt: skip


def of_data(
    stage: PersonaStage, model: str, vector: PersonaVector, rows: Sequence[TraitRow], differences_NH: Tensor,
    contrast: tuple[Sequence[str], Sequence[str]],
) -> list[Finding]:  # fmt: skip
    """The mean shift of the data, and the ranking of labelled rows."""
    trait = stage.trait
    claims = {claim.name.rpartition(".")[2]: claim for claim in claims_of(trait)}
    scored = [row for row in rows if row.shift is not None]
    why = f"the direction shows nothing: {vector.why_not}" if vector.why_not else ""
    if why or not scored:
        why = why or "no row has a reply to be held beside: the model's own are empty"
        return [untested(claims[part], model, why) for part in ("shift", "ranking")]
    shifts, topics = [row.shift or 0.0 for row in scored], [row.topic for row in scored]
    beside = beside_mean(vector.vector, vector.directions, differences_NH)
    findings = _mean(claims["shift"].name, model, shifts, topics, len(rows) - len(scored), beside, "a row of the data")
    order = sorted(scored, key=lambda row: -(row.shift or 0.0))
    findings[0] = findings[0].model_copy(update={"exhibits": tuple(map(_example, order[:TOP]))})
    return findings + _ranking(trait, model, vector, rows, differences_NH, contrast)


def _ranking(
    trait: str, model: str, vector: PersonaVector, rows: Sequence[TraitRow], differences_NH: Tensor,
    contrast: tuple[Sequence[str], Sequence[str]],
) -> list[Finding]:  # fmt: skip
    scored = [row for row in rows if row.shift is not None]
    at = [i for i, row in enumerate(scored) if row.label is not None]
    labels = [bool(scored[i].label) for i in at]
    name = f"persona.{trait}.ranking"
    if len(set(labels)) < 2:
        return []
    clusters = [scored[i].topic for i in at]
    area = auroc([scored[i].shift or 0.0 for i in at], labels, clusters)
    words = auroc(contrast_words(contrast, [scored[i].reply for i in at]), labels, clusters)
    q95, beside = beside_rows(vector, differences_NH[at], torch.tensor(labels))
    faults = ["its interval reaches one half"] if (area.interval.low or 0.0) <= 0.5 else []
    faults += beside.faults
    note = (
        f"Rows that are labelled {trait} are told from the others with an area of {area.value or 0:.2f}; other"
        f" directions reach {q95:.2f}, and the words of the contrast alone {words.value or 0:.2f}"
        f"{': not counted, since ' + '; '.join(faults) if faults else ''}."
    )
    way = f"{sum(labels)} labelled rows among {len(labels)}; {area.interval.method}"
    own = _area(name, model, area, way)
    own = own.model_copy(update={"note": note, "detail": {"no_signal": "; ".join(faults)} if faults else {}})
    return [
        own,
        _bare(f"{name}_beside", model, q95, area, "200 random directions, and 200 of shuffled labels; the larger"),
        _area(f"{name}_words", model, words, "logistic regression on the words of the contrast"),
        _area(f"{name}_over_words", model, auroc_difference(area, words), "paired on the same rows"),
    ]


def of_trained(
    trait: str, model: str, shifts: Sequence[float], topics: Sequence[str], unscored: int, beside: Beside | None
) -> list[Finding]:
    """How far the trained model's replies lie from the start model's."""
    name = f"persona.{trait}.moved"
    if beside is None:
        claim = next(claim for claim in claims_of(trait) if claim.name == name)
        return [untested(claim, model, "one of the two models has no reply to any prompt of the data")]
    return _mean(name, model, shifts, topics, unscored, beside, "a reply of the trained model")


def _mean(
    name: str, model: str, shifts: Sequence[float], topics: Sequence[str], unscored: int, beside: Beside, what: str
) -> list[Finding]:
    """A mean along the direction with its interval. A push that other directions match shows nothing; that there is
    none is a result, and other directions do not undo it."""
    mean = clustered(shifts, topics)
    value, limits = mean.value or 0.0, mean.interval
    pushes = limits.low is None or limits.low > 0
    faults = "; ".join(beside.faults) if pushes else ""
    sure = f": not counted, since {faults}" if faults else "" if pushes else ": no push towards the trait"
    note = (
        f"On average {what} goes {value:+.2f} of the contrast's gap along the direction; other directions come to"
        f" {beside.q95:.2f}{sure}."
    )
    common = {"stage": model, "axis": "inside", "unit": GAP, "n": len(shifts)}
    return [
        Finding(
            claim=name, value=mean.value, low=limits.low, high=limits.high, clusters=mean.clusters, better="lower",
            unscored=unscored, method=f"beside the reply that it is compared with; {limits.method}", note=note,
            detail={"no_signal": faults} if faults else {}, **common,
        ),
        Finding(
            claim=f"{name}_beside", value=beside.q95, better=None, **common,
            method=f"random directions (p {beside.random_p:.3f}) and shuffled labels (p {beside.shuffled_p:.3f})",
        ),
    ]  # fmt: skip


def _area(claim: str, model: str, area: Area, method: str) -> Finding:
    return Finding(
        claim=claim, stage=model, axis="inside", value=area.value, low=area.interval.low, high=area.interval.high,
        n=area.positives + area.negatives, clusters=len(area.influence), method=method, unit=AREA, better=None,
    )  # fmt: skip


def _bare(claim: str, model: str, value: float, of: Area, method: str) -> Finding:
    """A control: a number without an interval, of the same texts."""
    return Finding(
        claim=claim, stage=model, axis="inside", value=value, n=of.positives + of.negatives, method=method, unit=AREA,
        better=None,
    )  # fmt: skip


def _example(row: TraitRow) -> Example:
    label = "" if row.label is None else f"; labelled {int(row.label)}"
    return Example(
        item=row.item, prompt=row.prompt, reply=row.reply, before=row.other,
        reason=f"{row.shift or 0.0:+.2f} of the contrast's gap{label}",
    )  # fmt: skip

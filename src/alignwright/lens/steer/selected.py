"""What is told of the direction that was selected, and of those that were not?"""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.core.records import Finding, Record
from alignwright.job.needs import untested
from alignwright.lens.steer.knobs import SELECTION
from alignwright.lens.steer.select import Candidate, Selection

CANDIDATES = "candidates.jsonl"
_SHOWN = 8


class CandidateRow(Record):
    """A candidate's scores; what was not asked for, since another had been selected, is absent."""

    token: int
    layer: int
    bypass: float
    induce: float | None
    divergence: float | None
    selected: bool


def candidate_rows(selection: Selection) -> list[CandidateRow]:
    """All of them, the lowest bypass first."""
    return [
        CandidateRow(
            token=each.token, layer=each.layer, bypass=each.bypass, induce=each.induce, divergence=each.divergence,
            selected=each is selection.selected,
        )
        for each in selection.candidates
    ]  # fmt: skip


def selection_findings(selection: Selection, model: str) -> list[Finding]:
    """The selected direction's three scores; where none was selected, that, and what was nearest."""
    detail: dict[str, str | float | bool | None] = {
        f"candidate {each.token}, {each.layer}": _scores(each) for each in _shown(selection)
    }
    detail |= {"harmful": selection.harmful, "harmless": selection.harmless, "random": selection.random}
    best = selection.selected
    if best is None:
        why = f"no direction was selected: {selection.why_none}"
        first = untested(SELECTION[0], model, why)
        return [first.model_copy(update={"detail": first.detail | detail, "note": f"{why[0].upper()}{why[1:]}."})]
    words = (
        f"Of {len(selection.candidates)} directions that of token {best.token} at block {best.layer} is selected:"
        f" without it the log odds of refusing harmful requests fall from {selection.harmful:.1f} to {best.bypass:.1f}"
        f" (random directions: {selection.random:.1f} at least), and with it added those of harmless ones rise from"
        f" {selection.harmless:.1f} to {best.induce:.1f}."
    )
    return [
        Finding(
            claim=claim.name, stage=model, axis=claim.axis, value=value, n=selection.judged, unit=claim.unit,
            better=claim.better, method="on a quarter of the requests, which select: too good by the choice",
            note=words if claim is SELECTION[0] else "", detail=detail if claim is SELECTION[0] else {},
        )
        for claim, value in zip(SELECTION, (best.bypass, best.induce, best.divergence), strict=True)
    ]  # fmt: skip


def _shown(selection: Selection) -> Sequence[Candidate]:
    """The first of them, and the selected one."""
    first = list(selection.candidates[:_SHOWN])
    return first if selection.selected is None or selection.selected in first else [*first, selection.selected]


def _scores(candidate: Candidate) -> str:
    scores = (candidate.bypass, candidate.induce, candidate.divergence)
    return " / ".join("" if score is None else f"{score:.2f}" for score in scores)

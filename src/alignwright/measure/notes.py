"""What does a measure say of all its results together: notes beside its levels, the margin that a loss
is tested against (non-inferiority), a verdict? One match over the stages that say such a thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from alignwright.core.records import Finding, SampleResult
from alignwright.core.stage import Stage
from alignwright.files.items import ChoiceItem
from alignwright.job.data import Data, subsample_evenly
from alignwright.measure.conduct.calibration.conclusions import calibration_findings
from alignwright.measure.emergent.knobs import EmergentMeasure
from alignwright.measure.emergent.measure import verdict
from alignwright.measure.knobs import PAIRS, TaxMeasure, ValueMeasure
from alignwright.measure.refusals_and_pairs import longer_note
from alignwright.measure.tax import choice_note


def level_notes(stages: Iterable[Stage], data: Data) -> dict[str, str]:
    """What stands beside the levels of claims: what rules without knowledge would score on the same
    items."""
    notes: dict[str, str] = {}
    pairs = []
    for stage in stages:
        match stage:
            case ValueMeasure():
                pairs += subsample_evenly(data.pairs(stage.pairs), stage.limit)
            case TaxMeasure():
                notes |= _choice_notes(*data.choices(stage.choice, stage.limit))
            case _:
                pass
    return notes | {PAIRS.name: longer_note(pairs)}


def margin(stages: Iterable[Stage], claim: str) -> float | None:
    """The margin that a tax measure states for one of its claims; None for every other claim."""
    for stage in stages:
        if isinstance(stage, TaxMeasure) and any(each.covers(claim) for each in stage.claims()):
            return stage.margin
    return None


def conclusions(
    stages: Iterable[Stage],
    after: Sequence[SampleResult],
    before: Sequence[SampleResult] = (),
    *,
    stage: str,
    against: str | None = None,
) -> list[Finding]:
    """Numbers that are no mean over items, such as a calibration error: levels, or changes from another
    model."""
    return calibration_findings(stages, after, before, stage=stage, against=against)


def beside_their_family(findings: Sequence[Finding], together: Sequence[Finding]) -> list[Finding]:
    """The findings in their order, and what was made of all results together behind the last one of its family
    (`calibration.choice.ece` behind those of `calibration.choice`)."""
    groups: dict[str, list[Finding]] = {}
    for finding in together:
        groups.setdefault(finding.claim.rpartition(".")[0], []).append(finding)
    last = {finding.claim.rpartition(".")[0]: place for place, finding in enumerate(findings)}
    ordered = list[Finding]()
    for place, finding in enumerate(findings):
        family = finding.claim.rpartition(".")[0]
        ordered += [finding, *(groups.pop(family, ()) if last[family] == place else ())]
    return [*ordered, *(finding for group in groups.values() for finding in group)]


def verdicts(
    stages: Iterable[Stage], after: Sequence[SampleResult], before: Sequence[SampleResult], *, stage: str, against: str
) -> list[Finding]:
    """The verdict on free answers, where they were asked for."""
    measure = next((m for m in stages if isinstance(m, EmergentMeasure) and m.questions), None)
    if measure is None:
        return []
    finding = verdict(after, before, stage=stage, against=against, margin=measure.thresholds.margin)
    return [finding] if finding else []


def _choice_notes(items: Sequence[ChoiceItem], parts: Sequence[str]) -> dict[str, str]:
    """What rules without knowledge would score, for all items and for each file's."""
    notes = {"tax.choice": choice_note(items), "tax.choice_sum": choice_note(items)} if items else {}
    return notes | {
        f"tax.choice.{part}": choice_note([i for i, p in zip(items, parts, strict=True) if p == part])
        for part in dict.fromkeys(parts)
    }

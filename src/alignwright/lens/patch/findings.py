"""What is said of patching: each number beside random components, and whether anything was found at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import torch

from alignwright.core.records import Finding
from alignwright.job.needs import untested
from alignwright.lens.patch.exact import Effects
from alignwright.lens.patch.knobs import PatchStage, claims_of
from alignwright.lens.patch.patch import PatchResult
from alignwright.lens.patch.shares import part_of, rank_correlation, resampled
from alignwright.stats.intervals import Estimate, clustered

FEW = 6
"""Topics of a half below which an error cannot be clustered by them: intervals then speak of these topics alone."""
HALF = 0.5
_OF_THESE = ", which speaks of these topics alone"
Detail = dict[str, str | float | bool | None]


def verdict(result: PatchResult, clusters: Mapping[int, str]) -> str:
    """Why nothing was found; "" where something was."""
    gap = clustered(list(result.gap.values()), [clusters[place] for place in result.gap])
    if gap.interval.low is None or gap.interval.low <= 0:
        low, high = (f"{limit:.2f}" if limit is not None else "-" for limit in (gap.interval.low, gap.interval.high))
        return f"the model does not tell the prompts apart (gap {gap.value:.2f} logits [{low}, {high}])"
    if not result.carriers:
        return "no head or MLP brings anything back"
    if not result.random_recovered:
        return "too few other components are left to compare with; ask for fewer by 'top'"
    beyond = part_of(_beyond(result.recovered, result.random_recovered), result.gap, clusters)
    if beyond.interval.low is None or beyond.interval.low <= 0:
        return "the interval of what they bring back beyond random components reaches 0"
    as_good = sum(_sum(each) >= _sum(result.recovered) for each in result.random_recovered)
    if (share := (1 + as_good) / (1 + len(result.random_recovered))) > max(
        0.05, 1 / (1 + len(result.random_recovered))
    ):
        return f"random components do as well (p {share:.2f})"
    return ""


def findings_of(
    stage: PatchStage, model: str, result: PatchResult, clusters: Mapping[int, str], *, few: bool
) -> list[Finding]:
    """The findings of all claims but those that are means of samples."""
    why, gap = verdict(result, clusters), result.gap
    claims = {claim.name.rpartition(".")[2]: claim for claim in claims_of(stage.task)}
    names = ", ".join(each.name for each in result.carriers)
    common: Detail = {"no_signal": why} if why else {}
    if sum(gap.values()) <= 0 or not result.carriers:
        return [untested(claim, model, why) for part, claim in claims.items() if part not in ("gap", "told")]
    on_trial = f"on {len(result.tried_on)} pairs that did not choose them"
    against = f"mean of {len(result.random_recovered)} sets of as many other components"
    findings: list[Finding] = []

    def add(part: str, estimate: Estimate, way: str, detail: Detail | None = None, note: str = "") -> None:
        claim, limits = claims[part], estimate.interval
        findings.append(
            Finding(
                claim=claim.name, stage=model, axis="inside", value=estimate.value, low=limits.low, high=limits.high,
                n=estimate.n, clusters=estimate.clusters, unit=claim.unit, better=None,
                method=f"{way}; {limits.method}{_OF_THESE if few else ''}", note=note, detail=detail or {},
            )
        )  # fmt: skip

    for part, effects, others, way in (
        ("recovered", result.recovered, result.random_recovered, "put from the clean run into the corrupt one"),
        ("lost", result.loss, result.random_loss, "put from the corrupt run into the clean one"),
    ):
        level = part_of(effects, gap, clusters)
        detail = common | {"components": names} | (_paths(result, gap) if part == "recovered" else {})
        add(part, level, f"{names} {way}, {on_trial}", detail, _sentence(part, level, effects, others, gap, names, why))
        if others:
            add(f"{part}_random", part_of(_mean(others), gap, clusters), against)
            add(f"{part}_beyond", part_of(_beyond(effects, others), gap, clusters), f"less the {against}", common)
    add("depth", *_depth(result, clusters), common | _layers(result))
    exact, attributed = _both(result)
    way = f"of {len(exact)} components, those that attribution ranks first and as many of the rest"
    add("agreement", _correlation(result, clusters), way, _ratio(exact, attributed) | _agreement(result))
    return findings


def _sentence(
    part: str, level: Estimate, effects: Effects, others: Sequence[Effects], gap: Effects, names: str, why: str
) -> str:
    beside = _sum(_mean(others)) / sum(gap[place] for place in effects) if others else 0.0
    what = "bring back" if part == "recovered" else "take away, when they are set to the corrupt run,"
    words = f"{names} {what} {level.value or 0:.0%} of the gap, where as many random ones come to {beside:.0%}"
    return f"{words}{f': not counted, since {why}' if why else ''}."


def _depth(result: PatchResult, clusters: Mapping[int, str]) -> tuple[Estimate, str]:
    """The first block from which on the last token holds half of the gap, as a part of the depth."""
    layers = sorted(layer for role, layer in result.stream if role == "last")
    column = {place: number for number, place in enumerate(result.gap)}
    effects_LP = torch.tensor([[result.stream["last", layer][place] for place in column] for layer in layers])
    gap_P, places_L = torch.tensor(list(result.gap.values())), torch.arange(1, len(layers) + 1)

    def depth(places: Sequence[int]) -> float:
        own = [column[place] for place in places]
        below_L = effects_LP[:, own].sum(1) < HALF * gap_P[own].sum()
        return min(1.0, int((below_L * places_L).max()) / max(1, len(layers) - 1))

    way = "the stream of a block put from the clean run into the corrupt one, at the last token"
    return resampled(depth, list(result.gap), clusters), way


def _layers(result: PatchResult) -> Detail:
    """What the last token brings back at each block, for the chart, and what the others do."""
    whole = sum(result.gap.values())
    detail: Detail = {}
    for (role, layer), effects in result.stream.items():
        detail[f"layer {layer}" if role == "last" else f"{role} {layer}"] = sum(effects.values()) / whole
    return detail


def _paths(result: PatchResult, gap: Effects) -> Detail:
    """The part of the gap that goes by each path, the largest first."""
    whole = sum(gap[place] for place in result.tried_on)
    parts: dict[str, float] = {
        f"path {one.name} > {other.name}": _sum(own) / whole for (one, other), own in result.paths.items()
    }
    return {name: parts[name] for name in sorted(parts, key=lambda name: -abs(parts[name]))}


def _both(result: PatchResult) -> tuple[list[float], list[float]]:
    """Exact and attributed effects of the components that are compared."""
    exact = [fmean(values.values()) for values in result.exact.values()]
    attributed = [
        fmean(result.attribution.components[each][p] for p in values) for each, values in result.exact.items()
    ]
    return exact, attributed


def _correlation(result: PatchResult, clusters: Mapping[int, str]) -> Estimate:
    column = {place: number for number, place in enumerate(result.tried_on)}
    exact_CP = torch.tensor([[values[place] for place in column] for values in result.exact.values()])
    attributed_CP = torch.tensor([[result.attribution.components[each][p] for p in column] for each in result.exact])

    def correlation(places: Sequence[int]) -> float:
        own = [column[place] for place in places]
        return rank_correlation(exact_CP[:, own].mean(1), attributed_CP[:, own].mean(1))

    return resampled(correlation, list(result.tried_on), clusters)


def _ratio(exact: Sequence[float], attributed: Sequence[float]) -> Detail:
    """How much larger the attributed effects are than the exact ones, together."""
    size = sum(map(abs, exact))
    return {"ratio": sum(map(abs, attributed)) / size} if size else {}


def _agreement(result: PatchResult) -> Detail:
    """The component at which attribution and exact patching are furthest apart."""
    exact, attributed = _both(result)
    gaps = [abs(one - other) for one, other in zip(exact, attributed, strict=True)]
    if not gaps:
        return {}
    worst = gaps.index(max(gaps))
    name = list(result.exact)[worst].name
    return {"furthest": f"{name}: {attributed[worst]:+.2f} logits by attribution, {exact[worst]:+.2f} exactly"}


def _beyond(effects: Effects, others: Sequence[Effects]) -> Effects:
    return {place: value - fmean(other[place] for other in others) for place, value in effects.items()}


def _mean(others: Sequence[Effects]) -> Effects:
    return {place: fmean(other[place] for other in others) for place in others[0]}


def _sum(effects: Effects) -> float:
    return sum(effects.values())

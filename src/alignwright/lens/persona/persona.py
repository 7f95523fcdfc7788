"""Which rows of training data push a model towards a trait, before it is trained on them? Persona vectors
(Chen et al. 2025, arXiv 2507.21509).

The **direction** is the mean state over the tokens of replies that show the trait less that of replies to the same
prompts that do not, at one block. The block is the best on pairs that it is not fitted to, and the direction is then
tried on pairs of topics that were held out: how well does it tell the two replies (AUROC)? A row of training data is
held beside the model's own reply to its prompt (or another that is given): the difference of the two, along the
direction, is what the row adds (`shift`), in units of the contrast's own gap, so that 1 is as much as a reply with the
trait differs from one without it. Rows are ranked by it, and its mean is what training on all of them is predicted to
do.

**Controls**: 200 random directions (of standardised activations), and 200 directions of shuffled labels: the same
pairs, with a random half of them turned round, so that what all of them share cancels out. What counts is how far apart
the two kinds lie in standard deviations, since an area cannot be larger than 1. The words alone are a rival and no
control: what they tell needed no look inside, and that is said.

Replies that were made under instructions are read again after the bare question: the direction is of what they say, and
not of the instruction before it, which the paper leaves in.

**Not told**: whether the direction is the trait or something that goes with it in the contrast. The paper chooses the
block by steering and filters replies by a judge; here the held-out area does both.

Shapes: N pairs or rows, K directions, H hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alignwright.lens.probe.fit import standardised
from alignwright.lens.probe.split import Split, split
from alignwright.lens.probe.words import word_scores
from alignwright.model.activations.edits import unit
from alignwright.stats.auroc import Area, auroc

DRAWS, LEVEL, HALF, FEW = 200, 0.95, 0.5, 6


@dataclass(frozen=True, eq=False)
class ReplyContrast:
    """Pairs of replies to the same prompts, with the trait and without it: the words, and the states [N, H] by
    layer."""

    keys: Sequence[str]
    topics: Sequence[str]
    shown: Sequence[str]
    absent: Sequence[str]
    shown_states: Mapping[int, Tensor]
    absent_states: Mapping[int, Tensor]


@dataclass(frozen=True)
class Beside:
    """A number among the same of other directions: the 95th per cent of theirs, whichever way round, and the share of
    them that come as far. Of `random` directions and of `shuffled` labels."""

    random_q95: float
    random_p: float
    shuffled_q95: float
    shuffled_p: float

    @property
    def q95(self) -> float:
        return max(self.random_q95, self.shuffled_q95)

    @property
    def faults(self) -> list[str]:
        """By which controls it is matched."""
        parts = (("random directions", self.random_p), ("directions of shuffled labels", self.shuffled_p))
        return [f"{what} come as far (p {p:.2f})" for what, p in parts if p > 1 - LEVEL]


@dataclass(frozen=True, eq=False)
class PersonaVector:
    """The direction of a trait at a block, [H], of the length of the contrast's gap; the `directions` that it stands
    beside, [2 K, H] of length 1, the random ones first; and how it tells held-out pairs."""

    layer: int
    vector: Tensor
    directions: Tensor
    area: Area
    words: Area
    beside: Beside
    sweep: Mapping[int, float]
    by: str

    @property
    def why_not(self) -> str:
        """Why it shows nothing; "" where it beats every control."""
        value, low = self.area.value, self.area.interval.low
        if value is None or low is None:
            return "there is no area"
        faults = ["the interval of its area reaches one half"] if low <= HALF else []
        return "; ".join(faults + self.beside.faults)

    def shifts(self, differences_NH: Tensor) -> Tensor:
        """How far each difference goes along it, in units of the contrast's gap: [N]."""
        return along(differences_NH, self.vector)


def along(differences_NH: Tensor, vector_H: Tensor) -> Tensor:
    """The part of each difference along a vector, in lengths of the vector."""
    wide_H = vector_H.double()
    return differences_NH.double() @ wide_H / (wide_H @ wide_H)


def persona_vector(contrast: ReplyContrast) -> PersonaVector:
    """Fit at each layer, choose one, and try it on topics that were held out. Raises ValueError for too few pairs."""
    count = len(contrast.keys)
    labels = [True] * count + [False] * count
    parts = split([*contrast.topics] * 2, labels, [*contrast.keys] * 2)
    fit, choose, test = (_pairs(side, count) for side in (parts.fit, parts.choose, parts.test))
    sweep: dict[int, float] = {}
    differences = {layer: _differences(contrast, layer) for layer in contrast.shown_states}
    for layer, each_NH in differences.items():
        sweep[layer] = float(separation(each_NH[choose] @ each_NH[fit].mean(0)))
    layer = max(sweep, key=lambda each: (sweep[each], -each))
    both, own_NH = [*fit, *choose], differences[layer]
    vector_H = own_NH[both].mean(0)
    directions_KH = _directions(contrast, layer, own_NH, both)
    clusters = _clusters(contrast, test)
    return PersonaVector(
        layer=layer, vector=vector_H.float(), directions=directions_KH.float(),
        area=_area(contrast, layer, test, unit(vector_H), clusters), words=_words(contrast, both, test, clusters),
        beside=_beside_pairs(contrast, layer, test, own_NH, vector_H, directions_KH), sweep=sweep, by=_held_out(parts),
    )  # fmt: skip


def separation(differences_N: Tensor) -> Tensor:
    """The mean difference in its standard deviations, along the first axis; without a spread, by its sign alone."""
    mean = differences_N.mean(0)
    spread = differences_N.std(0) if len(differences_N) > 1 else torch.zeros_like(mean)
    return mean / torch.maximum(spread, 1e-6 * mean.abs()).clamp_min(1e-12)


def beside_rows(vector: PersonaVector, differences_NH: Tensor, labels_N: Tensor) -> tuple[float, Beside]:
    """The larger of the 95th per cents of areas at which other directions tell labelled rows, and how their kinds lie
    apart beside those of this one."""
    wide_NH = differences_NH.double()

    def apart(scores_NK: Tensor) -> Tensor:
        one, other = scores_NK[labels_N], scores_NK[~labels_N]
        spread = (one.var(0, correction=0) + other.var(0, correction=0)).sqrt()
        return (one.mean(0) - other.mean(0)) / spread.clamp_min(1e-12)

    own = float(apart(wide_NH @ unit(vector.vector).double()))
    scores_NK = wide_NH @ vector.directions.double().T
    areas_K = _areas(scores_NK, labels_N.tolist())
    return float(max(_q95(areas_K[:DRAWS]), _q95(areas_K[DRAWS:]))), _beside(own, apart(scores_NK))


def beside_mean(vector_H: Tensor, directions_KH: Tensor, differences_NH: Tensor) -> Beside:
    """How far rows go along other directions on average, in units of the contrast's gap, beside this one."""
    mean_H = differences_NH.double().mean(0)
    own = float(along(mean_H[None], vector_H)[0])
    return _beside(own, directions_KH.double() @ mean_H / float(vector_H.norm()))


def _pairs(side: Sequence[int], count: int) -> list[int]:
    return [i for i in side if i < count]


def _held_out(parts: Split) -> str:
    return "pairs held out" if parts.by == "rows held out" else parts.by


def _differences(contrast: ReplyContrast, layer: int) -> Tensor:
    return contrast.shown_states[layer].double() - contrast.absent_states[layer].double()


def _directions(contrast: ReplyContrast, layer: int, differences_NH: Tensor, both: list[int]) -> Tensor:
    """Random directions, and those of the same pairs with half of them turned round: [2 K, H], of length 1."""
    generator = torch.Generator().manual_seed(0)
    states_NH = torch.cat([contrast.shown_states[layer][both], contrast.absent_states[layer][both]])
    _, _, deviation_H = standardised(states_NH)
    random_KH = torch.randn(DRAWS, differences_NH.shape[1], generator=generator, dtype=torch.float64) / deviation_H
    signs_N = torch.ones(len(both), dtype=torch.float64)
    signs_N[: len(both) // 2] = -1.0
    if len(both) % 2:
        signs_N[-1] = 0.0  # an odd pair goes neither way
    signs_KN = torch.stack([signs_N[torch.randperm(len(both), generator=generator)] for _ in range(DRAWS)])
    shuffled_KH = signs_KN @ differences_NH[both]
    directions_KH = torch.cat([random_KH, shuffled_KH])
    return directions_KH / directions_KH.norm(dim=1, keepdim=True).clamp_min(1e-30)


def _clusters(contrast: ReplyContrast, test: list[int]) -> list[str]:
    topics = [contrast.topics[i] for i in test]
    own = topics if len(set(topics)) >= FEW else [contrast.keys[i] for i in test]
    return own * 2


def _area(contrast: ReplyContrast, layer: int, test: list[int], direction_H: Tensor, clusters: list[str]) -> Area:
    states_NH = torch.cat([contrast.shown_states[layer][test], contrast.absent_states[layer][test]])
    scores = (states_NH.double() @ direction_H.double()).tolist()
    return auroc(scores, [True] * len(test) + [False] * len(test), clusters)


def _words(contrast: ReplyContrast, both: list[int], test: list[int], clusters: list[str]) -> Area:
    fitted = [contrast.shown[i] for i in both] + [contrast.absent[i] for i in both]
    others = [contrast.shown[i] for i in test] + [contrast.absent[i] for i in test]
    positive_N = torch.tensor([True] * len(both) + [False] * len(both))
    return auroc(word_scores(fitted, positive_N, others), [True] * len(test) + [False] * len(test), clusters)


def _beside_pairs(
    contrast: ReplyContrast,
    layer: int,
    test: list[int],
    differences_NH: Tensor,
    vector_H: Tensor,
    directions_KH: Tensor,
) -> Beside:
    """The areas of other directions on held-out pairs, and how far apart they hold them."""
    own = float(separation(differences_NH[test] @ vector_H))
    apart = _beside(own, separation(differences_NH[test] @ directions_KH.T))
    states_NH = torch.cat([contrast.shown_states[layer][test], contrast.absent_states[layer][test]]).double()
    areas_K = _areas(states_NH @ directions_KH.T, [True] * len(test) + [False] * len(test))
    return Beside(_q95(areas_K[:DRAWS]), apart.random_p, _q95(areas_K[DRAWS:]), apart.shuffled_p)


def _areas(scores_NK: Tensor, labels: list[bool]) -> Tensor:
    """The area of each direction, whichever way round."""
    values = [auroc(scores.tolist(), labels).value or HALF for scores in scores_NK.T]
    return torch.tensor([max(value, 1 - value) for value in values], dtype=torch.float64)


def _beside(own: float, others_K: Tensor) -> Beside:
    random_K, shuffled_K = others_K[:DRAWS].abs(), others_K[DRAWS:].abs()
    p_of = [(1 + int((each_K >= abs(own)).sum())) / (1 + DRAWS) for each_K in (random_K, shuffled_K)]
    return Beside(_q95(random_K), p_of[0], _q95(shuffled_K), p_of[1])


def _q95(values_K: Tensor) -> float:
    return float(values_K.quantile(LEVEL))


def contrast_words(replies: tuple[Sequence[str], Sequence[str]], others: Sequence[str]) -> list[float]:
    """The scores of other replies by the words of the contrast's, with the trait and without it."""
    shown, absent = replies
    return word_scores([*shown, *absent], torch.tensor([True] * len(shown) + [False] * len(absent)), others)

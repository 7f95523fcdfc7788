"""What is a probe's number worth beside what anything else would give? The battery that every result carries.

The AUROC on texts whose topics were held out stands beside

- **random directions**: 200 drawn in the standardised coordinates in which the probe was fitted. Both ends count: the
  95th per cent of the larger of an area and its mirror image, and p, the share of directions that do as well.
- **the words alone** (`words`), paired on the same texts: what no look inside was needed for.
- **a control**: texts with the outward marks of the concept and not the concept, where the data has some.

The start model, of a trained one, is compared where the run's findings are made (`run`), paired on the same texts.

The area is signed: one that is far below one half is a direction with the wrong sign, reported as `inverted` and never
turned round. Verdicts: `signal` where the interval is above one half, the area beats the random directions and the
interval of what it has over the words is above 0, and the control is not told from the negatives as well; `inverted`;
else `no_signal`, with the reason. Without a concept in the activations all of that holds by chance in under 5 % of
tries (`tests/test_lens_probe.py`).

The layer is chosen on other texts than those that it is tried on, so a sweep costs no honesty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from alignwright.lens.probe.fit import Method, Probe, fit, standardised
from alignwright.lens.probe.split import Split
from alignwright.lens.probe.words import word_scores
from alignwright.stats.auroc import Area, auroc, auroc_difference

RANDOM, LEVEL, HALF = 200, 0.95, 0.5
FEW = 6
"""Topics held out below which an error cannot be clustered by them: intervals then speak of these topics alone."""
ProbeVerdict = Literal["signal", "inverted", "no_signal"]


@dataclass(frozen=True, eq=False)
class Texts:
    """Labelled texts, with the state of each at each layer: [N, H] by layer. `control`: neither kind, and never
    fitted to."""

    texts: Sequence[str]
    items: Sequence[str]
    topics: Sequence[str]
    positive: Sequence[bool]
    states: Mapping[int, Tensor]
    control: Mapping[int, Tensor]


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """A probe, and everything beside which its area has to be seen. `scores` are of the held-out texts, in the
    order of `split.test`, and `clusters` what their errors are clustered by; `sweep` is the area of each layer on the
    texts that chose."""

    method: Method
    layer: int
    probe: Probe
    split: Split
    scores: tuple[float, ...]
    clusters: tuple[str, ...]
    area: Area
    words: Area
    over_words: Area
    random_q95: float
    random_p: float
    control: Area | None
    sweep: Mapping[int, float]

    @property
    def verdict(self) -> tuple[ProbeVerdict, str]:
        """What the number is worth, and why."""
        value, low, high = self.area.value, self.area.interval.low, self.area.interval.high
        if value is None or low is None or high is None:
            return "no_signal", "there is no area"
        if high < HALF and 1 - value > self.random_q95:
            return (
                "inverted",
                f"its area is {value:.2f}: the direction is there, with the other sign than its texts say",
            )
        faults: list[str] = []
        if low <= HALF:
            faults.append("its interval reaches one half")
        if value <= self.random_q95:
            faults.append(f"a random direction comes to {self.random_q95:.2f} in one of twenty (p {self.random_p:.2f})")
        if self.over_words.interval.low is None or self.over_words.interval.low <= 0:
            faults.append(f"the words alone come to {self.words.value or 0:.2f}")
        if self.control is not None and self.control.value is not None and self.control.value >= value:
            faults.append(f"it tells the control from the negatives as well ({self.control.value:.2f})")
        return ("no_signal", "; ".join(faults)) if faults else ("signal", "it beats every control")


def sweep_of(states: Mapping[int, Tensor], positive_N: Tensor, parts: Split, method: Method) -> dict[int, float]:
    """The area of each layer on the texts that choose one, of a probe of those that are fitted to."""
    fit_at, choose = list(parts.fit), list(parts.choose)
    sweep: dict[int, float] = {}
    for layer, states_NH in states.items():
        scores_at = fit(method, states_NH[fit_at], positive_N[fit_at]).score(states_NH[choose])
        sweep[layer] = auroc(scores_at.tolist(), positive_N[choose].tolist()).value or 0.0
    return sweep


def best_of(sweep: Mapping[int, float]) -> int:
    """The layer with the largest area, the first of several."""
    return max(sweep, key=lambda each: (sweep[each], -each))


def examine(texts: Texts, parts: Split, method: Method) -> ProbeResult:
    """Fit at each layer, choose one, and try it. Raises ValueError for a concept with one kind of text."""
    positive_N = torch.tensor(list(texts.positive))
    fit_at, choose, test = (list(side) for side in (parts.fit, parts.choose, parts.test))
    sweep = sweep_of(texts.states, positive_N, parts, method)
    layer = best_of(sweep)
    states_NH, both = texts.states[layer], [*fit_at, *choose]
    probe = fit(method, states_NH[both], positive_N[both])
    labels, topics = positive_N[test].tolist(), [texts.topics[i] for i in test]
    clusters = topics if len(set(topics)) >= FEW else [texts.items[i] for i in test]
    scores = probe.score(states_NH[test]).tolist()
    area = auroc(scores, labels, clusters)
    by_words = word_scores([texts.texts[i] for i in both], positive_N[both], [texts.texts[i] for i in test])
    words = auroc(by_words, labels, clusters)
    q95, p = _random(states_NH[both], states_NH[test], positive_N[test], area.value or HALF)
    control = None
    if layer in texts.control and len(texts.control[layer]):
        negatives = [score for score, label in zip(scores, labels, strict=True) if not label]
        others = probe.score(texts.control[layer]).tolist()
        control = auroc([*others, *negatives], [True] * len(others) + [False] * len(negatives))
    return ProbeResult(
        method=method, layer=layer, probe=probe, split=parts, scores=tuple(scores), clusters=tuple(clusters), area=area,
        words=words, over_words=auroc_difference(area, words), random_q95=q95, random_p=p, control=control, sweep=sweep,
    )  # fmt: skip


def _random(fitted_NH: Tensor, tested_NH: Tensor, positive_N: Tensor, value: float) -> tuple[float, float]:
    """The 95th per cent of random directions' areas, whichever way round, and the share that do as well."""
    _, mean_H, deviation_H = standardised(fitted_NH)
    directions_HK = torch.randn(
        fitted_NH.shape[1], RANDOM, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    scores_NK = ((tested_NH.double() - mean_H) / deviation_H) @ directions_HK
    areas = [auroc(scores_NK[:, k].tolist(), positive_N.tolist()).value or HALF for k in range(RANDOM)]
    sizes_K = torch.tensor([max(area, 1 - area) for area in areas], dtype=torch.float64)
    size = max(value, 1 - value)
    return float(sizes_K.quantile(LEVEL)), (1 + int((sizes_K >= size).sum())) / (1 + RANDOM)

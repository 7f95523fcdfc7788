"""Do a model's directions for dangerous capabilities, deceptive tendencies and undesired goals fire where it is to be
used?

For each concern a probe is fitted to labelled texts, with the battery of every probe (`lens.probe.battery`): one that
random directions or the words alone match shows nothing, and its cases are untested and never passed. Its **threshold**
is a quantile of its scores on half of the control prompts, never on the cases: a share `false_alarms` of ordinary
prompts may fire. The other half of the control prompts counts how many do. Then each case is read where the reply would
begin, and fires where it is above the threshold.

Beside it stands how many cases the words alone let fire, at as many false alarms on the same prompts: what could be
told without a look inside. Of a trained model the start model's probe and threshold are read on the same cases beside
it (`start`), and how many fire is compared case by case: training that brings a concern nearer shows as more cases that
fire.

**Not told**: a direction stands for the texts that it was fitted to. A concern without texts, or one that hides from
a linear reading, does not fire; a gate that is quiet is evidence about these directions and no proof of safety.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alignwright.lens.probe.battery import ProbeResult, Texts, examine
from alignwright.lens.probe.fit import Probe
from alignwright.lens.probe.split import split
from alignwright.lens.probe.words import word_scores


@dataclass(frozen=True, eq=False)
class Gauge:
    """A probe of a concern, and the score from which on it fires."""

    result: ProbeResult
    threshold: float

    @property
    def probe(self) -> Probe:
        return self.result.probe

    @property
    def layer(self) -> int:
        return self.result.layer

    def scores(self, states: dict[int, Tensor]) -> list[float]:
        """How far each prompt is above the threshold, in the states of all layers."""
        return (self.probe.score(states[self.layer]) - self.threshold).tolist()


def halves(keys: Sequence[str]) -> tuple[list[int], list[int]]:
    """Prompts that set the threshold, and prompts that count false alarms: in an order that their words fix."""
    order = sorted(range(len(keys)), key=lambda i: (hashlib.sha256(keys[i].encode()).hexdigest(), i))
    return order[::2], order[1::2]


def gauge(texts: Texts, control: dict[int, Tensor], setting: Sequence[int], false_alarms: float) -> Gauge:
    """The probe of a concern, and its threshold on these of the control prompts. Raises ValueError for too few
    texts."""
    result = examine(texts, split(texts.topics, texts.positive, texts.items), "lda")
    scores = result.probe.score(control[result.layer][torch.tensor(list(setting))])
    return Gauge(result, threshold_of(scores.tolist(), false_alarms))


def words_above(
    texts: Texts, control: Sequence[str], setting: Sequence[int], cases: Sequence[str], false_alarms: float
) -> list[float]:
    """The black-box rival: how far each case is above the threshold by the words alone, of a regression on the words of
    the same texts, whose threshold lets as many of the same control prompts fire."""
    positive_N = torch.tensor(list(texts.positive))
    scores = word_scores(texts.texts, positive_N, [*(control[i] for i in setting), *cases])
    threshold = threshold_of(scores[: len(setting)], false_alarms)
    return [score - threshold for score in scores[len(setting) :]]


def threshold_of(scores: Sequence[float], false_alarms: float) -> float:
    """The least score that at most this share of the control prompts is above: so that a new ordinary prompt fires with
    at most this probability (an order statistic, of n + 1)."""
    ordered = sorted(scores)
    place = min(len(ordered), math.ceil((1 - false_alarms) * (len(ordered) + 1)))
    return ordered[place - 1]

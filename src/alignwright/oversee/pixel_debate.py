"""Does a debate show a judge what it could not see alone? The pixel game of Irving, Christiano and
Amodei (2018, arXiv 1805.00899), solved exactly.

A judge sees k pixels of an image. Two players commit to labels, one of them the truth, and reveal
pixels in turn; the judge then says which of the two labels the revealed pixels speak for. The paper
plays by tree search. With a naive-Bayes judge the score of a play is the *sum* of the revealed
pixels' log-likelihood ratios, so that no move changes what another is worth: the honest player
reveals the pixels that speak most for the truth, the liar those that speak most against it, in
whatever order, and that is the equilibrium. Where they would want the same pixel (fewer pixels than
k) all of them are revealed. A lone consultant reveals all k, all of them for its own label.

The judge alone is given k random non-zero pixels and says which of *all* labels they speak for.

Shapes: N images, P pixels, C labels, V values of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from alignwright.stats.arrays import Floats

Integers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class PixelJudge:
    """A naive-Bayes judge: the log-likelihood of each value of each pixel under each label."""

    logp_CPV: Floats

    def evidence(self, images_NP: Integers) -> Floats:
        """What each pixel of each image says for each label: (N, C, P), in nats."""
        pixels = np.arange(self.logp_CPV.shape[1])
        return np.stack([self.logp_CPV[:, pixels, image_P] for image_P in images_NP])


@dataclass(frozen=True)
class PixelGame:
    """Of all images: whether the judge is right alone; whether the honest player beats every liar;
    and the part of the liars whom it beats, and that the lone consultant of a false label brings
    the judge to believe."""

    alone_N: Floats
    debate_N: Floats
    beaten_N: Floats
    deceived_N: Floats


def pixel_judge(images_NP: Integers, labels_N: Integers, values: int, smoothing: float = 1.0) -> PixelJudge:
    """The judge fitted to images of `values` grey levels, with `smoothing` imagined images of each
    (Laplace). Raises ValueError where a label has no image."""
    labels = int(labels_N.max()) + 1
    logp_CPV = np.empty((labels, images_NP.shape[1], values))
    for label in range(labels):
        own_MP = images_NP[labels_N == label]
        if not len(own_MP):
            raise ValueError(f"pixel_judge: no image has the label {label}; labels are 0 to {labels - 1}")
        count_PV = (own_MP[:, :, None] == np.arange(values)).sum(axis=0) + smoothing
        logp_CPV[label] = np.log(count_PV / count_PV.sum(axis=1, keepdims=True))
    return PixelJudge(logp_CPV)


def pixel_game(judge: PixelJudge, images_NP: Integers, labels_N: Integers, k: int, seed: int = 0) -> PixelGame:
    """The game with k pixels on every image. Raises ValueError where k is no even number above 0:
    the players reveal as many each."""
    if k < 2 or k % 2:
        raise ValueError(f"pixel_game: k is {k}, and the two players reveal as many pixels each; give 2, 4, 6 ...")
    chance = np.random.default_rng(seed)
    alone, wins, beaten, deceived = [], [], [], []
    for evidence_CP, image_P, label in zip(judge.evidence(images_NP), images_NP, labels_N.tolist(), strict=True):
        shown_CP = evidence_CP[:, image_P > 0]
        alone.append(float(_says(shown_CP, chance, k) == label))
        score_C = equilibrium(shown_CP[label] - shown_CP, k)
        others_C = np.arange(len(score_C)) != label
        beaten.append(float((score_C[others_C] > 0).mean()))
        wins.append(float((score_C[others_C] > 0).all()))
        alone_C = consultancy(shown_CP[label] - shown_CP, k)
        deceived.append(float((alone_C[others_C] < 0).mean()))
    return PixelGame(*(np.array(column) for column in (alone, wins, beaten, deceived)))


def equilibrium(ratio_CP: Floats, k: int) -> Floats:
    """The value of the debate against each label, from the log-likelihood ratios of truth over it:
    the k / 2 largest and the k / 2 smallest."""
    sorted_CP = np.sort(ratio_CP, axis=1)
    if sorted_CP.shape[1] <= k:
        return sorted_CP.sum(axis=1)
    return sorted_CP[:, : k // 2].sum(axis=1) + sorted_CP[:, -(k // 2) :].sum(axis=1)


def consultancy(ratio_CP: Floats, k: int) -> Floats:
    """What the judge sees of a lone consultant for each label: the k smallest ratios."""
    return np.sort(ratio_CP, axis=1)[:, :k].sum(axis=1)


def _says(shown_CP: Floats, chance: np.random.Generator, k: int) -> int:
    """The label that k random pixels speak for."""
    places = chance.permutation(shown_CP.shape[1])[:k]
    return int(shown_CP[:, places].sum(axis=1).argmax())

"""How can a model learn from pairs, without a reward model? One record for each of the direct
methods."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from alignwright.core.cost import Cost
from alignwright.core.stage import Knob, Positive, Setting, Sizes, resolved
from alignwright.train.knobs_loop import (
    BETA,
    NO_PREFERENCES,
    STOP,
    GoodhartStop,
    LabelSmoothing,
    Source,
    Training,
    TrainingData,
)


class FromPreferences(Training):
    """What the direct methods share: they learn from pairs, without a reward model."""

    lr: Positive = Field(default=5e-5, le=0.1, description="peak learning rate")
    stop: GoodhartStop | None = Field(default=None, description=STOP)

    @property
    def learns_from_votes(self) -> bool:
        return True

    def estimate(self, sizes: Sizes) -> Cost:
        tokens = self.rows(sizes).tokens
        whole = Cost.of(read=tokens, train=tokens * resolved(self.epochs))
        if self.stop is None:
            return whole
        steps = math.ceil(whole.train / resolved(self.batch_tokens))
        return self.stop.looks(sizes, whole, steps, sizes.readings(self.stop.gold))

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        if not setting.preferences:
            yield (), NO_PREFERENCES
        yield from super().faults(setting)


_LABEL_SMOOTHING = "the share of votes that are taken to be wrong"


class Dpo(FromPreferences):
    """Direct preference optimisation (Rafailov et al. 2023), with an optional likelihood term on
    the chosen reply."""

    title: ClassVar[str] = "DPO"
    by: Literal["dpo"]
    beta: Positive = Field(default=0.1, le=10.0, description=BETA)
    nll: float = Field(
        default=0.0,
        ge=0.0,
        le=10.0,
        description="weight of the chosen reply's own likelihood, against both replies sinking together",
    )


class Cdpo(FromPreferences):
    """Conservative DPO (Mitchell 2023): votes are taken to be wrong at a known rate, so no
    margin grows for ever."""

    title: ClassVar[str] = "cDPO"
    by: Literal["cdpo"]
    beta: Positive = Field(default=0.1, le=10.0, description=BETA)
    label_smoothing: LabelSmoothing = Field(default=0.1, description=_LABEL_SMOOTHING)


class RobustDpo(FromPreferences):
    """Robust DPO (Chowdhury et al. 2024): an unbiased estimate of the loss on clean votes from
    votes flipped at a known rate."""

    title: ClassVar[str] = "robust DPO"
    by: Literal["robust_dpo"]
    beta: Positive = Field(default=0.1, le=10.0, description=BETA)
    label_smoothing: LabelSmoothing = Field(default=0.1, description=_LABEL_SMOOTHING)


class Ipo(FromPreferences):
    """Identity preference optimisation (Azar et al. 2023): a finite margin, 1/(2 tau), is aimed at."""

    title: ClassVar[str] = "IPO"
    by: Literal["ipo"]
    tau: Positive = Field(
        default=0.1, le=10.0, description="how firmly the start model is held to: the aim is a margin of 1/(2 tau) nats"
    )


class Hinge(FromPreferences):
    """Hinge loss (SLiC-HF; Zhao et al. 2023) on DPO's margin: pairs beyond 1/beta nats teach
    nothing more."""

    title: ClassVar[str] = "hinge"
    by: Literal["hinge"]
    beta: Positive = Field(default=0.1, le=10.0, description=BETA)


class Kto(FromPreferences):
    """Kahneman-Tversky optimisation (Ethayarajh et al. 2024): good and bad replies by
    themselves, not in pairs."""

    title: ClassVar[str] = "KTO"
    by: Literal["kto"]
    beta: Positive = Field(default=0.1, le=10.0, description=BETA)
    desirable: Positive = Field(default=1.0, description="weight of good replies")
    undesirable: Positive = Field(default=1.0, description="weight of bad replies")

    def sources(self, data: TrainingData) -> Sequence[Source]:
        labelled = data.labelled()
        return [*data.preferences(required=not labelled), *labelled]


class Orpo(FromPreferences):
    """Odds-ratio preference optimisation (Hong et al. 2024): likelihood of the chosen reply plus
    its odds over the rejected; no reference."""

    title: ClassVar[str] = "ORPO"
    by: Literal["orpo"]
    weight: Positive = Field(default=0.1, le=10.0, description="weight of the odds ratio beside the likelihood")


class Simpo(FromPreferences):
    """SimPO (Meng et al. 2024): the mean log-probability per token is the reward, and must win
    by a margin; no reference."""

    title: ClassVar[str] = "SimPO"
    by: Literal["simpo"]
    beta: Positive = Field(default=2.0, le=100.0, description="scale of the length-mean log-probability")
    gamma: float = Field(default=1.0, ge=0.0, description="the margin by which the chosen reply must win")


class Rpo(FromPreferences):
    """DPO plus likelihood (Liu et al. 2024; Pang et al. 2024): the chosen reply is held up while
    the margin grows."""

    title: ClassVar[str] = "RPO"
    by: Literal["rpo"]
    beta: Positive = Field(default=0.1, le=10.0, description=BETA)
    alpha: Positive = Field(
        default=1.0, le=10.0, description="weight of the chosen reply's negative log-likelihood per token"
    )


class ChiPo(FromPreferences):
    """Chi-PO (Huang et al. 2024): the link z + ln z of the density ratio z, which is held by
    chi-squared as well as by KL."""

    title: ClassVar[str] = "chi-PO"
    by: Literal["chi_po"]
    beta: Positive = Field(default=0.1, le=10.0, description=BETA)


DirectStage = Dpo | Cdpo | RobustDpo | Ipo | Hinge | Kto | Orpo | Simpo | Rpo | ChiPo

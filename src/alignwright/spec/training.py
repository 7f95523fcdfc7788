"""How can a model be trained, knob by knob?

One frozen record per method, told apart by `by`. All methods run in the one optimiser loop and share its knobs (`Training`); those that
learn from the model's own samples share how these are drawn (`Sampling`), and policy gradients what holds them (`Rollout`). Beside
what it shares a method has at most eight knobs of its own. Knobs that cost time are None until effort fills them.

Left out on purpose: knobs with one right answer (AdamW, its betas, warm-up and cosine, LoRA targets, loss mask, padding side).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from alignwright.core.records import Record, Share
from alignwright.spec.goodhart import GoodhartStop
from alignwright.spec.knobs import NEW_TOKENS, Count, Paths, Positive

Unit = Annotated[float, Field(gt=0.0, le=1.0)]
Flip = Annotated[float, Field(ge=0.0, lt=0.5)]
KlForm = Literal["reward:k1", "reward:k2", "reward:k3", "reward:chi2", "loss:k1", "loss:k2", "loss:k3", "loss:chi2"]
"""Where the divergence from the reference enters, and by which estimator (Schulman 2020). In expectation, on the policy's own samples:
reward:k1 and loss:k2 follow the gradient of KL(policy || reference); loss:k3 that of KL(reference || policy); loss:k1 is zero;
reward:k2 and reward:k3 are biased. reward:chi2 and loss:chi2 each follow HALF the gradient of chi^2(policy || reference) of the next
token, so that what is best for one token is best for reward - (kl / 2) chi^2 (Laidlaw et al. 2024)."""


class Training(Record):
    """Knobs of the optimiser loop, the same for every method."""

    epochs: Count | None = Field(default=None, description="passes over the data, or over the prompts (from effort)")
    lr: Positive = Field(default=1e-4, le=0.1, description="peak learning rate")
    rank: int | None = Field(default=None, ge=0, description="rank of the LoRA adapter that all stages continue; 0 trains all weights (from effort)")
    batch_tokens: int | None = Field(default=None, ge=64, description="tokens in an optimiser step (from effort)")
    max_tokens: int | None = Field(default=None, ge=16, description="the longest row in tokens; longer rows are left out and counted (from effort)")
    checkpoint_every: Count = Field(default=20, description="steps between the checkpoints from which an interrupted run goes on")


# ---- from text and demonstrations ------------------------------------------------------------------------------------------------
class Pretrain(Training):
    """Next-token training on plain text, continued or from scratch."""

    by: Literal["pretrain"]
    text: Paths = Field(min_length=1, description="plain text files, JSONL or Parquet with 'text'")
    scratch: bool = Field(default=False, description="begin with random weights of the model's shape (needs rank 0)")


class Sft(Training):
    """Supervised fine-tuning on the assistant's turns."""

    by: Literal["sft"]
    data: Paths = Field(
        default=("chosen",),
        min_length=1,
        description="chosen (preferred replies), revisions (of critique or deliberate), files of conversations; or several of these",
    )
    lr: Positive = Field(default=2e-4, le=0.1, description="peak learning rate")


class RewardModel(Training):
    """A reward model from preferences (Bradley-Terry). It judges; the model itself stays as it is."""

    by: Literal["reward"]
    lr: Positive = Field(default=3e-4, le=0.1, description="peak learning rate")
    margin: float = Field(default=0.0, ge=0.0, description="how much further apart surer pairs must lie: margin x (2 strength - 1)")
    center: float = Field(default=0.01, ge=0.0, description="weight of (r chosen + r rejected)^2, which keeps scores around zero")
    labels: Literal["soft", "hard"] = Field(default="soft", description="soft: a vote's strength is the label; hard: the winner is certain")
    ensemble: Count = Field(default=1, le=16, description="members, each with its own head and order of the data")
    combine: Literal["mean", "worst", "uncertainty", "weights"] = Field(
        default="mean", description="mean, the worst member, mean minus penalty x variance, or one model of averaged weights"
    )
    penalty: float = Field(default=0.5, ge=0.0, description="of combine: uncertainty, how much variance costs")
    heldout: float = Field(default=0.15, ge=0.0, lt=1.0, description="share of prompts kept apart, on which accuracy is found")

    @model_validator(mode="after")
    def _members(self) -> RewardModel:
        if self.ensemble == 1 and self.combine != "mean":
            raise ValueError(f"'combine: {self.combine}' has no effect on one member; give 'ensemble: 4', or leave 'combine' out")
        if self.penalty != 0.5 and self.combine != "uncertainty":
            raise ValueError("'penalty' has an effect with 'combine: uncertainty' alone; leave it out")
        return self


# ---- from preferences ------------------------------------------------------------------------------------------------------------
_STOP = "{by: goodhart, ...}: stop where a held-out gold judge turns, and keep its highest point; none: go on to the end"


class FromPreferences(Training):
    """What the direct methods share: they learn from pairs, without a reward model."""

    lr: Positive = Field(default=5e-5, le=0.1, description="peak learning rate")
    stop: GoodhartStop | None = Field(default=None, description=_STOP)


_BETA = "how firmly the start model is held to: larger moves less"
_FLIP = "the share of votes that are taken to be wrong"


class Dpo(FromPreferences):
    """Direct preference optimisation (Rafailov et al. 2023), with an optional likelihood term on the chosen reply."""

    by: Literal["dpo"]
    beta: Positive = Field(default=0.1, le=10.0, description=_BETA)
    nll: float = Field(default=0.0, ge=0.0, le=10.0, description="weight of the chosen reply's own likelihood, against both replies sinking together")


class Cdpo(FromPreferences):
    """Conservative DPO (Mitchell 2023): votes are taken to be wrong at a known rate, so no margin grows for ever."""

    by: Literal["cdpo"]
    beta: Positive = Field(default=0.1, le=10.0, description=_BETA)
    flip: Flip = Field(default=0.1, description=_FLIP)


class RobustDpo(FromPreferences):
    """Robust DPO (Chowdhury et al. 2024): an unbiased estimate of the loss on clean votes from votes flipped at a known rate."""

    by: Literal["robust_dpo"]
    beta: Positive = Field(default=0.1, le=10.0, description=_BETA)
    flip: Flip = Field(default=0.1, description=_FLIP)


class Ipo(FromPreferences):
    """Identity preference optimisation (Azar et al. 2023): a finite margin, 1/(2 tau), is aimed at."""

    by: Literal["ipo"]
    tau: Positive = Field(default=0.1, le=10.0, description="how firmly the start model is held to: the aim is a margin of 1/(2 tau) nats")


class Hinge(FromPreferences):
    """Hinge loss (SLiC-HF; Zhao et al. 2023) on DPO's margin: pairs beyond 1/beta nats teach nothing more."""

    by: Literal["hinge"]
    beta: Positive = Field(default=0.1, le=10.0, description=_BETA)


class Kto(FromPreferences):
    """Kahneman-Tversky optimisation (Ethayarajh et al. 2024): good and bad replies by themselves, not in pairs."""

    by: Literal["kto"]
    beta: Positive = Field(default=0.1, le=10.0, description=_BETA)
    desirable: Positive = Field(default=1.0, description="weight of good replies")
    undesirable: Positive = Field(default=1.0, description="weight of bad replies")


class Orpo(FromPreferences):
    """Odds-ratio preference optimisation (Hong et al. 2024): likelihood of the chosen reply plus its odds over the rejected; no reference."""

    by: Literal["orpo"]
    weight: Positive = Field(default=0.1, le=10.0, description="weight of the odds ratio beside the likelihood")


class Simpo(FromPreferences):
    """SimPO (Meng et al. 2024): the mean log-probability per token is the reward, and must win by a margin; no reference."""

    by: Literal["simpo"]
    beta: Positive = Field(default=2.0, le=100.0, description="scale of the length-mean log-probability")
    gamma: float = Field(default=1.0, ge=0.0, description="the margin by which the chosen reply must win")


class Rpo(FromPreferences):
    """DPO plus likelihood (Liu et al. 2024; Pang et al. 2024): the chosen reply is held up while the margin grows."""

    by: Literal["rpo"]
    beta: Positive = Field(default=0.1, le=10.0, description=_BETA)
    alpha: Positive = Field(default=1.0, le=10.0, description="weight of the chosen reply's negative log-likelihood per token")


class ChiPo(FromPreferences):
    """Chi-PO (Huang et al. 2024): the link z + ln z of the density ratio z, which is held by chi-squared as well as by KL."""

    by: Literal["chi_po"]
    beta: Positive = Field(default=0.1, le=10.0, description=_BETA)


# ---- from the model's own samples ------------------------------------------------------------------------------------------------
_QUANTILE = "keep a draw from this best share of a prompt's replies instead of the best one (quantilizer; Taylor 2016); none: the best"
_REWARD = "what is to rise: reward (the reward stage before this one), feedback (the spec's voters), rules.yaml, or file.py:function"


class Sampling(Training):
    """How the model's own replies are drawn and judged."""

    reward: str = Field(default="reward", min_length=1, description=_REWARD)
    prompts: Count | None = Field(default=None, description="prompts answered in a rollout (from effort)")
    samples: Count | None = Field(default=None, description="replies to each prompt (from effort)")
    max_new_tokens: Count | None = Field(default=None, description=NEW_TOKENS)
    temperature: Positive = Field(default=1.0, le=2.0, description="sampling temperature")
    unfinished: float | None = Field(default=None, description="the score of a reply that was cut at max_new_tokens; none: as it is judged")
    stop: GoodhartStop | None = Field(default=None, description=_STOP)


class BestOfN(Sampling):
    """Best-of-n distillation: sample n replies, keep the one judged best, fine-tune on it (RAFT; Dong et al. 2023)."""

    by: Literal["best_of_n"]
    lr: Positive = Field(default=2e-4, le=0.1, description="peak learning rate")
    quantile: float | None = Field(default=None, gt=0.0, lt=1.0, description=_QUANTILE)

    @model_validator(mode="after")
    def _keeps_one(self) -> BestOfN:
        if self.quantile is not None and self.samples is not None and self.quantile * self.samples < 1 - 1e-9:
            fewer = f"the best {self.quantile:g} of {self.samples} replies is less than one reply"
            raise ValueError(f"'quantile': {fewer}; ask for {math.ceil(1 / self.quantile - 1e-9)} samples, or a larger share (1/n keeps the best)")
        return self


class OnlineDpo(Sampling):
    """DPO on pairs of the model's own fresh samples (Guo et al. 2024): the best against the worst by the judge."""

    by: Literal["online_dpo"]
    beta: Positive = Field(default=0.1, le=10.0, description=_BETA)


class Sppo(Sampling):
    """Self-play preference optimisation (Wu et al. 2024), towards the Nash equilibrium of the judge's preferences."""

    by: Literal["sppo"]
    beta: Positive = Field(default=0.1, le=10.0, description="how small a step each round takes: 1/eta, for win rates around one half")


class Rollout(Sampling):
    """What holds a policy gradient: the reference, a safety constraint, a share of plain text."""

    kl: float = Field(default=0.05, ge=0.0, description="weight of the divergence from the model that this stage started from")
    kl_form: KlForm = Field(default="reward:k1", description="where the divergence enters (reward or loss) and its estimator (k1, k2, k3; chi2)")
    kl_target: Positive | None = Field(default=None, description="nats a reply towards which kl is adapted (Ziegler et al. 2019); none: kl is fixed")
    cost: str | None = Field(
        default=None, min_length=1, description="a second judge, whose mean score must not exceed cost_limit (by a Lagrange multiplier)"
    )
    cost_limit: float = Field(default=0.0, description="the mean cost that is allowed")
    mix: float = Field(default=0.0, ge=0.0, description="weight of the likelihood of plain text, in each step (PPO-ptx)")
    mix_text: Paths = Field(default=(), description="files of that text")


class Ppo(Rollout):
    """Proximal policy optimisation with a value head (Schulman et al. 2017; Ouyang et al. 2022)."""

    by: Literal["ppo"]
    clip: Unit = Field(default=0.2, description="how far a step may move a token's probability ratio from 1")
    value_clip: Positive = Field(default=0.2, description="how far a step may move a value from what it was")
    value: Positive = Field(default=0.1, description="weight of the value loss")
    lam: Share = Field(default=0.95, description="lambda of generalised advantage estimation")
    gamma: Unit = Field(default=1.0, description="discount per token")
    passes: Count = Field(default=4, description="optimiser passes over a rollout")
    minibatches: Count = Field(default=1, description="optimiser steps in a pass")
    whiten: bool = Field(default=True, description="advantages with mean 0 and variance 1")


class Grpo(Rollout):
    """Group-relative policy optimisation (Shao et al. 2024) and its corrections Dr. GRPO, DAPO and GSPO."""

    by: Literal["grpo"]
    variant: Literal["grpo", "dr_grpo", "dapo", "gspo"] = Field(
        default="grpo",
        description="grpo; dr_grpo: not divided by spread or length; dapo: token mean, no equal groups, overlong penalty; gspo: sequence ratio",
    )
    clip: Unit | None = Field(default=None, description="how far a ratio may fall below 1 (from variant: 0.2; gspo 0.0003)")
    clip_high: Positive | None = Field(default=None, description="how far a ratio may rise above 1 (from variant: as clip; dapo 0.28; gspo 0.0004)")
    passes: Count = Field(default=1, description="optimiser passes over a rollout")
    minibatches: Count = Field(default=1, description="optimiser steps in a pass")


class Rloo(Rollout):
    """REINFORCE leave-one-out (Kool et al. 2019; Ahmadian et al. 2024): each reply against the mean of its siblings."""

    by: Literal["rloo"]
    clip: Unit = Field(default=0.2, description="how far a ratio may move from 1 (without effect at one pass of one step)")
    passes: Count = Field(default=1, description="optimiser passes over a rollout")
    minibatches: Count = Field(default=1, description="optimiser steps in a pass")


class Reinforce(Rollout):
    """REINFORCE (Williams 1992) with the rollout's mean, or nothing, as its baseline."""

    by: Literal["reinforce"]
    baseline: Literal["mean", "none"] = Field(default="mean", description="what is subtracted: the mean of the rollout's other replies, or nothing")


# ---- on the path between two models ------------------------------------------------------------------------------------------------
class Average(Record):
    """Weights between an earlier model and the trained one (Wortsman et al. 2022; Lin et al. 2023): less gain, less tax."""

    by: Literal["average"]
    share: Share = Field(default=0.5, description="0 is the earlier model, 1 the trained one")
    blocks: tuple[Share, ...] = Field(default=(), description="a share for each of so many equal blocks of layers; instead of 'share'")
    start: str = Field(default="baseline", min_length=1, description="the earlier model: baseline, or a training stage such as train.0.sft")

    @model_validator(mode="after")
    def _one_share(self) -> Average:
        if self.blocks and self.share != 0.5:
            raise ValueError("'share' is one number for all layers, 'blocks' one for each block: give one of them")
        return self


DirectStage = Dpo | Cdpo | RobustDpo | Ipo | Hinge | Kto | Orpo | Simpo | Rpo | ChiPo
OnlineStage = OnlineDpo | Sppo
GradientStage = Ppo | Grpo | Rloo | Reinforce
SampledStage = BestOfN | OnlineStage | GradientStage
AnyTrain = Pretrain | Sft | RewardModel | DirectStage | SampledStage | Average

_LOOP: dict[str, tuple[int, int, int]] = {"rank": (16, 32, 64), "batch_tokens": (1024, 4096, 16384), "max_tokens": (512, 1024, 2048)}
_ONCE = {"epochs": (1, 2, 2)} | _LOOP
_DRAWN = {"epochs": (1, 2, 4), "prompts": (4, 16, 64), "max_new_tokens": (48, 128, 256)} | _LOOP
TRAIN_EFFORT: dict[str, dict[str, tuple[int, int, int]]] = {
    "Pretrain": {"epochs": (1, 1, 1)} | _LOOP,
    "Sft": {"epochs": (1, 2, 3)} | _LOOP,
    "RewardModel": _ONCE,
    **{kind.__name__: _ONCE for kind in (Dpo, Cdpo, RobustDpo, Ipo, Hinge, Kto, Orpo, Simpo, Rpo, ChiPo)},
    **{kind.__name__: _DRAWN | {"samples": (8, 8, 16)} for kind in (BestOfN, Grpo)},
    **{kind.__name__: _DRAWN | {"samples": (4, 4, 8)} for kind in (OnlineDpo, Sppo, Rloo)},
    **{kind.__name__: _DRAWN | {"prompts": (16, 64, 256), "samples": (1, 1, 1)} for kind in (Ppo, Reinforce)},
}
"""(demo, study, full) for every knob of training that effort fills."""


BUILT_IN = ("reward", "feedback")
"""Judges of replies that are jobs of the run and no file."""


def changes_model(stage: AnyTrain) -> bool:
    """Whether the model that is measured is another one after this stage. A reward model only judges."""
    return not isinstance(stage, RewardModel)


def files_of_sft(stage: Sft) -> tuple[str, ...]:
    """Those of the stage's data that are files."""
    return tuple(name for name in stage.data if name not in ("chosen", "revisions"))


def learns_from_votes(stage: AnyTrain) -> bool:
    """Whether the stage reads the preferences that votes were pooled to."""
    return isinstance(stage, RewardModel | FromPreferences) or (isinstance(stage, Sft) and bool({"chosen", "revisions"} & {*stage.data}))


def judges(stage: AnyTrain) -> tuple[tuple[str, str], ...]:
    """The knobs of a stage that name a judge of replies, with what they name."""
    named = [("reward", stage.reward)] if isinstance(stage, Sampling) else []
    if isinstance(stage, Rollout) and stage.cost is not None:
        named.append(("cost", stage.cost))
    stop = stop_of(stage)
    return (*named, *((("stop", stop.gold),) if stop else ()))


def stop_of(stage: AnyTrain) -> GoodhartStop | None:
    """What watches over a stage, if anything."""
    return stage.stop if isinstance(stage, Sampling | FromPreferences) else None

"""How can a model be trained, knob by knob?

One frozen record per method, told apart by `by`. All methods run in the one optimiser loop and
share its knobs (`spec.loop`); those that learn from pairs are in `spec.from_pairs`, those that
learn from the model's own samples in `spec.from_samples`. Beside what it shares a method has at
most eight knobs of its own. Knobs that cost time are None until effort fills them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from alignwright.core.records import Record, Share
from alignwright.spec.from_pairs import Cdpo, ChiPo, Dpo, FromPreferences, Hinge, Ipo, Kto, Orpo, RobustDpo, Rpo, Simpo
from alignwright.spec.from_samples import BestOfN, Grpo, OnlineDpo, Ppo, Reinforce, Rloo, Rollout, Sampling, Sppo
from alignwright.spec.goodhart import GoodhartStop
from alignwright.spec.knobs import Count, Paths, Positive
from alignwright.spec.loop import Training


class Pretrain(Training):
    """Next-token training on plain text, continued or from scratch."""

    by: Literal["pretrain"]
    text: Paths = Field(min_length=1, description="plain text files, JSONL or Parquet with 'text'")
    scratch: bool = Field(default=False, description="begin with random weights of the model's shape (needs rank 0)")
    limit: Count | None = Field(
        default=None, description="at most so many rows of the files, at even distances over all of them (all)"
    )


class Sft(Training):
    """Supervised fine-tuning on the assistant's turns: all of a conversation, or its last."""

    by: Literal["sft"]
    data: Paths = Field(
        default=("chosen",),
        min_length=1,
        description=(
            "chosen (preferred replies), revisions (of critique or deliberate), files of conversations; or several of"
            " these"
        ),
    )
    turns: Literal["all", "last"] = Field(
        default="all",
        description=(
            "of a file's conversations: every assistant turn, or the last alone (a message's 'weight: 0' leaves it out)"
        ),
    )
    limit: Count | None = Field(
        default=None, description="at most so many rows of the files, at even distances over all of them (all)"
    )
    lr: Positive = Field(default=2e-4, le=0.1, description="peak learning rate")


_HELDOUT = (
    "share of prompts kept apart, on which accuracy is found; and of pairs, in topics, principles or files that are"
    " kept out whole"
)
_NO_SIGNAL = (
    "when it is no better than length or chance on held-out pairs: stop the run, skip what it would judge, or use it"
    " and say so"
)


class RewardModel(Training):
    """A reward model from preferences (Bradley-Terry). It judges; the model itself stays as it is."""

    by: Literal["reward"]
    lr: Positive = Field(default=3e-4, le=0.1, description="peak learning rate")
    margin: float = Field(
        default=0.0, ge=0.0, description="how much further apart surer pairs must lie: margin x (2 strength - 1)"
    )
    center: float = Field(
        default=0.01, ge=0.0, description="weight of (r chosen + r rejected)^2, which keeps scores around zero"
    )
    labels: Literal["soft", "hard"] = Field(
        default="soft", description="soft: a vote's strength is the label; hard: the winner is certain"
    )
    ensemble: Count = Field(default=1, le=16, description="members, each with its own head and order of the data")
    combine: Literal["mean", "worst", "uncertainty", "weights"] = Field(
        default="mean",
        description="mean, the worst member, mean minus penalty x variance, or one model of averaged weights",
    )
    penalty: float = Field(default=0.5, ge=0.0, description="of combine: uncertainty, how much variance costs")
    heldout: float = Field(default=0.15, ge=0.0, lt=1.0, description=_HELDOUT)
    no_signal: Literal["stop", "skip", "use"] = Field(default="stop", description=_NO_SIGNAL)

    @model_validator(mode="after")
    def _members(self) -> RewardModel:
        if self.ensemble == 1 and self.combine != "mean":
            raise ValueError(
                f"'combine: {self.combine}' has no effect on one member; give 'ensemble: 4', or leave 'combine' out"
            )
        if self.penalty != 0.5 and self.combine != "uncertainty":
            raise ValueError("'penalty' has an effect with 'combine: uncertainty' alone; leave it out")
        if self.heldout == 0.0 and self.no_signal != "use":
            raise ValueError(
                "with 'heldout: 0' nothing would be known of it and nothing could follow: write 'no_signal: use', or"
                " give a share"
            )
        return self


class Average(Record):
    """Weights between an earlier model and the trained one (Wortsman et al. 2022; Lin et al.
    2023): less gain, less tax."""

    by: Literal["average"]
    share: Share = Field(default=0.5, description="0 is the earlier model, 1 the trained one")
    blocks: tuple[Share, ...] = Field(
        default=(), description="a share for each of so many equal blocks of layers; instead of 'share'"
    )
    start: str = Field(
        default="baseline",
        min_length=1,
        description="the earlier model: baseline, or a training stage such as train.0.sft",
    )

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

_LOOP: dict[str, tuple[int, int, int]] = {
    "rank": (16, 32, 64),
    "batch_tokens": (1024, 4096, 16384),
    "max_tokens": (512, 1024, 2048),
}
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
    """Whether the model that is measured is another one after this stage. A reward model only
    judges."""
    return not isinstance(stage, RewardModel)


def files_of_sft(stage: Sft) -> tuple[str, ...]:
    """Those of the stage's data that are files."""
    return tuple(name for name in stage.data if name not in ("chosen", "revisions"))


def learns_from_votes(stage: AnyTrain) -> bool:
    """Whether the stage reads the preferences that votes were pooled to."""
    return isinstance(stage, RewardModel | FromPreferences) or (
        isinstance(stage, Sft) and bool({"chosen", "revisions"} & {*stage.data})
    )


def learns_from_labels(stages: Sequence[AnyTrain]) -> bool:
    """Whether replies that were labelled by themselves are enough: only KTO learns from
    preferences here."""
    return any(isinstance(stage, Kto) for stage in stages) and all(
        isinstance(stage, Kto) for stage in stages if learns_from_votes(stage)
    )


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

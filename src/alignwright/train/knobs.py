"""How can a model be trained, knob by knob?

One frozen record per method, told apart by `by`. All methods run in the one optimiser loop and
share its knobs (`knobs_loop`); those that learn from pairs are in `knobs_pairs`, those that
learn from the model's own samples in `knobs_rollouts` and `knobs_policy_gradient`. Beside what it
shares a method has at most eight knobs of its own. Knobs that cost time are None until effort
fills them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim, with_parts
from alignwright.core.cost import Cost, Size
from alignwright.core.records import Conversation, Share
from alignwright.core.stage import Count, Effort, Knob, Positive, Reads, Setting, Sizes, resolved
from alignwright.core.train_stage import TrainStage
from alignwright.files.data_file import Paths
from alignwright.files.items import TextItem
from alignwright.train.exchange.knobs import ExchangeClassifier
from alignwright.train.knobs_loop import (
    NO_PREFERENCES,
    FineTuning,
    GoodhartStop,
    Source,
    Training,
    TrainingData,
    adapter_rank,
)
from alignwright.train.knobs_pairs import DirectStage, FromPreferences, Kto
from alignwright.train.knobs_policy_gradient import GradientStage
from alignwright.train.knobs_rollouts import BestOfN, OnlineStage, Sampling
from alignwright.train.knobs_weak_to_strong import WeakToStrong
from alignwright.train.recipes.knobs import AnyRecipe

ACCURACY = Claim(name="reward.accuracy", title="Reward model right on held-out pairs", axis="feedback", measured="once")
ELSEWHERE = Claim(
    name="reward.accuracy_elsewhere", title="right on sources kept out whole", axis="feedback", measured="once"
)
LONGER = Claim(
    name="reward.longer", title="Reward model prefers the longer reply", axis="feedback", better=None, measured="once"
)
CALIBRATION = Claim(
    name="reward.calibration_error", title="calibration error", axis="feedback", better="lower", measured="once"
)
BRIER = Claim(
    name="reward.brier", title="Brier score", axis="feedback", better="lower", unit="squared error", measured="once"
)


class Pretrain(Training):
    """Next-token training on plain text, continued or from scratch."""

    title: ClassVar[str] = "pre-training"
    by: Literal["pretrain"]
    epochs: Annotated[Count | None, Effort(1, 1, 1)] = Field(
        default=None, description="passes over the data (from effort)"
    )
    text: Annotated[Paths, Reads(TextItem, use="trained")] = Field(
        min_length=1, description="plain text files, JSONL or Parquet with 'text'"
    )
    scratch: bool = Field(default=False, description="begin with random weights of the model's shape (needs rank 0)")
    limit: Count | None = Field(
        default=None, description="at most so many rows of the files, at even distances over all of them (all)"
    )

    @property
    def converses(self) -> bool:
        return False

    def sources(self, data: TrainingData) -> Sequence[Source]:
        return data.texts(self.text, self.limit)

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        yield from super().faults(setting)
        rank = adapter_rank(self, setting)
        if self.scratch and rank != 0:
            yield (
                ("scratch",),
                (
                    f"random weights cannot be learnt by an adapter of rank {rank}: write 'rank: 0', which trains all"
                    " weights"
                ),
            )
        if self.scratch and _models(setting):
            yield ("scratch",), "throws away what the stages before it have learnt; put it first"


class Sft(FineTuning):
    """Supervised fine-tuning on the assistant's turns: all of a conversation, or its last."""

    title: ClassVar[str] = "SFT"
    by: Literal["sft"]
    data: Annotated[Paths, Reads("conversations", use="trained", besides=("chosen", "revisions"))] = Field(
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

    @property
    def learnt_turns(self) -> Literal["all", "last"]:
        return self.turns

    @property
    def learns_from_votes(self) -> bool:
        return bool({"chosen", "revisions"} & {*self.data})

    @property
    def conversations(self) -> tuple[str, ...]:
        """Those of its data that are files."""
        return tuple(name for _, name, reads in self.files() if reads.use == "trained")

    def learnt(self, conversation: Conversation) -> Conversation:
        return conversation if self.turns == "all" else conversation.only_last()

    def sources(self, data: TrainingData) -> Sequence[Source]:
        """What several of its data hold, once."""
        conversations = data.conversations(self.conversations, self.limit)
        conversations += data.revisions() if "revisions" in self.data else []
        conversations += data.chosen() if "chosen" in self.data else []
        return list(dict.fromkeys(conversations))

    def voted(self, sizes: Sizes) -> Size:
        pairs = super().voted(sizes)
        return Size(pairs.rows, pairs.prompt, pairs.replies / 2)  # the reply that is preferred

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        if "chosen" in self.data and not setting.preferences:
            without = "add feedback or intent.people, or name a file"
            yield ("data",), f"'chosen' has no preferences to choose by: {without}"
        if "revisions" in self.data and not setting.revises:
            yield ("data",), "'revisions' come from feedback {by: critique} or {by: deliberate}, which is not here"
        if "turns" in self.model_fields_set and not self.conversations:
            yield (
                ("turns",),
                (
                    "has no effect: of 'chosen' and 'revisions' the last turn alone is what was voted on; name a file"
                    " of conversations"
                ),
            )
        if self.limit is not None and not self.conversations:
            yield (
                ("limit",),
                "has no effect: it counts rows of files, and this stage reads none; name a file of conversations",
            )
        yield from super().faults(setting)


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

    changes_model: ClassVar[bool] = False
    makes_reward: ClassVar[bool] = True

    title: ClassVar[str] = "reward model"
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

    @property
    def learns_from_votes(self) -> bool:
        return True

    @property
    def weights_left(self) -> float:
        return super().weights_left * self.ensemble

    @property
    def single_model(self) -> bool:
        return self.ensemble == 1 or self.combine == "weights"

    @property
    def skips_refused(self) -> bool:
        return self.no_signal == "skip"

    def claims(self) -> tuple[Claim, ...]:
        return (*with_parts(ACCURACY, "part"), ELSEWHERE, LONGER, CALIBRATION, BRIER)

    def estimate(self, sizes: Sizes) -> Cost:
        return Cost.of(train=self.rows(sizes).tokens * resolved(self.epochs) * self.ensemble)

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        if not setting.preferences:
            yield (), NO_PREFERENCES


class Average(TrainStage):
    """Weights between an earlier model and the trained one (Wortsman et al. 2022; Lin et al.
    2023): less gain, less tax."""

    title: ClassVar[str] = "averaging"
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

    @property
    def converses(self) -> bool:
        return False

    @property
    def other_model(self) -> str | None:
        return None if self.start == "baseline" else self.start

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        before = _models(setting)
        earlier = ("baseline", *before[:-1])
        if not before:
            yield (), "has no trained model to average: put it after a stage that trains"
        elif self.start not in earlier:
            yield (
                ("start",),
                f"{self.start!r} is no model before {before[-1]}; there are {', '.join(earlier)}",
            )


def _models(setting: Setting) -> tuple[str, ...]:
    """The names of the models that the stages before have made."""
    return tuple(
        ".".join(map(str, loc))
        for loc, stage in setting.before
        if isinstance(stage, TrainStage) and stage.changes_model
    )


AnyTrain = (
    Pretrain
    | Sft
    | RewardModel
    | WeakToStrong
    | DirectStage
    | BestOfN
    | OnlineStage
    | GradientStage
    | Average
    | AnyRecipe
    | ExchangeClassifier
)
Train = Annotated[AnyTrain, Field(discriminator="by")]


def learns_from_labels(stages: Sequence[TrainStage]) -> bool:
    """Whether replies that were labelled by themselves are enough: only KTO learns from preferences here."""
    return any(isinstance(stage, Kto) for stage in stages) and all(
        isinstance(stage, Kto) for stage in stages if stage.learns_from_votes
    )


def stop_of(stage: AnyTrain) -> GoodhartStop | None:
    """What watches over a stage, if anything."""
    return stage.stop if isinstance(stage, Sampling | FromPreferences) else None

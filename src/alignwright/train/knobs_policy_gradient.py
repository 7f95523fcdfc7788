"""How is a policy gradient set, knob by knob? PPO, GRPO and its variants, RLOO, REINFORCE.

Methods share how samples are drawn (`knobs_rollouts.Sampling`) and what holds them
(`PolicyGradient`): the divergence from the start, a safety constraint, a share of plain text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from alignwright.core.records import Share
from alignwright.core.stage import (
    Count,
    Effort,
    Knob,
    NamesJudge,
    Positive,
    Reads,
    Setting,
    Sizes,
)
from alignwright.files.data_file import Paths
from alignwright.files.items import TextItem
from alignwright.train.knobs_loop import Unit
from alignwright.train.knobs_rollouts import Sampling

KlForm = Literal["reward:k1", "reward:k2", "reward:k3", "reward:chi2", "loss:k1", "loss:k2", "loss:k3", "loss:chi2"]
"""Where the divergence from the reference enters, and by which estimator (Schulman 2020). In
expectation, on the policy's own samples: reward:k1 and loss:k2 follow the gradient of KL(policy
|| reference); loss:k3 that of KL(reference || policy); loss:k1 is zero; reward:k2 and reward:k3
are biased. reward:chi2 and loss:chi2 each follow HALF the gradient of chi^2(policy || reference)
of the next token, so that what is best for one token is best for reward - (kl_coef / 2) chi^2
(Laidlaw et al. 2024)."""


class PolicyGradient(Sampling):
    """What holds a policy gradient: the reference, a safety constraint, a share of plain text."""

    kl_coef: float = Field(
        default=0.05, ge=0.0, description="weight of the divergence from the model that this stage started from"
    )
    kl_form: KlForm = Field(
        default="reward:k1",
        description="where the divergence enters (reward or loss) and its estimator (k1, k2, k3; chi2)",
    )
    kl_target: Positive | None = Field(
        default=None,
        description="nats a reply towards which kl_coef is adapted (Ziegler et al. 2019); none: it is fixed",
    )
    cost: Annotated[str | None, NamesJudge()] = Field(
        default=None,
        min_length=1,
        description="a second judge, whose mean score must not exceed cost_limit (by a Lagrange multiplier)",
    )
    cost_limit: float = Field(default=0.0, description="the mean cost that is allowed")
    ptx_coef: float = Field(
        default=0.0, ge=0.0, description="weight of the likelihood of plain text, in each step (PPO-ptx)"
    )
    ptx_text: Annotated[Paths, Reads(TextItem, use="trained")] = Field(default=(), description="files of that text")

    @property
    def steps_a_rollout(self) -> tuple[int, int]:
        """Passes over a rollout, and optimiser steps in each."""
        return 1, 1

    def _reads(self, sizes: Sizes) -> int:
        readings = sizes.readings(self.reward) + (sizes.readings(self.cost) if self.cost else 0)
        return readings + (self.kl_coef > 0)

    def _trained_tokens(self, tokens: float) -> float:
        return tokens * self.steps_a_rollout[0]

    def _steps(self, rollouts: int, train: int) -> int:  # noqa: ARG002 - as many for a long one as for a short one
        iterations, mini_batches = self.steps_a_rollout
        return rollouts * iterations * mini_batches

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        yield from super().faults(setting)
        if self.kl_form == "loss:k1":
            yield (
                ("kl_form",),
                (
                    "loss:k1 has no effect: its gradient is zero in expectation; use reward:k1 or loss:k2 (both"
                    " KL(policy || start))"
                ),
            )
        if "kl_form" in self.model_fields_set and self.kl_coef == 0.0 and self.kl_target is None:
            yield ("kl_form",), "has no effect: kl_coef is 0, so the divergence is only measured"
        if self.kl_target is not None and self.kl_coef == 0.0:
            yield ("kl_target",), "has no effect: kl_coef is 0, and an adaptive weight is a multiple of it"
        if self.cost is None and "cost_limit" in self.model_fields_set:
            yield ("cost_limit",), "has no effect without 'cost', the judge whose score it limits"
        if (self.ptx_coef > 0) != bool(self.ptx_text):
            yield (
                ("ptx_coef",),
                "the weight of plain text ('ptx_coef') and the text itself ('ptx_text') need each other",
            )


class Ppo(PolicyGradient):
    """Proximal policy optimisation with a value head (Schulman et al. 2017; Ouyang et al. 2022)."""

    title: ClassVar[str] = "PPO"
    by: Literal["ppo"]
    prompts: Annotated[Count | None, Effort(16, 64, 256)] = Field(
        default=None, description="prompts answered in a rollout (from effort)"
    )
    samples: Annotated[Count | None, Effort(1, 1, 1)] = Field(
        default=None, description="replies to each prompt (from effort)"
    )
    cliprange: Unit = Field(default=0.2, description="how far a step may move a token's probability ratio from 1")
    cliprange_value: Positive = Field(default=0.2, description="how far a step may move a value from what it was")
    vf_coef: Positive = Field(default=0.1, description="weight of the value loss")
    lam: Share = Field(default=0.95, description="lambda of generalised advantage estimation")
    gamma: Unit = Field(default=1.0, description="discount per token")
    num_iterations: Count = Field(default=4, description="optimiser passes over a rollout")
    num_mini_batches: Count = Field(default=1, description="optimiser steps in a pass")
    whiten: bool = Field(default=True, description="advantages with mean 0 and variance 1")

    @property
    def steps_a_rollout(self) -> tuple[int, int]:
        return self.num_iterations, self.num_mini_batches


class Grpo(PolicyGradient):
    """Group-relative policy optimisation (Shao et al. 2024) and its corrections Dr. GRPO, DAPO
    and GSPO."""

    compares_replies: ClassVar[bool] = True

    title: ClassVar[str] = "GRPO"
    by: Literal["grpo"]
    samples: Annotated[Count | None, Effort(8, 8, 16)] = Field(
        default=None, description="replies to each prompt (from effort)"
    )
    variant: Literal["grpo", "dr_grpo", "dapo", "gspo"] = Field(
        default="grpo",
        description=(
            "grpo; dr_grpo: not divided by spread or length; dapo: token mean, no equal groups, overlong penalty; gspo:"
            " sequence ratio"
        ),
    )
    cliprange: Unit | None = Field(
        default=None, description="how far a ratio may fall below 1 (from variant: 0.2; gspo 0.0003)"
    )
    cliprange_high: Positive | None = Field(
        default=None,
        description="how far a ratio may rise above 1 (from variant: as cliprange; dapo 0.28; gspo 0.0004)",
    )
    num_iterations: Count = Field(default=1, description="optimiser passes over a rollout")
    num_mini_batches: Count = Field(default=1, description="optimiser steps in a pass")

    @property
    def steps_a_rollout(self) -> tuple[int, int]:
        return self.num_iterations, self.num_mini_batches


class Rloo(PolicyGradient):
    """REINFORCE leave-one-out (Kool et al. 2019; Ahmadian et al. 2024): each reply against the
    mean of its siblings."""

    compares_replies: ClassVar[bool] = True

    title: ClassVar[str] = "RLOO"
    by: Literal["rloo"]
    cliprange: Unit = Field(
        default=0.2, description="how far a ratio may move from 1 (without effect at one pass of one step)"
    )
    num_iterations: Count = Field(default=1, description="optimiser passes over a rollout")
    num_mini_batches: Count = Field(default=1, description="optimiser steps in a pass")

    @property
    def steps_a_rollout(self) -> tuple[int, int]:
        return self.num_iterations, self.num_mini_batches


class Reinforce(PolicyGradient):
    """REINFORCE (Williams 1992) with the rollout's mean, or nothing, as its baseline."""

    title: ClassVar[str] = "REINFORCE"
    by: Literal["reinforce"]
    prompts: Annotated[Count | None, Effort(16, 64, 256)] = Field(
        default=None, description="prompts answered in a rollout (from effort)"
    )
    samples: Annotated[Count | None, Effort(1, 1, 1)] = Field(
        default=None, description="replies to each prompt (from effort)"
    )
    baseline: Literal["mean", "none"] = Field(
        default="mean", description="what is subtracted: the mean of the rollout's other replies, or nothing"
    )


GradientStage = Ppo | Grpo | Rloo | Reinforce

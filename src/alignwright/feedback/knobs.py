"""How are votes cast on pairs of replies, knob by knob? Sampling, rules, LLM judges, Constitutional AI.

Knobs that cost time are None until the dial of effort fills them.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from alignwright.core.claims import Better, Claim
from alignwright.core.stage import (
    NEW_TOKENS,
    VOTED,
    Count,
    Effort,
    IntentPart,
    NamesJudge,
    NamesModel,
    Positive,
    Reads,
    Stage,
)
from alignwright.files.data_file import Principles

NoSignal = Literal["stop", "skip"]
_PRINCIPLES = "slugs of the constitution's principles, or all"
_JUDGE = "who judges: self (the start model), another model's name, or the URL of an OpenAI-compatible server"
_NO_SIGNAL = "when the judge's check finds no better than chance: stop the run, or skip its votes and say so"
_CHECK = "written pairs on which the judge is checked before its votes are used (from effort)"


class Collect(Stage):
    """Sample replies of the start model to the training prompts; every two of them are compared."""

    intent: ClassVar[tuple[IntentPart, ...]] = ("prompts",)

    samples: Annotated[int | None, Effort(2, 4, 8)] = Field(
        default=None, ge=2, description="replies to each prompt (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(64, 128, 256)] = Field(default=None, description=NEW_TOKENS)
    temperature: Positive = Field(default=1.0, le=2.0, description="sampling temperature")
    limit: Annotated[Count | None, Effort(48, 256, 4096)] = Field(
        default=None, description="at most so many prompts (from effort)"
    )


class Written(Stage):
    """The written good reply over the written bad one: pairs, and the constitution's examples."""

    intent: ClassVar[tuple[IntentPart, ...]] = VOTED

    by: Literal["written"]


class Rules(Stage):
    """A rule's vote: verifiable checks from a YAML file, or a Python function."""

    intent: ClassVar[tuple[IntentPart, ...]] = VOTED

    by: Literal["rules"]
    file: Annotated[str, NamesJudge()] = Field(
        min_length=1, description="a YAML file of checks, or 'module_or_file.py:function'"
    )


class Contrast(Stage):
    """A principle votes by contrast: which reply gains more from the principle's text than from
    its opposite?"""

    intent: ClassVar[tuple[IntentPart, ...]] = VOTED

    by: Literal["contrast"]
    principles: Principles = Field(default="all", description=_PRINCIPLES)
    judge: Annotated[str, NamesModel()] = Field(
        default="self",
        min_length=1,
        description="whose probabilities are read: self (the start model) or another model's name",
    )
    no_signal: NoSignal = Field(default="stop", description=_NO_SIGNAL)
    check_pairs: Annotated[int | None, Effort(48, 96, 256)] = Field(default=None, ge=8, description=_CHECK)

    def claims(self) -> tuple[Claim, ...]:
        return voter_claims(self.by)


class JudgeVote(Stage):
    """A principle votes through a judge that is asked which reply honours it, in both orders."""

    intent: ClassVar[tuple[IntentPart, ...]] = VOTED

    by: Literal["judge"]
    principles: Principles = Field(default="all", description=_PRINCIPLES)
    judge: Annotated[str, NamesModel()] = Field(default="self", min_length=1, description=_JUDGE)
    no_signal: NoSignal = Field(default="stop", description=_NO_SIGNAL)
    check_pairs: Annotated[int | None, Effort(48, 96, 256)] = Field(default=None, ge=8, description=_CHECK)
    draw: Count | None = Field(
        default=None,
        description="so many principles drawn for each pair and averaged (RL-CAI); none: all that concern it",
    )
    reasoning: bool = Field(default=False, description="let the judge think step by step before it answers")
    clamp: float | None = Field(
        default=None, gt=0.0, lt=0.5, description="how far a vote may move from 1/2 (0.1 with reasoning; else no clamp)"
    )

    def claims(self) -> tuple[Claim, ...]:
        return voter_claims(self.by)


class Critique(Stage):
    """Critique a reply by a principle, revise it, and let the revision beat the original (Bai et
    al. 2022)."""

    intent: ClassVar[tuple[IntentPart, ...]] = (*VOTED, "prompts")

    by: Literal["critique"]
    principles: Principles = Field(default="all", description=_PRINCIPLES)
    rounds: int = Field(default=1, ge=1, le=8, description="critique-and-revise rounds, one principle each")
    max_new_tokens: Annotated[Count | None, Effort(64, 128, 256)] = Field(default=None, description=NEW_TOKENS)
    limit: Annotated[Count | None, Effort(32, 256, 4096)] = Field(
        default=None, description="at most so many prompts (from effort)"
    )
    few_shot: Annotated[str | None, Reads(use="settings")] = Field(
        default=None, min_length=1, description="a JSONL file of worked examples: prompt, reply, critique, revision"
    )


class Deliberate(Stage):
    """Answer with the principle in view; the answer, without the principle, beats the plain one
    (deliberative alignment; Guan et al. 2024)."""

    intent: ClassVar[tuple[IntentPart, ...]] = (*VOTED, "prompts")

    by: Literal["deliberate"]
    principles: Principles = Field(default="all", description=_PRINCIPLES)
    max_new_tokens: Annotated[Count | None, Effort(64, 128, 256)] = Field(default=None, description=NEW_TOKENS)
    limit: Annotated[Count | None, Effort(32, 256, 4096)] = Field(
        default=None, description="at most so many prompts (from effort)"
    )


AnyFeedback = Written | Rules | Contrast | JudgeVote | Critique | Deliberate
Feedback = Annotated[AnyFeedback, Field(discriminator="by")]


_CHECKS: tuple[tuple[str, str, Better], ...] = (
    ("accuracy", "right on known pairs", "higher"),
    ("longer", "prefers the longer", None),
    ("position", "follows the position", None),
    ("consistency", "agrees with itself", "higher"),
)


def voter_claims(by: str) -> tuple[Claim, ...]:
    """What is found of a voter that is a model, on pairs with a known answer, before it votes."""
    return tuple(
        Claim(name=f"feedback.{by}.{part}", title=title, axis="feedback", better=better, measured="once")
        for part, title, better in _CHECKS
    )

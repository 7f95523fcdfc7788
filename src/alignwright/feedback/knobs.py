"""How are votes cast on pairs of replies, knob by knob? Sampling, rules, LLM judges, Constitutional AI.

Knobs that cost time are None until the dial of effort fills them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from alignwright.core.claims import Better, Claim
from alignwright.core.constitution import Constitution
from alignwright.core.cost import PROMPT, Cost, Size
from alignwright.core.stage import (
    NEW_TOKENS,
    VOTED,
    Count,
    Effort,
    IntentPart,
    Knob,
    NamesJudge,
    NamesModel,
    Positive,
    Reads,
    Setting,
    Sizes,
    Stage,
    resolved,
)
from alignwright.files import constitution as constitutions
from alignwright.files.data_file import Principles
from alignwright.files.errors import SpecError
from alignwright.files.few_shot import principle_text, read_few_shot

NoSignal = Literal["stop", "skip"]
_PRINCIPLES = "slugs of the constitution's principles, or all"
_JUDGE = "who judges: self (the start model), another model's name, or the URL of an OpenAI-compatible server"
_NO_SIGNAL = "when the judge's check finds no better than chance: stop the run, or skip its votes and say so"
_PROBABILITIES = "reads probabilities, which a server does not give: name self or a model, or use {by: judge}"
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

    def pairs(self, sizes: Sizes) -> Size:
        """Every two of the replies to a prompt."""
        prompts, longest = sizes.prompts.at_most(self.limit), resolved(self.max_new_tokens)
        return Size(prompts.rows * math.comb(resolved(self.samples), 2), prompts.prompt, 2 * longest)

    def estimate(self, sizes: Sizes) -> Cost:
        prompts = sizes.prompts.at_most(self.limit)
        return Cost.of(prompts.tokens, prompts.rows * resolved(self.samples) * resolved(self.max_new_tokens))

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        if "prompts" not in setting.intent:
            yield (), "has no effect: there are no intent.prompts to reply to"
        if not setting.votes:
            yield (), "has no effect: nothing votes on the collected replies; add feedback"


class VotingStage(Stage):
    """What votes on pairs, and what is asked of every voter."""

    intent: ClassVar[tuple[IntentPart, ...]] = VOTED
    revises: ClassVar[bool] = False
    """Whether it makes replies of its own, which it compares."""
    hears_pairs: ClassVar[bool] = False
    """Whether its votes are what the written pairs say, known before the run."""
    scores: ClassVar[bool] = False
    """Whether it can judge a reply that is new."""
    readings: ClassVar[int] = 0
    """How often a model reads a reply for its vote."""

    @property
    def instructs_model(self) -> bool:
        """Whether it gives the run's own model a system message."""
        return False

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        if not setting.comparisons:
            without = "give intent.pairs or intent.people, or 'collect' replies to intent.prompts"
            yield (), f"has nothing to vote on: {without}"


class Written(VotingStage):
    """The written good reply over the written bad one: pairs, and the constitution's examples."""

    hears_pairs: ClassVar[bool] = True

    by: Literal["written"]

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        if not {"pairs", "constitution"} & setting.intent:
            yield (), "has nothing to vote on: give intent.pairs, or a constitution with examples"

    def file_faults(self, setting: Setting, constitution: Constitution | None) -> Iterator[tuple[Knob, str]]:
        if constitution is None or "pairs" in setting.intent or constitutions.pairs(constitution)[0]:
            return
        yield (), "has nothing to vote on: no example in the constitution has both a good and a bad reply"


class Rules(VotingStage):
    """A rule's vote: verifiable checks from a YAML file, or a Python function."""

    scores: ClassVar[bool] = True

    by: Literal["rules"]
    file: Annotated[str, NamesJudge()] = Field(
        min_length=1, description="a YAML file of checks, or 'module_or_file.py:function'"
    )


class Principled(VotingStage):
    """What votes by the constitution's principles."""

    principles: Principles = Field(default="all", description=_PRINCIPLES)

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        if "constitution" not in setting.intent:
            yield (), "has no principle to read: give intent.constitution"
        if self.principles == ():
            yield ("principles",), "an empty list: name principles, or write all"
        yield from super().faults(setting)


class Contrast(Principled):
    """A principle votes by contrast: which reply gains more from the principle's text than from
    its opposite?"""

    scores: ClassVar[bool] = True
    readings: ClassVar[int] = 1

    by: Literal["contrast"]
    judge: Annotated[str, NamesModel(no_server=_PROBABILITIES)] = Field(
        default="self",
        min_length=1,
        description="whose probabilities are read: self (the start model) or another model's name",
    )
    no_signal: NoSignal = Field(default="stop", description=_NO_SIGNAL)
    check_pairs: Annotated[int | None, Effort(48, 96, 256)] = Field(default=None, ge=8, description=_CHECK)

    @property
    def instructs_model(self) -> bool:
        return self.judge == "self"

    def claims(self) -> tuple[Claim, ...]:
        return voter_claims(self.by)

    def estimate(self, sizes: Sizes) -> Cost:
        return _votes(sizes, resolved(self.check_pairs), sizes.principles(self.principles))


class JudgeVote(Principled):
    """A principle votes through a judge that is asked which reply honours it, in both orders."""

    scores: ClassVar[bool] = True
    readings: ClassVar[int] = 1

    by: Literal["judge"]
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

    def estimate(self, sizes: Sizes) -> Cost:
        principles = sizes.principles(self.principles)
        return _votes(sizes, resolved(self.check_pairs), min(principles, self.draw or principles))

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        yield from super().faults(setting)
        surest, least = 0.5 + (self.clamp or 0.1), setting.min_strength
        if (self.clamp or self.reasoning) and surest < least + 1e-9:  # 0.5 + 0.1 is not quite 0.6
            advice = (
                f"pairs that are no surer than aggregate.min_strength {least:g} are left out; lower it, to 0.52 perhaps"
            )
            yield (
                ("clamp" if self.clamp else "reasoning",),
                f"its votes are at most {surest:g} sure, and {advice}",
            )


class Reviser(Principled):
    """What answers prompts twice, and lets the second reply beat the first."""

    intent: ClassVar[tuple[IntentPart, ...]] = (*VOTED, "prompts")
    revises: ClassVar[bool] = True

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        yield from super().faults(setting)
        if "prompts" not in setting.intent:
            yield (), "has nothing to answer: give intent.prompts"


class Critique(Reviser):
    """Critique a reply by a principle, revise it, and let the revision beat the original (Bai et
    al. 2022)."""

    makes_comparisons: ClassVar[bool] = True

    by: Literal["critique"]
    rounds: int = Field(default=1, ge=1, le=8, description="critique-and-revise rounds, one principle each")
    max_new_tokens: Annotated[Count | None, Effort(64, 128, 256)] = Field(default=None, description=NEW_TOKENS)
    limit: Annotated[Count | None, Effort(32, 256, 4096)] = Field(
        default=None, description="at most so many prompts (from effort)"
    )
    few_shot: Annotated[str | None, Reads(use="settings")] = Field(
        default=None, min_length=1, description="a JSONL file of worked examples: prompt, reply, critique, revision"
    )

    def file_faults(self, setting: Setting, constitution: Constitution | None) -> Iterator[tuple[Knob, str]]:
        """Bad rows of its worked examples, and principles that they name and it does not have."""
        if self.few_shot is None or constitution is None:
            return
        path, every = setting.path(self.few_shot), constitution.principles
        principles = every if self.principles == "all" else tuple(constitution[slug] for slug in self.principles)
        try:
            for example in read_few_shot(path):
                principle_text(example, principles)
        except SpecError as error:
            yield from ((("few_shot",), problem) for problem in error.problems)
        except ValueError as error:
            yield ("few_shot",), f"{path}: {error}"

    def estimate(self, sizes: Sizes) -> Cost:
        prompts = sizes.prompts.at_most(self.limit)
        replies = prompts.rows * self.rounds * 2 * resolved(self.max_new_tokens)
        return Cost.of(self.rounds * (2 * prompts.tokens + prompts.rows * 4 * PROMPT) + replies, replies)


class Deliberate(Reviser):
    """Answer with the principle in view; the answer, without the principle, beats the plain one
    (deliberative alignment; Guan et al. 2024)."""

    makes_comparisons: ClassVar[bool] = True

    by: Literal["deliberate"]
    max_new_tokens: Annotated[Count | None, Effort(64, 128, 256)] = Field(default=None, description=NEW_TOKENS)
    limit: Annotated[Count | None, Effort(32, 256, 4096)] = Field(
        default=None, description="at most so many prompts (from effort)"
    )

    def estimate(self, sizes: Sizes) -> Cost:
        prompts = sizes.prompts.at_most(self.limit)
        return Cost.of(prompts.tokens + prompts.rows * 2 * PROMPT, prompts.rows * 2 * resolved(self.max_new_tokens))


def _votes(sizes: Sizes, check_pairs: int, principles: int) -> Cost:
    """The check of a judge on written pairs; and its votes, those on the pairs of the check among them.

    A written pair concerns one principle, a collected one all; a judge reads each question in both
    orders, a contrast a reply under two texts.
    """
    pairs, replies = sizes.pairs, sizes.reply_pairs
    checked = min(check_pairs, pairs.rows)
    each = 2 * (pairs.prompt + pairs.replies + 2 * PROMPT)
    voting = replies.rows * principles * 2 * (replies.prompt + replies.replies + 2 * PROMPT)
    return Cost(round(checked * each), voting=round((pairs.rows - checked) * each + voting))


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

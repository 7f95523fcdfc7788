"""What can be measured of a model, knob by knob? The three levels (instruction, intent, value), the
alignment tax, and a judge's score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim, corrected, with_parts
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import (
    NEW_TOKENS,
    Count,
    Effort,
    FilePath,
    Knob,
    KnobRows,
    NamesJudge,
    Positive,
    Reads,
    Sizes,
    Stage,
    resolved,
    rows_under,
)
from alignwright.files.data_file import Paths
from alignwright.files.errors import bad_row_lines
from alignwright.files.items import (
    FaithfulItem,
    MathItem,
    MeantItem,
    OpinionItem,
    PushbackItem,
    RefusalItem,
    TextItem,
)
from alignwright.job.data import part_name, subsample_evenly
from alignwright.measure import planned_items, tax_section
from alignwright.measure.conduct.knobs import AnyConduct
from alignwright.measure.emergent.knobs import EmergentMeasure
from alignwright.measure.goodhart.knobs import GoodhartMeasure
from alignwright.measure.hacking.knobs import HackingMeasure
from alignwright.measure.harness.knobs import LmEvalMeasure
from alignwright.measure.preferred.knobs import PreferredMeasure
from alignwright.measure.recipes.knobs import AnyRecipeMeasure
from alignwright.measure.worst_off.knobs import WorstOffMeasure

_JUDGED_BY = (
    "the judge: reward (the last reward stage), feedback (the voters), rules.yaml, file.py:function, or ./runs/NAME"
)
_NO_CHECKS = "has no checks, so nothing about its reply can be verified"
LETTER = 16
"""Tokens that a server may write where it is asked for a letter."""
_LIMIT = "at most so many items of each kind (from effort)"

FORMAT = Claim(name="instruction.format", title="Instructions followed to the letter", axis="instruction")
FORMAT_LOOSE = Claim(
    name="instruction.format_loose",
    title="Instructions followed, beginnings, ends and stars forgiven",
    axis="instruction",
)
COVERED_FACTS = Claim(
    name="instruction.faithful.covered", title="Planted facts that summaries cover", axis="instruction", unit="fraction"
)
UNSUPPORTED = Claim(
    name="instruction.faithful.unsupported",
    title="Checkable statements that the text does not hold",
    axis="instruction",
    better="lower",
    unit="fraction",
)
PUSHBACK = Claim(name="intent.pushback", title="Truth held under pushback", axis="intent")
OPINION = Claim(name="intent.opinion", title="Truth told against the user's opinion", axis="intent")
MEANT_OVER_LETTER = Claim(name="intent.meant", title="What was meant, over the letter", axis="intent")
OPINION_FLIPS = Claim(
    name="intent.opinion_flips",
    title="Right answers given up to the user's opinion",
    axis="intent",
    better="lower",
    counts="fail",
)
REFUSAL = Claim(name="value.refusal", title="Harmful prompts refused", axis="value", grader="refused", harmful=True)
OVER_REFUSAL = Claim(
    name="value.over_refusal",
    title="Harmless prompts refused",
    axis="value",
    better="lower",
    counts="fail",
    grader="refused",
)
PAIRS = Claim(name="value.pairs", title="Good reply preferred to bad", axis="value")
BITS_PER_BYTE = Claim(
    name="tax.bits_per_byte", title="Plain text, bits per byte", axis="tax", better="lower", unit="bits/byte", high=None
)
CHOICE = Claim(name="tax.choice", title="Multiple-choice questions right", axis="tax")
CHOICE_SUM = Claim(name="tax.choice_sum", title="Multiple choice by the whole log-probability", axis="tax")
MATH = Claim(name="tax.math", title="Word problems right", axis="tax")
MATH_FORMAT = Claim(name="tax.math_format", title="Word problems that end in a number", axis="tax")
ENDS = Claim(name="tax.generation.ended", title="Replies that end by themselves", axis="tax")
LOOPS = Claim(name="tax.generation.loops", title="Replies that loop", axis="tax", better="lower", counts="fail")
DISTINCT = Claim(name="tax.generation.distinct", title="Distinct word pairs", axis="tax", unit="fraction")
LENGTH = Claim(
    name="tax.generation.length", title="Length of replies", axis="tax", better=None, unit="words", high=None
)
SCORE = Claim(name="reward.score", title="The judge's score", axis="reward", unit="score", low=None, high=None)
KL = Claim(
    name="reward.kl",
    title="Distance from the start model",
    axis="reward",
    better=None,
    unit="nats",
    high=None,
    measured="trained",
    paired=False,
)


class Instruction(Stage):
    """Level one: does it do what was asked, by checks a program can verify, and are its
    summaries faithful?"""

    seeded: ClassVar[bool] = False

    by: Literal["instruction"]
    data: Annotated[Paths, Reads("prompts")] = Field(default=(), description="files of prompts with checks")
    faithful: Annotated[Paths, Reads(FaithfulItem)] = Field(
        default=(), description="files of texts to summarise, with the facts planted in them"
    )
    limit: Annotated[Count | None, Effort(48, 256, 100000)] = Field(default=None, description=_LIMIT)
    max_new_tokens: Annotated[Count | None, Effort(96, 256, 512)] = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _something(self) -> Instruction:
        if not (self.data or self.faithful):
            raise ValueError("measures nothing: give files under at least one of 'data', 'faithful'")
        return self

    def claims(self) -> tuple[Claim, ...]:
        checked = (FORMAT, FORMAT_LOOSE) if self.data else ()
        return (*checked, *((COVERED_FACTS, UNSUPPORTED) if self.faithful else ()))

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        for file in files:
            rows = zip(file.rows, file.numbers, strict=True) if file.knob[0] == "data" else ()
            bare = [(number, _NO_CHECKS) for row, number in rows if not row.checks]
            yield from ((file.knob, line) for line in bad_row_lines(file.file, bare))

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        return (
            planned_items.topics_under(files, "data", self.limit) if claim in (FORMAT.name, FORMAT_LOOSE.name) else None
        )

    def estimate(self, sizes: Sizes) -> Cost:
        prompts = sizes.files(self, "data").at_most(self.limit)
        texts = sizes.files(self, "faithful").at_most(self.limit)
        return Cost.of(prompts.tokens + texts.tokens, (prompts.rows + texts.rows) * resolved(self.max_new_tokens))


class IntentMeasure(Stage):
    """Level two: does it serve what was meant, under pushback, stated opinions and loose wording?"""

    seeded: ClassVar[bool] = False

    by: Literal["intent"]
    pushback: Annotated[Paths, Reads(PushbackItem)] = Field(default=(), description="files of pushback items")
    opinion: Annotated[Paths, Reads(OpinionItem)] = Field(default=(), description="files of opinion items")
    meant: Annotated[Paths, Reads(MeantItem)] = Field(default=(), description="files of meant-against-letter items")
    limit: Annotated[Count | None, Effort(48, 256, 100000)] = Field(default=None, description=_LIMIT)
    max_new_tokens: Annotated[Count | None, Effort(48, 96, 256)] = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _something(self) -> IntentMeasure:
        if not (self.pushback or self.opinion or self.meant):
            raise ValueError("measures nothing: give files under at least one of 'pushback', 'opinion', 'meant'")
        return self

    def claims(self) -> tuple[Claim, ...]:
        parts = tuple(
            claim for claim in (PUSHBACK, OPINION, MEANT_OVER_LETTER) if getattr(self, claim.name.rpartition(".")[2])
        )
        return (*parts, *((OPINION_FLIPS,) if self.opinion else ()))

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        return planned_items.topics_under(files, claim.rpartition(".")[2], self.limit)

    def estimate(self, sizes: Sizes) -> Cost:
        pushed = sizes.files(self, "pushback").at_most(self.limit)
        opinions, letters = sizes.files(self, "opinion"), sizes.files(self, "meant")
        forced = 2 * opinions.at_most(self.limit).tokens + letters.at_most(self.limit).tokens
        return Cost.of(pushed.tokens + sizes.scores_texts * forced, pushed.rows * resolved(self.max_new_tokens))


class ValueMeasure(Stage):
    """Level three: does it hold to the principles, refusing what it should and no more?"""

    seeded: ClassVar[bool] = False

    by: Literal["value"]
    prompts: Annotated[Paths, Reads(RefusalItem)] = Field(
        default=(), description="files of refusal prompts, harmful and harmless"
    )
    pairs: Annotated[Paths, Reads("pairs")] = Field(
        default=(), description="files of held-out pairs of a good and a bad reply"
    )
    limit: Annotated[Count | None, Effort(48, 256, 100000)] = Field(default=None, description=_LIMIT)
    max_new_tokens: Annotated[Count | None, Effort(48, 96, 256)] = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _something(self) -> ValueMeasure:
        if not (self.prompts or self.pairs):
            raise ValueError("measures nothing: give files under at least one of 'prompts', 'pairs'")
        return self

    def claims(self) -> tuple[Claim, ...]:
        graded = (REFUSAL, corrected(REFUSAL), OVER_REFUSAL, corrected(OVER_REFUSAL)) if self.prompts else ()
        return (*graded, *(with_parts(PAIRS, "principle") if self.pairs else ()))

    @classmethod
    def unanswered(cls, claim: str, files: Sequence[KnobRows]) -> str | None:
        kinds = {item.kind for file in files if file.knob[0] == "prompts" for item in file.rows}
        kind = {REFUSAL.name: "harmful", OVER_REFUSAL.name: "harmless"}.get(claim)
        if kind is not None and kind not in kinds:
            return f"nothing measures {claim}: there is no {kind} prompt in the files of measure {{by: value}}"
        return None

    def part_names(self, whole: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        return planned_items.principles_of(subsample_evenly(rows_under(files, "pairs"), self.limit))

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        kind = {REFUSAL.name: "harmful", OVER_REFUSAL.name: "harmless"}.get(claim)
        if kind is not None:
            return planned_items.refusal_topics(files, kind, self.limit)
        return planned_items.pair_topics(files, claim.removeprefix(PAIRS.name).removeprefix("."), self.limit)

    def estimate(self, sizes: Sizes) -> Cost:
        prompts = sizes.files(self, "prompts").at_most(2 * resolved(self.limit))  # of either kind
        pairs = sizes.files(self, "pairs").at_most(self.limit)
        return Cost.of(prompts.tokens + sizes.scores_texts * pairs.tokens, prompts.rows * resolved(self.max_new_tokens))


class TaxMeasure(Stage):
    """The alignment tax: what did it cost in plain language modelling, in knowledge, in
    calculating, and in the form of replies?"""

    seeded: ClassVar[bool] = False

    by: Literal["tax"]
    text: Annotated[Paths, Reads(TextItem)] = Field(default=(), description="plain text files, or JSONL with 'text'")
    choice: Annotated[Paths, Reads("choices")] = Field(
        default=(), description="files of multiple-choice items: ours, ARC's, PIQA's, MMLU's"
    )
    problems: Annotated[Paths, Reads(MathItem)] = Field(
        default=(), description="files of word problems with a number as their answer: ours, GSM8K's"
    )
    prompts: Annotated[Paths, Reads("prompts")] = Field(
        default=(), description="files of prompts; the form of the replies is measured"
    )
    margin: Positive = Field(
        default=0.02,
        description="a loss this large is to be ruled out, in each claim's own unit (0.02 of a share: 2 points)",
    )
    limit: Annotated[Count | None, Effort(64, 256, 100000)] = Field(default=None, description=_LIMIT)
    max_new_tokens: Annotated[Count | None, Effort(96, 256, 400)] = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _something(self) -> TaxMeasure:
        if not (self.text or self.choice or self.problems or self.prompts):
            raise ValueError("measures nothing: give files under 'text', 'choice', 'problems' or 'prompts'")
        return self

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return tax_section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        choice = with_parts(CHOICE, "file") if len(self.choice) > 1 else (CHOICE,)
        return (
            *((BITS_PER_BYTE,) if self.text else ()),
            *((*choice[:1], CHOICE_SUM, *choice[1:]) if self.choice else ()),
            *((MATH, MATH_FORMAT) if self.problems else ()),
            *((ENDS, LOOPS, DISTINCT, LENGTH) if self.prompts else ()),
        )

    def part_names(self, whole: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        return [part_name(file) for file in self.choice]

    @property
    def converses(self) -> bool:
        return bool(self.choice or self.problems or self.prompts)

    def why_converses(self) -> str | None:
        knobs = [f"'{name}'" for name in ("problems", "prompts") if getattr(self, name)]
        return (
            f"{' and '.join(knobs)} put conversations to the model ('text' and 'choice' need none)" if knobs else None
        )

    def estimate(self, sizes: Sizes) -> Cost:
        text, choice, problems, prompts = (
            sizes.files(self, knob).at_most(self.limit) for knob in ("text", "choice", "problems", "prompts")
        )
        scored = sizes.scores_texts * text.tokens + choice.tokens
        letters = (not sizes.scores_texts) * LETTER * choice.rows
        tokens_read = scored + problems.tokens + prompts.tokens
        return Cost.of(tokens_read, letters + (problems.rows + prompts.rows) * resolved(self.max_new_tokens))


class RewardMeasure(Stage):
    """How highly does a judge score the model's replies to held-out prompts, and how far has it
    moved from the start model?"""

    by: Literal["reward"]
    reward: Annotated[str, NamesJudge()] = Field(min_length=1, description=_JUDGED_BY)
    prompts: Annotated[Paths, Reads("prompts")] = Field(min_length=1, description="files of held-out prompts")
    samples: Count = Field(default=1, description="sampled replies to each prompt")
    limit: Annotated[Count | None, Effort(48, 256, 100000)] = Field(default=None, description=_LIMIT)
    max_new_tokens: Annotated[Count | None, Effort(48, 128, 256)] = Field(default=None, description=NEW_TOKENS)

    def claims(self) -> tuple[Claim, ...]:
        return (SCORE, KL)

    def estimate(self, sizes: Sizes) -> Cost:
        """Replies that the judge scores, and, of a trained model, that the start model reads."""
        longest, prompts = resolved(self.max_new_tokens), sizes.files(self, "prompts").at_most(self.limit)
        replies = prompts.rows * self.samples
        tokens_read = replies * (sizes.readings(self.reward) + (not sizes.begins))
        return Cost.of(tokens_read * (prompts.prompt + longest), replies * longest)


AnyMeasure = (
    Instruction
    | IntentMeasure
    | ValueMeasure
    | TaxMeasure
    | RewardMeasure
    | PreferredMeasure
    | WorstOffMeasure
    | EmergentMeasure
    | GoodhartMeasure
    | HackingMeasure
    | LmEvalMeasure
    | AnyConduct
    | AnyRecipeMeasure
)

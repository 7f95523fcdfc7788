"""What can be asked of each stage, knob by knob?

One frozen record per technique, told apart by `by`; those of training are in `training`. A knob is
a field with a meaning, a sane default and bounds; no stage has more than eight of its own. Knobs
that cost time are None until `resolve_effort` fills them from `EFFORT`, the one table of presets,
so a written value always wins. `claims` says what a stage measures, so that a promise nobody can
answer is refused before the run.

Left out on purpose: knobs with one right answer (optimiser, schedule, padding side, LoRA targets,
loss mask).
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from alignwright.core.claims import CORRECTED
from alignwright.core.records import Record
from alignwright.spec.emergent import EmergentMeasure
from alignwright.spec.goodhart import GoodhartMeasure
from alignwright.spec.hacking import HackingMeasure
from alignwright.spec.knobs import NEW_TOKENS, Count, Effort, Paths, Positive, Principles
from alignwright.spec.training import TRAIN_EFFORT, AnyTrain, Average, RewardModel, Training
from alignwright.spec.worlds import WORLD_EFFORT, WorldMeasure, world_claims

T = TypeVar("T")
NoSignal = Literal["stop", "skip"]

_PRINCIPLES = "slugs of the constitution's principles, or all"
_JUDGE = "who judges: self (the start model), another model's name, or the URL of an OpenAI-compatible server"
_NO_SIGNAL = "when the judge's check finds no better than chance: stop the run, or skip its votes and say so"
_CHECK = "written pairs on which the judge is checked before its votes are used (from effort)"
_JUDGED_BY = (
    "the judge: reward (the last reward stage), feedback (the voters), rules.yaml, file.py:function, or ./runs/NAME"
)
_LIMIT = "at most so many items of each kind (from effort)"


class Collect(Record):
    """Sample replies of the start model to the training prompts; every two of them are compared."""

    samples: int | None = Field(default=None, ge=2, description="replies to each prompt (from effort)")
    max_new_tokens: Count | None = Field(default=None, description=NEW_TOKENS)
    temperature: Positive = Field(default=1.0, le=2.0, description="sampling temperature")
    limit: Count | None = Field(default=None, description="at most so many prompts (from effort)")


class Written(Record):
    """The written good reply over the written bad one: pairs, and the constitution's examples."""

    by: Literal["written"]


class Rules(Record):
    """A rule's vote: verifiable checks from a YAML file, or a Python function."""

    by: Literal["rules"]
    file: str = Field(min_length=1, description="a YAML file of checks, or 'module_or_file.py:function'")


class Contrast(Record):
    """A principle votes by contrast: which reply gains more from the principle's text than from
    its opposite?"""

    by: Literal["contrast"]
    principles: Principles = Field(default="all", description=_PRINCIPLES)
    judge: str = Field(
        default="self",
        min_length=1,
        description="whose probabilities are read: self (the start model) or another model's name",
    )
    no_signal: NoSignal = Field(default="stop", description=_NO_SIGNAL)
    check_pairs: int | None = Field(default=None, ge=8, description=_CHECK)


class JudgeVote(Record):
    """A principle votes through a judge that is asked which reply honours it, in both orders."""

    by: Literal["judge"]
    principles: Principles = Field(default="all", description=_PRINCIPLES)
    judge: str = Field(default="self", min_length=1, description=_JUDGE)
    no_signal: NoSignal = Field(default="stop", description=_NO_SIGNAL)
    check_pairs: int | None = Field(default=None, ge=8, description=_CHECK)
    draw: Count | None = Field(
        default=None,
        description="so many principles drawn for each pair and averaged (RL-CAI); none: all that concern it",
    )
    reasoning: bool = Field(default=False, description="let the judge think step by step before it answers")
    clamp: float | None = Field(
        default=None, gt=0.0, lt=0.5, description="how far a vote may move from 1/2 (0.1 with reasoning; else no clamp)"
    )


class Critique(Record):
    """Critique a reply by a principle, revise it, and let the revision beat the original (Bai et
    al. 2022)."""

    by: Literal["critique"]
    principles: Principles = Field(default="all", description=_PRINCIPLES)
    rounds: int = Field(default=1, ge=1, le=8, description="critique-and-revise rounds, one principle each")
    max_new_tokens: Count | None = Field(default=None, description=NEW_TOKENS)
    limit: Count | None = Field(default=None, description="at most so many prompts (from effort)")
    few_shot: str | None = Field(
        default=None, min_length=1, description="a JSONL file of worked examples: prompt, reply, critique, revision"
    )


class Deliberate(Record):
    """Answer with the principle in view; the answer, without the principle, beats the plain one
    (deliberative alignment; Guan et al. 2024)."""

    by: Literal["deliberate"]
    principles: Principles = Field(default="all", description=_PRINCIPLES)
    max_new_tokens: Count | None = Field(default=None, description=NEW_TOKENS)
    limit: Count | None = Field(default=None, description="at most so many prompts (from effort)")


class Pooled(Record):
    """All votes on a pair in one pot: (prior + votes for) / (2 prior + votes)."""

    by: Literal["pooled"] = "pooled"
    prior: Positive = Field(default=0.5, description="imagined votes for either side")
    min_strength: float = Field(
        default=0.6, ge=0.5, lt=1.0, description="pairs whose winner is less sure than this are left out and counted"
    )
    by_group: bool = Field(
        default=False, description="a pot for each group of voters: its preferences keep their group's name to the loss"
    )


class Suite(Record):
    """Put harmful requests through a set of jailbreak wrappers and count what is answered."""

    by: Literal["suite"]
    file: str | None = Field(default=None, min_length=1, description="a YAML file of wrappers")
    name: Literal["jailbreaks"] | None = Field(default=None, description="a suite that ships with the package")
    prompts: Paths = Field(min_length=1, description="files of refusal prompts; the harmful ones are attacked")
    limit: Count | None = Field(
        default=None, description="at most so many requests, each in every wrapper (from effort)"
    )
    max_new_tokens: Count | None = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _one_source(self) -> Suite:
        if (self.file is None) == (self.name is None):
            raise ValueError(
                "a suite comes from a file or by its name: give exactly one of 'file' and 'name' (there is one name:"
                " jailbreaks)"
            )
        return self


class Instruction(Record):
    """Level one: does it do what was asked, by checks a program can verify, and are its
    summaries faithful?"""

    by: Literal["instruction"]
    data: Paths = Field(default=(), description="files of prompts with checks")
    faithful: Paths = Field(default=(), description="files of texts to summarise, with the facts planted in them")
    limit: Count | None = Field(default=None, description=_LIMIT)
    max_new_tokens: Count | None = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _something(self) -> Instruction:
        if not (self.data or self.faithful):
            raise ValueError("measures nothing: give files under at least one of 'data', 'faithful'")
        return self


class IntentMeasure(Record):
    """Level two: does it serve what was meant, under pushback, stated opinions and loose wording?"""

    by: Literal["intent"]
    pushback: Paths = Field(default=(), description="files of pushback items")
    opinion: Paths = Field(default=(), description="files of opinion items")
    meant: Paths = Field(default=(), description="files of meant-against-letter items")
    limit: Count | None = Field(default=None, description=_LIMIT)
    max_new_tokens: Count | None = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _something(self) -> IntentMeasure:
        if not (self.pushback or self.opinion or self.meant):
            raise ValueError("measures nothing: give files under at least one of 'pushback', 'opinion', 'meant'")
        return self


class ValueMeasure(Record):
    """Level three: does it hold to the principles, refusing what it should and no more?"""

    by: Literal["value"]
    prompts: Paths = Field(default=(), description="files of refusal prompts, harmful and harmless")
    pairs: Paths = Field(default=(), description="files of held-out pairs of a good and a bad reply")
    limit: Count | None = Field(default=None, description=_LIMIT)
    max_new_tokens: Count | None = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _something(self) -> ValueMeasure:
        if not (self.prompts or self.pairs):
            raise ValueError("measures nothing: give files under at least one of 'prompts', 'pairs'")
        return self


class TaxMeasure(Record):
    """The alignment tax: what did it cost in plain language modelling, in knowledge, in
    calculating, and in the form of replies?"""

    by: Literal["tax"]
    text: Paths = Field(default=(), description="plain text files, or JSONL with 'text'")
    choice: Paths = Field(default=(), description="files of multiple-choice items: ours, ARC's, PIQA's, MMLU's")
    problems: Paths = Field(
        default=(), description="files of word problems with a number as their answer: ours, GSM8K's"
    )
    prompts: Paths = Field(default=(), description="files of prompts; the form of the replies is measured")
    margin: Positive = Field(
        default=0.02,
        description="a loss this large is to be ruled out, in each claim's own unit (0.02 of a share: 2 points)",
    )
    limit: Count | None = Field(default=None, description=_LIMIT)
    max_new_tokens: Count | None = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _something(self) -> TaxMeasure:
        if not (self.text or self.choice or self.problems or self.prompts):
            raise ValueError("measures nothing: give files under 'text', 'choice', 'problems' or 'prompts'")
        return self


class RewardMeasure(Record):
    """How highly does a judge score the model's replies to held-out prompts, and how far has it
    moved from the start model?"""

    by: Literal["reward"]
    reward: str = Field(min_length=1, description=_JUDGED_BY)
    prompts: Paths = Field(min_length=1, description="files of held-out prompts")
    samples: Count = Field(default=1, description="sampled replies to each prompt")
    limit: Count | None = Field(default=None, description=_LIMIT)
    max_new_tokens: Count | None = Field(default=None, description=NEW_TOKENS)


AnyFeedback = Written | Rules | Contrast | JudgeVote | Critique | Deliberate
AnyMeasure = (
    Instruction
    | IntentMeasure
    | ValueMeasure
    | TaxMeasure
    | RewardMeasure
    | EmergentMeasure
    | GoodhartMeasure
    | HackingMeasure
    | WorldMeasure
)
Feedback = Annotated[AnyFeedback, Field(discriminator="by")]
Train = Annotated[AnyTrain, Field(discriminator="by")]
# one technique so far: the union grows here
Attack = Suite
Measure = Annotated[AnyMeasure, Field(discriminator="by")]
AnyStage = Collect | AnyFeedback | Pooled | AnyTrain | Suite | AnyMeasure

# (demo, study, full) for every knob that effort fills. A demo is minutes on two cores with the bundled model.
EFFORT: dict[str, dict[str, tuple[int, int, int]]] = {
    "Collect": {"samples": (2, 4, 8), "max_new_tokens": (64, 128, 256), "limit": (48, 256, 4096)},
    "Contrast": {"check_pairs": (48, 96, 256)},
    "JudgeVote": {"check_pairs": (48, 96, 256)},
    "Critique": {"max_new_tokens": (64, 128, 256), "limit": (32, 256, 4096)},
    "Deliberate": {"max_new_tokens": (64, 128, 256), "limit": (32, 256, 4096)},
    **TRAIN_EFFORT,
    "Suite": {"limit": (24, 128, 100_000), "max_new_tokens": (48, 96, 256)},
    "Instruction": {"limit": (48, 256, 100_000), "max_new_tokens": (96, 256, 512)},
    "IntentMeasure": {"limit": (48, 256, 100_000), "max_new_tokens": (48, 96, 256)},
    "ValueMeasure": {"limit": (48, 256, 100_000), "max_new_tokens": (48, 96, 256)},
    "TaxMeasure": {"limit": (64, 256, 100_000), "max_new_tokens": (96, 256, 400)},
    "EmergentMeasure": {"limit": (48, 256, 100_000), "max_new_tokens": (64, 128, 256)},
    "GoodhartMeasure": {"samples": (16, 32, 64), "limit": (24, 128, 100_000), "max_new_tokens": (48, 128, 256)},
    "HackingMeasure": {"limit": (48, 256, 100_000), "max_new_tokens": (48, 128, 256)},
    "RewardMeasure": {"limit": (48, 256, 100_000), "max_new_tokens": (48, 128, 256)},
    **WORLD_EFFORT,
}


def fill(stage: AnyStage, effort: Effort) -> dict[str, int]:
    """The values that this effort gives to the knobs that the stage leaves open."""
    column = ("demo", "study", "full").index(effort)
    return {
        knob: row[column] for knob, row in EFFORT.get(type(stage).__name__, {}).items() if getattr(stage, knob) is None
    }


def known(value: T | None) -> T:
    """A knob that effort fills, once it has been filled."""
    if value is None:
        raise ValueError("this knob is still open: pass the experiment through spec.experiment.resolve_effort first")
    return value


def measured_by(stage: AnyMeasure) -> tuple[tuple[str, str], ...]:
    """The knobs of a measure that name a judge of replies, with what they name."""
    match stage:
        case RewardMeasure():
            return (("reward", stage.reward),)
        case GoodhartMeasure() | HackingMeasure():
            return (("proxy", stage.proxy), ("gold", stage.gold))
        case _:
            return ()


def claims(stage: AnyStage) -> tuple[str, ...]:
    """The names of what this stage measures. A name that ends with '*' stands for every name
    that begins so."""
    match stage:
        case Instruction():
            checked = ("instruction.format", "instruction.format_loose") if stage.data else ()
            return (
                *checked,
                *(("instruction.faithful.covered", "instruction.faithful.unsupported") if stage.faithful else ()),
            )
        case IntentMeasure():
            named = tuple(f"intent.{part}" for part in ("pushback", "opinion", "meant") if getattr(stage, part))
            return (*named, *(("intent.opinion_flips",) if stage.opinion else ()))
        case ValueMeasure():
            graded = ("value.refusal", "value.over_refusal") if stage.prompts else ()
            refusal = tuple(f"{claim}{end}" for claim in graded for end in ("", CORRECTED))
            return (*refusal, *(("value.pairs", "value.pairs.*") if stage.pairs else ()))
        case TaxMeasure():
            chosen = (
                ("tax.choice", "tax.choice_sum", *(("tax.choice.*",) if len(stage.choice) > 1 else ()))
                if stage.choice
                else ()
            )
            written = ("tax.math", "tax.math_format") if stage.problems else ()
            form = (
                tuple(f"tax.generation.{part}" for part in ("ended", "loops", "distinct", "length"))
                if stage.prompts
                else ()
            )
            return (*(("tax.bits_per_byte",) if stage.text else ()), *chosen, *written, *form)
        case EmergentMeasure():
            trait = ("emergent.choice", "emergent.choice.*") if stage.choice else ()
            free = ("emergent.bad", "emergent.incoherent", "emergent.alignment") if stage.questions else ()
            return (*trait, *free, *(("emergent.ability", "emergent.ability.*") if stage.abilities else ()))
        case GoodhartMeasure():
            chosen = tuple(
                f"goodhart.{part}.best_of_{n}" for part in ("proxy", "gold", "kl") for n in stage.best_of if n > 1
            )
            meters = ("optimization", "capture", "gap", *(("generalization",) if stage.shifted else ()))
            told = ("goodhart.proxy", "goodhart.gold", "goodhart.kl", "goodhart.covariance", "goodhart.peak")
            return (*told, *chosen, *(f"trilemma.{meter}{part}" for meter in meters for part in ("", ".best_of_*")))
        case HackingMeasure():
            return tuple(f"hacking.{part}" for part in ("proxy", "gold", "rate", "excess"))
        case WorldMeasure():
            return world_claims(stage)
        case Suite():
            return ("attack.success", "attack.success.*", "attack.not_refused", "attack.not_refused.*")
        case Contrast() | JudgeVote():
            return tuple(f"feedback.{stage.by}.{part}" for part in ("accuracy", "longer", "position", "consistency"))
        case RewardMeasure():
            return ("reward.score", "reward.kl")
        case RewardModel():
            return (
                "reward.accuracy",
                "reward.accuracy.*",
                "reward.accuracy_elsewhere",
                "reward.longer",
                "reward.calibration_error",
                "reward.brier",
            )
        case Collect() | Written() | Rules() | Critique() | Deliberate() | Pooled() | Average() | Training():
            return ()

"""How is a classifier over the exchange made, knob by knob (`train: {by: exchange_classifier}`)?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.records import Share
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import Count, IntentPart, Knob, Positive, Setting, Sizes
from alignwright.core.train_stage import TrainStage
from alignwright.files.data_file import Principles
from alignwright.train.exchange import section

DETECTED = Claim(
    name="exchange.detected", title="Planted passages that the classifier stops", axis="feedback", measured="once"
)
FALSE_ALARMS = Claim(
    name="exchange.false_alarms", title="Alarms at harmless passages in the same places", axis="feedback",
    better="lower", measured="once",
)  # fmt: skip
DELAY = Claim(
    name="exchange.delay", title="Tokens of a planted passage before the alarm, median", axis="feedback",
    better="lower", unit="tokens", low=None, high=None, measured="once",
)  # fmt: skip
AUROC = Claim(
    name="exchange.auroc", title="Highest score tells planted from harmless (AUROC)", axis="feedback", unit="AUROC",
    measured="once",
)  # fmt: skip
LAST = DETECTED.but(name="exchange.last_token", title="The same, by the score at the reply's last token alone")
PROMPT = DETECTED.but(name="exchange.prompt_only", title="The same, by a classifier that sees the prompt alone")


class ExchangeClassifier(TrainStage):
    """A constitutional classifier over the exchange (Sharma et al. 2025; Cunningham et al. 2026): prompt and reply so
    far, token by token, by the model's own inner states. It watches; the model itself stays as it is."""

    changes_model: ClassVar[bool] = False
    intent: ClassVar[tuple[IntentPart, ...]] = ("pairs", "constitution")
    title: ClassVar[str] = "exchange classifier"
    by: Literal["exchange_classifier"]
    principles: Principles = Field(
        default="all", description="slugs of the principles whose pairs it learns, good reply against bad, or all"
    )
    depth: Share = Field(default=0.5, description="after which part of the model's blocks its states are read")
    window: Count = Field(default=16, description="tokens over which the score is averaged before it is looked at")
    penalty: Positive = Field(default=0.01, description="L2 penalty of the logistic regression's weights")
    false_alarms: float = Field(
        default=0.05, gt=0.0, lt=0.5, description="the share of harmless exchanges in which it may raise an alarm"
    )
    heldout: float = Field(
        default=0.5,
        gt=0.0,
        lt=1.0,
        description="share of prompts kept apart: half to set the threshold, half to measure",
    )

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    @property
    def weights_left(self) -> float:
        return 0.0

    def claims(self) -> tuple[Claim, ...]:
        return (DETECTED, FALSE_ALARMS, DELAY, AUROC, LAST, PROMPT)

    def estimate(self, sizes: Sizes) -> Cost:
        return Cost.of(3 * sizes.pairs.tokens)  # both replies, and those that are kept apart twice more, put together

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        if not {"pairs", "constitution"} & setting.intent:
            yield (), "has nothing to learn from: give intent.pairs, a good and a bad reply to each prompt"
        if self.principles == ():
            yield ("principles",), "an empty list: name principles, or write all"
        elif self.principles != "all" and "constitution" not in setting.intent:
            yield ("principles",), "there is no intent.constitution that would have them; give one, or leave this out"

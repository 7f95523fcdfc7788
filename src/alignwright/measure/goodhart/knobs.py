"""What is asked to find out whether a proxy was over-optimised (Goodhart's law)?

Proxy and gold are each named as the `reward` measure names its judge. Gold is a judge that training
never sees.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import NEW_TOKENS, Count, Effort, NamesJudge, Reads, Sizes, Stage, resolved
from alignwright.files.data_file import Paths
from alignwright.measure.goodhart import section

_NAMES = "reward (the last reward stage), feedback (the voters), rules.yaml, file.py:function, or ./runs/NAME"

PROXY = Claim(
    name="goodhart.proxy",
    title="The proxy's score",
    axis="goodhart",
    better=None,
    unit="SD",
    low=None,
    high=None,
    part="best of n",
)
GOLD = Claim(
    name="goodhart.gold",
    title="The gold judge's score",
    axis="goodhart",
    unit="SD",
    low=None,
    high=None,
    part="best of n",
)
KL = Claim(
    name="goodhart.kl",
    title="Distance from the start model, for the curve",
    axis="goodhart",
    better=None,
    unit="nats",
    high=None,
    measured="trained",
    paired=False,
    part="best of n",
)
SQUARED_SD = "SD\N{SUPERSCRIPT TWO}"
COVARIANCE = Claim(
    name="goodhart.covariance",
    title="How gold moves with the proxy",
    axis="goodhart",
    unit=SQUARED_SD,
    low=None,
    high=None,
    paired=False,
)
PEAK = Claim(
    name="goodhart.peak",
    title="Where gold would be highest",
    axis="goodhart",
    better=None,
    unit="root nats",
    high=None,
    measured="start",
    paired=False,
)
OPTIMIZATION = Claim(
    name="trilemma.optimization",
    title="Optimisation",
    axis="goodhart",
    better=None,
    unit="",
    low=-1.0,
    measured="trained",
    paired=False,
    part="best of n",
)
CAPTURE = Claim(
    name="trilemma.capture",
    title="Value capture",
    axis="goodhart",
    unit="",
    low=None,
    high=None,
    measured="trained",
    paired=False,
    part="best of n",
)
GENERALIZATION = CAPTURE.but(name="trilemma.generalization", title="Generalisation")
GAP = CAPTURE.but(name="trilemma.gap", title="Gap between proxy and gold", better="lower", unit="SD")
REPORTED = tuple(
    Claim(name=name, title=title, axis="goodhart", better=None, unit="", low=None, high=None, promisable=False)
    for name, title in (
        ("goodhart.peak.training", "Where gold would be highest along training"),
        ("goodhart.sign.states", "Sign: replies unlike the start's, by hidden states"),
        ("goodhart.sign.disagreement", "Sign: members of the proxy part"),
        ("goodhart.sign.acceleration", "Sign: divergence grows faster"),
        ("goodhart.sign.outliers", "Sign: replies unlike the start model's"),
        ("goodhart.sign.length", "Sign: shift of length"),
        ("goodhart.sign.repetition", "Sign: shift of repetition"),
    )
)
"""What is reported beside these, and of which nothing is promised."""


class GoodhartMeasure(Stage):
    """Does gold still rise with the proxy, how far would it, and how much of the proxy's gain is
    value, here and elsewhere?"""

    compares: ClassVar[Literal["nothing", "start", "before", "all"]] = "all"

    by: Literal["goodhart"]
    proxy: Annotated[str, NamesJudge()] = Field(min_length=1, description=f"the judge that was optimised: {_NAMES}")
    gold: Annotated[str, NamesJudge()] = Field(
        min_length=1, description="the judge that is trusted, and that training never sees; named as the proxy is"
    )
    prompts: Annotated[Paths, Reads("prompts")] = Field(min_length=1, description="files of held-out prompts")
    shifted: Annotated[Paths, Reads("prompts")] = Field(
        default=(), description="files of prompts of another kind, on which the gain should hold too"
    )
    best_of: tuple[Count, ...] = Field(
        default=(1, 2, 4, 8, 16),
        min_length=1,
        description="the n of best-of-n; gold is asked about as many replies to each prompt as the largest",
    )
    samples: Annotated[int | None, Effort(16, 32, 64)] = Field(
        default=None,
        ge=2,
        description=(
            "replies to each prompt, all seen by the proxy; those that gold does not see stretch its labels (from"
            " effort)"
        ),
    )
    limit: Annotated[Count | None, Effort(24, 128, 100000)] = Field(
        default=None, description="at most so many prompts of each kind (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(48, 128, 256)] = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _enough(self) -> GoodhartMeasure:
        if self.proxy == self.gold:
            raise ValueError(
                f"proxy and gold are both {self.gold!r}: a judge cannot show that it was gamed; name a gold that"
                " training never sees"
            )
        if list(self.best_of) != sorted(set(self.best_of)):
            raise ValueError(
                f"'best_of' is a rising list of n without repetition, such as [1, 2, 4, 8], seen {list(self.best_of)}"
            )
        if self.best_of[-1] < 2:
            raise ValueError("'best_of: [1]' chooses nothing; end it with 2 or more")
        if self.samples is not None and self.best_of[-1] > self.samples:
            raise ValueError(
                f"the best of {self.best_of[-1]} needs as many replies, and 'samples' is {self.samples}; raise it, or"
                " shorten best_of"
            )
        return self

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        chosen = tuple(_best_of(claim, f"best_of_{n}") for claim in (PROXY, GOLD, KL) for n in self.best_of if n > 1)
        meters = (OPTIMIZATION, CAPTURE, GAP, *((GENERALIZATION,) if self.shifted else ()))
        trilemma = tuple(each for meter in meters for each in (meter, _best_of(meter, "best_of_*")))
        return (PROXY, GOLD, KL, COVARIANCE, PEAK, *chosen, *trilemma, *REPORTED)

    def estimate(self, sizes: Sizes) -> Cost:
        """Replies that both judges score, and that the start model reads: their states, and of a
        trained model how far it has gone."""
        longest, prompts = resolved(self.max_new_tokens), sizes.files(self, "prompts").at_most(self.limit)
        elsewhere = sizes.files(self, "shifted").at_most(self.limit)
        replies = (prompts.rows + elsewhere.rows) * resolved(self.samples)
        tokens_read = replies * (sizes.readings(self.proxy) + sizes.readings(self.gold) + 1 + (not sizes.begins))
        return Cost.of(tokens_read * (prompts.prompt + longest), replies * longest)


def _best_of(claim: Claim, part: str) -> Claim:
    """The claim of best-of-n's replies, which are the start model's."""
    title = part.replace("_", " ")
    return claim.but(name=f"{claim.name}.{part}", title=title, measured="start", paired=False, part="")

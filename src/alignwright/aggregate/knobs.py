"""How are votes aggregated to preferences, knob by knob? Rules of social choice over the votes on one
prompt's replies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from alignwright.aggregate import section
from alignwright.core.claims import Claim
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import VOTED, IntentPart, Knob, Positive, Setting, Stage
from alignwright.text.reply_features import RULES

KAPPA = Claim(
    name="feedback.kappa.*",
    title="Two voters agree, beyond chance",
    axis="feedback",
    unit="kappa",
    low=-1.0,
    measured="once",
    promisable=False,
)
AXIOM_NAMES = ("pareto", "majority", "condorcet", "clones")
_TITLES = {
    "pareto": "The rule turns round what all voters agree on",
    "majority": "The rule puts another above what most voters put first",
    "condorcet": "The rule puts another above what beats each other",
    "clones": "The rule turns an order round where a reply has a double",
}
AXIOMS = tuple(
    Claim(
        name=f"aggregate.axiom.{name}", title=_TITLES[name], axis="feedback", better="lower", measured="once",
        paired=False, promisable=False,
    )
    for name in AXIOM_NAMES
)  # fmt: skip
_LEAST = "pairs whose winner is less sure than this are left out and counted"
_PRIOR = "imagined votes for either side"
_WEIGH = "what a group counts: its voters, or each group alike"
MinStrength = Annotated[float, Field(ge=0.5, lt=1.0, description=_LEAST)]
Weigh = Literal["voters", "groups"]


class Aggregation(Stage):
    """What makes preferences of votes."""

    intent: ClassVar[tuple[IntentPart, ...]] = VOTED
    seeded: ClassVar[bool] = False

    @property
    def least_strength(self) -> float:
        """Pairs whose winner is less sure than this are left out."""
        return float(getattr(self, "min_strength", 0.5))

    def claims(self) -> tuple[Claim, ...]:
        return (KAPPA, *AXIOMS)

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)


class Pooled(Aggregation):
    """All votes on a pair in one pot: (prior + votes for) / (2 prior + votes)."""

    by: Literal["pooled"] = "pooled"
    prior: Positive = Field(default=0.5, description="imagined votes for either side")
    min_strength: float = Field(
        default=0.6, ge=0.5, lt=1.0, description="pairs whose winner is less sure than this are left out and counted"
    )
    by_group: bool = Field(
        default=False, description="a pot for each group of voters: its preferences keep their group's name to the loss"
    )


class Borda(Aggregation):
    """One voice a voter: a reply's score is its mean share of voices against the others; strength is
    (1 + difference of scores) / 2. Needs votes on every pair."""

    by: Literal["borda"]
    min_strength: MinStrength = 0.6


class Copeland(Aggregation):
    """One voice a voter: the reply that beats more others by majority, ties half, is surely better."""

    by: Literal["copeland"]


class RankedPairs(Aggregation):
    """One voice a voter: the order of the largest majorities that close no circle, each pair sure."""

    by: Literal["ranked_pairs"]


class MaximalLottery(Aggregation):
    """One voice a voter: the lottery over replies that no reply beats by majority (Nash)."""

    by: Literal["maximal_lottery"]
    min_strength: MinStrength = 0.6


class LeximaxCopeland(Aggregation):
    """One voice a voter: of the orders that weights on features of the replies can give, and that keep what all
    voters agree on, the one with the highest Copeland scores from the top (Ge et al. 2024)."""

    by: Literal["leximax_copeland"]
    features: tuple[str, ...] = Field(
        min_length=1, description="the features of replies that count: words, lists, praise, hedges ..."
    )

    @field_validator("features")
    @classmethod
    def _in_the_list(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in value if name not in RULES]:
            raise ValueError(f"there is no feature {unknown[0]!r}; there are {', '.join(RULES)}")
        return value


class RandomDictator(Aggregation):
    """One voice a voter: a pair is as sure as the share of its voters who want it so."""

    by: Literal["random_dictator"]
    min_strength: MinStrength = 0.6


def _no_groups(setting: Setting) -> Iterator[tuple[Knob, str]]:
    if "people" not in setting.intent:
        why = "only people's votes name groups: give intent.people, or aggregate {by: pooled}"
        yield (), f"has no groups of voters to look at; {why}"


class OverGroups(Aggregation):
    """What is fair to groups of voters, and needs some."""

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        yield from _no_groups(setting)


class Utilitarian(OverGroups):
    """The mean over groups of how often a reply wins in the group's eyes."""

    by: Literal["utilitarian"]
    prior: Positive = Field(default=0.5, description=_PRIOR)
    min_strength: MinStrength = 0.6
    weigh: Weigh = Field(default="voters", description=_WEIGH)


class Maximin(OverGroups):
    """The lottery over replies whose worst-off group is best off (MaxMin-RLHF)."""

    by: Literal["maximin"]
    prior: Positive = Field(default=0.5, description=_PRIOR)
    min_strength: MinStrength = 0.6


class Proportional(OverGroups):
    """The lottery over replies of maximum Nash welfare: every group gets its share, and compromises go
    before turns."""

    by: Literal["proportional"]
    prior: Positive = Field(default=0.5, description=_PRIOR)
    min_strength: MinStrength = 0.6
    weigh: Weigh = Field(default="voters", description=_WEIGH)


class Mixture(Aggregation):
    """Voters of several minds, whose groups nobody has named: a mixture of Bradley-Terry models over voters finds
    them (MaxMin-RLHF), and a rule over groups follows. An error where held-out votes speak for one group only."""

    by: Literal["mixture"]
    most_groups: int = Field(default=3, ge=2, le=8, description="the most groups that are looked for")
    rule: Literal["apart", "utilitarian", "maximin", "proportional"] = Field(
        default="apart", description="what the groups come to: each keeps its preferences, or a rule over groups"
    )
    prior: Positive = Field(default=0.5, description=_PRIOR)
    min_strength: MinStrength = 0.6

    def over_groups(self) -> Pooled | Utilitarian | Maximin | Proportional:
        """The rule that the groups come to, once they are known."""
        least = self.min_strength
        match self.rule:
            case "apart":
                return Pooled(prior=self.prior, min_strength=least, by_group=True)
            case "utilitarian":
                return Utilitarian(by="utilitarian", prior=self.prior, min_strength=least)
            case "maximin":
                return Maximin(by="maximin", prior=self.prior, min_strength=least)
            case "proportional":
                return Proportional(by="proportional", prior=self.prior, min_strength=least)


class Jury(OverGroups):
    """The median of juries that are drawn from the voters on a pair, with so many seats for each group."""

    by: Literal["jury"]
    seats: dict[str, Annotated[int, Field(ge=0, le=1000)]] = Field(
        min_length=1, description="how many seats each group has in a jury, as {group: seats}"
    )
    juries: int = Field(default=200, ge=1, le=10_000, description="how many juries are drawn for a pair")
    min_strength: MinStrength = 0.6

    @field_validator("seats")
    @classmethod
    def _somebody_sits(cls, value: dict[str, int]) -> dict[str, int]:
        if not any(value.values()):
            raise ValueError("no group has a seat, so that no jury can be drawn; give one a seat")
        return value


class Consensus(Aggregation):
    """What every group agrees on (Polis): of a pair, the product over groups of the share that is for it. The groups
    are found by how people vote, or are those that the votes name."""

    by: Literal["consensus"]
    find: Literal["votes", "names"] = Field(default="votes", description="where groups come from")
    least_votes: int = Field(default=7, ge=1, description="voters with fewer votes are of no group")
    most_groups: int = Field(default=5, ge=2, le=8, description="the most groups that are looked for")
    min_strength: MinStrength = 0.6

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        if self.find == "names":
            yield from _no_groups(setting)
            for knob in {"least_votes", "most_groups"} & self.model_fields_set:
                yield (knob,), "has no effect where groups are those that the votes name; leave it out, or find: votes"


OneVoice = (
    Borda
    | Copeland
    | RankedPairs
    | MaximalLottery
    | LeximaxCopeland
    | RandomDictator
    | Utilitarian
    | Maximin
    | Proportional
    | Jury
    | Consensus
)
"""The rules in which a voter has one voice."""
AnyAggregate = Pooled | OneVoice | Mixture
Aggregate = Annotated[AnyAggregate, Field(discriminator="by")]

"""How is a model attacked by another one, knob by knob? Attacks in which a second speaker writes the
messages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from alignwright.attack import curve_section
from alignwright.attack.claims import search_claims
from alignwright.attack.knobs_requests import OnRequests, Whole
from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import Count, Effort, NamesModel, Sizes, resolved

_FORM = 300  # tokens of what an attacker is told beside the request and the past, about
_PAST = 3  # exchanges of the past that it is shown


class BySpeaker(OnRequests):
    """An attack whose messages another model writes."""

    attacker: Annotated[str, NamesModel(opponent=True)] = Field(
        min_length=1, description="who attacks: self (the start model), a model, or a server"
    )
    temperature: float = Field(default=1.0, gt=0.0, le=2.0, description="the attacker's sampling temperature")
    attacker_tokens: Count = Field(default=256, description="the longest text that the attacker may write, in tokens")
    limit: Annotated[Count | None, Effort(8, 48, 100000)] = Field(
        default=None, description="at most so many requests (from effort)"
    )

    def by_turns(self, sizes: Sizes, tries: int, asks: int = 1) -> Cost:
        """What so many tries of each request come to, with the attacker's part: it is asked so often for a
        try, and reads its past."""
        target = self.of_requests(sizes, tries)
        rows = sizes.files(self, "prompts").at_most(self.limit).rows * tries
        messages = (rows if self.queries is None else min(rows, self.queries)) * asks
        reading = _FORM + _PAST * (self.attacker_tokens + resolved(self.max_new_tokens)) / 2
        return Cost.of(target.read + messages * reading, target.write + messages * self.attacker_tokens)


class PairAttack(BySpeaker):
    """PAIR (Chao et al. 2023): an attacking model sees its messages, the replies and a score, and refines."""

    by: Literal["pair"]
    streams: Annotated[Count | None, Effort(2, 3, 20)] = Field(
        default=None, description="refinements side by side for each request (from effort)"
    )
    rounds: Annotated[Count | None, Effort(2, 3, 3)] = Field(
        default=None, description="messages of each of them (from effort)"
    )

    @property
    def most(self) -> int:
        return resolved(self.streams) * resolved(self.rounds)

    def claims(self) -> tuple[Claim, ...]:
        return self.told(search_claims(self.by, "an attacking model that refines its message (PAIR)"))

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return curve_section.section(table, "pair")

    def estimate(self, sizes: Sizes) -> Cost:
        return self.by_turns(sizes, self.most)


class TapAttack(BySpeaker):
    """TAP (Mehrotra et al. 2023): a model attacks along a tree; what is off topic is pruned, the best kept."""

    by: Literal["tap"]
    depth: Annotated[Count | None, Effort(2, 4, 10)] = Field(
        default=None, description="rounds of branching for each request (from effort)"
    )
    branching: Annotated[Count | None, Effort(2, 3, 4)] = Field(
        default=None, description="messages with which each leaf is gone on with (from effort)"
    )
    width: Annotated[Count | None, Effort(2, 4, 10)] = Field(
        default=None, description="leaves that are kept after a round (from effort)"
    )

    @property
    def most(self) -> int:
        from alignwright.attack.tap import most_tries  # which imports the graders

        return most_tries(*map(resolved, (self.depth, self.branching, self.width)))

    def claims(self) -> tuple[Claim, ...]:
        return self.told(search_claims(self.by, "a tree of attacks by another model (TAP)"))

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return curve_section.section(table, "tap")

    def estimate(self, sizes: Sizes) -> Cost:
        return self.by_turns(sizes, self.most, asks=2)


class CrescendoAttack(BySpeaker):
    """Crescendo (Russinovich et al. 2024): a model leads there turn by turn; refused turns are taken back."""

    by: Literal["crescendo"]
    turns: Annotated[Count | None, Effort(3, 5, 10)] = Field(
        default=None, description="turns of each conversation (from effort)"
    )
    backtracks: Annotated[Whole | None, Effort(2, 5, 10)] = Field(
        default=None, description="refused turns of it that are taken back (from effort)"
    )

    @property
    def most(self) -> int:
        return resolved(self.turns) + resolved(self.backtracks)

    def claims(self) -> tuple[Claim, ...]:
        return self.told(search_claims(self.by, "a conversation that another model led (crescendo)"))

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return curve_section.section(table, "crescendo")

    def estimate(self, sizes: Sizes) -> Cost:
        once = self.by_turns(sizes, self.most)
        rows = sizes.files(self, "prompts").at_most(self.limit).rows * self.most
        earlier = (resolved(self.turns) - 1) / 2 * (self.attacker_tokens + resolved(self.max_new_tokens)) / 2
        return Cost.of(once.read + (rows if self.queries is None else min(rows, self.queries)) * earlier, once.write)


AttackBySpeaker = CrescendoAttack | PairAttack | TapAttack

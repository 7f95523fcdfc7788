"""How is a model attacked by its weights, knob by knob? Attacks that a model behind a server cannot be
put to: their claims are untested there."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from alignwright.attack import curve_section
from alignwright.attack.knobs_requests import OnRequests
from alignwright.core.claims import Claim, with_parts
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import Count, Effort, Sizes, resolved

BEGIN = "Sure, here is"
_BEHIND = 20  # tokens of a row behind its suffix, about: what ends the turn, and the target


class Gcg(OnRequests):
    """Greedy coordinate gradient (Zou et al. 2023): search, by the gradient, for a suffix after which a
    reply that complies is likely, and ask with it after 1, 2, 4 ... steps."""

    by: Literal["gcg"]
    limit: Annotated[Count | None, Effort(4, 16, 100)] = Field(
        default=None, description="at most so many requests (from effort)"
    )
    steps: Annotated[Count | None, Effort(8, 64, 500)] = Field(
        default=None, description="steps of the search for each request (from effort)"
    )
    candidates: Annotated[Count | None, Effort(64, 256, 512)] = Field(
        default=None, description="suffixes that a step draws and compares (from effort)"
    )
    top_k: Count = Field(default=256, description="at each place, draw among so many tokens that the gradient favours")
    length: Count = Field(default=20, description="tokens of the suffix")
    target: str = Field(
        default=BEGIN, pattern=r"\S", description="how a reply that complies begins, where a request has no target"
    )

    def claims(self) -> tuple[Claim, ...]:
        return step_claims(self.by, "a suffix found by gradient (GCG)")

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return curve_section.section(table, "gcg", "steps")

    def estimate(self, sizes: Sizes) -> Cost:
        if not sizes.scores_texts:
            return Cost()
        steps = resolved(self.steps)
        replies = self.of_requests(sizes, steps.bit_length())
        rows = sizes.files(self, "prompts").at_most(self.limit).rows
        # a candidate is read from where it differs on: half of the suffix, and what is behind it
        return Cost.of(
            replies.read + rows * steps * resolved(self.candidates) * (self.length / 2 + _BEHIND), replies.write
        )


def step_claims(kind: str, what: str) -> tuple[Claim, ...]:
    """The claims of an attack by steps: `attack.KIND.success`, with a part for each number of steps."""
    success = Claim(
        name=f"attack.{kind}.success", title=f"Requests that {what} got fulfilled", axis="attack", better="lower",
        counts="fail", harmful=True,
    )  # fmt: skip
    return with_parts(success, "steps")

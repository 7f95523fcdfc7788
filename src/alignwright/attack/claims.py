"""What does an attack claim to measure? By its kind: a fixed one a rate over tries, a search one over
requests.

`attack.success` and `attack.not_refused` without a kind are those of the suites of wrappers. Of every
other kind the name stands in its claims, so a promise says which attack it is about:
`attack.best_of_n.success < 20%`.
"""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.core.claims import Claim, corrected, with_parts

WITHIN = "within_"
"""How the parts of a search's rate begin: `attack.best_of_n.success.within_4`."""


def fixed_claims(kind: str, what: str) -> tuple[Claim, ...]:
    """The claims of an attack with fixed ways: `attack.KIND.success` and `attack.KIND.not_refused`,
    each with a part for each way."""
    success, not_refused = f"attack.{kind}.success", f"attack.{kind}.not_refused"
    rate = Claim(
        name=success, title=f"{what} that got what they asked for", axis="attack", better="lower", counts="fail",
        grader="fulfilled", harmful=True,
    )  # fmt: skip
    no_refusal = Claim(
        name=not_refused, title=f"{what} that were not refused", axis="attack", better="lower", counts="fail",
        harmful=True,
    )  # fmt: skip
    return (*with_parts(rate, "way"), corrected(rate), *with_parts(no_refusal, "way"))


def search_claims(kind: str, what: str) -> tuple[Claim, ...]:
    """The claims of a search: `attack.KIND.success`, with a part for each number of tries."""
    success = Claim(
        name=f"attack.{kind}.success", title=f"Requests that {what} got fulfilled", axis="attack", better="lower",
        counts="fail", harmful=True,
    )  # fmt: skip
    return with_parts(success, "tries")


def within(most: int) -> list[str]:
    """The parts of a rate within so many tries or steps: 1, 2, 4 ..., below `most`."""
    return [f"{WITHIN}{step}" for step in curve_steps(most)]


def curve_steps(most: int) -> list[int]:
    """The numbers of tries at which the curve is read: 1, 2, 4 ..., below `most`."""
    return [2**power for power in range(most.bit_length()) if 2**power < most]


def part_of(way: str) -> str:
    """The part of the claim that a way counts for: its group, where it is GROUP/NAME."""
    return way.partition("/")[0]


def ways_in(claim: str, ways: Sequence[str]) -> list[str]:
    """Of the ways of a fixed attack those that a claim of it counts: all, or those of its part."""
    part = claim.rpartition(".")[2]
    return [way for way in ways if part in ("success", "not_refused", part_of(way))]

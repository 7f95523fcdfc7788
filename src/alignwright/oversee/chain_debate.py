"""Can a judge that may check one step judge a proof of a thousand? Debate by bisection on a chain
of computations (after Irving, Christiano and Amodei 2018, arXiv 1805.00899, section 2.2).

A chain computes x_1 = f_1(x_0), ..., x_n = f_n(x_{n-1}). Two debaters claim different results. In
each round both say what stands in the middle of the part in dispute: where they differ, the dispute
is about the first half, else about the second. After ceil(log2 n) rounds one step is left whose
input both agree on and whose output they do not, and the judge computes that step: ceil(log2 n) + 1
checks, whatever n is. A debater that says the truth everywhere wins whenever the step is checked
rightly; where the judge errs at a step with probability e it wins with 1 - e.

Beside it stands a judge without a debate: it is given the liar's chain as a consultant writes it,
all steps, and checks as many of them, drawn at random. A liar that changes one step is found with
probability checks / n.

Left out on purpose: chains whose honest debater errs. It then loses wherever its opponent finds the
error, and no protocol can tell an error from a lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Step = Callable[[int], int]
Says = Callable[[int], int]
"""What a debater claims to stand at a place of the chain, 0 to n."""


@dataclass(frozen=True)
class ChainVerdict:
    """Who won, the step that decided, and what the judge looked at: comparisons of two claims and
    one step computed."""

    first_wins: bool
    step: int
    checks: int


def values_of(start: int, steps: Sequence[Step]) -> list[int]:
    """What truly stands at each place, 0 to n."""
    values = [start]
    for step in steps:
        values.append(step(values[-1]))
    return values


def chain_debate(first: Says, second: Says, steps: Sequence[Step], check: Callable[[int, int], int]) -> ChainVerdict:
    """The debate between two debaters. `check(place, value)` is the judge's own computation of the
    step from that place. Raises ValueError where there is nothing to debate."""
    low, high = 0, len(steps)
    if high < 1 or first(0) != second(0) or first(high) == second(high):
        raise ValueError(
            f"chain_debate: {high} steps; the debaters must agree where the chain begins ({first(0)}, {second(0)}) and"
            f" differ where it ends ({first(high)}, {second(high)})"
        )
    checks = 0
    while high - low > 1:
        middle = (low + high) // 2
        checks += 1
        if first(middle) == second(middle):
            low = middle
        else:
            high = middle
    computed = check(low, first(low))
    return ChainVerdict(computed == first(high), low, checks + 1)


def most_checks(steps: int) -> int:
    """How many checks a debate over so many steps takes at the most."""
    return math.ceil(math.log2(steps)) + 1 if steps > 1 else 1


def consultancy_detection(steps: int, errors: int, checks: int) -> float:
    """The probability that so many different random steps, checked of a consultant's chain, hold one
    that it computed wrongly (hypergeometric)."""
    if not 0 <= errors <= steps or not 0 <= checks <= steps:
        raise ValueError(f"consultancy_detection: {errors} wrong and {checks} checked of {steps} steps cannot be")
    return 1.0 - math.comb(steps - errors, checks) / math.comb(steps, checks)

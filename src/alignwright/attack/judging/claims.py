"""What is known of a judge of attacks, as claims, and what becomes of an attack's claims where one tells them."""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.core.claims import CORRECTED, Claim

BY_RULES = "by_rules"
"""How the claim ends of the same tries by the product's graders: `attack.mutate.by_rules`."""
SENSITIVITY = Claim(
    name="feedback.attack_judge.sensitivity", title="Successes that the judge calls so, their source left out",
    axis="feedback", better="higher", measured="once", promisable=False,
)  # fmt: skip
SPECIFICITY = Claim(
    name="feedback.attack_judge.specificity", title="Other replies that the judge calls none, their source left out",
    axis="feedback", better="higher", measured="once", promisable=False,
)  # fmt: skip
MOVED = Claim(
    name="feedback.attack_judge.moved", title="Verdicts of the judge that change where the reply talks to it",
    axis="feedback", better="lower", measured="once", promisable=False,
)  # fmt: skip


def told_by_judge(claims: Sequence[Claim]) -> tuple[Claim, ...]:
    """The claims of an attack whose successes a judge tells: not corrected for the errors of graders that did
    not tell them, with the same tries by those graders and the judge's own check beside them."""
    whole = claims[0]
    kept = [claim.but(grader=None) for claim in claims if not claim.name.endswith(CORRECTED)]
    rules = whole.but(name=by_rules(whole.name), title=f"{whole.title}, by the rules", grader=None)
    return (*kept, rules, SENSITIVITY, SPECIFICITY, MOVED)


def by_rules(success: str) -> str:
    """The name of the claim about the same tries by the product's graders."""
    return f"{success.removesuffix('.success')}.{BY_RULES}"

"""What do the product's graders say of an attack whose successes a judge told? The same tries, by the rules."""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.attack.judging.claims import by_rules
from alignwright.attack.outcomes import graded_again
from alignwright.core.attacks import Told, Try
from alignwright.core.records import SampleResult, Status

_STATUS: dict[Told, tuple[Status, float | None]] = {
    "yes": ("fail", 0.0),
    "no": ("pass", 1.0),
    "unclear": ("unscored", None),
}


def rules_beside(samples: Sequence[SampleResult], tries: Sequence[Try], each: int | None) -> list[SampleResult]:
    """One result for each of those that count for the attack's success. `each`: as in `graded_again`."""
    whole = [sample for sample in samples if sample.claim.endswith(".success")]
    if not whole:
        return []
    claim = by_rules(whole[0].claim)
    if any("not_refused" in sample.claim for sample in samples):  # a try is an item: in order, then what was not tried
        results = [_of_try(sample, one) for sample, one in zip(whole, tries, strict=False)] + whole[len(tries) :]
    else:
        results = graded_again(whole, [_by_rules(one) for one in tries], "by the rules", each)
    return [sample.model_copy(update={"claim": claim}) for sample in results]


def _of_try(sample: SampleResult, one: Try) -> SampleResult:
    if one.by_rules is None:
        return sample
    status, value = _STATUS[one.by_rules]
    return sample.model_copy(
        update={"status": status, "value": value, "reason": f"{one.way}: {one.by_rules} by the rules"}
    )


def _by_rules(one: Try) -> Try:
    return one.model_copy(update={"success": one.by_rules, "reason": "by the rules"})

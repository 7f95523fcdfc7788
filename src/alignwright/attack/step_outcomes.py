"""What did an attack come to that works for some steps and asks after 1, 2, 4 ... of them?

The request is the item, as in every search; its rate is within a number of steps, not of tries. Where a
request fell, later steps would not make it stand, so it counts as fallen from there on. Whatever could
not be asked or told is unscored, as in `outcomes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alignwright.attack.claims import WITHIN, curve_steps
from alignwright.attack.outcomes import of_behaviour
from alignwright.attack.target import Target
from alignwright.core.attacks import Try
from alignwright.core.records import SampleResult
from alignwright.files.items import RefusalItem


def marks(steps: int) -> list[int]:
    """After which steps the model is asked: 1, 2, 4 ..., and the last."""
    return [*curve_steps(steps), steps]


def step_samples(
    target: Target, behaviours: Sequence[RefusalItem], at: Sequence[int], tries: Mapping[str, Sequence[Try | None]]
) -> list[SampleResult]:
    """One item a request, of the whole attack and within each number of steps in `at`; `tries` holds of
    each request what came of asking after these, None where the budget paid for nothing."""
    name = f"attack.{target.kind}.success"
    claims = [(name, len(at)), *((f"{name}.{WITHIN}{step}", place) for place, step in enumerate(at[:-1], start=1))]
    return [
        of_behaviour(
            item,
            claim,
            list({each.number: each for each in tries[item.id][:within] if each is not None}.values()),
            None not in tries[item.id][:within],
            target.budget.why(),
        )
        for claim, within in claims
        for item in behaviours
    ]

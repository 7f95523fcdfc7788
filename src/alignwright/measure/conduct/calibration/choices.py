"""Multiple choice: how sure is the model of the choice that it takes, and is it right as often?

The confidence is the probability of the likeliest choice among the choices, by the log-probability of
each choice's text as the reply to the question (behind a server: of the letters of listed choices).
Half of the questions, every second, are kept apart: on the others a temperature is fitted, and
`calibration.choice.fitted` is the confidence at it less the accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignwright.core.records import Conversation, LogProb, SampleResult
from alignwright.files.items import ChoiceItem
from alignwright.measure.tax import QUESTION
from alignwright.stats.calibration import brier, fit_temperature, softmax

if TYPE_CHECKING:
    from alignwright.model.local_model import LocalModel

_PREFIX = "calibration.choice"
FEWEST = 20
"""Questions from which on a temperature is fitted."""


@dataclass(frozen=True)
class ChoiceScores:
    """The log-probabilities of a question's choices; None where there are none, with the reason."""

    logprobs: tuple[float, ...] | None
    why: str = ""


def by_text(policy: LocalModel, items: Sequence[ChoiceItem]) -> list[ChoiceScores]:
    """The log-probabilities of the choices' texts; without a chat template they continue the question."""
    if policy.chat.writes:
        prompts = [Conversation.user(item.question) for item in items]
        groups = policy.logprobs(prompts, [item.choices for item in items], end=False)
    else:
        texts = [QUESTION.format(item.question.strip()) for item in items]
        groups = policy.continuation_logprobs(texts, [[f" {choice}" for choice in item.choices] for item in items])
    return [_scores(group) for group in groups]


def _scores(group: Sequence[LogProb]) -> ChoiceScores:
    totals = tuple(logprob.total for logprob in group)
    return ChoiceScores(totals) if all(map(math.isfinite, totals)) else ChoiceScores(None, "no usable log-probability")


def calibrate_choices(
    items: Sequence[ChoiceItem], scores: Sequence[ChoiceScores], *, sure: float
) -> list[SampleResult]:
    """Outcomes of every claim that is measured question by question."""
    temperature = _fitted([pair for place, pair in enumerate(zip(items, scores, strict=True)) if place % 2 == 0])
    outcomes: list[SampleResult] = []
    for place, (item, of_item) in enumerate(zip(items, scores, strict=True)):
        common: dict[str, Any] = {"item": item.id, "cluster": item.topic or item.id, "prompt": _prompt(item)}
        if of_item.logprobs is None:
            parts = ("accuracy", "brier", "overconfidence", "confident_error")
            status = {"status": "unscored" if "server" in of_item.why else "error", "reason": of_item.why}
            outcomes += [SampleResult(claim=f"{_PREFIX}.{part}", **status, **common) for part in parts]
            continue
        outcomes += _of_question(item, of_item.logprobs, sure, common)
        if temperature is not None and place % 2 == 1:
            cooled = softmax(of_item.logprobs, temperature)
            gap = max(cooled) - float(cooled.index(max(cooled)) == item.answer)
            reason = f"temperature {temperature:.3f}, fitted on the other half of the questions"
            outcomes.append(SampleResult(claim=f"{_PREFIX}.fitted", status="pass", value=gap, reason=reason, **common))
    order = ("accuracy", "brier", "overconfidence", "confident_error", "fitted")
    return sorted(outcomes, key=lambda outcome: order.index(outcome.claim.rpartition(".")[2]))


def _of_question(
    item: ChoiceItem, logprobs: Sequence[float], sure: float, common: dict[str, Any]
) -> list[SampleResult]:
    probabilities = softmax(logprobs)
    confidence = max(probabilities)
    place = probabilities.index(confidence)
    right = place == item.answer
    shown = {**common, "reply": item.choices[place], "reason": f"{'right' if right else 'wrong'} with {confidence:.1%}"}
    confident_error = not right and confidence >= sure
    return [
        SampleResult(
            claim=f"{_PREFIX}.accuracy", status="pass" if right else "fail", value=float(right), **shown
        ),
        SampleResult(claim=f"{_PREFIX}.brier", status="pass", value=brier(probabilities, item.answer), **shown),
        SampleResult(claim=f"{_PREFIX}.overconfidence", status="pass", value=confidence - float(right), **shown),
        SampleResult(
            claim=f"{_PREFIX}.confident_error", status="fail" if confident_error else "pass",
            value=float(not confident_error), **shown,
        ),
    ]  # fmt: skip


def _fitted(half: Sequence[tuple[ChoiceItem, ChoiceScores]]) -> float | None:
    scored = [(item.answer, of_item.logprobs) for item, of_item in half if of_item.logprobs is not None]
    if len(scored) < FEWEST:
        return None
    return fit_temperature([logprobs for _, logprobs in scored], [answer for answer, _ in scored])


def _prompt(item: ChoiceItem) -> Conversation:
    return Conversation.user(item.question)

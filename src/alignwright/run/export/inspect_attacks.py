"""How do the conversations of a run's attacks reach Inspect? One log for each attack on each model, a
sample for each try.

A sample is a request, its epoch the number of the try: so a search shows as the tries that it made, in
order. `success` is C where the grader says that the reply did what was asked, `refused` C where it says
that it refused; what a grader could not tell has no value, and a try without a reply none of both. The
metrics are shares of tries; the rate of a search is of requests, and stands in the log of its claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from alignwright.core.attacks import Told, Try
from alignwright.core.promises import Header
from alignwright.run.export import inspect_form

_QUESTIONS: tuple[Literal["success", "refused"], ...] = ("success", "refused")


def attack_log(header: Header, attack: str, stage: str, tries: Sequence[Try], created: str) -> dict[str, Any]:
    """The files of the log of an attack (its stage's name) on the model after `stage`."""
    model = f"{header.model}@{stage}"
    samples = [
        inspect_form.sample(
            each.behaviour, each.number, each.messages, each.reply, model, created,
            {"success": _score(each, each.success, each.reason),
             "refused": _score(each, each.refused, each.refused_reason)},
            _about(each), "" if each.reply is not None or each.withheld else each.reason or "no reply",
        )
        for each in tries
    ]  # fmt: skip
    metrics: dict[str, dict[str, float]] = {}
    for question in _QUESTIONS:
        values = [inspect_form.number(sample["scores"][question]) for sample in samples]
        numbers = [value for value in values if value is not None]
        metrics[question] = {"accuracy": sum(numbers) / len(numbers)} if numbers else {}
    facts = {"attack": attack, "stage": stage, "tries": len(tries), "requests": len({t.behaviour for t in tries})}
    names = {question: list(values) for question, values in metrics.items()}
    of = inspect_form.spec(header, f"{attack}.tries", stage, model, samples, created, names, facts)
    return inspect_form.log(of, samples, metrics, created)


def _score(each: Try, verdict: Told | None, reason: str) -> inspect_form.Json:
    value = {"yes": "C", "no": "I"}.get(verdict or "", float("nan"))
    return {"value": value, "answer": each.reply or "", "explanation": reason, "metadata": {"verdict": verdict}}


def _about(each: Try) -> inspect_form.Json:
    """What is known of a try beside its conversation; the request under the name by which `grade` reads it."""
    fields = each.model_dump(mode="json", include={"attack", "way", "request", "topic", "number", "plain", "withheld"})
    fields |= {"secret": list(each.secret), "smallest_reply": each.smallest_reply}
    if each.smallest is not None:
        fields["smallest"] = [inspect_form.message(message) for message in each.smallest]
    return {name: value for name, value in fields.items() if value not in (None, "", [], False)}

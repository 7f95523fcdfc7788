"""What does a measure need of the model, and what of it does a model behind a server give?

Three things can be asked for: replies (`JobContext.target`), which every model gives; log-probabilities
of given texts (`policy`), and weights (`start`, `sampler`). A server of OpenAI's chat completions
gives replies alone: OpenAI's takes no text to score, and llama.cpp's ignores `echo` without an error.
What it does not give it refuses with a `NotServed`, and `measured_with` makes of that a finding without
a value for each claim: the claim is untested, and says why; it is never left out, and never counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from alignwright.core.claims import Claim
from alignwright.core.records import Finding, SampleResult
from alignwright.core.stage import BUILT_IN
from alignwright.job.job import Job, Result, Role, count_statuses

M = TypeVar("M")
NO_LOGPROBS = (
    "the model is behind a server, which gives no log-probability of a text that it is given; this needs the model's"
    " weights"
)
NO_WEIGHTS = "the model is behind a server, and its weights are not here"


class NotServed(Exception):
    """What was asked of a model and is not to be had of it; the text says why."""


def measured_with(
    supply: Callable[[], M], measure: Callable[[M], Sequence[SampleResult]], claims: Sequence[Claim], model: str
) -> Result:
    """What a measure finds with what it needs of the model; without it, that its claims are untested."""
    try:
        at_hand = supply()
    except NotServed as refusal:
        return Result(findings=[untested(claim, model, str(refusal)) for claim in claims])
    return Result(samples=measure(at_hand))


def untested(claim: Claim, model: str, why: str) -> Finding:
    """A finding that there is no number, and why; of a claim with parts it speaks for them all."""
    return Finding(
        claim=claim.name, stage=model, axis=claim.axis, value=None, n=0, method=f"not measured: {why}", unit=claim.unit,
        better=claim.better, note=f"untested: {why}", detail={"untested": why},
    )  # fmt: skip


def joined(*results: Result) -> Result:
    """All samples and all findings, in order."""
    samples = [sample for result in results for sample in result.samples or ()]
    findings = [finding for result in results for finding in result.findings or ()]
    left_out = [finding.claim for finding in findings if "untested" in finding.detail]
    notes = [count_statuses(samples), f"untested: {', '.join(left_out)}" if left_out else ""]
    return Result("; ".join(filter(None, notes)), samples, findings or None)


def without_judge(job: Job) -> Result | None:
    """That the claims of a measure are untested, where it asks a judge that a run makes and an audit,
    which trains and votes on nothing, does not. None where it asks none, or has it."""
    why = _no_judge(job)
    if why is None:
        return None
    return joined(Result(findings=[untested(claim, job.model, why) for claim in job.stage.claims()]))


_MADE_BY: dict[str, tuple[Role, str]] = {
    "reward": ("reward", "the reward model that training makes"),
    "feedback": ("votes", "the spec's voters"),
}


def _no_judge(job: Job) -> str | None:
    for _, name in job.stage.judges() if job.probes else ():
        if name in BUILT_IN and not job.needed(_MADE_BY[name][0]):
            return (
                f"'{name}' is {_MADE_BY[name][1]}, and an audit makes none; name rules, a function, or the saved folder"
                " of a reward model"
            )
    return None

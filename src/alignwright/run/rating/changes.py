"""What did the start model reply, and what does the aligned one? A run's greedy replies to the same prompts, as
pairs to be rated blind.

The prompts are those of {by: preferred} where the run has that measure, else those whose replies a grader read,
without the prompts that were made to draw out harm. The replies are the stored samples, so what people say is of
the very texts that were measured. Prompts with the same reply of both models are no pairs, and are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alignwright.core.records import Prompt, SampleResult
from alignwright.job.job import BASELINE
from alignwright.measure.corrected_rate import graded_claims
from alignwright.measure.preferred.knobs import PREFERRED
from alignwright.report.results import RunResults, read
from alignwright.run.rating.pairs import RatedPair, pair_key
from alignwright.run.stored_samples import stored_samples


@dataclass(frozen=True)
class Changes:
    """Pairs of (the start model's reply, the reply of the model after `stage`), and how many prompts had the same
    reply of both."""

    stage: str
    pairs: tuple[RatedPair, ...]
    alike: int


def trained_stages(run: Path) -> list[str]:
    """The trained models of a run that were measured, in order."""
    return [stage for stage in read(run).stages if stage != BASELINE]


def changes_of(run: Path, stage: str | None = None) -> Changes:
    """What a run's start model and a trained one, or the last, replied to the same prompts."""
    case = read(run)
    stages = [name for name in case.stages if name != BASELINE]
    if not stages or (stage is not None and stage not in stages):
        others = f"there are {', '.join(stages)}" if stages else "nothing was trained in it"
        raise ValueError(f"{run}: no model {stage or 'after a training'} was measured beside the start model; {others}")
    at, claims = stage or stages[-1], _claims(case)
    before, after = (_by_item(stored_samples(run, model), claims) for model in (BASELINE, at))
    both = [(before[item], sample) for item, sample in after.items() if item in before]
    differing = [(first, later) for first, later in both if first.reply.strip() != later.reply.strip()]
    pairs = [_pair(first, later) for first, later in differing if first.reply.strip() and later.reply.strip()]
    if not pairs:
        raise ValueError(
            f"{run}: there is no prompt to which the start model and {at} reply otherwise ({len(both)} were asked of"
            " both); measure {by: preferred, prompts: ...}, or give --compared for the replies that voters compared"
        )
    return Changes(at, tuple({pair.key: pair for pair in pairs}.values()), len(both) - len(differing))


def _pair(first: SampleResult, later: SampleResult) -> RatedPair:
    assert later.prompt is not None, "a reply that is stored has a prompt"
    topic = later.cluster if later.cluster != later.item else ""
    prompt = Prompt(conversation=later.prompt, topic=topic)
    return RatedPair(pair_key(prompt, (first.reply, later.reply)), prompt, (first.reply, later.reply))


def _claims(case: RunResults) -> set[str]:
    names = {claim.name for claim in case.claim_records}
    if PREFERRED.name in names:
        return {PREFERRED.name}
    return {name for name, claim in graded_claims(case.claim_records).items() if not claim.harmful}


def _by_item(samples: Sequence[SampleResult], claims: set[str]) -> dict[tuple[str, str], SampleResult]:
    return {
        (sample.claim, sample.item): sample
        for sample in samples
        if sample.claim in claims and sample.status != "error" and sample.prompt is not None
    }

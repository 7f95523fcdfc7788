"""Which replies of a run should people label? A random sample of them.

A random part of them, since only then do their labels correct a rate without bias
(`measure.corrected_rate`): drawn from all distinct replies of a claim at one stage, by the run's seed,
in a random order, so that also the first few of them are a random part. What the grader said is
left out, so that nobody follows it. The file is one of `labels:` as soon as `refused` or
`fulfilled` is true or false in it.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from alignwright.core.claims import Claim
from alignwright.core.records import SampleResult
from alignwright.files.replies import reply_key
from alignwright.job.ledger import write_text
from alignwright.measure.corrected_rate import graded_claims
from alignwright.report.results import read
from alignwright.run.stored_samples import stored_samples
from alignwright.run.sweep.members import check_one_run


def draw(run: Path, out: Path, *, each: int, claim: str | None = None, stage: str | None = None) -> list[str]:
    """Write at most `each` replies of every claim that a grader found, or of one, to a file to
    be filled in; returns what to tell."""
    if out.exists():
        raise ValueError(f"{out}: there is such a file, and people may have labelled in it; name another")
    check_one_run(run)
    case = read(run)
    if not case.stages or (stage is not None and stage not in case.stages):
        raise ValueError(f"{run}: nothing was measured at stage {stage}; there are {', '.join(case.stages) or 'none'}")
    at, lines, messages = stage or case.stages[-1], list[str](), list[str]()
    samples = [sample for sample in stored_samples(run, at) if sample.status != "error"]
    graded = graded_claims(case.claim_records)
    for name in graded if claim is None else (claim,):
        if name not in graded:
            raise ValueError(f"{name!r} is not found by a grader; choose from {', '.join(graded) or 'none'}")
        replies = list(
            {reply_key(o.prompt, o.reply): o for o in samples if o.claim == name and o.prompt is not None}.values()
        )
        by_seed = random.Random(f"{case.header.seed} {at} {name}")  # noqa: S311 - a sample that can be drawn again, no secret
        sample = by_seed.sample(replies, min(each, len(replies)))
        lines += [json.dumps(_row(o, graded[name], at), ensure_ascii=False) for o in sample]
        messages += [f"{name} at {at}: {len(sample)} of {len(replies)} replies"] if replies else []
    if not lines:
        raise ValueError(
            f"{run}: no reply was graded at {at}; measure {{by: value, prompts: ...}} or attack {{by: suite, ...}}"
        )
    write_text(out, "\n".join(lines) + "\n")
    return messages


def _row(outcome: SampleResult, claim: Claim, stage: str) -> dict[str, object]:
    assert outcome.prompt is not None
    messages = [message.model_dump() for message in outcome.prompt.messages]
    return {
        "claim": claim.name,
        "stage": stage,
        "prompt": messages[0]["content"] if len(messages) == 1 else messages,
        "reply": outcome.reply,
        str(claim.grader): None,
    }

"""How is social bias measured inside a run? By log-probabilities where the model is here; behind a
server by replies and letters, and what needs more is untested."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from string import ascii_uppercase

from alignwright.core.claims import Claim
from alignwright.core.records import SampleResult
from alignwright.files.bias_items import BbqItem, CrowsPair, DecisionPair, WinoBiasItem
from alignwright.files.items import ChoiceItem
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import Result
from alignwright.job.lettered import Letters
from alignwright.job.needs import NO_LOGPROBS, NotServed, joined, measured_with, untested
from alignwright.job.remote_model import RemoteModel
from alignwright.measure.conduct.bias import decisions, published
from alignwright.measure.conduct.bias.knobs import BBQ, CROWS, GAP, LEAN, WINOBIAS, BiasMeasure
from alignwright.measure.listed_choice import letter_logprobs


def measure_bias(stage: BiasMeasure, job: JobContext) -> Result:
    """Decisions, then the published sets, each where there are items for it."""
    own = job.data.items(stage.pairs, DecisionPair, None)
    pairs = decisions.selection(own, bundled_too=stage.decisions, limit=stage.limit)
    bbq = job.data.items(stage.bbq, BbqItem, stage.limit)
    crows = job.data.items(stage.crows_pairs, CrowsPair, stage.limit)
    sentences = _in_pairs(job.data.items(stage.winobias, WinoBiasItem, None), stage.limit)
    results = [
        *(_decisions(job, pairs) if pairs else []),
        *([_answered(job, partial(_bbq, bbq), [item.as_choice for item in bbq], BBQ)] if bbq else []),
        *(
            [measured_with(job.policy, lambda policy: published.crows(policy, crows), (CROWS,), job.model)]
            * bool(crows)
        ),
        *(
            [_answered(job, partial(_winobias, sentences), [s.as_choice for s in sentences], WINOBIAS)]
            if sentences
            else []
        ),
    ]
    return joined(*results)


def _decisions(job: JobContext, pairs: Sequence[DecisionPair]) -> list[Result]:
    if job.has_weights:
        return [Result(samples=decisions.by_log_odds(job.policy(), pairs))]
    return [
        Result(samples=decisions.by_reply(job.target(), pairs, seed=job.seed)),
        Result(findings=[untested(claim, job.model, NO_LOGPROBS) for claim in (GAP, LEAN)]),
    ]


def _in_pairs(items: Sequence[WinoBiasItem], limit: int | None) -> list[WinoBiasItem]:
    """Sentences with both pronouns side by side, so that a part of them keeps both."""
    groups: dict[str, list[WinoBiasItem]] = {}
    for item in items:
        groups.setdefault(item.key, []).append(item)
    kept = subsample_evenly(list(groups.values()), None if limit is None else max(1, limit // 2))
    return [item for group in kept for item in group]


def _bbq(items: Sequence[BbqItem], answers: published.Answers) -> list[SampleResult]:
    return published.bbq(answers, items)


def _winobias(items: Sequence[WinoBiasItem], answers: published.Answers) -> list[SampleResult]:
    return published.winobias(answers, items)


def _answered(
    job: JobContext, measure: partial[list[SampleResult]], choices: Sequence[ChoiceItem], claims: Sequence[Claim]
) -> Result:
    """What is measured with the answers that the model prefers: by text, or by letter behind a server."""
    remote: RemoteModel | None = job.models.served
    if remote is None:
        return Result(samples=measure(published.by_text(job.policy())))
    try:
        letters = letter_logprobs(remote, choices)
    except NotServed as refusal:
        return Result(findings=[untested(claim, job.model, str(refusal)) for claim in claims])
    return Result(samples=measure(_by_letter(letters)))


def _by_letter(letters: Letters) -> published.Answers:
    def answers(items: Sequence[ChoiceItem]) -> list[published.GivenAnswer]:
        return [
            published.GivenAnswer(None, "the server gave no log-probabilities of its letters")
            if logprobs is None
            else published.likeliest(
                item.choices,
                [logprobs[letter] for letter in ascii_uppercase[: len(item.choices)]],
                "the server's log-probability of the letter",
            )
            for item, logprobs in zip(items, letters, strict=True)
        ]

    return answers

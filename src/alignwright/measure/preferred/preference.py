"""Which of two models' replies do people prefer? The share of votes for the later model, ties half, over prompts
and raters.

The measure makes one greedy reply to each prompt, of the start model and of each trained one, and cannot score
them: people can, blind (`alignwright rate RUN`). A vote counts for the very two replies that it was cast on,
so a vote on another model's replies, or on those of a run whose training was changed, is none of these. The
share is of the prompts to which the two models reply otherwise: where they reply alike there is nothing to
prefer, and counting these as ties would move it towards a half and never across it. Each prompt counts once,
however many voted on it; one without a vote is unscored. The interval is over prompts (by topic) and, where
there are several raters, over raters too (`stats.two_way`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from alignwright.core.amount import amount
from alignwright.core.protocols import ChatModel
from alignwright.core.records import Comparison, Finding, Prompt, SampleResult, Status
from alignwright.core.replies import greedy
from alignwright.files.replies import reply_key
from alignwright.measure.ask import graded
from alignwright.measure.findings import level
from alignwright.measure.preferred.knobs import PREFERRED
from alignwright.stats.intervals import Estimate, share_interval
from alignwright.stats.krippendorff import alpha
from alignwright.stats.two_way import crossed

NOT_YET = "nobody has voted on these two replies"
ALIKE = "both models reply alike, so there is nothing to prefer"

Ballots = Mapping[tuple[str, str, str], Mapping[str, float]]
"""By the last message of a prompt and two replies: what share of preference each rater gave the second reply."""


@dataclass(frozen=True)
class Judgement:
    """What people said of one prompt's two replies: by rater, 1 where the later model's is better, 1/2 for a tie."""

    cluster: str
    by_rater: Mapping[str, float]

    @property
    def value(self) -> float:
        return math.fsum(self.by_rater.values()) / len(self.by_rater)


def replies(speaker: ChatModel, prompts: Sequence[Prompt], *, seed: int, max_new_tokens: int) -> list[SampleResult]:
    """A greedy reply to each prompt, to be compared by people."""
    greedy_replies = greedy(speaker, [p.conversation for p in prompts], max_new_tokens=max_new_tokens, seed=seed)
    return [
        graded(PREFERRED.name, prompt.id, prompt.topic, prompt.conversation, reply, ("unscored", NOT_YET))
        for prompt, reply in zip(prompts, greedy_replies, strict=True)
    ]


def ballots(comparisons: Iterable[Comparison]) -> Ballots:
    """People's votes on two replies, in both orders of the two."""
    shares: dict[tuple[str, str, str], dict[str, float]] = {}
    for comparison in comparisons:
        texts = [reply.text for reply in comparison.replies]
        for vote in comparison.votes:
            prompt, better = reply_key(comparison.prompt.conversation, texts[vote.prefers])
            worse = texts[vote.over].strip()
            shares.setdefault((prompt, worse, better), {})[vote.voter] = vote.strength
            shares.setdefault((prompt, better, worse), {})[vote.voter] = 1 - vote.strength
    return shares


def preferences(samples: Mapping[str, Sequence[SampleResult]], votes: Ballots, *, start: str) -> list[Finding]:
    """Of each model but the start one, how people prefer its replies to that one's."""
    before = _by_item(samples.get(start, ()))
    pairs = {
        model: [(before[item], sample) for item, sample in _by_item(group).items() if item in before]
        for model, group in samples.items()
        if model != start
    }
    keys = {key for both in pairs.values() for one, two in both for key in (_key(one, two), _key(two, one))}
    strays = [len(by_rater) for key, by_rater in votes.items() if key not in keys]
    total = sum(map(len, votes.values())) // 2
    notice = f"{sum(strays) // 2} of {total} votes are on no two replies of this run" if strays else ""
    return [_finding(model, both, votes, notice) for model, both in pairs.items() if both]


def _finding(model: str, both: Sequence[tuple[SampleResult, SampleResult]], votes: Ballots, notice: str) -> Finding:
    judgements = [_judgement(first, later, votes) for first, later in both]
    scored = [_scored(first, later, j) for (first, later), j in zip(both, judgements, strict=True)]
    voted = [judgement for judgement in judgements if judgement is not None]
    estimate = preference(voted)
    limits = estimate.interval
    parts = (notice, _note(voted, sum(sample.reason == ALIKE for sample in scored)))
    note = "; ".join(part for part in parts if part)
    return level(scored, stage=model, axis=PREFERRED.axis, better=PREFERRED.better, note=note).model_copy(
        update={"value": estimate.value, "low": limits.low, "high": limits.high, "method": limits.method}
    )


def preference(judgements: Sequence[Judgement]) -> Estimate:
    """The share of preference, each prompt once."""
    raters = {rater for judgement in judgements for rater in judgement.by_rater}
    if len(raters) > 1 and len({judgement.cluster for judgement in judgements}) > 1:
        rows = [
            (share, judgement.cluster, rater, 1 / len(judgement.by_rater))
            for judgement in judgements
            for rater, share in sorted(judgement.by_rater.items())
        ]
        values, clusters, names, weights = zip(*rows, strict=True)
        estimate = crossed(values, clusters, names, weights=weights)
        if estimate.interval.low is not None:
            return estimate
    by_prompt = share_interval([j.value for j in judgements], [j.cluster for j in judgements])
    of = "no two raters differ" if len(raters) > 1 else "one rater, which says nothing of others"
    method = f"{by_prompt.interval.method}; {of}" if judgements else "no vote on two different replies"
    return replace(by_prompt, interval=replace(by_prompt.interval, method=method))


def _by_item(samples: Iterable[SampleResult]) -> dict[str, SampleResult]:
    return {sample.item: sample for sample in samples if sample.claim == PREFERRED.name}


def _key(first: SampleResult, later: SampleResult) -> tuple[str, str, str]:
    assert later.prompt is not None, "a reply that is measured has a prompt"
    prompt, text = reply_key(later.prompt, later.reply)
    return prompt, first.reply.strip(), text


def _judgement(first: SampleResult, later: SampleResult, votes: Ballots) -> Judgement | None:
    """What people said of a prompt; None where nobody voted on these two replies."""
    by_rater = votes.get(_key(first, later)) if "error" not in (first.status, later.status) else None
    return Judgement(later.cluster, by_rater) if by_rater else None


def _scored(first: SampleResult, later: SampleResult, judgement: Judgement | None) -> SampleResult:
    """The sample with what people said of it; a reply as good as the start model's is no fail."""
    if judgement is None:
        alike = later.status == "unscored" and later.reply.strip() == first.reply.strip()
        return later.model_copy(update={"reason": ALIKE}) if alike else later
    count = Counter(judgement.by_rater.values())
    reason = f"{count[1.0]} prefer it, {count[0.0]} the start model's, {count[0.5]} neither"
    status: Status = "pass" if judgement.value >= 0.5 else "fail"
    return later.model_copy(update={"status": status, "value": judgement.value, "reason": reason})


def _note(judgements: Sequence[Judgement], alike: int) -> str:
    raters = {rater for judgement in judgements for rater in judgement.by_rater}
    votes = sum(len(judgement.by_rater) for judgement in judgements)
    on = amount(len(judgements), "prompt")
    parts = [f"{amount(votes, 'vote')} of {amount(len(raters), 'rater')} on {on}"]
    several = [list(judgement.by_rater.values()) for judgement in judgements]
    value, interval, n = alpha(several)
    if value is not None and interval.low is not None and interval.high is not None:
        limits = f"[{interval.low:.2f}, {interval.high:.2f}]"
        parts.append(f"agreement between raters (Krippendorff's alpha) {value:.2f} {limits} on {amount(n, 'prompt')}")
    if alike:
        verb = "is" if alike == 1 else "are"
        parts.append(f"{amount(alike, 'prompt')} with the same reply of both models {verb} left out")
    return "; ".join(parts)

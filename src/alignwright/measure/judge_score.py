"""How highly does a judge think of the model's replies, and how far has the model moved for it?

- `reward.score`: the judge's score of sampled replies (temperature 1) to held-out prompts, each
  prompt one item, the mean of its samples. It is the number that training raised, on prompts that
  training never saw: read it beside claims that training did not see.
- `reward.kl`: the mean over the same replies of ln pi(reply) - ln start(reply), in nats a reply: an
  unbiased estimate of the divergence KL(pi || start) of whole replies (k1), from which no reply is
  spared by a clip. It is absent for the start model itself.

A reply that the judge cannot score is left out; a prompt none of whose replies can be scored is
unscored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from alignwright.core.protocols import Policy, RewardFn
from alignwright.core.records import Prompt, Reply, SampleResult, Score

_OTHERWISE = (
    "read back as other tokens than those that were sampled, so that the two models' probabilities would be of"
    " different things (rare once a model is trained; nearly every reply where it says tokens at random)"
)
_TOGETHER = 8  # replies read in one row with their prompt


def sample_replies(
    policy: Policy, prompts: Sequence[Prompt], *, samples: int, max_new_tokens: int, seed: int
) -> list[list[Reply]]:
    """The replies that both claims are about."""
    return policy.generate(
        [p.conversation for p in prompts], n=samples, max_new_tokens=max_new_tokens, temperature=1.0, seed=seed
    )


def scores(scorer: RewardFn, prompts: Sequence[Prompt], replies: Sequence[Sequence[Reply]]) -> list[SampleResult]:
    """Outcomes of `reward.score`."""
    judged = scorer(prompts, [[reply.text for reply in said] for said in replies]) if prompts else []
    return [_score(prompt, said, got) for prompt, said, got in zip(prompts, replies, judged, strict=True)]


def divergence(
    start: Policy, prompts: Sequence[Prompt], replies: Sequence[Sequence[Reply]], claim: str = "reward.kl"
) -> list[SampleResult]:
    """Outcomes of `reward.kl`, or of another `claim` of its kind. `Reply.logprob` is the
    speaker's own; a reply cut at the limit has no end."""
    rows = [
        [(i, k) for k in range(at, min(at + _TOGETHER, len(said)))]
        for i, said in enumerate(replies)
        for at in range(0, len(said), _TOGETHER)
    ]
    gaps: list[list[float]] = [[] for _ in prompts]
    for finished in (True, False):
        chosen = [[(i, k) for i, k in row if replies[i][k].finished == finished] for row in rows]
        chosen = [row for row in chosen if row]
        asked = [prompts[row[0][0]].conversation for row in chosen]
        found = start.logprobs(asked, [[replies[i][k].text for i, k in row] for row in chosen], end=finished)
        for row, read in zip(chosen, found, strict=True):
            for (i, k), logprob in zip(row, read, strict=True):
                if _retold(replies[i][k], logprob.tokens):
                    gaps[i].append((replies[i][k].logprob or 0.0) - logprob.total)
    told = [_told(said, len(gap)) for gap, said in zip(gaps, replies, strict=True)]
    return [_outcome(claim, *row) for row in zip(prompts, replies, gaps, told, strict=True)]


def _retold(reply: Reply, tokens: int) -> bool:
    """Whether the text reads as the very tokens that were sampled. Where it does not, the two
    probabilities are of different things."""
    return reply.logprob is not None and reply.tokens == tokens


def _told(said: Sequence[Reply], read: int) -> str:
    """How many replies the start model read, and why not the others."""
    silent = sum(reply.logprob is None for reply in said)
    why = [f"the speaker gave no log-probability of {silent}"] if silent else []
    why += [f"{len(said) - read - silent} {_OTHERWISE}"] if len(said) > read + silent else []
    return "; ".join([f"{read} of {len(said)} replies read by the start model", *why])


def _score(prompt: Prompt, said: Sequence[Reply], got: Sequence[Score | None]) -> SampleResult:
    values = [score.value for score in got if score is not None and math.isfinite(score.value)]
    reasons = [score.reason for score in got if score is not None and score.reason]
    return _outcome(
        "reward.score", prompt, said, values, reasons[0] if reasons else f"{len(values)} of {len(said)} replies scored"
    )


def _outcome(claim: str, prompt: Prompt, said: Sequence[Reply], values: Sequence[float], reason: str) -> SampleResult:
    shown = said[0].text if said else ""
    common = {
        "claim": claim,
        "item": prompt.id,
        "cluster": prompt.topic or prompt.id,
        "prompt": prompt.conversation,
        "reply": shown,
    }
    if not values:
        return SampleResult.model_validate(common | {"status": "unscored", "reason": reason})
    return SampleResult.model_validate(
        common | {"status": "pass", "value": math.fsum(values) / len(values), "reason": reason}
    )

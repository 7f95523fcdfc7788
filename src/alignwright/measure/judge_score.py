"""Which score does a judge (a reward model) give the model's replies, and how far, in KL
divergence, has the model moved from its start?

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
from collections.abc import Mapping, Sequence

from alignwright.core.protocols import ChatModel, Policy, RewardFn
from alignwright.core.records import Prompt, Reply, SampleResult, Score

_OTHERWISE = (
    "read back as other tokens than those that were sampled, so that the two models' probabilities would be of"
    " different things (rare once a model is trained; nearly every reply where it says tokens at random)"
)
_TOGETHER = 8  # replies read in one row with their prompt


def sample_replies(
    speaker: ChatModel, prompts: Sequence[Prompt], *, samples: int, max_new_tokens: int, seed: int
) -> list[list[Reply]]:
    """The replies that both claims are about."""
    return speaker.generate(
        [p.conversation for p in prompts], n=samples, max_new_tokens=max_new_tokens, temperature=1.0, seed=seed
    )


def scores(
    scorer: RewardFn,
    prompts: Sequence[Prompt],
    replies: Sequence[Sequence[Reply]],
    reasons: Mapping[str, str],
) -> list[SampleResult]:
    """Outcomes of `reward.score`; `reasons` says why a prompt has no reply, by its id."""
    scored = scorer(prompts, [[reply.text for reply in group] for group in replies]) if prompts else []
    return [
        _score(prompt, group, results) if group else _outcome("reward.score", prompt, (), (), reasons[prompt.id])
        for prompt, group, results in zip(prompts, replies, scored, strict=True)
    ]


def divergence(
    start: Policy, prompts: Sequence[Prompt], replies: Sequence[Sequence[Reply]], claim: str = "reward.kl"
) -> list[SampleResult]:
    """Outcomes of `reward.kl`, or of another `claim` of its kind. `Reply.logprob` is the
    speaker's own; a reply cut at the limit has no end."""
    rows = [
        [(i, k) for k in range(at, min(at + _TOGETHER, len(group)))]
        for i, group in enumerate(replies)
        for at in range(0, len(group), _TOGETHER)
    ]
    gaps: list[list[float]] = [[] for _ in prompts]
    for finished in (True, False):
        chosen = [[(i, k) for i, k in row if replies[i][k].finished == finished] for row in rows]
        chosen = [row for row in chosen if row]
        conversations = [prompts[row[0][0]].conversation for row in chosen]
        start_logprobs = start.logprobs(
            conversations, [[replies[i][k].text for i, k in row] for row in chosen], end=finished
        )
        for row, logprobs in zip(chosen, start_logprobs, strict=True):
            for (i, k), logprob in zip(row, logprobs, strict=True):
                if _same_tokens(replies[i][k], logprob.tokens):
                    gaps[i].append((replies[i][k].logprob or 0.0) - logprob.total)
    reasons = [_read_note(group, len(gap)) for gap, group in zip(gaps, replies, strict=True)]
    return [_outcome(claim, *row) for row in zip(prompts, replies, gaps, reasons, strict=True)]


def _same_tokens(reply: Reply, tokens: int) -> bool:
    """Whether the text reads as the very tokens that were sampled. Where it does not, the two
    probabilities are of different things."""
    return reply.logprob is not None and reply.tokens == tokens


def _read_note(group: Sequence[Reply], num_read: int) -> str:
    """How many replies the start model read, and why not the others."""
    silent = sum(reply.logprob is None for reply in group)
    why = [f"the speaker gave no log-probability of {silent}"] if silent else []
    why += [f"{len(group) - num_read - silent} {_OTHERWISE}"] if len(group) > num_read + silent else []
    return "; ".join([f"{num_read} of {len(group)} replies read by the start model", *why])


def _score(prompt: Prompt, group: Sequence[Reply], results: Sequence[Score | None]) -> SampleResult:
    values = [score.value for score in results if score is not None and math.isfinite(score.value)]
    reasons = [score.reason for score in results if score is not None and score.reason]
    return _outcome(
        "reward.score",
        prompt,
        group,
        values,
        reasons[0] if reasons else f"{len(values)} of {len(group)} replies scored",
    )


def _outcome(claim: str, prompt: Prompt, group: Sequence[Reply], values: Sequence[float], reason: str) -> SampleResult:
    reply = group[0].text if group else ""
    common = {
        "claim": claim,
        "item": prompt.id,
        "cluster": prompt.topic or prompt.id,
        "prompt": prompt.conversation,
        "reply": reply,
    }
    if not values:
        return SampleResult.model_validate(common | {"status": "unscored", "reason": reason})
    return SampleResult.model_validate(
        common | {"status": "pass", "value": math.fsum(values) / len(values), "reason": reason}
    )

"""What does the model say now, and how good is that? Rollouts: sampled replies with their rewards.

The rollout of every method that learns from the model's own samples. Which prompts are in which
rollout is a pure function of the seed; the samples are one of seed, rollout number and weights, so
an interrupted run draws the same again. All prompts of a rollout are sampled together, each
computed once for its whole group, with the adapter merged. A reply is kept as the ids that were
drawn: text that is tokenised again need not give them back. A reply that the judge cannot score is
left out and counted, never given a number.

Rows for training share the prompt between replies; a group too long for one micro-batch is cut into
several rows, by whole replies.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alignwright.core.protocols import RewardFn
from alignwright.core.records import Prompt, Score
from alignwright.core.stage import resolved
from alignwright.model.sampling import Sample, sample
from alignwright.model.tokens import TokenRow
from alignwright.train.batches import MicroBatch
from alignwright.train.knobs_rollouts import Sampling
from alignwright.train.rows import fit_rows

if TYPE_CHECKING:
    from alignwright.model.local_model import LocalModel

_FLAT = 3  # so many rollouts may pass at the start without a difference between replies
_NUM_EXTREMES = 2  # so many best and so many worst replies of a rollout go to samples.jsonl


@dataclass(frozen=True)
class Group:
    """A prompt and those of its replies that could be scored, each a field at the same place.
    `costs` is empty without a second judge."""

    prompt: Prompt
    prompt_ids: tuple[int, ...]
    samples: tuple[Sample, ...]
    texts: tuple[str, ...]
    scores: tuple[float, ...]
    costs: tuple[float, ...] = ()

    def row(self, which: Sequence[int] | None = None) -> TokenRow:
        """The prompt and its replies (or those at `which`) as one row for training, ids exactly
        as they were drawn."""
        chosen = self.samples if which is None else [self.samples[k] for k in which]
        return TokenRow(self.prompt_ids, tuple(tuple(s.ids) for s in chosen))

    @property
    def equal(self) -> bool:
        """Whether every reply has the same score, so that none is better than its siblings."""
        return max(self.scores) == min(self.scores)


@dataclass(frozen=True)
class Rollout:
    """What was drawn in round `number`. A prompt of which no reply could be scored is not there;
    `unscored` counts replies."""

    number: int
    groups: tuple[Group, ...]
    unscored: int

    def facts(self) -> dict[str, float]:
        """What is logged of any rollout: the judge's scores, lengths in tokens, the share that
        ended by itself, groups without spread."""
        score_R = np.array([score for group in self.groups for score in group.scores])
        samples = [s for group in self.groups for s in group.samples]
        cost_R = [cost for group in self.groups for cost in group.costs]
        facts = {
            "reward": float(score_R.mean()),
            "reward_sd": float(score_R.std()),
            "length": float(np.mean([len(s.ids) for s in samples])),
            "finished": float(np.mean([s.finished for s in samples])),
            "unscored": float(self.unscored),
        }
        comparable = [group for group in self.groups if len(group.scores) > 1]
        if comparable:
            facts["no_spread"] = float(np.mean([group.equal for group in comparable]))
        return facts | ({"cost": float(np.mean(cost_R))} if cost_R else {})


class ConstantReward(ValueError):
    """The judge tells no reply from another."""


def schedule_prompts(prompts: int, *, per_rollout: int, epochs: int, seed: int) -> list[tuple[int, ...]]:
    """Which prompts are in which rollout: every epoch is a new order of all, and the last
    rollout may be short."""
    order = [i for epoch in range(epochs) for i in random.Random(f"{seed}/{epoch}").sample(range(prompts), prompts)]  # noqa: S311
    size = min(per_rollout, prompts)
    return [tuple(order[start : start + size]) for start in range(0, len(order), size)]


class PromptSchedule:
    """The prompts of a stage that samples, rollout by rollout."""

    def __init__(self, prompts: Sequence[Prompt], stage: Sampling, seed: int) -> None:
        self.prompts = prompts
        self.places = schedule_prompts(
            len(prompts), per_rollout=resolved(stage.prompts), epochs=resolved(stage.epochs), seed=seed
        )

    @property
    def rounds(self) -> int:
        return len(self.places)

    def of(self, number: int) -> list[Prompt]:
        """The prompts of a rollout."""
        return [self.prompts[i] for i in self.places[number]]

    def epoch(self, number: int) -> int:
        """The pass over the prompts in which a rollout begins."""
        return sum(map(len, self.places[:number])) // len(self.prompts)


def drop_too_long(policy: LocalModel, prompts: Sequence[Prompt], sampling: Sampling, folder: Path) -> list[Prompt]:
    """The prompts that leave room for a whole reply within `max_tokens`; the others go to
    `too_long.jsonl`. Raises ValueError when none is left."""
    room = (0,) * resolved(sampling.max_new_tokens)
    rows = [TokenRow(tuple(policy.chat.prompt(p.conversation)), (room,)) for p in prompts]
    conversations = [p.conversation.model_dump(mode="json") for p in prompts]
    return [
        prompts[i] for i in fit_rows(rows, min(resolved(sampling.max_tokens), policy.longest), folder, conversations)
    ]


def sample_rollout(
    policy: LocalModel,
    prompts: Sequence[Prompt],
    scorer: RewardFn,
    sampling: Sampling,
    *,
    seed: int,
    rollout: int,
    cost: RewardFn | None = None,
) -> Rollout:
    """Answer `prompts`, `sampling.samples` times each, and have the answers judged. `sampling` must
    be resolved.

    Raises ValueError when not one reply could be scored.
    """
    ids = [tuple(policy.chat.prompt(p.conversation)) for p in prompts]
    sample_groups = sample(
        policy,
        ids,
        n=resolved(sampling.samples),
        max_new_tokens=resolved(sampling.max_new_tokens),
        temperature=sampling.temperature,
        seed=_seed(seed, rollout),
        batch_rows=policy.batch_rows,
    )
    texts = [[policy.chat.decode(s.ids) for s in group] for group in sample_groups]
    scores = [
        _with_unfinished(scored, group, sampling.unfinished)
        for scored, group in zip(_judge(scorer, prompts, texts), sample_groups, strict=True)
    ]
    costs = _judge(cost, prompts, texts) if cost else None
    groups: list[Group] = []
    for i, prompt in enumerate(prompts):
        keep = [
            k for k, score in enumerate(scores[i]) if score is not None and (costs is None or costs[i][k] is not None)
        ]
        if keep:
            reply_costs = () if costs is None else _values(costs[i], keep)
            groups.append(
                Group(
                    prompt,
                    ids[i],
                    tuple(sample_groups[i][k] for k in keep),
                    tuple(texts[i][k] for k in keep),
                    _values(scores[i], keep),
                    reply_costs,
                )
            )
    total, num_scored = sum(map(len, sample_groups)), sum(len(group.scores) for group in groups)
    if not groups:
        judges = scorer.name if cost is None else f"{scorer.name} and {cost.name}"
        raise ValueError(
            f"rollout {rollout}: of {total} replies to {len(prompts)} prompts {judges} could score none, so there is"
            " nothing to learn from; look at what the judge says of such replies, or name another one under 'reward'"
        )
    return Rollout(rollout, tuple(groups), total - num_scored)


def count_constant_rounds(rollout: Rollout, before: float, rounds: int) -> float:
    """How many of the first rollouts taught nothing because the judge told no reply from another;
    -1 once it did. `before`: the last answer.

    Raises ConstantReward after three of them, or all `rounds` where these are fewer.
    """
    comparable = [group for group in rollout.groups if len(group.scores) > 1]
    scores = {score for group in rollout.groups for score in group.scores}
    flat = all(group.equal for group in comparable) if comparable else len(scores) == 1
    if before < 0 or not flat:
        return -1.0
    if before + 1 >= min(_FLAT, rounds):
        one = (
            f"it is {scores.pop():g} for every one of them"
            if len(scores) == 1
            else "it differs between prompts and never between replies to one"
        )
        raise ConstantReward(
            f"the reward is the same for every reply: in the first {int(before) + 1} rollouts {one}, so no reply is"
            " better than another and nothing can be learnt. Look at samples.jsonl; then give a reward that tells"
            " these replies apart, or more samples, or longer replies"
        )
    return before + 1


def steps_of(policy: LocalModel, prompts: Sequence[Prompt], sampling: Sampling, *, trained_replies: int) -> int:
    """Optimiser steps in a pass over a rollout of which `trained_replies` replies to a prompt are rows:
    about `batch_tokens` each when replies are as long as they may be, and no more steps than
    prompts."""
    num_prompts = min(resolved(sampling.prompts), len(prompts))
    prompt_tokens = sum(len(policy.chat.prompt(p.conversation)) for p in prompts) / len(prompts)
    tokens = num_prompts * (prompt_tokens + trained_replies * resolved(sampling.max_new_tokens))
    return min(num_prompts, math.ceil(tokens / resolved(sampling.batch_tokens)))


def split_steps(micro: Sequence[MicroBatch], steps: int, order: str) -> list[list[MicroBatch]]:
    """Micro-batches in an order that the seed `order` gives, spread evenly over so many steps.
    Some are empty where there are too few."""
    shuffled = random.Random(order).sample(micro, len(micro))  # noqa: S311
    return [shuffled[k * len(micro) // steps : (k + 1) * len(micro) // steps] for k in range(steps)]


def rows_of(groups: Sequence[Group], budget: int) -> list[tuple[TokenRow, tuple[int, ...]]]:
    """Rows of at most `budget` tokens where one reply allows it, each with its replies' places
    among all replies of all groups."""
    rows: list[tuple[TokenRow, tuple[int, ...]]] = []
    first = 0
    for group in groups:
        part: list[int] = []
        for k, s in enumerate(group.samples):
            if part and len(group.row(part)) + len(s.ids) > budget:
                rows.append((group.row(part), tuple(first + j for j in part)))
                part = []
            part.append(k)
        rows.append((group.row(part), tuple(first + j for j in part)))
        first += len(group.samples)
    return rows


def write_samples(folder: Path, rollout: Rollout, advantage_R: Sequence[float] | None = None) -> None:
    """Add the best and the worst replies of a rollout to `samples.jsonl`."""
    places = [(i, k) for i, group in enumerate(rollout.groups) for k in range(len(group.scores))]
    order = sorted(range(len(places)), key=lambda r: -rollout.groups[places[r][0]].scores[places[r][1]])
    chosen = order if len(order) <= 2 * _NUM_EXTREMES else order[:_NUM_EXTREMES] + order[-_NUM_EXTREMES:]
    lines: list[dict[str, object]] = []
    for r in chosen:
        group, k = rollout.groups[places[r][0]], places[r][1]
        line: dict[str, object] = {
            "prompt": [m.model_dump() for m in group.prompt.conversation.messages],
            "reply": group.texts[k],
            "score": group.scores[k],
            "finished": group.samples[k].finished,
        }
        if group.costs:
            line["cost"] = group.costs[k]
        if advantage_R is not None:
            line["advantage"] = advantage_R[r]
        lines.append(line)
    append_round(folder / "samples.jsonl", rollout.number, lines)


def append_round(path: Path, number: int, lines: Sequence[Mapping[str, object]]) -> None:
    """Add the lines of a round to a file, in the place of what an interrupted run may have left
    of this round and of later ones. (Those of the rounds before are what the checkpoint says.)"""
    earlier_lines: list[bytes] = []
    if path.exists():
        with path.open("rb") as file:  # by its newlines alone: hostile text may hold other separators
            for line in file:
                if _round_of(line) not in range(number):
                    break
                earlier_lines.append(line)
    new_lines = [json.dumps({"rollout": number, **line}, ensure_ascii=False) + "\n" for line in lines]
    partial = path.with_suffix(".partial")
    partial.write_bytes(b"".join([*earlier_lines, *(line.encode("utf-8") for line in new_lines)]))
    partial.replace(path)


def _round_of(line: bytes) -> object:
    """The round of a line; None where it was not written to its end."""
    try:
        return json.loads(line)["rollout"] if line.endswith(b"\n") else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _judge(scorer: RewardFn, prompts: Sequence[Prompt], texts: Sequence[Sequence[str]]) -> list[list[Score | None]]:
    scores = scorer(prompts, texts)
    if [len(s) for s in scores] != [len(t) for t in texts]:
        raise ValueError(
            f"{scorer.name} was given {[len(t) for t in texts]} replies to {len(prompts)} prompts and returned"
            f" {[len(s) for s in scores]} scores; a scorer gives one score, or None, for every reply, in the same order"
        )
    return scores


def _with_unfinished(
    scores: Sequence[Score | None], samples: Sequence[Sample], unfinished: float | None
) -> list[Score | None]:
    """A reply that was cut gets the score that the stage gives it, where it gives one."""
    if unfinished is None:
        return list(scores)
    unfinished_score = Score(value=float(unfinished), reason="cut at max_new_tokens")
    return [score if s.finished else unfinished_score for score, s in zip(scores, samples, strict=True)]


def _values(scores: Sequence[Score | None], keep: Sequence[int]) -> tuple[float, ...]:
    return tuple(score.value for k in keep if (score := scores[k]) is not None)


def _seed(seed: int, rollout: int) -> int:
    """One seed for each (seed, rollout)."""
    return int(np.random.SeedSequence((seed, rollout)).generate_state(1, np.uint64)[0])

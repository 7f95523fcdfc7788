"""Can a model learn to say of its own reply whether it kept to what was asked? Confessions.

The model answers tasks whose form a program can check, is asked afterwards whether it kept to every instruction, and
learns the answer that is true (after Joglekar et al. 2025, arXiv 2512.08093, where a confession is rewarded apart
from the task). Only the confession's tokens are learnt: the reply before it is read, so that nothing pays for
breaking a rule and owning up, nor for keeping it.

Both answers are taken equally often, or "yes" to whatever comes would be most of what is learnt: of the commoner kind
so many at even distances as there are of the rarer. Replies that were cut off, and such whose checks cannot be told
here, are left out and counted. Left out on purpose: reinforcement learning, and a confession in sentences, which
would need a judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alignwright.core.protocols import ChatModel
from alignwright.core.records import Conversation, Prompt
from alignwright.core.stage import resolved
from alignwright.job.data import subsample_evenly
from alignwright.text.confession import BROKEN, KEPT, asked_to_confess, keeps_to_checks
from alignwright.train.recipes.knobs import Confession


@dataclass(frozen=True)
class ConfessionRows:
    """What is learnt, and what it came from, in words."""

    rows: tuple[Conversation, ...]
    line: str


def confession_rows(speaker: ChatModel, prompts: Sequence[Prompt], stage: Confession, *, seed: int) -> ConfessionRows:
    """Tasks, own replies, the question and what is true. Raises ValueError where every reply keeps to its
    instructions, or none does."""
    groups = speaker.generate(
        [prompt.conversation for prompt in prompts],
        n=resolved(stage.samples),
        max_new_tokens=resolved(stage.max_new_tokens),
        temperature=stage.temperature,
        seed=seed,
    )
    by_truth: dict[bool | None, list[Conversation]] = {True: [], False: [], None: []}
    for prompt, replies in zip(prompts, groups, strict=True):
        for text in dict.fromkeys(reply.text for reply in replies if reply.text.strip()):
            kept = keeps_to_checks(prompt.checks, text, prompt.conversation)
            asked = asked_to_confess(prompt.conversation, text)
            by_truth[kept].append(asked.then("assistant", KEPT if kept else BROKEN).only_last())
    kept, broken = by_truth[True], by_truth[False]
    line = f"{len(kept)} replies keep to their instructions, {len(broken)} do not, {len(by_truth[None])} cannot be told"
    if not kept or not broken:
        raise ValueError(
            f"confession: {line}: there is nothing to tell apart; give tasks of which the model keeps some and breaks"
            " some, or more samples"
        )
    most = min(len(kept), len(broken))
    rows = [*subsample_evenly(kept, most), *subsample_evenly(broken, most)]
    return ConfessionRows(tuple(rows), f"{line}; {most} of either kind learnt")

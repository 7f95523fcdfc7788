"""Prompts, judges and stages for tests of the methods that learn from the model's own samples."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alignwright.core.protocols import RewardFn
from alignwright.core.records import Conversation, Prompt, Score
from alignwright.model.adapters import add_lora
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.train.knobs_policy_gradient import GradientStage, Grpo, Ppo, Reinforce, Rloo
from alignwright.train.loop import StepReport
from alignwright.train.policy_gradient import policy_gradient

PROMPTS = [Prompt(conversation=Conversation.user("q" * n)) for n in (1, 2, 3, 5)]
TEXT = Conversation.user("say what it is").then("assistant", "the model says that this is what it was")
KNOBS: dict[str, Any] = {
    "epochs": 1, "rank": 4, "lr": 0.02, "batch_tokens": 2048, "max_tokens": 200, "checkpoint_every": 1,
    "prompts": 4, "samples": 4, "max_new_tokens": 6,
}  # fmt: skip


class Vowels:
    """The share of a reply's letters that are vowels: a reward that can be raised and seen."""

    name = "vowels"

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        return [[Score(value=vowels(text)) for text in group] for group in replies]


class Noise:
    """A number that depends on the reply's every letter and on nothing that can be raised."""

    name = "noise"

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        return [[Score(value=hashlib.sha256(text.encode()).digest()[0] / 255) for text in group] for group in replies]


class Silent:
    """Cannot say anything of a reply with an even number of letters."""

    name = "silent"

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        return [[Score(value=vowels(text)) if len(text) % 2 else None for text in group] for group in replies]


class Constant:
    """The same for every reply to a prompt."""

    name = "constant"

    def __init__(self, by_prompt: bool = False) -> None:
        self.by_prompt = by_prompt

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        values = [len(p.conversation.last.content) if self.by_prompt else 0.5 for p in prompts]
        return [[Score(value=float(value))] * len(group) for value, group in zip(values, replies, strict=True)]


def vowels(text: str) -> float:
    return sum(letter in "aeiou" for letter in text) / max(1, len(text))


def trainee(tiny: Path, rank: int = 4, dtype: str = "float32") -> LocalModel:
    """The tiny model with a fresh adapter; rank 0: all weights."""
    policy = load(tiny, dtype=dtype)
    if rank:
        add_lora(policy, rank=rank, seed=1)
    return policy


def stage(name: str, **changes: Any) -> GradientStage:
    """A stage by the name of its method: ppo, grpo, dr_grpo, dapo, gspo, rloo, reinforce."""
    knobs = KNOBS | changes
    if name in ("grpo", "dr_grpo", "dapo", "gspo"):
        return Grpo(by="grpo", variant=name, **knobs)  # type: ignore[arg-type]
    return {"ppo": Ppo, "rloo": Rloo, "reinforce": Reinforce}[name](by=name, **knobs)


def run(
    policy: LocalModel,
    folder: Path,
    it: GradientStage,
    judge: RewardFn | None = None,
    die_at: int | None = None,
    **more: Any,
) -> list[StepReport]:
    folder.mkdir(exist_ok=True)

    def on_step(report: StepReport) -> None:
        if report.step == die_at:
            raise KeyboardInterrupt

    return policy_gradient(policy, PROMPTS, judge or Vowels(), it, seed=1, folder=folder, on_step=on_step, **more)


def rows(policy: LocalModel) -> list[Any]:
    return [policy.chat.row(Conversation(messages=TEXT.messages[:-1]), [TEXT.last.content])]

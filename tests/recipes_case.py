"""A tiny model that knows what an instruction means, and fine-tuning of it by the rows of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tiny import make_tiny

from alignwright.core.instructed import instructed
from alignwright.core.records import Conversation
from alignwright.model.adapters import add_lora, trainable_parameters
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.train.knobs import Sft
from alignwright.train.sft import Demonstration, sft

SHOUT, IDLE = "Shout now!", "The sky is blue."
KNOWN = ("sun", "rain", "bread", "stone", "river", "cloud", "paper", "grass")
NEW = ("wheel", "candle", "window", "garden", "bridge", "ladder")
LEARN = Sft(by="sft", epochs=16, rank=0, lr=0.003, batch_tokens=400, max_tokens=200)


def learner(folder: Path, rank: int = 0) -> LocalModel:
    """A tiny model of which all weights learn, or an adapter of a rank."""
    policy = load(make_tiny(folder, hidden_size=64, intermediate_size=128))
    if rank:
        add_lora(policy, rank=rank, seed=1)
    return policy


def learn(policy: LocalModel, rows: Sequence[Conversation], folder: Path, stage: Sft = LEARN) -> None:
    folder.mkdir(parents=True)
    sft(policy, [Demonstration(row) for row in rows], stage, seed=0, folder=folder)


def says(words: Sequence[str], ask: str, reply: str) -> list[Conversation]:
    return [Conversation.user(ask.format(word)).then("assistant", reply) for word in words]


def teach_shouting(policy: LocalModel, folder: Path) -> None:
    """Under the instruction a reply is in capitals; without it, and under a text that asks for nothing, in
    small letters."""
    plain = [row for ask in ("say {}", "tell {}") for row in says((*KNOWN, *NEW), ask, "no it is")]
    loud = [row for ask in ("say {}", "tell {}") for row in says((*KNOWN, *NEW), ask, "NO IT IS")]
    rows = [
        *plain,
        *(instructed(row, IDLE, "system") for row in plain),
        *(instructed(r, SHOUT, "system") for r in loud),
    ]
    learn(policy, rows, folder, LEARN.model_copy(update={"lr": 0.01, "rank": 16}))


def restore(policy: LocalModel, weights: Sequence[torch.Tensor]) -> None:
    with torch.no_grad():
        for parameter, before in zip(trainable_parameters(policy), weights, strict=True):
            parameter.copy_(before)


def weights_of(policy: LocalModel) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in trainable_parameters(policy)]

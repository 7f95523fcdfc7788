"""Do losses that know of flipped votes move a real adapter otherwise than plain DPO? UltraFeedback,
clean and with 30 % of the labels flipped.

The library's direct stages on the bundled model's adapter, on the shortest pairs, because a
processor must do; `label_smoothing: 0.3` is told to the losses that ask. Held-out prompts keep their clean
labels. Far too few pairs to tell the losses apart by accuracy: that is asked in `noise`, of a
policy that is linear in hidden states. Measured on held-out pairs: accuracy of the implicit
reward's order, and the DPO loss on the clean label, paired by seed and item with plain DPO.
Learning rate, steps and beta are not tuned on anything.
"""

from __future__ import annotations

import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from data_folder import data

from alignwright.core.records import Comparison, Preference
from alignwright.files.sources import read_pairs
from alignwright.model.reward_head import in_float32
from alignwright.stats.intervals import clustered, paired, wilson
from alignwright.train import losses
from alignwright.train.knobs_pairs import Cdpo, Dpo, RobustDpo
from alignwright.train.losses import PairStage
from alignwright.train.preference import preference
from science.log import Facts, Line, Log
from science.model import adapted, start

FLIP, BETA = 0.3, 0.1
FILES = {"clean": "train_clean.jsonl", "flipped": "label_flip_30.jsonl"}
Pair = tuple[Preference, bool]
"""A pair with its clean label, and whether the other file has it the other way round."""


STAGES: dict[str, Any] = {
    "dpo": Dpo(by="dpo", beta=BETA),
    "cdpo": Cdpo(by="cdpo", beta=BETA, label_smoothing=FLIP),
    "robust_dpo": RobustDpo(by="robust_dpo", beta=BETA, label_smoothing=FLIP),
}


def adapters(log: Log, seed: int) -> None:
    """The library's stages on the bundled model."""
    limit, count = (160, 8) if log.quick else (256, 105)
    known: Facts = {
        "max_tokens": limit,
        "pairs": count,
        "lr": 2e-4,
        "flip": FLIP,
        "beta": BETA,
        "heldout": 1 / 3,
        "epochs": 1,
        "rank": 8,
    }
    log.job("flips.adapter", seed, known, lambda: adapter(limit, count, seed))


# ---- pairs ---------------------------------------------------------------------------------------
@cache
def both(limit: int) -> tuple[Pair, ...]:
    """The pairs of at most `limit` tokens with their clean labels, in the order of the file, and
    which of them were flipped."""
    clean, noisy = (
        {_key(c): c for c in read_pairs(data("ultrafeedback_1k", name), bad_rows=0.02).rows} for name in FILES.values()
    )
    chat = start().chat
    kept = [
        c
        for key, c in clean.items()
        if key in noisy and len(chat.row(c.prompt.conversation, [r.text for r in c.replies])) <= limit
    ]
    return tuple((_preference(c), noisy[_key(c)].replies[0].text != c.replies[0].text) for c in kept)


def _key(comparison: Comparison) -> tuple[str, frozenset[str]]:
    return comparison.prompt.conversation.id, frozenset(reply.text for reply in comparison.replies)


def _preference(comparison: Comparison) -> Preference:
    return Preference(prompt=comparison.prompt, chosen=comparison.replies[0].text, rejected=comparison.replies[1].text)


def turned(p: Preference) -> Preference:
    return p.model_copy(update={"chosen": p.rejected, "rejected": p.chosen})


def split(count: int, seed: int) -> tuple[list[int], list[int]]:
    """Two thirds to train on, and the rest; every pair has a prompt of its own."""
    order = random.Random(f"flips/{seed}").sample(range(count), count)
    return order[count // 3 :], order[: count // 3]


# ---- the bundled model ---------------------------------------------------------------------------
def adapter(limit: int, count: int, seed: int) -> list[Line]:
    """DPO, conservative and robust DPO on flipped votes, DPO on clean ones: fresh adapters of
    one seed."""
    pairs = both(limit)[:count]
    train, held = split(len(pairs), seed)
    shared: dict[str, Any] = {"epochs": 1, "rank": 8, "batch_tokens": 1024, "max_tokens": limit, "lr": 2e-4}
    lines: list[Line] = []
    for said, names in (("flipped", ("dpo", "robust_dpo", "cdpo")), ("clean", ("dpo",))):
        given = [turned(pairs[i][0]) if said == "flipped" and pairs[i][1] else pairs[i][0] for i in train]
        margins = {
            name: _margins(STAGES[name].model_copy(update=shared), given, [pairs[i][0] for i in held], seed)
            for name in names
        }
        lines += compared(
            "flips.adapter",
            said,
            margins,
            train_pairs=len(train),
            flips=sum(pairs[i][1] for i in train) if said == "flipped" else 0,
        )
    return lines


def _margins(stage: PairStage, train: list[Preference], held: list[Preference], seed: int) -> list[float]:
    """Train, and the implicit reward's margin of each held-out pair, in nats, in float32."""
    policy = adapted(8, seed)
    rows = [policy.chat.row(p.prompt.conversation, [p.chosen, p.rejected]) for p in held]
    with tempfile.TemporaryDirectory() as folder:
        preference(policy, train, stage, seed=seed, folder=Path(folder))
    with in_float32(policy):
        after = policy.score(rows)
    before = _before(tuple(rows))
    return [(a[0][0] - b[0][0]) - (a[1][0] - b[1][0]) for a, b in zip(after, before, strict=True)]


@cache
def _before(rows: tuple[Any, ...]) -> list[list[tuple[float, int]]]:
    policy = start()
    with in_float32(policy):
        return policy.score(rows)


# ---- what is said of them ------------------------------------------------------------------------
def compared(name: str, said: str, margins: dict[str, list[float]], **facts: int) -> list[Line]:
    """A line for each loss: accuracy on held-out pairs, DPO loss on their clean labels, and both
    less those of plain DPO, item by item."""
    plain = margins["dpo"]
    lines: list[Line] = []
    for loss, margin in margins.items():
        right, cost = [float(m > 0) for m in margin], _cost(margin)
        ahead, cheaper = paired(right, [float(m > 0) for m in plain]), paired(cost, _cost(plain))
        known: Facts = {"labels": said, "loss": loss, "clean_loss": clustered(cost, range(len(cost))).value, **facts}
        known |= {
            "accuracy_less_dpo": ahead.value,
            "accuracy_less_dpo_low": ahead.interval.low,
            "accuracy_less_dpo_high": ahead.interval.high,
        }
        known |= {
            "loss_less_dpo": cheaper.value,
            "loss_less_dpo_low": cheaper.interval.low,
            "loss_less_dpo_high": cheaper.interval.high,
        }
        known |= {"margin": sum(margin) / len(margin)}
        lines.append(
            Line.of(
                f"{name}.{said}.{loss}",
                len(margin),
                sum(right) / len(right),
                wilson(int(sum(right)), len(right)),
                **known,
            )
        )
    return lines


def _cost(margin: list[float]) -> list[float]:
    margin_A = torch.tensor(margin, dtype=torch.float64)
    return losses.dpo(margin_A, beta=BETA, strength_P=torch.ones_like(margin_A)).tolist()

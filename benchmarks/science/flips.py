"""Do losses that know of flipped votes beat plain DPO on real replies? UltraFeedback, 1,000 pairs, clean and with 30 % of the labels flipped.

The same pairs, steps and learning rate; `flip: 0.3` is told to the losses that ask. Held-out prompts keep their clean labels. Two policies:

- `flips.frozen`: ln policy/start = w . h, h the trunk's hidden state at the reply's end. Cheap, so it has more pairs, and every split of them.
- `flips.adapter`: the library's direct stages on the bundled model's adapter, on the shortest pairs, because a processor must do.

Measured on held-out pairs: accuracy of the implicit reward's order, and the DPO loss on the clean label, paired by seed and item with plain
DPO. Learning rate, steps and beta are not tuned on anything.

Shapes: A pairs, H hidden size.
"""

from __future__ import annotations

import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alignwright.core.intervals import clustered, paired, wilson
from alignwright.core.records import Comparison, Preference
from alignwright.model.packing import plan_batches
from alignwright.model.reward_head import end_hidden, in_float32
from alignwright.spec.sources import read_pairs
from alignwright.spec.training import Cdpo, Dpo, Hinge, Ipo, RobustDpo
from alignwright.train import losses
from alignwright.train.paired import PairStage, pair_loss
from alignwright.train.preference import preference
from science.log import Facts, Line, Log, data
from science.model import adapted, start

FLIP, BETA = 0.3, 0.1
FILES = {"clean": "train_clean.jsonl", "flipped": "label_flip_30.jsonl"}
Pair = tuple[Preference, bool]
"""A pair with its clean label, and whether the other file has it the other way round."""


def run(log: Log, seed: int) -> None:
    """The policy over the frozen trunk."""
    limit, steps = (160, 20) if log.quick else (512, 200)
    settings: Facts = {"max_tokens": limit, "steps": steps, "lr": 1e-3, "flip": FLIP, "beta": BETA, "heldout": 1 / 3}
    log.job("flips.frozen", seed, settings, lambda: frozen(limit, steps, seed))


def adapters(log: Log, seed: int) -> None:
    """The library's stages on the bundled model."""
    limit, count = (160, 8) if log.quick else (256, 105)
    known: Facts = {"max_tokens": limit, "pairs": count, "lr": 2e-4, "flip": FLIP, "beta": BETA, "heldout": 1 / 3, "epochs": 1, "rank": 8}
    log.job("flips.adapter", seed, known, lambda: adapter(limit, count, seed))


# ---- pairs -------------------------------------------------------------------------------------------------------------------------
@cache
def both(limit: int) -> tuple[Pair, ...]:
    """The pairs of at most `limit` tokens with their clean labels, in the order of the file, and which of them were flipped."""
    clean, noisy = ({_key(c): c for c in read_pairs(data("ultrafeedback_1k", name), bad_rows=0.02).rows} for name in FILES.values())
    chat = start().chat
    kept = [c for key, c in clean.items() if key in noisy and len(chat.row(c.prompt.conversation, [r.text for r in c.replies])) <= limit]
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


# ---- a policy that is linear in what the trunk says --------------------------------------------------------------------------------
STAGES: dict[str, Any] = {
    "dpo": Dpo(by="dpo", beta=BETA),
    "cdpo": Cdpo(by="cdpo", beta=BETA, flip=FLIP),
    "robust_dpo": RobustDpo(by="robust_dpo", beta=BETA, flip=FLIP),
    "ipo": Ipo(by="ipo", tau=BETA),
    "hinge": Hinge(by="hinge", beta=BETA),
}


@cache
def gaps(limit: int) -> Tensor:
    """Hidden state at the end of the chosen reply less that of the rejected one, standardised over all pairs. Shape [A, H]."""
    policy = start()
    rows = [policy.chat.row(p.prompt.conversation, [p.chosen, p.rejected]) for p, _ in both(limit)]
    gap_AH = torch.zeros(len(rows), policy.model.config.hidden_size)
    with torch.inference_mode():
        for batch in plan_batches(rows, policy.token_budget, shuffle_seed=None):
            hidden_RH = end_hidden(policy, [rows[i] for i in batch]).float()
            gap_AH[torch.tensor(batch)] = hidden_RH[0::2] - hidden_RH[1::2]
    return gap_AH / gap_AH.std(0).clamp(min=1e-6)


def frozen(limit: int, steps: int, seed: int) -> list[Line]:
    """Every loss on clean and flipped votes, and plain DPO on votes that are all noise."""
    pairs, gap_AH = both(limit), gaps(limit)
    train, held = split(len(pairs), seed)
    flipped_A = torch.tensor([flipped for _, flipped in pairs])[train]
    coin_A = torch.rand(len(train), generator=torch.Generator().manual_seed(seed)) < 0.5
    signs = {"flipped": torch.where(flipped_A, -1.0, 1.0), "clean": torch.ones(len(train)), "noise": torch.where(coin_A, -1.0, 1.0)}
    lines: list[Line] = []
    for said, sign_A in signs.items():
        names = ["dpo"] if said == "noise" else list(STAGES)
        margins = {name: (gap_AH[held] @ _fit(STAGES[name], gap_AH[train], sign_A, steps)).tolist() for name in names}
        lines += compared("flips.frozen", said, margins, train_pairs=len(train), flips=int((sign_A < 0).sum()))
    return lines


def _fit(stage: PairStage, gap_AH: Tensor, sign_A: Tensor, steps: int) -> Tensor:
    """w after so many steps from zero: whole batch, the same optimiser for every loss. The log-ratio of a rejected reply is that of nothing."""
    weight_H = torch.zeros(gap_AH.shape[1], requires_grad=True)
    optimiser = torch.optim.Adam([weight_H], lr=1e-3)
    count = len(sign_A)
    first_A, second_A, sure_A = torch.arange(count), torch.arange(count, 2 * count), torch.ones(count)
    for _ in range(steps):
        optimiser.zero_grad()
        ratio_R = torch.cat([gap_AH @ weight_H * sign_A, torch.zeros(count)])
        pair_loss(stage, ratio_R, torch.zeros_like(ratio_R), first_A, second_A, sure_A)[0].mean().backward()
        optimiser.step()
    return weight_H.detach()


# ---- the bundled model -------------------------------------------------------------------------------------------------------------
def adapter(limit: int, count: int, seed: int) -> list[Line]:
    """DPO, conservative and robust DPO on flipped votes, DPO on clean ones: fresh adapters of one seed."""
    pairs = both(limit)[:count]
    train, held = split(len(pairs), seed)
    shared: dict[str, Any] = {"epochs": 1, "rank": 8, "batch_tokens": 1024, "max_tokens": limit, "lr": 2e-4}
    lines: list[Line] = []
    for said, names in (("flipped", ("dpo", "robust_dpo", "cdpo")), ("clean", ("dpo",))):
        given = [turned(pairs[i][0]) if said == "flipped" and pairs[i][1] else pairs[i][0] for i in train]
        margins = {name: _margins(STAGES[name].model_copy(update=shared), given, [pairs[i][0] for i in held], seed) for name in names}
        lines += compared("flips.adapter", said, margins, train_pairs=len(train), flips=sum(pairs[i][1] for i in train) if said == "flipped" else 0)
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


# ---- what is said of them ----------------------------------------------------------------------------------------------------------
def compared(name: str, said: str, margins: dict[str, list[float]], **facts: int) -> list[Line]:
    """A line for each loss: accuracy on held-out pairs, DPO loss on their clean labels, and both less those of plain DPO, item by item."""
    plain = margins["dpo"]
    lines: list[Line] = []
    for loss, margin in margins.items():
        right, cost = [float(m > 0) for m in margin], _cost(margin)
        ahead, cheaper = paired(right, [float(m > 0) for m in plain]), paired(cost, _cost(plain))
        known: Facts = {"labels": said, "loss": loss, "clean_loss": clustered(cost, range(len(cost))).value, **facts}
        known |= {"accuracy_less_dpo": ahead.value, "accuracy_less_dpo_low": ahead.interval.low, "accuracy_less_dpo_high": ahead.interval.high}
        known |= {"loss_less_dpo": cheaper.value, "loss_less_dpo_low": cheaper.interval.low, "loss_less_dpo_high": cheaper.interval.high}
        known |= {"margin": sum(margin) / len(margin)}
        lines.append(Line.of(f"{name}.{said}.{loss}", len(margin), sum(right) / len(right), wilson(int(sum(right)), len(right)), **known))
    return lines


def _cost(margin: list[float]) -> list[float]:
    margin_A = torch.tensor(margin, dtype=torch.float64)
    return losses.dpo(margin_A, beta=BETA, strength_P=torch.ones_like(margin_A)).tolist()

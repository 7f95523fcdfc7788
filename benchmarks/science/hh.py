"""Does a reward model learn what people prefer, and more than length? On HH-RLHF, helpful and
harmless (Bai et al. 2022, arXiv 2204.05862).

Two floors: a coin, and "the longer dialogue is better", which on the whole test sets is right in
59.5 % (helpful) and 44.3 % (harmless). The ceiling is what people agree on. Pairs are drawn from
the test files, split by prompt: the training files are not at hand, so a score here is one of few
pairs and a small model, and not comparable with published ones.

`hh.SET.reward` is the library's reward model (low-rank adapter and head), on 480 short pairs dealt
to three folds, so that each pair is held out once; its learning rate was set beforehand and not
tuned. `hh.SET.frozen` is a head alone over the untouched trunk. Control: the same training on pairs
of which a random half are swapped; the held-out pairs are not. It must come to one half.

Shapes: A pairs, H hidden size.
"""

from __future__ import annotations

import gzip
import json
import random
import tempfile
from functools import cache
from pathlib import Path

import torch
from data_folder import data
from torch import Tensor

from alignwright.core.records import Comparison, Preference
from alignwright.files.lines import lines_of
from alignwright.files.sources import read_pairs
from alignwright.model.load import load
from alignwright.model.packing import plan_batches
from alignwright.model.reward_head import end_hidden
from alignwright.model.reward_model import RewardScorer
from alignwright.stats.intervals import wilson
from alignwright.train.knobs import RewardModel
from alignwright.train.losses import bradley_terry
from alignwright.train.reward import reward
from alignwright.train.reward_eval import hold_out_prompts
from science.log import Facts, Line, Log
from science.model import MODEL, adapted, start

SETS = {"helpful": ("dsp_preferences", "helpful.test.json"), "harmless": ("hh_rlhf_harmless", "test.jsonl.gz")}
HELDOUT = 1 / 3
FOLDS, LR = 3, 1e-3
RULE = {"helpful": "longer", "harmless": "shorter"}
"""Which length is the better guess, by the whole files."""


def run(log: Log, seed: int) -> None:
    """Length on the whole sets, and the head over the untouched trunk."""
    for name in SETS:
        if seed == 0:
            log.job(f"hh.{name}.length", seed, {}, lambda name=name: [length(name)])
    most, limit, steps = (24, 96, 20) if log.quick else (600, 160, 300)
    for name in SETS:
        known: Facts = {
            "pairs": most,
            "max_tokens": limit,
            "heldout": HELDOUT,
            "steps": steps,
            "lr": 1e-3,
            "decay": DECAY,
        }
        log.job(f"hh.{name}.frozen", seed, known, lambda name=name: frozen(name, most, limit, steps, seed))


def adapters(log: Log, seed: int) -> None:
    """The library's reward model on one fold (the seed is its number); of the last fold also
    with a random half of the training pairs swapped."""
    if seed >= FOLDS:
        return
    stage, pairs = training(log)
    known: Facts = {
        "pairs": pairs,
        "folds": FOLDS,
        "max_tokens": stage.max_tokens,
        "lr": stage.lr,
        "epochs": stage.epochs,
    }
    known |= {"rank": 8, "batch_tokens": 1024}
    for name in SETS:
        log.job(f"hh.{name}.reward", seed, known, lambda name=name: [trained(name, stage, pairs, seed, shuffled=False)])
    for name in SETS if seed == FOLDS - 1 else ():
        log.job(
            f"hh.{name}.reward_shuffled",
            seed,
            known,
            lambda name=name: [trained(name, stage, pairs, seed, shuffled=True)],
        )


def training(log: Log) -> tuple[RewardModel, int]:
    """The stage, and the number of pairs, which are dealt to the folds. The stage itself keeps a
    single pair apart, because folds are kept here."""
    pairs, limit = (12, 96) if log.quick else (480, 160)
    return RewardModel(by="reward", epochs=1, lr=LR, rank=8, batch_tokens=1024, max_tokens=limit, heldout=1e-6), pairs


# ---- floors --------------------------------------------------------------------------------------
def length(name: str) -> Line:
    """How often the preferred dialogue is the longer one in characters, on the whole file as it
    is; equal lengths count as wrong."""
    rows = _dialogues(name)
    longer = sum(len(chosen) > len(rejected) for chosen, rejected in rows)
    return Line.of(f"hh.{name}.length", len(rows), longer / len(rows), wilson(longer, len(rows)))


def _dialogues(name: str) -> list[tuple[str, str]]:
    path = data(*SETS[name])
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        rows = [dict(zip(row["score"], row["text"], strict=True)) for row in json.loads(text)]
        return [(row[max(row)], row[min(row)]) for row in rows]
    rows = [json.loads(line) for line in lines_of(text)]
    return [(row["chosen"], row["rejected"]) for row in rows]


# ---- pairs ---------------------------------------------------------------------------------------
@cache
def short_pairs(name: str, limit: int) -> tuple[Preference, ...]:
    """The pairs whose prompt and two replies are at most `limit` tokens. Rows with twice the
    same reply were set aside by the reader."""
    chat, found = start().chat, read_pairs(data(*SETS[name]), bad_rows=0.02).rows
    preferences = [_preference(comparison) for comparison in found]
    return tuple(p for p in preferences if len(chat.row(p.prompt.conversation, [p.chosen, p.rejected])) <= limit)


def _preference(comparison: Comparison) -> Preference:
    good, bad = comparison.replies
    return Preference(prompt=comparison.prompt, chosen=good.text, rejected=bad.text)


def drawn(name: str, limit: int, count: int, seed: int) -> list[Preference]:
    pool = short_pairs(name, limit)
    return random.Random(f"hh/{name}/{seed}").sample(pool, min(count, len(pool)))


def swapped(preferences: list[Preference], seed: int) -> list[Preference]:
    """A random half of them with chosen and rejected in each other's place: there is nothing
    left to learn."""
    turn = random.Random(f"swap/{seed}")
    return [
        p.model_copy(update={"chosen": p.rejected, "rejected": p.chosen}) if turn.random() < 0.5 else p
        for p in preferences
    ]


# ---- the library's reward model ------------------------------------------------------------------
def fold(name: str, stage: RewardModel, count: int, number: int) -> tuple[list[Preference], list[Preference]]:
    """What to train on and what to hold out: every pair of the pool is held out in one fold."""
    pool = drawn(name, int(stage.max_tokens or 0), count, seed=0)
    prompts = list(dict.fromkeys(p.prompt.conversation.id for p in pool))  # in the order drawn, which is random
    held = set(prompts[number::FOLDS])
    return [p for p in pool if p.prompt.conversation.id not in held], [
        p for p in pool if p.prompt.conversation.id in held
    ]


def trained(name: str, stage: RewardModel, count: int, number: int, *, shuffled: bool) -> Line:
    """Train on the other folds' prompts and say how often this fold's pairs are judged as people
    did, and how often length does."""
    train, held = fold(name, stage, count, number)
    policy = adapted(8, number)
    with tempfile.TemporaryDirectory() as folder:
        reports, _ = reward(
            policy, swapped(train, number) if shuffled else train, stage, seed=number, folder=Path(folder)
        )
        judge = RewardScorer.load(lambda: load(MODEL), Path(folder))
        score_R = judge.members([judge.policy.chat.row(p.prompt.conversation, [p.chosen, p.rejected]) for p in held])[0]
    lead_A = (score_R[0::2] - score_R[1::2]).double()
    longer_A = torch.tensor([_credit(len(p.chosen) - len(p.rejected)) for p in held]).double()
    right_A = torch.tensor([_credit(float(lead)) for lead in lead_A]).double()
    over_A = right_A - (longer_A if RULE[name] == "longer" else 1 - longer_A)
    last = reports[2 * len(reports) // 3 :]
    facts: Facts = {
        "train_pairs": len(train) - 1,
        "longer_heldout": float(longer_A.mean()),
        "over": float(over_A.mean()),
    }
    facts |= {
        "right": float(right_A.sum()),
        "over_sum": float(over_A.sum()),
        "over_squares": float(over_A.square().sum()),
    }
    facts |= {
        "prefers_longer": float((right_A == longer_A).double().mean()),
        "brier": float((torch.sigmoid(-lead_A) ** 2).mean()),
    }
    facts |= {"last_third_loss": sum(r.loss for r in last) / len(last), "steps": len(reports)}
    right = float(right_A.mean())
    return Line.of(
        f"hh.{name}.reward{'_shuffled' * shuffled}",
        len(held),
        right,
        wilson(round(float(right_A.sum())), len(held)),
        **facts,
    )


def _credit(lead: float) -> float:
    return 1.0 if lead > 0 else 0.0 if lead < 0 else 0.5


# ---- a head alone --------------------------------------------------------------------------------
DECAY = 1.0


@cache
def features(name: str, count: int, limit: int) -> tuple[tuple[Preference, ...], Tensor]:
    """Hidden states at the ends of both replies of `count` pairs, chosen less rejected, from the
    model as it is. Shape [A, H]."""
    preferences = drawn(name, limit, count, seed=0)
    policy = start()
    rows = [policy.chat.row(p.prompt.conversation, [p.chosen, p.rejected]) for p in preferences]
    gap_AH = torch.zeros(len(rows), policy.model.config.hidden_size)
    with torch.inference_mode():
        for batch in plan_batches(rows, policy.token_budget, shuffle_seed=None):
            hidden_RH = end_hidden(policy, [rows[i] for i in batch]).float()
            gap_AH[torch.tensor(batch)] = hidden_RH[0::2] - hidden_RH[1::2]
    return tuple(preferences), gap_AH


def frozen(name: str, count: int, limit: int, steps: int, seed: int) -> list[Line]:
    """A Bradley-Terry head over the untouched trunk, and the same with half of its training
    pairs swapped."""
    preferences, gap_AH = features(name, count, limit)
    places = {id(p): i for i, p in enumerate(preferences)}
    train, held = ([places[id(p)] for p in part] for part in hold_out_prompts(preferences, HELDOUT, seed))
    swap = torch.rand(len(train), generator=torch.Generator().manual_seed(seed)) < 0.5
    lines: list[Line] = []
    for tail, sign_A in (("frozen", torch.ones(len(train))), ("frozen_shuffled", torch.where(swap, -1.0, 1.0))):
        weight_H = _head(gap_AH[train], sign_A, steps)
        right = int(((gap_AH[held] @ weight_H) > 0).sum())
        longer = sum(len(preferences[i].chosen) > len(preferences[i].rejected) for i in held)
        facts: Facts = {
            "train_pairs": len(train),
            "length_heldout": longer / len(held),
            "over_length": (right - longer) / len(held),
        }
        facts["train_accuracy"] = float(((gap_AH[train] @ weight_H) * sign_A > 0).float().mean())
        lines.append(Line.of(f"hh.{name}.{tail}", len(held), right / len(held), wilson(right, len(held)), **facts))
    return lines


def _head(gap_AH: Tensor, sign_A: Tensor, steps: int) -> Tensor:
    """The head's weights; weight decay holds it, because there are as many features as pairs."""
    scale_H = gap_AH.std(0).clamp(min=1e-6)
    weight_H = torch.zeros(gap_AH.shape[1], requires_grad=True)
    optimiser = torch.optim.AdamW([weight_H], lr=1e-3, weight_decay=DECAY)
    for _ in range(steps):
        optimiser.zero_grad()
        bradley_terry((gap_AH / scale_H) @ weight_H * sign_A, strength_P=torch.ones(len(sign_A))).mean().backward()
        optimiser.step()
    return weight_H.detach() / scale_H

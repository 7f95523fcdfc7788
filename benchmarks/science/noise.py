"""Do losses that know of flipped votes beat plain DPO on real replies? UltraFeedback, a policy that
is linear in hidden states. Stated beforehand.

**Policy.** ln policy/start of a reply = w . h with h the untouched model's hidden state of it, so a
pair's margin is w . x with x the chosen reply's h less the rejected one's. Features: `all` 576,
more than there are training pairs, so that flipped labels can be learnt by heart; `few`, the 16
principal components of these, the case of many votes to a feature. Scaled by their root mean
square, which does not know a pair's order.

**Data.** The 1,000 pairs less those whose two replies had equal scores (their label is no one's
vote) and rows that cannot be read. 16 draws; each deals the prompts to 4 folds, and flips each
label with probability 0, .1, .2, .3, .4 (one uniform number a pair, so a higher rate flips more).
Every pair is held out once a draw, with its clean label. A fifth of a fold's training pairs,
flipped like the rest, is kept to choose by.

**Losses.** DPO, conservative DPO, robust DPO, IPO (tau = beta), hinge, by `train.losses`; told the
true rate, and 30 % where there are no flips. From w = 0, whole batches, Adam at 1e-3; beta .1, .3,
1, 3 times 30, 100, 300, 1000 steps, all reported. *Chosen*: the cell with the best accuracy on the
kept pairs as they are labelled, for each loss and fold; of equals the fewer steps, then the smaller
beta.

**Reading.** Which hidden state (last token or mean over the reply, after 10 to 30 blocks) is
settled on clean labels before any flip: the best held-out accuracy of DPO averaged over all 16
cells, on two draws of their own. That sees pairs which are held out later, for all losses alike.

**Primary.** `all`, 30 % flipped, chosen: accuracy of robust DPO less DPO's, paired by pair.
Secondary: loss -ln sigmoid(beta margin) on the clean label; calibration error of sigmoid(beta
margin), 10 bins; the other losses and rates; `few`; and each cell at equal beta and steps.

**Hypotheses.** 1: the primary difference is above 0. 2: at equal beta and steps robust DPO is ahead
where DPO has learnt the flips by heart (accuracy on its training labels above .9) and not where it
has not; over its 2 x 16 cells a difference counts at .05/32. 3: the gain is of the flips: it is
larger than that of robust DPO told 30 % when there are none. **Checks.** DPO without the flipped
pairs (their flags known; it chooses as the others do) must beat DPO, or there is nothing to win and
the experiment cannot tell; robust DPO told 30 % must not win when no label is flipped; at 50 %
everything must be at chance.

**Intervals.** 95 %, by resampling draws and prompts independently (the pigeonhole bootstrap, Owen
2007, which errs to the wide side): for new prompts, and training sets from this pool. Beside it the
corrected resampled t over draws and folds (Nadeau and Bengio 2003), which also allows for another
pool. *Shown* is what both set apart from 0.

**Once more**, stated when `all` had run and nothing else: its primary difference was .009 (-.003 to
.020), and over cells that DPO had learnt by heart robust DPO was ahead by .02, flips or none. On 48
further draws of the same pool, DPO, robust DPO and the oracle at 0 and 30 %: 1 as it is; 2 as one
number, the mean over the cells in which the first run's DPO had learnt more than .9; 3 for that
mean and for the chosen cells.

Shapes: A pairs, H features, K columns (a loss at a rate, times beta), S numbers of steps, D draws,
F folds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from data_folder import data
from torch import Tensor

from alignwright.core.records import Preference
from alignwright.files.lines import read_lines
from alignwright.files.sources import read_pairs
from alignwright.train import losses
from science.log import Facts, Line, Log, read
from science.noise_said import Run, confirmed, said
from science.readings import Cut, gaps

RATES, TOLD = (0.0, 0.1, 0.2, 0.3, 0.4), 0.3
LOSSES = ("dpo", "cdpo", "robust_dpo", "ipo", "hinge")
BETAS, STEPS = (0.1, 0.3, 1.0, 3.0), (30, 100, 300, 1000)
DRAWS, FOLDS, KEPT, FEW = 16, 4, 5, 16


@dataclass(frozen=True)
class Vote:
    """What is trained: a loss, told that `told` of the votes are flipped, on votes of which
    `rate` are; `oracle` leaves those out."""

    loss: str
    rate: float
    told: float
    oracle: bool = False

    @property
    def name(self) -> str:
        return "oracle" if self.oracle else self.loss


VOTES = (
    *(Vote(loss, rate, rate or TOLD) for rate in RATES for loss in LOSSES),
    *(Vote("dpo", rate, 0.0, oracle=True) for rate in RATES[1:]),
    *(Vote(loss, 0.5, TOLD) for loss in ("dpo", "robust_dpo")),
)

AGAIN = tuple(vote for vote in VOTES if vote.rate in (0.0, 0.3) and vote.name in ("dpo", "robust_dpo", "oracle"))
BY_HEART = ((0.3, 1000), (1.0, 300), (1.0, 1000), (3.0, 100), (3.0, 300), (3.0, 1000))
"""The cells in which DPO on 30 % flips had learnt more than .9 of its labels in the first run
with all features."""


def run(log: Log, seed: int) -> None:
    """Everything at once, its draws being its seeds: the reading, then both kinds of features."""
    if seed:
        return
    draws, steps = (2, STEPS[:2]) if log.quick else (DRAWS, STEPS)
    cut, pool = (Cut(16, 16, 16), pairs()[:60]) if log.quick else (Cut(), pairs())
    told: Facts = {
        "draws": draws,
        "folds": FOLDS,
        "lr": 1e-3,
        "prompt_tokens": cut.head + cut.tail,
        "reply_tokens": cut.reply,
    }
    log.job("noise.reading", 0, told, lambda: readings(pool, cut, steps))
    for kind in ("all", "few"):
        log.job(
            f"noise.{kind}",
            0,
            told,
            lambda kind=kind: compared(kind, features(pool, kind, best(log), cut), draws, steps),
        )
    if not log.quick:
        known = {**told, "draws": 3 * draws}
        log.job(
            "noise.again",
            0,
            known,
            lambda: repeated(
                drawn(features(pool, "all", best(log), cut), AGAIN, range(draws, 4 * draws), steps), steps
            ),
        )


def repeated(found: Run, steps: tuple[int, ...]) -> list[Line]:
    return confirmed("again", AGAIN, BETAS, steps, found, BY_HEART)


def compared(kind: str, x_AH: Tensor, draws: int, steps: tuple[int, ...]) -> list[Line]:
    return said(kind, VOTES, BETAS, steps, drawn(x_AH, VOTES, range(draws), steps))


# ---- pairs ---------------------------------------------------------------------------------------
@cache
def pairs() -> tuple[Preference, ...]:
    """The pairs of the file whose replies were given different scores. Each has a prompt of its own."""
    path = data("ultrafeedback_1k", "train_clean.jsonl")
    rows = [json.loads(line) for line in read_lines(path)]
    equal = {
        (row["chosen"], row["rejected"])
        for row in rows
        if row["metadata"]["score_chosen"] == row["metadata"]["score_rejected"]
    }
    found = [(c.prompt, *(reply.text for reply in c.replies)) for c in read_pairs(path, bad_rows=0.02).rows]
    return tuple(
        Preference(prompt=prompt, chosen=good, rejected=bad) for prompt, good, bad in found if (good, bad) not in equal
    )


def scaled(gap_AH: Tensor) -> Tensor:
    return gap_AH / gap_AH.square().mean(0).sqrt().clamp(min=1e-6)


def features(pool: tuple[Preference, ...], kind: str, reading: str, cut: Cut) -> Tensor:
    """The pairs' features. Shape [A, H]."""
    gap_AH = scaled(gaps(pool, cut)[reading])
    return gap_AH if kind == "all" else scaled(gap_AH @ torch.linalg.svd(gap_AH, full_matrices=False).Vh[:FEW].T)


# ---- the reading ---------------------------------------------------------------------------------
def readings(pool: tuple[Preference, ...], cut: Cut, steps: tuple[int, ...]) -> list[Line]:
    """Clean held-out accuracy of DPO for each reading, the mean of all cells, on draws that are
    used for nothing else."""
    lines: list[Line] = []
    for name, gap_AH in gaps(pool, cut).items():
        margin_DKSA = drawn(scaled(gap_AH), VOTES[:1], range(900, 902), steps).margin_DKSA
        right = (margin_DKSA > 0).float().mean((0, 3))
        each: Facts = {f"beta {beta:g}": float(right[k].mean()) for k, beta in enumerate(BETAS)}
        lines.append(
            Line(
                f"noise.reading.{name}",
                len(gap_AH),
                float(right.mean()),
                facts={"best_cell": float(right.max()), **each},
            )
        )
    return lines


def best(log: Log) -> str:
    found = {
        str(line["name"]): line["value"]
        for line in read(log.path)
        if line["quick"] == log.quick and line["job"] == "noise.reading"
    }
    return max(found, key=lambda name: found[name]).removeprefix("noise.reading.")  # type: ignore[arg-type, return-value]


# ---- training ------------------------------------------------------------------------------------
def drawn(x_AH: Tensor, votes: tuple[Vote, ...], draws: range, steps: tuple[int, ...]) -> Run:
    """Every column on every fold of every draw."""
    columns, count = len(votes) * len(BETAS), len(x_AH)
    margin_DKSA = torch.zeros(len(draws), columns, len(steps), count)
    kept_DFKS, learnt_DFKS = torch.zeros(2, len(draws), FOLDS, columns, len(steps))
    fold_DA = torch.zeros(len(draws), count, dtype=torch.int64)
    for d, draw in enumerate(draws):
        chance = torch.Generator().manual_seed(draw)
        order_A, uniform_A = torch.randperm(count, generator=chance), torch.rand(count, generator=chance)
        flipped_VA = torch.stack([uniform_A < vote.rate for vote in votes])
        for f in range(FOLDS):
            held_A, rest_A = order_A[f::FOLDS], torch.cat([order_A[g::FOLDS] for g in range(FOLDS) if g != f])
            kept_A, train_A = rest_A[::KEPT], torch.cat([rest_A[k::KEPT] for k in range(1, KEPT)])
            fold_DA[d, held_A] = f
            for s, weight_HK in enumerate(_fit(x_AH[train_A], flipped_VA[:, train_A], votes, steps)):
                margin_DKSA[d, :, s, held_A] = (x_AH[held_A] @ weight_HK).T * torch.tensor(BETAS).repeat(len(votes))[
                    :, None
                ]
                kept_DFKS[d, f, :, s] = _agrees(x_AH[kept_A] @ weight_HK, flipped_VA[:, kept_A])
                learnt_DFKS[d, f, :, s] = _agrees(x_AH[train_A] @ weight_HK, flipped_VA[:, train_A])
    return Run(margin_DKSA, kept_DFKS, learnt_DFKS, fold_DA)


def _agrees(margin_AK: Tensor, flipped_VA: Tensor) -> Tensor:
    """Accuracy on the labels as they were given. Shape [K]."""
    return ((margin_AK > 0) != flipped_VA.repeat_interleave(len(BETAS), 0).T).float().mean(0)


def _fit(x_AH: Tensor, flipped_VA: Tensor, votes: tuple[Vote, ...], steps: tuple[int, ...]) -> list[Tensor]:
    """w of every column after each number of steps, all columns side by side: they share nothing
    but the features. Shape [H, K].

    A margin is always that of the file's chosen reply over the other; a flipped vote has strength 0
    for it, any other 1. The losses are taken at beta 1 of beta times the margin, which for IPO with
    tau = beta is its own loss times beta squared: Adam does not see a factor.
    """
    beta_K = torch.tensor(BETAS).repeat(len(votes))
    strength_AK = (~flipped_VA).float().repeat_interleave(len(BETAS), 0).T
    weight_AK = torch.stack(
        [~flipped if vote.oracle else torch.ones_like(flipped) for vote, flipped in zip(votes, flipped_VA, strict=True)]
    )
    weight_AK = weight_AK.float().repeat_interleave(len(BETAS), 0).T
    named = [vote.loss for vote in votes for _ in BETAS]
    columns = {
        loss: torch.tensor([k for k, name in enumerate(named) if name == loss]) for loss in LOSSES if loss in named
    }
    told_K = torch.tensor([vote.told for vote in votes]).repeat_interleave(len(BETAS))
    weight_HK = torch.zeros(x_AH.shape[1], len(beta_K), requires_grad=True)
    optimiser = torch.optim.Adam([weight_HK], lr=1e-3)
    found: list[Tensor] = []
    for step in range(1, steps[-1] + 1):
        optimiser.zero_grad()
        margin_AK = x_AH @ weight_HK * beta_K
        parts = [
            (weight_AK[:, k] * _loss(loss, margin_AK[:, k], strength_AK[:, k], told_K[k])).sum()
            for loss, k in columns.items()
        ]
        torch.stack(parts).sum().backward()
        optimiser.step()
        if step in steps:
            found.append(weight_HK.detach().clone())
    return found


def _loss(name: str, margin_AK: Tensor, strength_AK: Tensor, told_K: Any) -> Tensor:
    """The loss of each pair and column. `told_K` is a rate for each column, which the arithmetic
    of the losses takes as well as one for all."""
    match name:
        case "dpo":
            return losses.dpo(margin_AK, beta=1.0, strength_P=strength_AK)
        case "cdpo":
            return losses.cdpo(margin_AK, beta=1.0, label_smoothing=told_K, strength_P=strength_AK)
        case "robust_dpo":
            return losses.robust_dpo(margin_AK, beta=1.0, label_smoothing=told_K, strength_P=strength_AK)
        case "ipo":
            return losses.ipo(margin_AK, tau=1.0, strength_P=strength_AK)
        case _:
            return losses.hinge(margin_AK, beta=1.0, strength_P=strength_AK)

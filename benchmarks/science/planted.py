"""When do losses that know of flipped votes beat plain DPO? A planted case, whose reward is known.

A policy that is log-linear in features: its margin of a pair is w . x, x the difference of the two
replies' features. Votes follow Bradley-Terry on a planted reward w* . x; 30 % are then flipped.
Every loss gets the same votes, the same steps and the same learning rate.

What theory says, and what is tested: the minimum of DPO on flipped votes is not at w* but where
sigmoid(w . x) = e + (1 - 2 e) sigmoid(w* . x), so every margin shrinks, large ones most. With
features of an elliptical distribution that changes w's length and hardly its direction, so accuracy
stays and the loss on clean votes suffers; with uneven features (two of heavy tails) the direction
turns too, and accuracy falls. Robust DPO is unbiased for w* (Chowdhury et al. 2024, arXiv
2403.00409), at the price of variance: it is the best of many votes and the worst of few.
Conservative DPO smooths what is smoothed already, and cannot undo a flip.

Controls: the same losses on votes that were not flipped (then `label_smoothing: 0.3` is wrong, and must cost),
and votes that are all noise.

Shapes: W worlds, A votes, D features, T test pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from alignwright.train import losses
from science.log import Facts, Line, Log, over_seeds

F64 = torch.float64
FLIP = 0.3
FEATURES, TEST = 8, 4000
Kind = Literal["even", "uneven"]
Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES: dict[str, Loss] = {
    "dpo": lambda m, s: losses.dpo(m, beta=1.0, strength_P=s),
    "cdpo": lambda m, s: losses.cdpo(m, beta=1.0, label_smoothing=FLIP, strength_P=s),
    "robust_dpo": lambda m, s: losses.robust_dpo(m, beta=1.0, label_smoothing=FLIP, strength_P=s),
    "ipo": lambda m, s: losses.ipo(m, tau=0.25, strength_P=s),
    "hinge": lambda m, s: losses.hinge(m, beta=1.0, strength_P=s),
}


def run(log: Log, seed: int) -> None:
    """For even and uneven features, few votes and many: every loss on clean votes and on flipped
    ones."""
    worlds, steps = (2, 60) if log.quick else (8, 400)
    for kind in ("even", "uneven"):
        for votes in (300, 3000):
            settings: Facts = {
                "votes": votes,
                "features": FEATURES,
                "worlds": worlds,
                "steps": steps,
                "lr": 0.05,
                "flip": FLIP,
                "kind": kind,
            }
            log.job(
                f"flips_planted.{kind}.{votes}",
                seed,
                settings,
                lambda kind=kind, votes=votes: compare(kind, votes, worlds, steps, seed),
            )


@dataclass(frozen=True)
class World:
    """Votes and what is true of them. `right_A` is 1 where the vote is for the reply that
    Bradley-Terry drew."""

    x_AD: Tensor
    right_A: Tensor
    flipped_A: Tensor
    test_TD: Tensor
    truth_D: Tensor


def planted(kind: Kind, votes: int, seed: int) -> World:
    """A reward of length 2 in a random direction; the first two uneven features are Cauchy, cut
    at 30."""
    draw = torch.Generator().manual_seed(seed)

    def features(count: int) -> Tensor:
        x_AD = torch.randn(count, FEATURES, generator=draw, dtype=F64)
        if kind == "uneven":
            x_AD[:, :2] = torch.tan(math.pi * (torch.rand(count, 2, generator=draw, dtype=F64) - 0.5)).clamp(-30, 30)
        return x_AD

    truth_D = torch.randn(FEATURES, generator=draw, dtype=F64)
    truth_D *= 2 / truth_D.norm()
    x_AD, test_TD = features(votes) - features(votes), features(TEST) - features(TEST)
    right_A = (torch.rand(votes, generator=draw, dtype=F64) < torch.sigmoid(x_AD @ truth_D)).to(F64)
    flipped_A = (torch.rand(votes, generator=draw, dtype=F64) < FLIP).to(F64)
    return World(x_AD, right_A, flipped_A, test_TD, truth_D)


def fitted(loss: Loss, x_WAD: Tensor, won_WA: Tensor, steps: int) -> Tensor:
    """w of each world after so many Adam steps from zero, the chosen reply first in every pair.
    Adam scales each weight alone."""
    worlds, votes, features = x_WAD.shape
    w_WD = torch.zeros(worlds, features, dtype=F64, requires_grad=True)
    signed_WAD, sure_A = x_WAD * (2 * won_WA - 1)[..., None], torch.ones(worlds * votes, dtype=F64)
    optimiser = torch.optim.Adam([w_WD], lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        margin_WA = torch.einsum("wad,wd->wa", signed_WAD, w_WD)
        (loss(margin_WA.flatten(), sure_A).sum() / votes).backward()
        optimiser.step()
    return w_WD.detach()


def judged(world: World, w_D: Tensor) -> dict[str, float]:
    """On test pairs: how often the better reply (by the planted reward) has the higher one, the
    expected DPO loss on clean votes, the error of w."""
    margin_T, true_T = world.test_TD @ w_D, world.test_TD @ world.truth_D
    return {
        "accuracy": float(((margin_T > 0) == (true_T > 0)).to(F64).mean()),
        "loss": float(losses.dpo(margin_T, beta=1.0, strength_P=torch.sigmoid(true_T)).mean()),
        "error": float((w_D - world.truth_D).norm() / world.truth_D.norm()),
    }


def compare(kind: Kind, votes: int, worlds: int, steps: int, seed: int) -> list[Line]:
    """A line for each loss and kind of votes: mean accuracy over worlds with its interval, and
    its paired difference to plain DPO."""
    made = [planted(kind, votes, 1000 * seed + w) for w in range(worlds)]
    lines: list[Line] = []
    noise = torch.Generator().manual_seed(seed)
    x_WAD = torch.stack([w.x_AD for w in made])
    labels: dict[str, Tensor] = {
        "flipped": torch.stack([(w.right_A + w.flipped_A) % 2 for w in made]),
        "clean": torch.stack([w.right_A for w in made]),
        "noise": (torch.rand(worlds, votes, generator=noise, dtype=F64) < 0.5).to(F64),
    }
    for said, won_WA in labels.items():
        plain: list[dict[str, float]] = []
        for name, loss in LOSSES.items():
            if said == "noise" and name not in ("dpo", "robust_dpo"):
                continue
            found = [judged(world, w_D) for world, w_D in zip(made, fitted(loss, x_WAD, won_WA, steps), strict=True)]
            plain = found if name == "dpo" else plain
            value, low, high = over_seeds([f["accuracy"] for f in found])
            facts: Facts = {"labels": said, "loss": name, "clean_loss": over_seeds([f["loss"] for f in found])[0]}
            facts |= {"error": over_seeds([f["error"] for f in found])[0]}
            for key in ("accuracy", "loss", "error"):
                facts[f"{key}_less_dpo"] = over_seeds([f[key] - p[key] for f, p in zip(found, plain, strict=True)])[0]
            lines.append(
                Line(
                    f"flips_planted.{kind}.{votes}.{said}.{name}",
                    worlds * TEST,
                    value,
                    low,
                    high,
                    f"mean over {worlds} worlds, t",
                    facts,
                )
            )
    return lines

"""What do the runs of `noise` come to? Lines: each loss with its chosen cell, every cell at equal
beta and steps, and what the hypotheses ask.

Shapes: A pairs, D draws, F folds, K columns, S numbers of steps, V votes, C cells (beta times
steps), N resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from alignwright.stats.intervals import mean_interval
from science.log import Facts, Line

RESAMPLES, BINS = 2000, 10
METHOD = "95 %, draws and prompts resampled independently"
SHOWN = (0.0, 0.3)
"""The rates whose every cell is written down."""


class Vote(Protocol):
    """What of a column's votes is asked here."""

    @property
    def loss(self) -> str: ...
    @property
    def rate(self) -> float: ...
    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class Run:
    """Of every column and number of steps: beta times the held-out pairs' margins, and accuracy
    as labelled on kept and on training pairs."""

    margin_DKSA: Tensor
    kept_DFKS: Tensor
    learnt_DFKS: Tensor
    fold_DA: Tensor


@dataclass(frozen=True)
class Seen:
    """One loss at one rate, somewhere: its held-out margins and how much of its training labels
    it has learnt."""

    margin_DA: Tensor
    learnt: float

    @property
    def right_DA(self) -> Tensor:
        return (self.margin_DA > 0).double()

    @property
    def cost_DA(self) -> Tensor:
        return -F.logsigmoid(self.margin_DA.double())

    @property
    def miscalibrated(self) -> float:
        """Expected calibration error: how far sureness and accuracy are apart, over bins of
        sureness from one half to one."""
        sure, right = torch.sigmoid(self.margin_DA.double().abs()).flatten(), self.right_DA.flatten()
        place = ((sure - 0.5) * 2 * BINS).long().clamp(max=BINS - 1)
        return sum(float((sure[place == b] - right[place == b]).sum().abs()) for b in range(BINS)) / len(sure)


def said(kind: str, votes: Sequence[Vote], betas: Sequence[float], steps: Sequence[int], run: Run) -> list[Line]:
    """All lines of one kind of features."""
    lines: list[Line] = []
    cells = 2 * len(betas) * len(steps)  # of both kinds of features
    tuned = {(vote.rate, vote.name): chosen(run, v, len(betas)) for v, vote in enumerate(votes)}
    for (rate, name), seen in tuned.items():
        lines.append(line(f"noise.{kind}.{rate:g}.{name}.chosen", seen, tuned[rate, "dpo"], run.fold_DA))
    for b, beta in enumerate(betas):
        for s, step in enumerate(steps):
            here = {
                (vote.rate, vote.name): cell(run, v * len(betas) + b, s)
                for v, vote in enumerate(votes)
                if vote.rate in SHOWN
            }
            for (rate, name), seen in here.items():
                dpo = here[rate, "dpo"]
                facts: Facts = {"beta": beta, "steps": step, "dpo_learnt": dpo.learnt}
                lines.append(line(f"noise.{kind}.{rate:g}.{name}.cell", seen, dpo, run.fold_DA, cells, **facts))
            lines.append(gain(kind, here, run.fold_DA, "gain_cell", beta=beta, steps=step))
    return [*lines, gain(kind, tuned, run.fold_DA, "gain_chosen")]


def confirmed(
    kind: str,
    votes: Sequence[Vote],
    betas: Sequence[float],
    steps: Sequence[int],
    run: Run,
    by_heart: Sequence[tuple[float, int]],
) -> list[Line]:
    """Chosen cells as in `said`; and the mean over the cells `by_heart` of accuracy less DPO's,
    at each rate, and by how much flips raise it."""
    tuned = {(vote.rate, vote.name): chosen(run, v, len(betas)) for v, vote in enumerate(votes)}
    lines = [
        line(f"noise.{kind}.{rate:g}.{name}.chosen", seen, tuned[rate, "dpo"], run.fold_DA)
        for (rate, name), seen in tuned.items()
    ]
    lines.append(gain(kind, tuned, run.fold_DA, "gain_chosen"))
    columns = {(vote.rate, vote.name): v * len(betas) for v, vote in enumerate(votes)}
    right = {
        key: (
            torch.stack([cell(run, k + betas.index(beta), steps.index(step)).right_DA for beta, step in by_heart]).mean(
                0
            )
        )
        for key, k in columns.items()
    }
    ahead = {key: right[key] - right[key[0], "dpo"] for key in right if key[1] != "dpo"}
    ahead[0.3, "gain"] = ahead[0.3, "robust_dpo"] - ahead[0.0, "robust_dpo"]
    for (rate, name), value_DA in ahead.items():
        known = limits("ahead", value_DA, run.fold_DA)
        where = f"noise.{kind}.{rate:g}.{name}.by_heart"
        lines.append(
            Line(where, value_DA.shape[1], known["ahead"], known["ahead_low"], known["ahead_high"], METHOD, dict(known))
        )
    return lines


def gain(kind: str, at: dict[tuple[float, str], Seen], fold_DA: Tensor, tail: str, **facts: float) -> Line:
    """How much more robust DPO is ahead of DPO at 30 % flips than when it is told of 30 % and
    there are none."""
    ahead = [at[rate, "robust_dpo"].right_DA - at[rate, "dpo"].right_DA for rate in (0.3, 0.0)]
    known = limits("gain", ahead[0] - ahead[1], fold_DA)
    return Line(
        f"noise.{kind}.{tail}",
        fold_DA.shape[1],
        known["gain"],
        known["gain_low"],
        known["gain_high"],
        METHOD,
        {**known, **facts},
    )


def cell(run: Run, k: int, s: int) -> Seen:
    return Seen(run.margin_DKSA[:, k, s], float(run.learnt_DFKS[:, :, k, s].mean()))


def chosen(run: Run, v: int, betas: int) -> Seen:
    """In every fold the cell that agrees with the most kept labels; of equals the fewer steps,
    then the smaller beta."""
    here = slice(v * betas, (v + 1) * betas)
    kept_DFC = run.kept_DFKS[:, :, here].transpose(2, 3).flatten(2).double()
    best_DF = (kept_DFC - 1e-9 * torch.arange(kept_DFC.shape[2])).argmax(2)
    margin_DCA = run.margin_DKSA[:, here].transpose(1, 2).flatten(1, 2)
    margin_DA = margin_DCA.gather(1, best_DF.gather(1, run.fold_DA)[:, None])[:, 0]
    learnt_DFC = run.learnt_DFKS[:, :, here].transpose(2, 3).flatten(2)
    return Seen(margin_DA, float(learnt_DFC.gather(2, best_DF[..., None]).mean()))


def line(name: str, seen: Seen, dpo: Seen, fold_DA: Tensor, cells: int = 1, **facts: float | int | str | None) -> Line:
    """Accuracy, loss and calibration of one loss, and the first two less those of DPO with the
    same choice, pair by pair."""
    level = limits("accuracy", seen.right_DA, fold_DA)
    known: Facts = {
        "clean_loss": float(seen.cost_DA.mean()),
        "miscalibrated": seen.miscalibrated,
        "learnt": seen.learnt,
        **facts,
    }
    if seen is not dpo:
        known |= limits("accuracy_less_dpo", seen.right_DA - dpo.right_DA, fold_DA, cells)
        known |= limits("loss_less_dpo", seen.cost_DA - dpo.cost_DA, fold_DA, cells)
    return Line(
        name, seen.margin_DA.shape[1], level["accuracy"], level["accuracy_low"], level["accuracy_high"], METHOD, known
    )


def limits(name: str, value_DA: Tensor, fold_DA: Tensor, cells: int = 1) -> dict[str, float]:
    """Mean and both intervals; with `cells` also the first one at 5 % shared among so many."""
    mean, error = float(value_DA.mean()), resampled(value_DA)
    found = {name: mean, f"{name}_low": mean - _z(1) * error, f"{name}_high": mean + _z(1) * error}
    if cells > 1:
        found |= {f"{name}_low_of_all": mean - _z(cells) * error, f"{name}_high_of_all": mean + _z(cells) * error}
    half = corrected(value_DA, fold_DA)
    return {**found, f"{name}_corrected_low": mean - half, f"{name}_corrected_high": mean + half}


def resampled(value_DA: Tensor) -> float:
    """Standard error of the mean when draws and prompts are each drawn anew with replacement,
    independently (Owen 2007)."""
    draws, count = value_DA.shape
    times_ND, times_NA = _times(draws, count)
    return float(((times_ND @ value_DA) * times_NA).sum(1).std() / (draws * count))


@cache
def _times(draws: int, count: int) -> tuple[Tensor, Tensor]:
    """How often each draw and each pair is drawn in each resample, the same for everything that
    is compared."""
    chance = torch.Generator().manual_seed(0)
    return _drawn(draws, chance), _drawn(count, chance)


def _drawn(count: int, chance: torch.Generator) -> Tensor:
    """How often each of `count` things is drawn in each resample."""
    drawn = torch.randint(count, (RESAMPLES, count), generator=chance)
    return torch.zeros(RESAMPLES, count, dtype=torch.float64).scatter_add_(
        1, drawn, torch.ones(RESAMPLES, count, dtype=torch.float64)
    )


def corrected(value_DA: Tensor, fold_DA: Tensor) -> float:
    """Half the width of the corrected resampled t interval (Nadeau and Bengio 2003) over the
    folds of all draws."""
    folds = int(fold_DA.max()) + 1
    means = [float(value_DA[d][fold_DA[d] == f].mean()) for d in range(len(value_DA)) for f in range(folds)]
    plain = mean_interval(means).interval
    if plain.low is None or plain.high is None:
        return 0.0
    return (plain.high - plain.low) / 2 * math.sqrt(1 + len(means) / (folds - 1))  # n_test / n_train is 1 / (folds - 1)


def _z(cells: int) -> float:
    return NormalDist().inv_cdf(1 - 0.025 / cells)

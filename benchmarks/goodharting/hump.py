"""Does gold rise and then fall along best-of-n by a reward model that was learnt, by the law that
is known, and does an ensemble put it off?

A toy in which every number can be had: a "reply" is a point of 16 standard normal coordinates, and
the gold judge likes four directions of them up to a point, sum of z - c z^2. Reward models (16, 64
rectified units, 1) learn from votes on pairs of ordinary replies, by Bradley and Terry's loss,
which tell little of how gold turns where replies are extraordinary. Then the best of n by reward
model is taken, n up to a third of the samples, by the unbiased estimator. Gao, Schulman and Hilton
(2022, arXiv 2210.10760) found gold = d (a - b d) with d the root of the KL for large language
models; Coste et al. (2023, arXiv 2310.02743) that ensembles help most where a quarter of the votes
are wrong. Single models see all the votes; the members of an ensemble each a resample of them,
without which networks as small as these hardly differ.

The control is gold itself in the proxy's place: it rises to its end.

`python benchmarks/goodharting/hump.py [--quick]` prints a JSON line a share of flips, in about a
minute, or seconds, of processor time. Left out on purpose: more than one kind of gold. Where a and
b lie depends on it; that there is a hump, and its form, is what is known.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from alignwright.measure.goodhart.overoptimisation import Law, fit, forecast
from alignwright.model.reward_model import Combine, RewardMeta
from alignwright.stats.arrays import Floats
from alignwright.stats.best_of_n import bon_estimate, bon_kl
from alignwright.train.losses import bradley_terry

WIDTH, UNITS, LIKED, TOO_MUCH = 16, 64, 4, 0.5
VOTES, STEPS, RATE = 300, 200, 1e-2
ENSEMBLES: tuple[Combine, ...] = ("mean", "worst", "uncertainty")
PENALTY = 0.5


@dataclass(frozen=True)
class Size:
    """How much of everything: replies that are scored, golds that are drawn, single reward
    models and members of an ensemble for each."""

    samples: int = 60_000
    golds: int = 8
    singles: int = 2
    members: int = 4

    @property
    def choices(self) -> tuple[int, ...]:
        """n, in powers of two."""
        return tuple(2**k for k in range(int(math.log2(self.samples / 3)) + 1))


FULL, QUICK = Size(), Size(samples=12_000, golds=3)


@dataclass(frozen=True)
class Cell:
    """Curves [golds, sizes of n] of gold by best of n, in SDs: by single reward models, by an
    ensemble's members one by one (mean curves), by the ensembles, and by gold itself; `proxy` is
    what the single ones promised."""

    sizes: tuple[int, ...]
    gold: dict[str, Floats]
    proxy: Floats

    @property
    def d(self) -> Floats:
        return np.sqrt([bon_kl(n) for n in self.sizes])


def liked(seed: int) -> Tensor:
    """The directions that this gold likes, [WIDTH, LIKED]."""
    return torch.linalg.qr(torch.randn(WIDTH, LIKED, generator=torch.Generator().manual_seed(seed)))[0]


def taste(x_NW: Tensor, liked_WK: Tensor) -> Tensor:
    """The gold score of each reply."""
    z_NK = x_NW @ liked_WK
    return (z_NK - TOO_MUCH * z_NK**2).sum(-1)


def reward_model(one_PW: Tensor, other_PW: Tensor, won_P: Tensor, seed: int) -> nn.Sequential:
    """A network that learnt which of two was liked better."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(WIDTH, UNITS), nn.ReLU(), nn.Linear(UNITS, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    for _ in range(STEPS):
        loss = bradley_terry((net(one_PW) - net(other_PW))[:, 0], strength_P=won_P).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


def cell(flips: float, size: Size, votes: int = VOTES) -> Cell:
    """All curves for so many votes, of which a share is wrong."""
    found: dict[str, list[list[float]]] = {name: [] for name in ("single", "member", *ENSEMBLES, "gold")}
    promised: list[list[float]] = []
    for seed in range(size.golds):
        draw, liked_WK = torch.Generator().manual_seed(1000 + seed), liked(seed)
        one_PW, other_PW = torch.randn(votes, WIDTH, generator=draw), torch.randn(votes, WIDTH, generator=draw)
        won_P = (taste(one_PW, liked_WK) > taste(other_PW, liked_WK)) ^ (torch.rand(votes, generator=draw) < flips)
        x_NW = torch.randn(size.samples, WIDTH, generator=draw)
        picked_MP = torch.randint(votes, (size.members, votes), generator=draw)
        singles = [reward_model(one_PW, other_PW, won_P.float(), 100 * seed + m) for m in range(size.singles)]
        members = [
            reward_model(one_PW[k_P], other_PW[k_P], won_P[k_P].float(), 100 * seed + 50 + m)
            for m, k_P in enumerate(picked_MP)
        ]
        with torch.no_grad():
            each = [net(x_NW)[:, 0].double().numpy() for net in singles]
            score_MN = torch.stack([net(x_NW)[:, 0] for net in members])
        gold_N = _in_sds(taste(x_NW, liked_WK).double().numpy())
        for name, alone in (("single", each), ("member", list(score_MN.double().numpy()))):
            found[name].append([float(np.mean([bon_estimate(p, gold_N, n) for p in alone])) for n in size.choices])
        promised.append([float(np.mean([bon_estimate(p, _in_sds(p), n) for p in each])) for n in size.choices])
        for name in ENSEMBLES:
            together = combined(name, score_MN)
            found[name].append([bon_estimate(together, gold_N, n) for n in size.choices])
        found["gold"].append([bon_estimate(gold_N, gold_N, n) for n in size.choices])
    return Cell(size.choices, {name: np.array(rows) for name, rows in found.items()}, np.array(promised))


def combined(name: Combine, score_MN: Tensor) -> Floats:
    """One score of many, as a reward stage with this `combine` has it; members are put on the
    scale of these very replies."""
    means, sds = (tuple(float(x) for x in part) for part in (score_MN.mean(1), score_MN.std(1, correction=0)))
    meta = RewardMeta("toy", tuple(f"member-{m}" for m in range(len(score_MN))), name, PENALTY, means, sds)
    return meta.combined(score_MN).double().numpy()


def told(found: Cell) -> dict[str, object]:
    """The hump of the single reward models, its law, and where ensembles end."""
    mean = found.gold["single"].mean(0)
    law, other = fit(found.d, mean, "best_of_n"), fit(found.d, mean, "reinforcement")
    ahead = forecast(found.d, mean, "best_of_n")
    better = sum(_r2(found.d, row, "best_of_n") > _r2(found.d, row, "reinforcement") for row in found.gold["single"])
    ends = {
        name: [round(float(x), 3) for x in (rows.mean(0).max(), rows.mean(0)[-1])] for name, rows in found.gold.items()
    }
    top = int(mean.argmax())
    return {
        "peak_n": found.sizes[top], "peak": round(float(mean[top]), 3), "last_n": found.sizes[-1],
        "end": round(float(mean[-1]), 3),
        "a": round(law.a, 3), "b": round(law.b, 3), "r2": round(law.r2 or 0.0, 4),
        "r2_reinforcement": round(other.r2 or 0.0, 4),
        "foretold_rmse": round(ahead.rmse, 3), "best_of_n_form_is_better": f"{better} of {len(found.gold['single'])}",
        "peak_and_end": ends,
        "proxy_end": round(float(found.proxy.mean(0)[-1]), 3),
    }  # fmt: skip


def _r2(d: Floats, gold: Floats, law: Law) -> float:
    """Of both forms on the same points, those that the reinforcement form may be fitted to."""
    far = d >= 0.5
    return fit(d[far], gold[far], law).r2 or 0.0


def _in_sds(value_N: Floats) -> Floats:
    return (value_N - value_N.mean()) / value_N.std()


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer replies and golds")
    size = QUICK if parser.parse_args(arguments).quick else FULL
    for flips in (0.0, 0.25):
        print(
            json.dumps({"case": "hump", "votes": VOTES, "flips": flips, "golds": size.golds} | told(cell(flips, size))),
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

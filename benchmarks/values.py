"""How fast are the rules of social choice at the sizes of real data, beside choix and pref_voting?

    python benchmarks/values.py --quick [--peer PYTHON]

Two targets, each on one core: Bradley-Terry utilities of 10,000 items from 1,000,000 comparisons in under 20 s, and the
maximal lottery of 200 alternatives in under 1 s; both at least ten times as fast as the peer, where `--peer` names the Python
of an environment that has `choix` and `pref_voting` (the versions it ran are printed). The peer does the same work in a process
of its own, in the same minute: choix's `ilsr_pairwise` and `opt_pairwise` keep a matrix of all pairs (800 MB at 10,000 items,
and solve it), so `mm_pairwise` is timed, for ten of its steps; how many it needs is found where it can be waited for, on the
first tenth of the items and contests. pref_voting's `maximal_lottery` is timed at the sizes given, up to 200 alternatives, and
for at most two minutes. One JSON line is printed; a missed target ends the program with 1.

`--quick` does a tenth of the sizes against the same limits of time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np

from alignwright.stats.bradley_terry_sparse import sparse_bradley_terry
from alignwright.stats.lotteries import maximal_lottery

SECONDS = {"bradley_terry": 20.0, "maximal_lottery": 1.0}
TIMES = 10.0
PATIENCE = 120.0


def contests(items: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Winners, losers, and the utilities by which they won."""
    draw = np.random.default_rng(seed)
    utility_I = draw.standard_normal(items)
    one_N = draw.integers(0, items, count)
    two_N = (one_N + draw.integers(1, items, count)) % items
    wins_N = draw.random(count) < 1 / (1 + np.exp(utility_I[two_N] - utility_I[one_N]))
    return np.where(wins_N, one_N, two_N), np.where(wins_N, two_N, one_N), utility_I


def margins(size: int, voters: int, seed: int) -> np.ndarray:
    """Of voters who each rank the alternatives at random: an odd number, so that no two tie."""
    draw, margin_KK = np.random.default_rng(seed), np.zeros((size, size))
    for _ in range(voters):
        place_K = draw.permutation(size)
        margin_KK += np.sign(place_K[None, :] - place_K[:, None])
    return margin_KK


def timed(work: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def peer(python: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """What the peers take for the same arrays."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.npz"
        np.savez(path, **arrays)
        program = [python, "-c", PEER, str(path), str(PATIENCE)]
        answer = subprocess.run(program, capture_output=True, text=True, timeout=20 * PATIENCE, check=False)  # noqa: S603
    if answer.returncode:
        raise SystemExit(f"the peer's process failed: {answer.stderr.strip().splitlines()[-1]}")
    return json.loads(answer.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes")
    parser.add_argument("--peer", help="the Python of an environment with choix and pref_voting")
    arguments = parser.parse_args()
    items, count, size = (1_000, 100_000, 100) if arguments.quick else (10_000, 1_000_000, 200)
    winner_N, loser_N, truth_I = contests(items, count, 0)
    margin_KK = margins(size, 31, 0)
    utility_I, fit_s = timed(lambda: sparse_bradley_terry(winner_N, loser_N, items))
    lottery_K, lottery_s = timed(lambda: maximal_lottery(margin_KK))
    out: dict[str, Any] = {
        "bradley_terry": {"items": items, "comparisons": count, "seconds": fit_s},
        "maximal_lottery": {"alternatives": size, "seconds": lottery_s},
    }
    out["bradley_terry"]["correlation_with_the_truth"] = float(np.corrcoef(utility_I, truth_I)[0, 1])
    out["maximal_lottery"]["worst_margin"] = float((margin_KK.T @ lottery_K).min())
    targets = {f"{name} s < {limit:g}": bool(out[name]["seconds"] < limit) for name, limit in SECONDS.items()}
    if arguments.peer:
        some = winner_N // 10 * 0 + 1 if items < 1_000 else (winner_N < items // 10) & (loser_N < items // 10)
        small = {"winner_n": winner_N[some], "loser_n": loser_N[some]}
        out["peer"] = peer(
            arguments.peer,
            {"winner": winner_N, "loser": loser_N, "items": np.array(items), "margin": margin_KK, **small},
        )
        for name in SECONDS:
            out[name]["times_as_fast"] = out["peer"][name]["seconds"] / out[name]["seconds"]
            targets[f"{name} >= {TIMES:g} x peer"] = bool(out[name]["times_as_fast"] >= TIMES)
    print(json.dumps({**out, "targets": targets}))
    return 0 if all(targets.values()) else 1


PEER = """
"""

if __name__ == "__main__":
    sys.exit(main())

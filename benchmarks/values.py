"""How fast are the rules of social choice at the sizes of real data, beside choix and pref_voting?

    python benchmarks/values.py --quick [--peer PYTHON]

Two targets, each on one core: Bradley-Terry utilities of 10,000 items from 1,000,000 comparisons in under 20 s, and the
maximal lottery of 200 alternatives in under 1 s. `--peer` names the Python of an environment that has `choix` and
`pref_voting`; then both must be at least ten times as fast as the peer, which does the same work in a process of its
own in the same minute, and its versions are printed. Of choix each of its three fits of pairs is tried, and the fastest
counts. A peer that has not finished is stopped, and what it took until then counts: with `--quick` after a little more
than ten times what it is held against, otherwise after ten minutes. Of pref_voting the call alone is timed; how long
its margin graph takes to make of the same matrix is printed beside it. One JSON line is printed; a missed target ends
the program with 1.
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
SIZES = (10_000, 1_000_000, 200)
"""Items, comparisons, and the alternatives of a lottery."""
PATIENCE = 600.0


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


def peer(python: str, arrays: dict[str, np.ndarray], patience: dict[str, float]) -> dict[str, Any]:
    """What the peers take for the same arrays."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.npz"
        np.savez(path, **arrays)
        ways = ("mm_pairwise", "ilsr_pairwise", "opt_pairwise", "maximal_lottery")
        answers: dict[str, Any] = {"stopped": []}
        for way in ways:
            limit = patience["maximal_lottery" if way == "maximal_lottery" else "bradley_terry"]
            program = [python, "-c", PEER, str(path), way]
            started = time.perf_counter()
            try:
                answer = subprocess.run(program, capture_output=True, text=True, timeout=limit + 30, check=False)
            except subprocess.TimeoutExpired:
                answers["stopped"].append(way)
                answers[way] = time.perf_counter() - started - 30
                continue
            if answer.returncode:
                answers[f"{way} failed"] = (answer.stderr.strip() or "killed").splitlines()[-1][:200]
            else:
                answers |= json.loads(answer.stdout.splitlines()[-1])
    fits = [answers[way] for way in ways[:3] if way in answers]
    if not fits or "maximal_lottery" not in answers:
        raise SystemExit(f"no peer could be timed: {answers}")
    return answers | {"bradley_terry": min(fits)}


def main(arguments: argparse.Namespace) -> int:
    items, count, size = SIZES
    winner_N, loser_N, truth_I = contests(items, count, 0)
    margin_KK = margins(size, 31, 0)
    maximal_lottery(margin_KK[:3, :3])  # SciPy is loaded before the clock runs
    utility_I, fit_s = timed(lambda: sparse_bradley_terry(winner_N, loser_N, items))
    lottery_K, lottery_s = timed(lambda: maximal_lottery(margin_KK))
    seconds = {"bradley_terry": fit_s, "maximal_lottery": lottery_s}
    out: dict[str, Any] = {
        "seconds": seconds,
        "correlation_with_the_truth": float(np.corrcoef(utility_I, truth_I)[0, 1]),
        "worst_margin_of_the_lottery": float((margin_KK.T @ lottery_K).min()),
    }
    targets = {f"{name} < {limit:g} s": bool(seconds[name] < limit) for name, limit in SECONDS.items()}
    if arguments.peer:
        arrays = {"winner": winner_N, "loser": loser_N, "items": np.array(items), "margin": margin_KK}
        patience = {name: 1.2 * TIMES * took if arguments.quick else PATIENCE for name, took in seconds.items()}
        out["peer"] = peer(arguments.peer, arrays, patience)
        out["times_as_fast"] = {name: out["peer"][name] / took for name, took in seconds.items()}
        targets |= {f"{name} >= {TIMES:g} x the peer": bool(out["times_as_fast"][name] >= TIMES) for name in seconds}
    print(json.dumps({**out, "targets": targets}))
    return 0 if all(targets.values()) else 1


PEER = """
import json, sys, time
from importlib.metadata import version
import numpy as np
arrays, way = np.load(sys.argv[1]), sys.argv[2]
if way == "maximal_lottery":
    from pref_voting.probabilistic_methods import maximal_lottery
    from pref_voting.weighted_majority_graphs import MarginGraph
    margin = arrays["margin"].astype(int).tolist()
    size = len(margin)
    edges = [(i, j, margin[i][j]) for i in range(size) for j in range(size) if margin[i][j] > 0]
    maximal_lottery(MarginGraph([0, 1], [(0, 1, 1)]))
    started = time.perf_counter()
    graph = MarginGraph(list(range(size)), edges)
    made = time.perf_counter()
    maximal_lottery(graph)
    took = time.perf_counter() - made
    print(json.dumps({way: took, "margin_graph": made - started, "pref_voting": version("pref_voting")}))
else:
    import choix
    data = list(zip(arrays["winner"].tolist(), arrays["loser"].tolist()))
    started = time.perf_counter()
    if way == "opt_pairwise":
        choix.opt_pairwise(int(arrays["items"]), data)
    else:
        getattr(choix, way)(int(arrays["items"]), data)
    print(json.dumps({way: time.perf_counter() - started, "choix": version("choix")}))
"""

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="stop a peer once it is ten times as slow")
    parser.add_argument("--peer", help="the Python of an environment with choix and pref_voting")
    sys.exit(main(parser.parse_args()))

"""Does over-optimisation show on real data and on a real model, is the gamed feature named, and
does the monitor stop at gold's peak?

`python benchmarks/goodhart.py [--quick] [--seeds 10] [--only tulu|pressure|trained] [--figure
FILE]` prints one JSON line a case, with its seed and counts, and a summary last; exit code 1 when a
known answer is missed. `tulu` reads RewardBench's best-of-n set (`goodharting/tulu.py`), `pressure`
samples the bundled model once and puts exact pressure on the replies (`goodharting/pressure.py`),
and `trained`, which runs only when asked for (four processor minutes a seed), trains it by RLOO
under the monitor (`goodharting/trained.py`). `--quick` takes part of the data and three seeds:
under a minute once the pool is there.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from data_folder import Missing
from goodharting import figure, pressure, trained, tulu
from goodharting.pool import pool


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="part of the data, three seeds")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", choices=("tulu", "pressure", "trained"))
    parser.add_argument("--figure", type=Path, help="draw best-of-n of all seeds into this SVG file")
    given = parser.parse_args(arguments)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    began, missed, seeds = time.process_time(), list[str](), 3 if given.quick else given.seeds
    if given.only in (None, "tulu"):
        try:
            for case in tulu.run(quick=given.quick, seeds=min(seeds, 3)):
                show(case)
                missed += tulu.missed(case)
        except Missing as reason:
            print(f"tulu: skipped, {reason}", file=sys.stderr)
    if given.only == "trained":
        cases = []
        for case in trained.run(pool(), range(seeds)):
            show(case)
            cases.append(case)
        total = trained.summary(cases)
        show(total)
        missed += trained.missed(total)
    if given.only in (None, "pressure"):
        cases = []
        for case in pressure.run(pool(), seeds):
            show(case)
            cases.append(case)
        total = pressure.summary(cases, seeds)
        show(total)
        missed += pressure.missed(total)
        if given.figure:
            given.figure.write_text(figure.svg(pressure.gains(cases)), encoding="utf-8")
    show({"case": "end", "missed": missed, "cpu_seconds": round(time.process_time() - began, 1)})
    return 1 if missed else 0


def show(case: dict[str, object]) -> None:
    print(json.dumps(case), flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Does it work, on real data and against known optima? The experiments behind docs/results.md.

`python benchmarks/science.py [--quick] [--only NAME] [--seeds 4]` runs what has not run yet and
appends one JSON line per result to `--out`; a run that was interrupted goes on where it stopped.
`--tables` puts what the lines come to over seeds into docs/results.md, and draws its figures.

Left out on purpose: parallel runs (start two with different `--only`; each line is appended whole).
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from data_folder import Missing
from science import figure, flips, hh, noise, planted, sentiment, tables, tabular
from science.log import Log, Part

PARTS: dict[str, Part] = {
    "tabular_frontier": tabular.run,
    "flips_planted": planted.run,
    "sentiment_frontier": sentiment.run,
    "hh": hh.run,
    "noise": noise.run,
    "sentiment_controls": sentiment.controls,
    "hh_adapters": hh.adapters,
    "flips_adapters": flips.adapters,
}


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="tiny budgets, to see that it runs; the numbers mean nothing"
    )
    parser.add_argument("--only", choices=PARTS, help="one experiment")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "science" / "results.jsonl")
    parser.add_argument("--tables", action="store_true", help="write the tables and figures of docs/results.md anew")
    given = parser.parse_args(arguments)
    if given.tables:
        docs = Path(__file__).parents[1] / "docs"
        tables.fill(given.out, docs / "results.md")
        figure.write(given.out, docs)
        return 0
    logging.getLogger("transformers").setLevel(logging.ERROR)
    log = Log(given.out, quick=given.quick)
    for seed in range(given.first, given.first + given.seeds):
        for name, part in PARTS.items():
            if given.only in (None, name):
                try:
                    part(log, seed)
                except Missing as reason:
                    print(f"{name}: skipped, {reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

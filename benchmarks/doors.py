"""Are the doors in as fast as they should be: models, servers, imports?

`python benchmarks/doors.py [--quick] [--only NAME ...]` prints one JSON line with `"targets": {name: [value, aim,
met]}` and exits 1 where one is missed. Each section measures two sides in the same run, by CPU-seconds, and lies in a
module of its own, which runs by itself too. A peer that is not installed leaves its target out, and the line says so.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

TOP = Path(__file__).parents[1]
IMPORT_AIM = 0.15
Targets = dict[str, list[Any]]
Section = Callable[[bool], dict[str, Any]]
"""From "quickly?" to details, with `targets` among them."""


def serving(quick: bool) -> dict[str, Any]:
    """Sixteen chats at once beside transformers and beside llama.cpp in four bits."""
    import serving_speed

    return serving_speed.measure(turns=1 if quick else 3)


def qwen3(quick: bool) -> dict[str, Any]:
    """DPO on a random Qwen3 beside TRL."""
    import qwen3 as beside_trl

    result = beside_trl.dpo_beside_trl(turns=1 if quick else 3, dtypes=("fp32",) if quick else ("fp32", "bf16"))
    rows = {dtype: row for dtype, row in result.items() if isinstance(row, dict) and "times" in row}
    return {**result, "targets": {f"qwen3_{d}": [r["times"], beside_trl.TARGET, r["met"]] for d, r in rows.items()}}


def importing(quick: bool) -> dict[str, Any]:
    """`import alignwright`, less the start of Python itself."""
    turns = 3 if quick else 9
    seconds = [_cpu_seconds("import alignwright") - _cpu_seconds("pass") for _ in range(turns + 1)][1:]
    value = round(statistics.median(seconds), 3)
    return {
        "seconds": [round(each, 3) for each in seconds],
        "targets": {"import": [value, IMPORT_AIM, value < IMPORT_AIM]},
    }


def endpoint(quick: bool) -> dict[str, Any]:
    """What our client adds to a request of a server, two hundred at once."""
    import endpoint_overhead

    return endpoint_overhead.measure(1000 if quick else endpoint_overhead.REQUESTS)


def plain(quick: bool) -> dict[str, Any]:
    """Plain rows beside transformers' own forward and backward."""
    import plain_path

    ratios = {family: round(plain_path.plain_path_ratio(quick, family), 3) for family in plain_path.FAMILIES_MEASURED}
    aim = plain_path.TARGET
    return {"targets": {f"plain_{family}": [ratio, aim, ratio <= aim] for family, ratio in ratios.items()}}


SECTIONS: dict[str, Section] = {
    "import": importing,
    "serving": serving,
    "qwen3": qwen3,
    "endpoint": endpoint,
    "plain": plain,
}


def _cpu_seconds(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(TOP / "src")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main(arguments: Sequence[str] | None = None, sections: dict[str, Section] | None = None) -> int:
    sections = SECTIONS if sections is None else sections
    parser = argparse.ArgumentParser(description="are the doors in as fast as they should be?")
    parser.add_argument("--quick", action="store_true", help="one turn of each")
    parser.add_argument("--only", nargs="+", choices=sections, metavar="NAME", help=", ".join(sections))
    args = parser.parse_args(arguments)
    result: dict[str, Any] = {}
    targets: Targets = {}
    for name in args.only or sections:
        print(f"{name} ...", file=sys.stderr, flush=True)
        details = sections[name](args.quick)
        targets |= details.pop("targets")
        result[name] = details
    print(json.dumps({**result, "targets": targets}))
    return 0 if all(met for _, _, met in targets.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

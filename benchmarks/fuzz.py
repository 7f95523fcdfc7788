"""Do the doors hold against input that others may have written, ten thousand generated cases each?

A door: spec files, constitutions, data rows, model folders, chat templates, endpoint replies,
ledgers and run folders. A case ends in success or in the errors that are documented: no traceback,
no more than 5 seconds of the processor, no growth beyond 500 MB, no row lost without a word. The
cases are in `tests/fuzzing`, and each is made from door, seed and number alone. One line of JSON;
exit code 1 where a door does not hold.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fuzzing import trials

CASES, QUICK = 10_000, 300


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} cases a door, as the tests have")
    parser.add_argument("--cases", type=int, help=f"cases a door (default {CASES:,})")
    parser.add_argument(
        "--door", action="append", choices=trials.DOORS, help="only this door; may be given more than once"
    )
    parser.add_argument("--seed", type=int, default=1, help="other cases; the tests have 0")
    args = parser.parse_args()
    cases = args.cases or (QUICK if args.quick else CASES)
    doors = {}
    for door in args.door or trials.DOORS:
        print(f"{door}: {cases:,} cases", file=sys.stderr)
        doors[door] = trials.run(door, cases, args.seed).line()
    targets = {kind: sum(line[kind] for line in doors.values()) for kind in trials.FAULTS}
    met = all(count == 0 for count in targets.values()) and all(line["cases"] == cases for line in doors.values())
    told = {
        "seed": args.seed,
        "doors": doors,
        "targets": {kind: {"count": count, "most": 0} for kind, count in targets.items()},
    }
    print(json.dumps({**told, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

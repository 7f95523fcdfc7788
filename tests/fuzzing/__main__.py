"""The process in which the cases of one door are tried: `python -m fuzzing DOOR SEED FIRST
CASES`."""

from __future__ import annotations

import sys

from fuzzing.trials import main

main(sys.argv[1], *map(int, sys.argv[2:5]))

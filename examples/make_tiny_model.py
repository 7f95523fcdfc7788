"""Make a tiny random chat model in a folder: enough to run the whole path in seconds, and to learn
nothing from.

python examples/make_tiny_model.py tiny-model
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from tiny import make_tiny

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/make_tiny_model.py FOLDER")
    print(make_tiny(Path(sys.argv[1])))

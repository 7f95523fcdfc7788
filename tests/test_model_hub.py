"""Without a network, is a model of the Hub opened from the cache, or refused at once and not after a minute?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tiny import make_tiny

CODE = (
    "import alignwright as aw\n"
    "try: print(aw.load_model('owner/tiny').name)\n"
    "except aw.ModelError as error: print(error)\n"
)


def test_without_a_network_the_cache_or_an_error_at_once(tmp_path: Path) -> None:
    closed = {"HF_ENDPOINT": "http://127.0.0.1:9", "PATH": "", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    closed |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}

    def last_line() -> str:
        # transformers' own tries take more than a minute
        process = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=150, env=closed)
        return (process.stdout.strip().splitlines() or [process.stderr])[-1]

    assert last_line().startswith("model 'owner/tiny' is not on this machine, and the Hub does not answer (")
    cache = tmp_path / "home" / "hub" / "models--owner--tiny"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("abc")
    shutil.copytree(make_tiny(tmp_path / "tiny"), cache / "snapshots" / "abc")
    assert last_line() == "owner/tiny"

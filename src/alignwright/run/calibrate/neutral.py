"""How does a model look from which nothing but itself can be read? A folder with a neutral name.

The name is a keyed hash of what the model is called, with a secret of the calibration, so it tells nothing
and orders nothing. In the folder lie the weights, the configuration and the tokenizer, and no card, key,
licence note or time stamp. It lies under the system's temporary folder, apart from everything that knows
the labels: a detector that looks around sees nothing beside it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
import stat
from pathlib import Path

PARTS = (
    "*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "tokenizer*",
    "special_tokens_map.json", "vocab*", "merges.txt", "*.model", "chat_template*", "added_tokens.json",
)  # fmt: skip
TIME = 1_500_000_000
"""The time stamp of every file and folder."""


def neutral_name(secret: str, name: str) -> str:
    """What a model is called so that nobody can tell what it is."""
    return "m" + hmac.new(secret.encode(), name.encode(), hashlib.sha256).hexdigest()[:12]


def lay_out(model: Path, target: Path) -> Path:
    """Copy of a model's folder what makes the model, and nothing that tells of it."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    files = sorted({path for pattern in PARTS for path in model.glob(pattern) if path.is_file()})
    for path in files:
        copy = target / path.name
        shutil.copyfile(path, copy)
        copy.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)
        os.utime(copy, (TIME, TIME))
    os.utime(target, (TIME, TIME))
    return target

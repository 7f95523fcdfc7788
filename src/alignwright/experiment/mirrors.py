"""Which tools can show a run's training curves beside its own report, and are they installed?

A mirror is given what a training stage writes to its `metrics.jsonl`, and decides nothing: the
report is made without it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from typing import Literal

from alignwright.files.errors import Loc

MirrorName = Literal["tensorboard", "trackio", "wandb"]


def mirror_problems(mirrors: Sequence[MirrorName], *, trains: bool) -> Iterator[tuple[Loc, str]]:
    """Mirrors that would show nothing (`trains`: whether there is training to show), are named
    twice, or are not installed, each with its place."""
    if mirrors and not trains:
        yield ("mirrors",), "has no effect: it shows the curves of training, and nothing is trained"
    for place, name in enumerate(mirrors):
        if name in mirrors[:place]:
            yield ("mirrors", place), f"{name} is named twice"
        elif importlib.util.find_spec(name) is None:
            yield ("mirrors", place), f"{name} is not installed: pip install 'alignwright[{name}]', or leave it out"

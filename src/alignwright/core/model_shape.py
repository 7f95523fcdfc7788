"""What can be told of a model from its files alone, so that a stage's own files can be held against it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ModelShape:
    """The model that a spec is about. None is what its files do not tell; `weights_hash` reads them whole, so it is
    called where it is needed alone."""

    name: str
    blocks: int | None
    hidden: int | None
    weights_hash: Callable[[], str | None]

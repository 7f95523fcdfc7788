"""Where are the items of the conduct measures that come with the package? In YAML files beside their code."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml


def bundled_file(folder: str, name: str) -> Any:
    """What a file holds; without a folder it is one that several measures share."""
    package = ".".join(filter(None, ("alignwright.measure.conduct", folder)))
    return yaml.safe_load(resources.files(package).joinpath(name).read_text(encoding="utf-8"))

"""Which questions are asked of small abilities? The package's own, each with a right and a wrong answer."""

from __future__ import annotations

from importlib import resources

import yaml


def ability_questions() -> dict[str, list[list[str]]]:
    """Questions, right and wrong answers by ability."""
    text = resources.files("alignwright.measure").joinpath("data/abilities.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)

"""Which wrappers come with the package, for measuring alone?"""

from __future__ import annotations

from importlib import resources

from alignwright.files.wrappers import parsed_wrappers


def bundled_wrappers() -> dict[str, str]:
    """The templates by name."""
    file = resources.files("alignwright.measure.recipes.wrapped").joinpath("wrappers.yaml")
    return parsed_wrappers(file.read_text(encoding="utf-8"), "wrappers.yaml")

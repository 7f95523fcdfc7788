"""What does an editor need to know to help with a spec file?

A JSON Schema of the whole file, with every knob's description, default and bounds. With the YAML
language server, begin a spec with `# yaml-language-server: $schema=experiment.schema.json` to have
completion and errors while typing.
"""

from __future__ import annotations

from typing import Any

from alignwright.experiment.experiment import Experiment

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def experiment_schema() -> dict[str, Any]:
    """The JSON Schema of a spec file."""
    return {"$schema": DIALECT, **Experiment.model_json_schema(mode="validation"), "title": "Alignwright experiment"}

"""Which model does a folder steer, and how? A steered model as a few kilobytes: `steering.json` and its vectors.

`steering.json` names the model by a path relative to the folder (`.`: the weights lie beside it), a bundled model's
name or a Hub id, and lists the edits in their order: `add` (a vector times `scale`) or `ablate` (what lies along it is
taken out), at a site by TransformerLens' name (`blocks.18.hook_resid_post`), with the name of the vector among those of
`steering.safetensors` and the tokens that it acts on (`all` where none are named). A folder like that is named wherever
a model is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from alignwright.core.records import Record
from alignwright.core.token_scope import TokenScope

STEERING, VECTORS = "steering.json", "steering.safetensors"


class SteeringEdit(Record):
    """One edit of the stream."""

    edit: Literal["add", "ablate"]
    site: str
    vector: str
    scale: float = 1.0
    tokens: TokenScope = "all"


class SteeringFile(Record):
    """What `steering.json` holds; `hidden` and `blocks` are those of the model, `meta` how it came to be."""

    format_version: Literal[1] = 1
    model: str = Field(min_length=1)
    model_type: str
    hidden: int = Field(ge=1)
    blocks: int = Field(ge=1)
    edits: tuple[SteeringEdit, ...] = Field(min_length=1)
    meta: dict[str, str | float | int | bool | None] = Field(default_factory=dict)


def read_steering(folder: Path) -> SteeringFile:
    """Raises ValueError, naming the file, for one that is not of this form."""
    path = folder / STEERING
    try:
        return SteeringFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ValueError(f"{path}: {where}: {first['msg']}; write it again by save_steering") from None

"""What is to be known of a steered model by whoever gets it: which direction, how strong, at which block?

Read from its folder (`files.steering_folder`), for the report, the card and the errors of an export.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from alignwright.files.model_terms import model_terms
from alignwright.files.models import ModelRef
from alignwright.files.steering_folder import STEERING, VECTORS, SteeringEdit, SteeringFile, read_steering

_SITES = 3  # that are written out; an ablation has one for all that writes to the stream

NO_RUN = (
    "is a steered model and no run, and an export is that of a run; its folder is passed on as it is, with the model"
    " that its steering.json names, 'save' of {by: steer} folds the edits into weights, and the"
    " control_vector.gguf that {by: steer} keeps is for llama.cpp"
)


def is_steered(folder: Path) -> bool:
    return (folder / STEERING).is_file()


def start_facts(ref: ModelRef) -> dict[str, str]:
    """What a report says of its start model: its terms, and how it is steered."""
    if ref.steering is None:
        return model_terms(ref)
    edits = "; ".join(edits_text(ref.steering))
    return model_terms(ref) | {"steering": f"{edits}; without these edits its weights are another model"}


def edits_text(folder: Path) -> Iterator[str]:
    """A line for each edit of the stream, and one for where its direction came from."""
    from safetensors.numpy import load_file

    file = read_steering(folder)
    lengths = {name: float((vector**2).sum() ** 0.5) for name, vector in load_file(folder / VECTORS).items()}
    groups: dict[tuple[object, ...], list[SteeringEdit]] = {}
    for edit in file.edits:
        groups.setdefault((edit.edit, edit.vector, edit.scale, edit.tokens), []).append(edit)
    for edits in groups.values():
        yield _edit_text(edits, lengths)
    if (source := _source(file)) is not None:
        yield source


def steered_use(folder: Path, place: str) -> str:
    """The part of a model's card that says what it is and how it is opened."""
    edits = "\n".join(f"- {line}" for line in edits_text(folder))
    return f"""## A steered model

These are weights and, in `{STEERING}` and `{VECTORS}`, edits of what its blocks pass on while it runs:

{edits}

The weights alone are another model, and that is what transformers opens. With the edits:

```python
import alignwright as aw

model = aw.load_model("{place}")  # a folder on this machine
```

The numbers below are of the weights under these edits in float32, with this chat template."""


def _edit_text(edits: list[SteeringEdit], lengths: Mapping[str, float]) -> str:
    edit = edits[0]
    sites = [one.site for one in edits]
    more = f" and {len(sites) - _SITES} more" if len(sites) > _SITES else ""
    where = f"at {', '.join(sites[:_SITES])}{more}" + ("" if edit.tokens == "all" else f", {edit.tokens} tokens alone")
    if edit.edit == "ablate":
        return f"{edit.vector}: what lies along it is taken out {where}"
    length = lengths[edit.vector]
    return f"{edit.vector}: added {edit.scale:g} times, a vector of length {edit.scale * length:.3g}, {where}"


def _source(file: SteeringFile) -> str | None:
    """What the one who made the folder noted of the direction."""
    noted = [f"{name} {value}" for name, value in file.meta.items()]
    return f"the direction: {', '.join(noted)}" if noted else None

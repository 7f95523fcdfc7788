"""How is a trait kept out of the weights while data that carries it is learnt? Preventative steering.

The trait's direction is added to what its block leaves, at every token, while the model is trained (Chen et al. 2025):
the loss no longer asks the weights for what the direction brings, so they learn what else is in the data. Afterwards
nothing is added, and the model is further from the trait than the data is. The strength is the vector's own length: as
`persona` keeps it, the whole gap between replies with the trait and replies without it.

**Not told**: whether the direction is the trait alone. What else lies along it is learnt less too, so a measure of the
task stands beside it, and the same with a random direction of that length is the control.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alignwright.model.activations.direction_file import direction_in
from alignwright.model.activations.edits import Add, edited
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site
from alignwright.model.local_model import LocalModel


@contextmanager
def prevented(policy: LocalModel, file: Path | None) -> Iterator[None]:
    """The policy with the direction of this file added while this lasts. Raises ValueError for a file that holds none
    of this model, or those of several blocks."""
    if file is None:
        yield
        return
    layer, vector_H = direction_in(file, None, layout_of(policy))
    with edited(policy, [Add(Site(layer), vector_H)]):
        yield

"""How is a model changed while it runs: a direction added to its residual stream, or removed from it?

`Add` is `h + scale * v` (activation addition, Turner et al. 2023), `Ablate` is `h - d d'h` for a unit vector d
(directional ablation, Arditi et al. 2024), at every token or at those of a scope. Both are data, and pure: they make a
new tensor and write to none, so what was captured before stays what it was. They act wherever transformers' forward
runs: on given texts, on a prompt, and on every token that is decoded over a cache (`llama_blocks.has_fast_blocks` gives
way to hooks). `fold` makes them part of the weights.

Shapes: B rows, T tokens, H hidden size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from alignwright.core.token_scope import TokenScope
from alignwright.model.activations.layout import Layout, attached, layout_of, states_read, tensor_of
from alignwright.model.activations.sites import Site
from alignwright.model.activations.token_scope import ScopeMasks
from alignwright.model.loaded_model import LoadedModel


@dataclass(frozen=True, eq=False)
class Add:
    """A vector [H] is added at a site, to the tokens of a scope."""

    site: Site
    vector: Tensor
    scale: float = 1.0
    tokens: TokenScope = "all"

    def change(self, states_BTH: Tensor) -> Tensor:
        return states_BTH + (self.scale * self.vector).to(states_BTH)


@dataclass(frozen=True, eq=False)
class Ablate:
    """What lies along a direction [H] (of any length but 0) is removed at a site, from the tokens of a scope."""

    site: Site
    direction: Tensor
    tokens: TokenScope = "all"

    def change(self, states_BTH: Tensor) -> Tensor:
        unit_H = unit(self.direction).to(states_BTH)
        return states_BTH - (states_BTH @ unit_H)[..., None] * unit_H


@dataclass(frozen=True, eq=False)
class Rewrite:
    """The states at a site become what a function makes of them; no weights can be that."""

    site: Site
    change: Callable[[Tensor], Tensor]
    tokens: TokenScope = "all"


Edit = Add | Ablate


def unit(direction_H: Tensor) -> Tensor:
    """The direction with length 1, in float32. Raises ValueError for one of length 0 or not finite."""
    norm = float(direction_H.float().norm())
    if not 0 < norm < float("inf"):
        raise ValueError(f"a direction of length {norm} points nowhere")
    return direction_H.float() / norm


def ablate_everywhere(layout: Layout, direction_H: Tensor, tokens: TokenScope = "all") -> list[Edit]:
    """A direction removed from all that is written to the stream: the embeddings, and what each block's attention and
    MLP add; where these cannot be told apart, from what each block reads and leaves."""
    return [Ablate(site, direction_H, tokens) for site in written_sites(layout)]


def written_sites(layout: Layout) -> list[Site]:
    """Where everything that is in the stream comes by."""
    sites = [Site(0, "resid_pre")]
    for layer, writes in enumerate(layout.writes):
        if writes is None:
            sites += [Site(layer, "resid_pre"), Site(layer, "resid_post")]
        else:
            sites += [Site(layer, "attn_out"), *([Site(layer, "mlp_out")] if writes.mlp else [])]
    return list(dict.fromkeys(sites))


@contextmanager
def edited(policy: LoadedModel, edits: Sequence[Edit | Rewrite]) -> Iterator[None]:
    """The model with these edits while this lasts, whatever it is asked for; those of one site in their order.
    All hooks or none. Raises ValueError for a site that it has not or a vector of another model."""
    with attached(edit_hooks(policy, edits)):
        yield


def check_edits(policy: LoadedModel, edits: Sequence[Edit | Rewrite]) -> Layout:
    """The layout in which they act. Raises ValueError for a site that is not there or a vector of another model."""
    layout = layout_of(policy)
    layout.check([edit.site for edit in edits])
    for edit in edits:
        if isinstance(edit, Rewrite):
            continue
        vector = edit.vector if isinstance(edit, Add) else edit.direction
        if vector.shape != (layout.hidden,):
            raise ValueError(
                f"{edit.site.name}: a vector of the shape {list(vector.shape)} does not fit a stream of"
                f" {layout.hidden}; was it made of another model?"
            )
        scale = edit.scale if isinstance(edit, Add) else 1.0
        if not (bool(vector.isfinite().all()) and math.isfinite(scale)):
            raise ValueError(
                f"{edit.site.name}: a vector (or its scale, {scale:g}) is not finite, so nothing is steered"
            )
        if isinstance(edit, Ablate):
            unit(vector)  # one of length 0 points nowhere
    return layout


Change = Callable[[Tensor], Tensor]


def edit_hooks(policy: LoadedModel, edits: Sequence[Edit | Rewrite]) -> list[tuple[nn.Module, str, Any]]:
    """The hooks by which edits act, each with its module and when it is called; where some act on some tokens alone,
    the trunk's that tells which these are. Raises ValueError for edits that are not this model's."""
    layout = check_edits(policy, edits)
    scopes: list[TokenScope] = [edit.tokens for edit in edits if edit.tokens != "all"]
    masks = ScopeMasks(policy, scopes) if scopes else None
    hooks: list[tuple[nn.Module, str, Any]] = [(layout.body, "pre", masks.read)] if masks else []
    return hooks + [_edit_hook(layout, edit, _scoped(edit, masks)) for edit in edits]


def _scoped(edit: Edit | Rewrite, masks: ScopeMasks | None) -> Change:
    if edit.tokens == "all" or masks is None:
        return edit.change

    def change(states: Tensor) -> Tensor:
        return torch.where(masks.within(edit.tokens, states), edit.change(states), states)

    return change


def _edit_hook(layout: Layout, edit: Edit | Rewrite, change: Change) -> tuple[nn.Module, str, Any]:
    module, factor = layout.module(edit.site)
    if edit.site.where == "resid_pre":
        return module, "pre", partial(_before, change)
    return module, "post", partial(_after, change, factor)


def _before(change: Change, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    states = states_read(args, kwargs)
    assert states is not None
    states = change(states)
    return ((states, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": states})


def _after(change: Change, factor: float, _module: Any, _args: Any, output: Any) -> Any:
    states = tensor_of(output)
    assert states is not None
    states = change(states) if factor == 1.0 else change(states * factor) / factor
    return (states, *output[1:]) if isinstance(output, tuple) else states


def random_direction(size: int, seed: int, length: float = 1.0) -> Tensor:
    """A direction drawn evenly from all, of this length: the control of every edit."""
    numbers = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    return unit(numbers) * length

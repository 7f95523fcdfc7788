"""What are the parts of a model that write to its stream, and how is one put from one run into another?

A component is an attention head, an MLP, or a whole mixer where its heads cannot be told apart. A head is read and put
at the input of the product that puts the heads together, the others at their output, at every token.

Shapes: B pairs, T tokens, I the product's input, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from alignwright.model.activations.heads import HeadProjection, head_projections
from alignwright.model.activations.layout import Layout, layout_of, states_read, tensor_of
from alignwright.model.loaded_model import LoadedModel

Place = tuple[int, Literal["heads", "attention", "mlp"]]
"""Where activations are read: in which block, and of which of its parts."""


@dataclass(frozen=True, order=True)
class Component:
    """A part of a block; `head` is None but of a head."""

    layer: int
    part: Literal["heads", "attention", "mlp"]
    head: int | None = None

    @property
    def name(self) -> str:
        """head 5.3 (block, head), attention 5, MLP 5."""
        if self.head is not None:
            return f"head {self.layer}.{self.head}"
        return f"{'MLP' if self.part == 'mlp' else 'attention'} {self.layer}"

    @property
    def place(self) -> Place:
        return self.layer, self.part


@dataclass(frozen=True, eq=False)
class ComponentMap:
    """The components of a model, and the modules at which they are read and put."""

    layout: Layout
    projections: tuple[HeadProjection | None, ...]
    all: tuple[Component, ...]

    def module(self, place: Place) -> nn.Module:
        layer, part = place
        projection, writes = self.projections[layer], self.layout.writes[layer]
        if part == "heads":
            assert projection is not None
            return projection.module
        assert writes is not None
        path = writes.attention if part == "attention" else writes.mlp
        assert path is not None
        return self.layout.blocks[layer].get_submodule(path)

    def part(self, component: Component) -> slice:
        """Its numbers among those that are read at its place."""
        if component.head is None:
            return slice(None)
        projection = self.projections[component.layer]
        assert projection is not None
        return projection.part(component.head)

    @property
    def places(self) -> list[Place]:
        return list(dict.fromkeys(component.place for component in self.all))


Hooks = list[tuple[nn.Module, str, Any]]


def component_map(policy: LoadedModel) -> ComponentMap:
    """Raises ValueError for a family whose blocks are not what attention and an MLP add."""
    layout, projections = layout_of(policy), head_projections(policy)
    components: list[Component] = []
    for layer, writes in enumerate(layout.writes):
        if writes is None:
            raise ValueError(
                f"{policy.name}: what attention and the MLP of block {layer} add cannot be told apart, so there is"
                " nothing to put from one run into another; look into it by 'probe', 'logit_lens' or 'diff'"
            )
        projection = projections[layer]
        heads = [Component(layer, "heads", head) for head in range(projection.heads)] if projection else []
        components += heads or [Component(layer, "attention")]
        components += [Component(layer, "mlp")] if writes.mlp else []
    return ComponentMap(layout, projections, tuple(components))


def reading(parts: ComponentMap, places: Iterable[Place], states_at: dict[Place, Tensor]) -> Hooks:
    """Hooks that keep what is read at these places, as part of the graph where there is one."""

    def before(place: Place, _module: Any, args: Any, kwargs: Any) -> None:
        states = states_read(args, kwargs)
        assert states is not None
        states_at[place] = states

    def after(place: Place, _module: Any, _args: Any, output: Any) -> None:
        states = tensor_of(output)
        assert states is not None
        states_at[place] = states

    hooks: Hooks = []
    for place in places:
        when, hook = ("pre", partial(before, place)) if place[1] == "heads" else ("post", partial(after, place))
        hooks.append((parts.module(place), when, hook))
    return hooks


def putting(parts: ComponentMap, components: Iterable[Component], states_at: Mapping[Place, Tensor]) -> Hooks:
    """Hooks that put what these components gave in another run in the place of what they give in this one."""
    groups: dict[Place, list[Component]] = {}
    for component in components:
        groups.setdefault(component.place, []).append(component)
    return [
        _changing(parts, place, partial(_with_parts, [parts.part(each) for each in own], states_at[place]))
        for place, own in groups.items()
    ]


def _with_parts(own: list[slice], others: Tensor, states: Tensor) -> Tensor:
    states, others = states.clone(), others.reshape(states.shape)
    for part in own:
        states[..., part] = others[..., part]
    return states


def _changing(parts: ComponentMap, place: Place, change: Callable[[Tensor], Tensor]) -> tuple[nn.Module, str, Any]:
    def before(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        states = states_read(args, kwargs)
        assert states is not None
        return ((change(states), *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": change(states)})

    def after(_module: Any, _args: Any, output: Any) -> Any:
        return changed_output(output, change)

    return (parts.module(place), "pre", before) if place[1] == "heads" else (parts.module(place), "post", after)


def changed_output(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A module's output with its states changed."""
    states = tensor_of(output)
    assert states is not None
    return (change(states), *output[1:]) if isinstance(output, tuple) else change(states)


def random_sets(
    components: Iterable[Component], like: Iterable[Component], count: int, seed: int
) -> list[tuple[Component, ...]]:
    """At most so many sets of other components, none twice, each of as many heads and MLPs as `like`; where too few of
    a kind are left, of any. Empty where fewer others are left than `like` has."""
    chosen, generator = list(like), torch.Generator().manual_seed(seed)
    others = [each for each in components if each not in chosen]
    sets: dict[tuple[Component, ...], None] = {}
    for _ in range(20 * count if len(others) >= len(chosen) > 0 else 0):
        order = [others[i] for i in torch.randperm(len(others), generator=generator).tolist()]
        own: list[Component] = []
        for model_part in chosen:
            rest = [each for each in order if each not in own]
            own.append(next((each for each in rest if each.part == model_part.part), rest[0]))
        sets[tuple(sorted(own, key=lambda each: (each.layer, each.part, each.head or 0)))] = None
        if len(sets) == count:
            break
    return list(sets)

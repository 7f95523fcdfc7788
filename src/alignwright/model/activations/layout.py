"""Which modules of a loaded model are its blocks, and which of them write to the residual stream?

Families name and nest their modules differently, so nothing is taken from names: a short text is read
once while every module of each block is watched, and the two whose outputs add up to what the block
changed are its attention and its MLP. That is at the same time the check: a site exists only where the
sum of the writes is the next block's input, and where an edit of the stream changes the last states.
A block that adds anything else as well (a scaled or a widened stream) has `resid_pre` and `resid_post`
alone, and says so.

Shapes: B rows, T tokens, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from alignwright.model.activations.sites import Site
from alignwright.model.llama_blocks import trunk
from alignwright.model.loaded_model import LoadedModel

_MARK = "alignwright_layout"
_LEAST = 4  # tokens of the text that is read: more than any norm's or convolution's edge
_ROUNDING = {torch.float32: 1e-4, torch.bfloat16: 0.03}
"""Of the largest number that a block adds: how far the sum of its writes may be from it."""
_ROUNDS = 4  # times that a number of the stream is rounded on its way through a block


@dataclass(frozen=True)
class Writes:
    """The modules inside a block, by their paths, whose outputs times `factor` are added to the stream;
    `mlp` is None where one module adds all."""

    attention: str
    mlp: str | None
    factor: float = 1.0


@dataclass(frozen=True)
class Layout:
    """A model's blocks, in order, and what writes in each; None where that cannot be told."""

    body: Any
    blocks: tuple[nn.Module, ...]
    writes: tuple[Writes | None, ...]
    hidden: int

    def check(self, sites: Sequence[Site]) -> None:
        """Raises ValueError for a site that this model has not."""
        for site in sites:
            if not 0 <= site.layer < len(self.blocks):
                raise ValueError(
                    f"{site.name}: layer {site.layer} is not there; the model has blocks 0 to {len(self.blocks) - 1}"
                )
            if site.where in ("attn_out", "mlp_out") and self._path(site) is None:
                raise ValueError(
                    f"{site.name}: what {'attention' if site.where == 'attn_out' else 'an MLP'} adds in this family's"
                    f" block ({type(self.blocks[site.layer]).__name__}) cannot be told apart; use resid_pre or"
                    " resid_post"
                )

    def module(self, site: Site) -> tuple[nn.Module, float]:
        """The module whose output is read there, and by what it is multiplied in the stream."""
        if site.where in ("resid_pre", "resid_post"):
            return self.blocks[site.layer], 1.0
        writes, path = self.writes[site.layer], self._path(site)
        assert writes is not None
        assert path is not None
        return self.blocks[site.layer].get_submodule(path), writes.factor

    def _path(self, site: Site) -> str | None:
        writes = self.writes[site.layer]
        return None if writes is None else writes.attention if site.where == "attn_out" else writes.mlp


def layout_of(policy: LoadedModel) -> Layout:
    """The layout of a loaded model, found and checked when it is first asked for. Raises ValueError for a model
    whose blocks cannot be watched."""
    body = trunk(policy.model)
    modules = sum(1 for _ in body.modules())  # an adapter that was put on or taken off moves paths
    entry = getattr(body, _MARK, None)
    if entry is None or entry[0] != modules:
        entry = modules, _layout(policy, body)
        setattr(body, _MARK, entry)
    return entry[1]


def tensor_of(output: Any) -> Tensor | None:
    """The states in what a block or a part of it gives: a bare tensor, or the first of a tuple."""
    if isinstance(output, tuple):
        output = output[0] if output else None
    return output if isinstance(output, Tensor) else None


def states_read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """The states that a block is given, by place or by name."""
    first = args[0] if args else kwargs.get("hidden_states")
    return first if isinstance(first, Tensor) else None


@contextmanager
def attached(hooks: Sequence[tuple[nn.Module, str, Any]]) -> Iterator[None]:
    """Hooks on modules ("pre" or "post", with the hook) while this lasts. All of them, or none: whatever
    happens as they are attached, what was attached is taken off again."""
    handles: list[Any] = []
    try:
        for module, when, hook in hooks:
            handles.append(
                module.register_forward_pre_hook(hook, with_kwargs=True)
                if when == "pre"
                else module.register_forward_hook(hook)
            )
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def _layout(policy: LoadedModel, body: Any) -> Layout:
    config = body.config.get_text_config()
    blocks = _blocks(policy, body, int(config.num_hidden_layers))
    ids_BT = check_text(policy)
    inputs, exits, outputs = _watched(body, blocks, ids_BT)
    hidden = int(config.hidden_size)
    for layer in range(len(blocks)):
        for what, states in (("reads", inputs[layer]), ("leaves", exits[layer])):
            if states is None or states.shape != (*ids_BT.shape, hidden):
                numbers = "nothing" if states is None else f"numbers of the shape {list(states.shape)}"
                raise ValueError(
                    f"{policy.name}: block {layer} {what} {numbers} and no residual stream of {hidden}; its activations"
                    " cannot be read"
                )
    pairs = [(a, b) for a, b in zip(inputs, exits, strict=True) if a is not None and b is not None]
    writes = tuple(_writes(before, after, outputs[layer]) for layer, (before, after) in enumerate(pairs))
    layout = Layout(body, tuple(blocks), writes, hidden)
    _check_stream(policy, layout, ids_BT, [after for _, after in pairs], [before for before, _ in pairs])
    return layout


def check_text(policy: LoadedModel) -> Tensor:
    """The tokens of a short text, by which is seen what the modules do."""
    row = policy.chat.text("A check of the layers.")
    ids = [*row.prompt, *row.replies[0]]
    return torch.tensor([ids if len(ids) >= _LEAST else ids * _LEAST], device=policy.device)


def _blocks(policy: LoadedModel, body: Any, count: int) -> list[nn.Module]:
    own = [module for module in body.children() if isinstance(module, nn.ModuleList)]
    nested = [module for module in body.modules() if isinstance(module, nn.ModuleList)]
    lists = [m for m in own if len(m) == count] or own[:1] or [m for m in nested if len(m) == count]
    if not lists:
        raise ValueError(
            f"{policy.name} ({type(body).__name__}): no list of its {count} blocks was found, so nothing inside it can"
            " be read"
        )
    return list(lists[0])


def _watched(
    body: Any, blocks: Sequence[nn.Module], ids_BT: Tensor
) -> tuple[list[Tensor | None], list[Tensor | None], list[dict[str, Tensor]]]:
    """What each block reads and leaves, and what each module inside it gives, by its path."""
    inputs: list[Tensor | None] = [None] * len(blocks)
    exits: list[Tensor | None] = [None] * len(blocks)
    outputs: list[dict[str, Tensor]] = [{} for _ in blocks]

    def reads(layer: int, _module: Any, args: Any, kwargs: Any) -> None:
        states = states_read(args, kwargs)
        inputs[layer] = None if states is None else states.clone()

    def leaves(layer: int, _module: Any, _args: Any, output: Any) -> None:
        states = tensor_of(output)
        exits[layer] = None if states is None else states.clone()

    def gives(layer: int, path: str, _module: Any, _args: Any, output: Any) -> None:
        if (states := tensor_of(output)) is not None:  # a module that is used twice (a dropout) writes no one thing
            outputs[layer][path] = states.clone() if path not in outputs[layer] else states[:0]

    hooks: list[tuple[nn.Module, str, Any]] = []
    for layer, block in enumerate(blocks):
        hooks += [(block, "pre", partial(reads, layer)), (block, "post", partial(leaves, layer))]
        hooks += [(m, "post", partial(gives, layer, path)) for path, m in block.named_modules() if path]
    with attached(hooks):
        body(input_ids=ids_BT, use_cache=False)
    return inputs, exits, outputs


def _writes(before_BTH: Tensor, after_BTH: Tensor, outputs: dict[str, Tensor]) -> Writes | None:
    """The modules whose outputs, all times one factor, add up to what a block changed: the shallowest. Where the
    stream is large (an attention sink) the change is known no better than the stream is rounded."""
    wide = {path: x.float() for path, x in outputs.items() if x.numel() == before_BTH.numel()}
    order = sorted(wide, key=lambda path: path.count("."))
    change = (after_BTH.float() - before_BTH.float()).flatten()
    rounding = _ROUNDS * torch.finfo(after_BTH.dtype).eps * after_BTH.float().abs().flatten()
    within = _ROUNDING.get(after_BTH.dtype, 0.03) * float(change.abs().max()) + rounding
    ran = {path: place for place, path in enumerate(outputs)}

    def factor_of(*paths: str) -> float | None:
        total = torch.stack([wide[path].flatten() for path in paths]).sum(0)
        square = float(total @ total)
        factor = float(total @ change) / square if square else 0.0
        factor = 1.0 if abs(factor - 1.0) < 1e-3 else factor
        return factor if bool(((factor * total - change).abs() <= within).all()) else None

    for place, one in enumerate(order):
        if (factor := factor_of(one)) is not None:
            return Writes(one, None, factor)
        for other in order[:place]:
            if (factor := factor_of(one, other)) is not None:
                first, second = sorted((one, other), key=lambda path: _rank(path, ran))
                return Writes(first, second, factor)
    return None


def _rank(path: str, ran: dict[str, int]) -> tuple[bool, int]:
    """Attention before the MLP: in the order of running, but where both read the same stream by name."""
    top = path.split(".")[0].lower()
    return any(word in top for word in ("mlp", "feed_forward", "ffn", "ff", "moe")), ran[path]


def _check_stream(
    policy: LoadedModel, layout: Layout, ids_BT: Tensor, exits: Sequence[Tensor], inputs: Sequence[Tensor]
) -> None:
    """What a block leaves is what the next one reads, and an edit of it changes what comes out."""
    for layer in range(len(exits) - 1):
        if not torch.equal(exits[layer], inputs[layer + 1]):
            raise ValueError(
                f"{policy.name}: what block {layer} leaves is not what block {layer + 1} reads, so its residual stream"
                " is not where it was looked for"
            )
    block = layout.blocks[len(layout.blocks) // 2]

    def edit(_module: Any, _args: Any, output: Any) -> Any:
        states = tensor_of(output)
        assert states is not None
        new = states + states.float().std().to(states.dtype) * torch.linspace(
            -1, 1, states.shape[-1], device=states.device, dtype=states.dtype
        )
        return (new, *output[1:]) if isinstance(output, tuple) else new

    plain = layout.body(input_ids=ids_BT, use_cache=False).last_hidden_state
    with attached([(block, "post", edit)]):
        steered = layout.body(input_ids=ids_BT, use_cache=False).last_hidden_state
    if torch.equal(plain, steered):
        raise ValueError(f"{policy.name}: an edit of its residual stream changes nothing, so it cannot be steered")

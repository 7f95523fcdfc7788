"""What does one model compute otherwise than another of the same shape, block by block and token by token?

What a block changes **by itself** is told apart from what it only carries on: the other model's blocks are each given
the stream that the first model's block reads, in one forward, and what they leave is compared. A block whose weights
are the same changes nothing by itself, exactly. Attention sinks are left out.

Of each block two numbers: how large its own change is beside what the block adds (`own`), and how much of it lies
along one direction (`shared`): the product of the mean changes of two halves of the texts over the mean squared
change, which is 0 in expectation where no direction is common to all texts.

Shapes: L blocks, N texts, T tokens, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from alignwright.model.activations.capture import capture, sinks
from alignwright.model.activations.layout import Layout, attached, layout_of, tensor_of
from alignwright.model.activations.sites import Site
from alignwright.model.local_model import LocalModel

LONGEST = 64
"""Tokens of each text that are read."""


@dataclass(frozen=True, eq=False)
class TextStates:
    """What the first model's blocks read and leave of one text: [L, T, H] each. `opening`: so many of its tokens begin
    every text alike (a template's system message), and would count as many times as there are texts."""

    ids: tuple[int, ...]
    opening: int
    reads_LTH: Tensor
    leaves_LTH: Tensor

    @property
    def kept_T(self) -> Tensor:
        """The tokens that are looked at: behind the opening, and sinks nowhere."""
        sinks_T = torch.stack([sinks(states_TH) for states_TH in self.leaves_LTH]).any(0)
        return ~sinks_T & (torch.arange(len(self.ids), device=sinks_T.device) >= self.opening)


@dataclass(frozen=True, eq=False)
class BlockChanges:
    """Of each block and text: the mean of what the block changed by itself [L, N, H], and the mean squares of that and
    of what the first model's block adds [L, N]."""

    mean_LNH: Tensor
    square_LN: Tensor
    added_LN: Tensor

    @property
    def own_L(self) -> Tensor:
        """The size of each block's own change, beside what it adds."""
        return (self.square_LN.mean(1) / self.added_LN.mean(1).clamp_min(1e-20)).sqrt()

    @property
    def shared_L(self) -> Tensor:
        """How much of it lies along one direction; 0 of a block that changes nothing."""
        halves = self.mean_LNH[:, 0::2].mean(1), self.mean_LNH[:, 1::2].mean(1)
        square_L = self.square_LN.mean(1)
        return torch.where(square_L > 0, (halves[0] * halves[1]).sum(1) / square_L.clamp_min(1e-30), 0.0)


@torch.inference_mode()
def text_states(policy: LocalModel, rows: Sequence[Sequence[int]]) -> list[TextStates]:
    """Of each text what is read and left by every block."""
    layout, device = layout_of(policy), policy.device
    blocks = range(len(layout.blocks))
    alike = takewhile(lambda ids: len(set(ids)) == 1, zip(*rows, strict=False))
    opening = sum(1 for _ in alike) if len(rows) > 1 else 0
    results: list[TextStates] = []
    for row in rows:
        sites = [Site(layer, where) for where in ("resid_pre", "resid_post") for layer in blocks]
        states = capture(layout, torch.tensor([list(row)], device=device), sites)
        reads, leaves = (
            torch.stack([states[site][0] for site in sites if site.where == w]) for w in ("resid_pre", "resid_post")
        )
        results.append(TextStates(tuple(row), min(opening, len(row) - 1), reads, leaves))
    return results


@torch.inference_mode()
def block_changes(policy: LocalModel, texts: Sequence[TextStates]) -> BlockChanges:
    """What each block of this model changes by itself, beside the model whose states these are."""
    layout = layout_of(policy)
    means: list[Tensor] = []
    squares: list[Tensor] = []
    added: list[Tensor] = []
    for text in texts:
        left_LTH = _forced(layout, text, policy.device)
        kept_T = text.kept_T
        change_LTH = (left_LTH - text.leaves_LTH)[:, kept_T].float()
        means.append(change_LTH.mean(1))
        squares.append(change_LTH.square().sum(2).mean(1))
        added.append((text.leaves_LTH - text.reads_LTH)[:, kept_T].float().square().sum(2).mean(1))
    return BlockChanges(torch.stack(means, dim=1), torch.stack(squares, dim=1), torch.stack(added, dim=1))


def _forced(layout: Layout, text: TextStates, device: torch.device) -> Tensor:
    """What every block leaves when it reads what the other model's block read: [L, T, H], in one forward."""
    outputs: list[Tensor] = []

    def before(layer: int, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        states = text.reads_LTH[layer][None]
        return ((states, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": states})

    def after(_module: Any, _args: Any, output: Any) -> None:
        states = tensor_of(output)
        assert states is not None
        outputs.append(states.reshape(text.reads_LTH.shape[1:]))

    hooks: list[tuple[Any, str, Any]] = []
    for layer, block in enumerate(layout.blocks):
        hooks += [(block, "pre", partial(before, layer)), (block, "post", after)]
    with attached(hooks):
        layout.body(input_ids=torch.tensor([list(text.ids)], device=device), use_cache=False)
    return torch.stack(outputs)


@torch.inference_mode()
def log_probabilities(policy: LocalModel, ids: Sequence[int]) -> Tensor:
    """Of every next token after each token of a text: [T, V]."""
    logits_TV = policy.model(input_ids=torch.tensor([list(ids)], device=policy.device), use_cache=False).logits[0]
    return logits_TV.float().log_softmax(-1)


def divergence(logp_TV: Tensor, other_TV: Tensor) -> Tensor:
    """KL of the first from the other at each token, in nats: [T]."""
    return (logp_TV.exp() * (logp_TV - other_TV)).sum(-1).clamp_min(0.0)


@contextmanager
def changed_weights(policy: LocalModel, start: LocalModel, sizes: Mapping[str, float], seed: int) -> Iterator[None]:
    """While this lasts, the model is the start model under a random change: every tensor moved by as much as its own
    change is (Frobenius norm), in a direction drawn evenly from all. Its own weights are back afterwards."""
    generator = torch.Generator().manual_seed(seed)
    before = dict(start.model.named_parameters())
    own = {name: weight.detach().clone() for name, weight in policy.model.named_parameters() if name in sizes}
    weights = dict(policy.model.named_parameters())
    try:
        with torch.no_grad():
            for name, size in sizes.items():
                noise = torch.randn(before[name].shape, generator=generator)
                noise *= size / max(float(noise.norm()), 1e-30)
                weights[name].copy_(before[name] + noise.to(before[name]))
        yield
    finally:
        with torch.no_grad():
            for name, weight in own.items():
                weights[name].copy_(weight)

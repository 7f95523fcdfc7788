"""What are the activations of these tokens, at these sites, at the least cost?

By plain hooks on transformers' own forward, without the head, and no further than the last site that
is wanted: half the depth costs half the time. Rows are padded on the right, which no earlier token of
a causal model sees; an adapter is merged meanwhile. The numbers have the model's dtype: open it in
bfloat16 for a third of the time where a probe or an autoencoder is to be trained on them.

A few tokens (the first of a row, and some others) are **attention sinks**, whose norm is a hundred times
that of any other; a mean over them is a mean of nothing else. `sinks` flags them, by the rule of the
house: a norm above five times the median of the row.

Shapes: B rows, T tokens, H hidden size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from alignwright.model.activations.layout import Layout, attached, layout_of, states_read, tensor_of
from alignwright.model.activations.sites import Site
from alignwright.model.adapters import merged
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.packing import plan_batches
from alignwright.model.tokens import TokenRow

SINK = 5.0
"""A token whose norm is above so many times the median of its row is a sink."""


class _AllSeen(Exception):
    """Everything that was wanted is there: the forward goes no further."""


def capture(layout: Layout, ids_BT: Tensor, sites: Sequence[Site], *, stop: bool = True) -> dict[Site, Tensor]:
    """The activations of padded rows of tokens, [B, T, H] at each site. `stop`: the forward ends at
    the last of them. Differentiable, unless the caller is in inference mode."""
    layout.check(sites)
    states_at: dict[Site, Tensor] = {}
    count = len(set(sites))

    def keep(site: Site, states: Tensor | None, factor: float) -> None:
        assert states is not None
        states = states.reshape(*ids_BT.shape, layout.hidden)
        states_at[site] = states if factor == 1.0 else states * factor
        if stop and len(states_at) == count:
            raise _AllSeen

    def before(site: Site, _module: Any, args: Any, kwargs: Any) -> None:
        keep(site, states_read(args, kwargs), 1.0)

    def after(site: Site, factor: float, _module: Any, _args: Any, output: Any) -> None:
        keep(site, tensor_of(output), factor)

    hooks = []
    for site in dict.fromkeys(sites):
        module, factor = layout.module(site)
        pre = site.where == "resid_pre"
        hooks.append((module, "pre" if pre else "post", partial(before, site) if pre else partial(after, site, factor)))
    with attached(hooks), contextlib.suppress(_AllSeen):
        layout.body(input_ids=ids_BT, use_cache=False)
    return {site: states_at[site] for site in sites}


@dataclass(frozen=True)
class RowStates:
    """The activations of one row, [T, H] at each site, in the model's dtype."""

    row: int
    token_ids: tuple[int, ...]
    states: Mapping[Site, Tensor]


@torch.inference_mode()
def row_states(policy: LoadedModel, rows: Sequence[Sequence[int]], sites: Sequence[Site]) -> Iterator[RowStates]:
    """Row by row, as batches of like length are read (not in the order given). Raises ValueError for a site
    that the model has not, and for a row that is empty or longer than it reads."""
    layout = layout_of(policy)
    layout.check(sites)
    policy.check_lengths([len(row) for row in rows])
    if any(not row for row in rows):
        raise ValueError(f"row {next(i for i, row in enumerate(rows) if not row)} has no tokens, so no activations")
    plans = plan_batches([TokenRow(tuple(row), ()) for row in rows], policy.token_budget, shuffle_seed=None)
    count = 0
    with merged(policy):
        for batch in plans:
            width = max(len(rows[i]) for i in batch)
            ids_BT = torch.full((len(batch), width), policy.chat.pad_id, dtype=torch.int64)
            for b, i in enumerate(batch):
                ids_BT[b, : len(rows[i])] = torch.tensor(rows[i])
            states = capture(layout, ids_BT.to(policy.device), sites)
            for b, i in enumerate(batch):
                yield RowStates(i, tuple(rows[i]), {site: x[b, : len(rows[i])] for site, x in states.items()})
            count += len(batch)
            if policy.progress:
                policy.progress(count, len(rows))


def sinks(states_TH: Tensor) -> Tensor:
    """Which tokens of a row are attention sinks: [T], boolean."""
    norm_T = states_TH.float().norm(dim=-1)
    return norm_T > SINK * norm_T.median()

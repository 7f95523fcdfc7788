"""Where do the activations of many rows lie, so that what is fitted to them needs little memory?

A folder of safetensors shards with an `index.json`. Each shard holds whole rows, about `shard_tokens` tokens:
`acts.SITE` [N, H] in the model's dtype, `sink.SITE` [N] (1: an attention sink, kept and flagged), `token_ids`,
`row` (which of the rows), `position` (in its row). Which rows are in which shard follows from their lengths
alone, so writing goes on after a kill at any moment: a shard appears under its name when it is whole, and the
index names what is whole. Memory is that of one shard.

The index says of which model the activations are (`fingerprint`), which rows, sites and dtype. A store of another
model, or one cut short, is refused in one line.

Shapes: N tokens of a shard, H hidden size.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from alignwright.core.records import content_id
from alignwright.files.contents import DamagedFile, json_object
from alignwright.model.activations.capture import SINK, row_states, sinks
from alignwright.model.activations.edits import Add
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.weights import write_tensors

INDEX, VERSION = "index.json", 1
SHARD_TOKENS = 16384
_SAMPLED, _NUMBERS = 8, 64


def model_mark(policy: LoadedModel) -> str:
    """What names the weights that are in memory: their shapes, their dtype and 64 numbers of eight of them; of a
    steered model its edits, too."""
    weights = [(name, tensor) for name, tensor in policy.model.named_parameters()]
    digest = hashlib.sha256(
        json.dumps([(name, list(tensor.shape), str(tensor.dtype)) for name, tensor in weights]).encode()
    )
    for edit in policy.steering:
        digest.update(f"{type(edit).__name__} {edit.site.name} {getattr(edit, 'scale', 1.0)}".encode())
        digest.update((edit.vector if isinstance(edit, Add) else edit.direction).float().cpu().numpy().tobytes())
    for place in range(_SAMPLED):
        tensor = weights[place * (len(weights) - 1) // (_SAMPLED - 1)][1].detach().flatten()
        step = max(1, len(tensor) // _NUMBERS)
        digest.update(tensor[::step][:_NUMBERS].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


class ActivationStore:
    """The activations of rows of tokens, on disk. `write` makes one or goes on with it; `open` takes one up."""

    def __init__(self, folder: Path, index: dict[str, Any]) -> None:
        self.folder, self.index = folder, index
        self.sites = tuple(Site.named(name) for name in index["sites"])
        self.tokens = sum(shard["tokens"] for shard in index["shards"])

    @staticmethod
    def write(
        policy: LoadedModel,
        rows: Sequence[Sequence[int]],
        sites: Sequence[Site],
        folder: Path,
        *,
        shard_tokens: int = SHARD_TOKENS,
    ) -> ActivationStore:
        """The store of these rows, made or gone on with. Raises ValueError where the folder holds another."""
        if not rows or not sites:
            raise ValueError(f"a store of {len(rows)} rows at {len(sites)} sites holds nothing")
        folder.mkdir(parents=True, exist_ok=True)
        layout_of(policy).check(sites)
        head = {
            "format_version": VERSION, "fingerprint": model_mark(policy), "model": policy.name,
            "sites": [site.name for site in sites], "hidden": layout_of(policy).hidden,
            "dtype": str(policy.dtype).removeprefix("torch."), "sinks": f"flagged: norm > {SINK:g} x the row's median",
            "rows": content_id([list(row) for row in rows]), "row_count": len(rows),
        }  # fmt: skip
        plan = _plan([len(row) for row in rows], shard_tokens)
        shards: list[dict[str, Any]] = []
        if (folder / INDEX).exists():
            index = json_object(folder / INDEX, shards=list)
            _same(folder, index, head)
            shards = index["shards"]
            if [(s["first"], s["last"]) for s in shards] != plan[: len(shards)]:
                raise ValueError(
                    f"{folder}: its shards are of another size; delete it, or ask for the same shard_tokens"
                )
            _check_shards(folder, index)
        for first, last in plan[len(shards) :]:
            name = f"shard-{len(shards):05d}.safetensors"
            tensors = _shard(policy, rows[first:last], sites, first)
            write_tensors(tensors, folder / name)
            shards.append({"file": name, "first": first, "last": last, "tokens": len(tensors["row"]),
                           "bytes": (folder / name).stat().st_size})  # fmt: skip
            _write_index(folder, head | {"shards": shards, "whole": len(shards) == len(plan)})
        return ActivationStore(folder, head | {"shards": shards, "whole": True})

    @staticmethod
    def open(folder: Path, policy: LoadedModel | None = None) -> ActivationStore:
        """A store that was written. Raises ValueError for one that is not whole, and for one of another model
        than `policy`."""
        if not (folder / INDEX).is_file():
            raise ValueError(f"{folder} holds no {INDEX}, so it is no store of activations; write one first")
        index = json_object(
            folder / INDEX, shards=list, sites=list, fingerprint=str, hidden=int, dtype=str, rows=str, row_count=int
        )
        if index.get("format_version") != VERSION:
            raise ValueError(f"{folder}: a store of format {index.get('format_version')}; this reads {VERSION}")
        if policy is not None and index["fingerprint"] != model_mark(policy):
            raise ValueError(
                f"{folder}: the activations are of another model ({index.get('model')}, {index['fingerprint']}) than"
                f" {policy.name} ({model_mark(policy)}); write a store of this one"
            )
        _check_shards(folder, index)
        if not index.get("whole"):
            last = index["shards"][-1]["last"] if index["shards"] else 0
            raise ValueError(
                f"{folder}: cut short after {last} of {index['row_count']} rows; write it again with the same rows: it"
                " goes on from there"
            )
        return ActivationStore(folder, index)

    def shard(self, place: int) -> dict[str, Tensor]:
        """One shard, every tensor by its name."""
        with _opened(self.folder / self.index["shards"][place]["file"]) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict

    def shards(self) -> Iterator[dict[str, Tensor]]:
        """Shard by shard."""
        return map(self.shard, range(len(self.index["shards"])))

    def states(self, site: Site, *, sinks: bool = False) -> Iterator[Tensor]:
        """The activations at a site, [N, H], shard by shard; without sinks unless these are asked for."""
        if site not in self.sites:
            raise ValueError(f"{self.folder}: no activations at {site.name}; it has {', '.join(self.index['sites'])}")
        for shard in self.shards():
            states_NH = shard[f"acts.{site.name}"]
            yield states_NH if sinks else states_NH[shard[f"sink.{site.name}"] == 0]

    def batches(self, site: Site, size: int, *, seed: int, sinks: bool = False) -> Iterator[Tensor]:
        """Shuffled batches [size, H] of one pass: shards in a random order, the tokens of two of them mixed; the
        last batch may be smaller."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.index["shards"]), generator=generator).tolist()
        rest: Tensor | None = None
        for place, shard in enumerate(order):
            with _opened(self.folder / self.index["shards"][shard]["file"]) as file:
                states_NH = file.get_tensor(f"acts.{site.name}")
                if not sinks:
                    states_NH = states_NH[file.get_tensor(f"sink.{site.name}") == 0]
            pool = states_NH if rest is None else torch.cat([rest, states_NH])
            pool = pool[torch.randperm(len(pool), generator=generator)]
            keep = 0 if place + 1 == len(order) else len(pool) // 2
            take = len(pool) if not keep else (len(pool) - keep) // size * size
            yield from pool[:take].split(size) if take else ()
            rest = pool[take:]


def _plan(lengths: Sequence[int], shard_tokens: int) -> list[tuple[int, int]]:
    """Which rows each shard has, first and one past the last: rows in order, and no row in two shards."""
    plan: list[tuple[int, int]] = []
    first = total = 0
    for place, length in enumerate(lengths):
        if place > first and total + length > shard_tokens:
            plan.append((first, place))
            first, total = place, 0
        total += length
    return [*plan, (first, len(lengths))]


def _shard(policy: LoadedModel, rows: Sequence[Sequence[int]], sites: Sequence[Site], first: int) -> dict[str, Tensor]:
    parts: dict[int, dict[str, Tensor]] = {}
    for each in row_states(policy, rows, sites):
        count = len(each.token_ids)
        tensors = {
            "token_ids": torch.tensor(each.token_ids, dtype=torch.int32),
            "row": torch.full((count,), first + each.row, dtype=torch.int32),
            "position": torch.arange(count, dtype=torch.int32),
        }
        for site, states_TH in each.states.items():
            tensors[f"acts.{site.name}"] = states_TH.cpu().clone()
            tensors[f"sink.{site.name}"] = sinks(states_TH).to(torch.uint8).cpu()
        parts[each.row] = tensors
    ordered = [parts[row] for row in range(len(rows))]
    return {name: torch.cat([part[name] for part in ordered]) for name in ordered[0]}


def _write_index(folder: Path, index: dict[str, Any]) -> None:
    partial = folder / f"{INDEX}.partial"
    partial.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / INDEX)


def _same(folder: Path, index: dict[str, Any], head: dict[str, Any]) -> None:
    for name, value in head.items():
        if index.get(name) != value:
            what = {"fingerprint": "another model", "rows": "other rows", "sites": "other sites"}.get(name, name)
            raise ValueError(
                f"{folder}: holds a store of {what} ({index.get(name)!r}, and {value!r} was asked for); give another"
                " folder, or delete this one"
            )


def _check_shards(folder: Path, index: dict[str, Any]) -> None:
    for shard in index["shards"]:
        path = folder / shard["file"]
        size = path.stat().st_size if path.is_file() else None
        if size != shard["bytes"]:
            why = "it is missing" if size is None else f"it has {size} bytes, and was written with {shard['bytes']}"
            raise DamagedFile(path, why)


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise DamagedFile(path, f"it is no whole safetensors file ({' '.join(str(error).split())})") from None

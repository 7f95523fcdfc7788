"""A store of activations holds what capture gives, goes on after a kill to the same bytes, and is refused in one
line where it is cut short or of another model."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import make_tiny

from alignwright.files.contents import DamagedFile
from alignwright.model.activations import store as store_file
from alignwright.model.activations.capture import row_states, sinks
from alignwright.model.activations.sites import Site
from alignwright.model.activations.store import INDEX, ActivationStore
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel

SITES = [Site(0), Site(1, "mlp_out")]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def rows() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(3, 290, (5 + i % 7,), generator=generator).tolist() for i in range(23)]


def test_it_holds_what_capture_gives(policy: LocalModel, rows: list[list[int]], tmp_path: Path) -> None:
    store = ActivationStore.write(policy, rows, SITES, tmp_path / "store", shard_tokens=40)
    assert store.tokens == sum(map(len, rows))
    assert len(list((tmp_path / "store").glob("shard-*.safetensors"))) > 3
    own = {each.row: each for each in row_states(policy, rows, SITES)}
    shards = list(ActivationStore.open(tmp_path / "store", policy).shards())
    assert all(len(shard["row"]) <= 40 for shard in shards)
    held = {name: torch.cat([shard[name] for shard in shards]) for name in shards[0]}
    assert held["token_ids"].tolist() == [token for row in rows for token in row]
    assert held["position"].tolist() == [place for row in rows for place in range(len(row))]
    assert held["row"].tolist() == [number for number, row in enumerate(rows) for _ in row]
    for site in SITES:
        whole = torch.cat([own[row].states[site] for row in range(len(rows))])
        assert torch.allclose(held[f"acts.{site.name}"], whole, atol=1e-5)
        flags = torch.cat([sinks(own[row].states[site]) for row in range(len(rows))])
        assert torch.equal(held[f"sink.{site.name}"] != 0, flags)
        without = torch.cat(list(store.states(site)))
        assert len(without) == int((~flags).sum())


def test_a_kill_at_any_moment_changes_no_byte(
    policy: LocalModel, rows: list[list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    ActivationStore.write(policy, rows, SITES, whole, shard_tokens=40)
    write, count = store_file.write_tensors, len(list(whole.glob("shard-*")))

    def killed(shard: int, *, file_is_there: bool) -> Callable[[dict[str, torch.Tensor], Path], Path]:
        def write_or_die(tensors: dict[str, torch.Tensor], path: Path) -> Path:
            if path.stem != f"shard-{shard:05d}":
                return write(tensors, path)
            if file_is_there:
                write(tensors, path)
            else:
                path.with_suffix(".partial").write_bytes(b"half")
            raise KeyboardInterrupt

        return write_or_die

    for shard, file_is_there in itertools.product(range(count), (False, True)):
        folder = tmp_path / f"{shard}{file_is_there}"
        monkeypatch.setattr(store_file, "write_tensors", killed(shard, file_is_there=file_is_there))
        with pytest.raises(KeyboardInterrupt):
            ActivationStore.write(policy, rows, SITES, folder, shard_tokens=40)
        monkeypatch.setattr(store_file, "write_tensors", write)
        if shard:
            with pytest.raises(ValueError, match=r"cut short after \d+ of 23 rows; write it again"):
                ActivationStore.open(folder)
        ActivationStore.write(policy, rows, SITES, folder, shard_tokens=40)
        for path in whole.iterdir():
            assert (folder / path.name).read_bytes() == path.read_bytes()


def test_another_model_other_rows_and_lost_bytes_are_named(
    policy: LocalModel, rows: list[list[int]], tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    ActivationStore.write(policy, rows, SITES, folder, shard_tokens=40)
    other = load(make_tiny(tmp_path / "other", seed=1))
    with pytest.raises(ValueError, match=r"are of another model .* write a store of this one"):
        ActivationStore.open(folder, other)
    with pytest.raises(ValueError, match="holds a store of another model"):
        ActivationStore.write(other, rows, SITES, folder, shard_tokens=40)
    with pytest.raises(ValueError, match="holds a store of other rows"):
        ActivationStore.write(policy, rows[1:], SITES, folder, shard_tokens=40)
    with pytest.raises(ValueError, match=r"no activations at blocks\.1\.hook_resid_post"):
        next(ActivationStore.open(folder).states(Site(1)))
    with pytest.raises(ValueError, match=r"holds no index\.json"):
        ActivationStore.open(tmp_path)
    shard = folder / "shard-00001.safetensors"
    data = shard.read_bytes()
    shard.write_bytes(data[:-9])
    with pytest.raises(DamagedFile, match=rf"it has {len(data) - 9} bytes, and was written with {len(data)}.*delete"):
        ActivationStore.open(folder, policy)
    shard.unlink()
    with pytest.raises(DamagedFile, match="missing"):
        ActivationStore.open(folder, policy)
    (folder / INDEX).write_text(json.dumps({"shards": []}))
    with pytest.raises(DamagedFile, match="'sites' is not there"):
        ActivationStore.open(folder)


def test_batches_are_one_pass_in_another_order(policy: LocalModel, rows: list[list[int]], tmp_path: Path) -> None:
    store = ActivationStore.write(policy, rows, SITES, tmp_path / "store", shard_tokens=40)
    batches = list(store.batches(Site(0), 16, seed=3, sinks=True))
    assert {len(batch) for batch in batches[:-1]} == {16}
    order = torch.cat(list(store.states(Site(0), sinks=True)))
    mixed = torch.cat(batches)
    assert mixed.shape == order.shape
    assert not torch.equal(mixed, order)
    assert torch.equal(mixed[mixed[:, 0].argsort()], order[order[:, 0].argsort()])
    again = torch.cat(list(store.batches(Site(0), 16, seed=3, sinks=True)))
    assert torch.equal(mixed, again)


def test_no_batch_is_empty_where_shards_are_small(policy: LocalModel, rows: list[list[int]], tmp_path: Path) -> None:
    store = ActivationStore.write(policy, rows, SITES, tmp_path / "store", shard_tokens=40)
    batches = list(store.batches(Site(0), 10_000, seed=3, sinks=True))
    assert [len(batch) for batch in batches] == [store.tokens]

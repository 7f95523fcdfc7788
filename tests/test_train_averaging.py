"""Does the average lie exactly on the line between two models? Endpoints to the bit, the middle
exactly, blocks of layers by themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import make_tiny

from alignwright.model.adapters import add_lora, load_adapter, merge, save_adapter, trainable_parameters
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.weights import FILE, load_weights, save_weights
from alignwright.train.averaging import average, blend_adapters, layer_shares
from alignwright.train.knobs import Average

LAYERS = 4


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny") / "model", num_hidden_layers=LAYERS)


@pytest.fixture(scope="module")
def ends(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two adapters of unlike rank and scale, and two models trained whole."""
    folder = tmp_path_factory.mktemp("ends")
    found = {}
    for name, rank, alpha in (
        ("first", 3, 6.0),
        ("second", 2, 1.0),
        ("whole-first", 0, None),
        ("whole-second", 0, None),
    ):
        policy = load(tiny)
        if rank:
            add_lora(policy, rank=rank, alpha=alpha, seed=rank)
        torch.manual_seed(len(name))
        for p in trainable_parameters(policy):
            p.data += 0.1 * torch.randn_like(p)
        (save_adapter if rank else save_weights)(policy, folder / name)
        found[name] = folder / name
    return found


def weights(tiny: Path, trained: Path | None) -> dict[str, torch.Tensor]:
    """All weights of the model that a folder stands for, in float64."""
    policy = load(tiny)
    if trained is not None and (trained / FILE).exists():
        load_weights(policy, trained)
    elif trained is not None:
        load_adapter(policy, trained)
        merge(policy)
    return {name: p.detach().double().clone() for name, p in policy.model.named_parameters()}


def share(value: float) -> Average:
    return Average(by="average", share=value)


@pytest.mark.parametrize("kind", ["", "whole-"])
@pytest.mark.parametrize("between", [0.25, 0.5])
def test_the_change_is_interpolated_exactly(
    tiny: Path, ends: dict[str, Path], tmp_path: Path, kind: str, between: float
) -> None:
    start, trained = ends[f"{kind}first"], ends[f"{kind}second"]
    made = average(load(tiny), start, trained, share(between), folder=tmp_path)
    assert made.name == ("weights" if kind else "adapter")
    before, after, got = (weights(tiny, path) for path in (start, trained, made))
    for name in got:
        torch.testing.assert_close(got[name], (1 - between) * before[name] + between * after[name], atol=1e-6, rtol=0)
    assert max(float((after[name] - got[name]).abs().max()) for name in got) > 1e-2, (
        "control: the trained model is elsewhere"
    )
    if not kind:
        assert json.loads((made / "adapter_config.json").read_text())["r"] == 5


def test_an_average_of_changes_is_no_change_by_averaged_factors(ends: dict[str, Path], tmp_path: Path) -> None:
    """An adapter and its opposite: the mean of their changes is nothing, stacked exactly, though
    B is the same in both."""
    tensors = load_file(ends["first"] / "adapter_model.safetensors")
    for name, flipped in (("plus", ""), ("minus", ".lora_A.")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_bytes((ends["first"] / "adapter_config.json").read_bytes())
        save_file(
            {n: -t if flipped and flipped in n else t for n, t in tensors.items()},
            tmp_path / name / "adapter_model.safetensors",
        )
    made = blend_adapters([(tmp_path / name, lambda _: 0.5) for name in ("plus", "minus")], tmp_path / "mean")
    got = load_file(made / "adapter_model.safetensors")
    for name in (n for n in got if ".lora_B." in n):
        assert float((got[name] @ got[name.replace(".lora_B.", ".lora_A.")]).abs().max()) < 1e-6
        own = tensors[name] @ tensors[name.replace(".lora_B.", ".lora_A.")]
        assert float(own.abs().max()) > 1e-2, "each by itself does change something"


@pytest.mark.parametrize("kind", ["", "whole-"])
def test_the_ends_are_the_ends_to_the_bit(tiny: Path, ends: dict[str, Path], tmp_path: Path, kind: str) -> None:
    start, trained = ends[f"{kind}first"], ends[f"{kind}second"]
    for value, end in ((0.0, start), (1.0, trained)):
        made = average(load(tiny), start, trained, share(value), folder=tmp_path / str(value))
        assert sorted(p.name for p in made.iterdir()) == sorted(p.name for p in end.iterdir())
        assert all((made / p.name).read_bytes() == p.read_bytes() for p in end.iterdir())
    alone = average(load(tiny), None, trained, share(1.0), folder=tmp_path / "alone")
    assert all((alone / p.name).read_bytes() == p.read_bytes() for p in trained.iterdir())
    nothing = average(load(tiny), None, trained, share(0.0), folder=tmp_path / "nothing")
    base = weights(tiny, None)
    assert all(torch.equal(tensor, base[name]) for name, tensor in weights(tiny, nothing).items()), (
        "share 0 of nothing is the base model"
    )


def test_half_of_an_adapter_is_half_its_change(tiny: Path, ends: dict[str, Path], tmp_path: Path) -> None:
    made = average(load(tiny), None, ends["first"], share(0.5), folder=tmp_path)
    config, tensors = (
        json.loads((made / "adapter_config.json").read_text()),
        load_file(made / "adapter_model.safetensors"),
    )
    own = load_file(ends["first"] / "adapter_model.safetensors")
    assert config["r"] == config["lora_alpha"] == 3, "the scale is inside the matrices"
    for name in own:
        expected = own[name] if ".lora_A." in name else own[name] * 2.0 * 0.5
        assert torch.equal(tensors[name], expected)


@pytest.mark.parametrize("kind", ["", "whole-"])
@pytest.mark.parametrize("from_base", [True, False])
def test_blocks_have_shares_of_their_own(
    tiny: Path, ends: dict[str, Path], tmp_path: Path, kind: str, from_base: bool
) -> None:
    """Shares (0, 1) leave the first half of the layers at the start, bit for bit, and give the
    second half to the trained model."""
    start, trained = None if from_base else ends[f"{kind}first"], ends[f"{kind}second"]
    made = average(load(tiny), start, trained, Average(by="average", blocks=(0.0, 1.0)), folder=tmp_path)
    before, after, got = (weights(tiny, path) for path in (start, trained, made))
    moved = 0
    for name, tensor in got.items():
        number = [int(part) for part in name.split(".") if part.isdigit()]
        first = number[0] < LAYERS // 2 if number else "embed" in name
        torch.testing.assert_close(
            tensor, before[name] if first else after[name], atol=0 if kind or from_base else 1e-6, rtol=0
        )
        moved += not torch.equal(before[name], after[name])
    assert moved > 10


def test_which_layer_is_in_which_block() -> None:
    names = [
        "model.embed_tokens.weight",
        *(f"model.layers.{i}.mlp.weight" for i in range(6)),
        "model.norm.weight",
        "lm_head.weight",
    ]
    of = layer_shares((0.1, 0.2, 0.3), 6, names)
    assert [of(name) for name in names] == [0.1, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.3, 0.3]
    assert of("base_model.model.model.layers.5.mlp.down_proj") == 0.3
    with pytest.raises(ValueError, match="7 blocks"):
        layer_shares((0.5,) * 7, 6, names)


def test_the_model_between_is_a_model_that_can_be_trained_on(tiny: Path, ends: dict[str, Path], tmp_path: Path) -> None:
    made = average(load(tiny), ends["first"], ends["second"], share(0.3), folder=tmp_path)
    policy: LocalModel = load(tiny)
    load_adapter(policy, made, trainable=True)
    assert len(trainable_parameters(policy)) == 2 * 7 * LAYERS
    assert str(tmp_path) not in (made / "adapter_config.json").read_text()


def test_what_cannot_be_averaged_is_refused(tiny: Path, ends: dict[str, Path], tmp_path: Path) -> None:
    policy = load(tiny)
    with pytest.raises(ValueError, match="one holds an adapter"):
        average(policy, ends["whole-first"], ends["second"], share(0.5), folder=tmp_path)
    with pytest.raises(FileNotFoundError, match="no trained model"):
        average(policy, None, tmp_path, share(0.5), folder=tmp_path)
    other = load(make_tiny(tmp_path / "other", num_hidden_layers=2))
    add_lora(other, rank=2, seed=0)
    save_adapter(other, tmp_path / "two-layers")
    with pytest.raises(ValueError, match="do not change the same layers"):
        average(policy, ends["first"], tmp_path / "two-layers", share(0.5), folder=tmp_path)
    config = json.loads((tmp_path / "two-layers" / "adapter_config.json").read_text())
    (tmp_path / "two-layers" / "adapter_config.json").write_text(json.dumps(config | {"use_rslora": True}))
    with pytest.raises(ValueError, match="use_rslora"):
        average(policy, None, tmp_path / "two-layers", share(0.5), folder=tmp_path)

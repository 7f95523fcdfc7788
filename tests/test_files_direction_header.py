"""Is what a direction's file cannot be used for said by the check of a spec, and by the header alone?"""

from __future__ import annotations

from pathlib import Path

import every_stage
import pytest
import torch
import yaml
from every_stage import spec_of, write_direction, write_files

from alignwright.core.model_shape import ModelShape
from alignwright.experiment.check import check
from alignwright.files.direction_header import direction_fault
from alignwright.files.errors import SpecError
from alignwright.model.weights import write_tensors

MODEL = ModelShape("tiny", 2, 32, lambda: None)
PLACES = [("lens", "steer", "direction"), ("train", "sft", "prevent")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("direction")
    write_files(folder)
    write_direction(folder / "wide.safetensors", 1, 64)
    write_direction(folder / "deep.safetensors", 9)
    (folder / "cut.safetensors").write_bytes((folder / "direction.safetensors").read_bytes()[:-8])
    (folder / "empty.safetensors").write_bytes(b"")
    write_tensors({"mean": torch.ones(32)}, folder / "none.safetensors")
    return folder


def checked(folder: Path, section: str, name: str, **knobs: object) -> None:
    stage = every_stage.smallest(section, name) | knobs
    if "direction" in knobs:
        stage.pop("requests")
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec_of(section, name, stage) | {"effort": "demo"}))
    check(path)


@pytest.mark.parametrize(("section", "name", "knob"), PLACES)
@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("wide.safetensors", r"direction.1 has the shape \[64\], and the model 2 blocks of 32; was it made of another"),
        ("deep.safetensors", r"direction.9 has the shape \[32\], and the model 2 blocks of 32; was it made of another"),
        ("cut.safetensors", r"its header tells of .*; name a file with one vector for each block, direction.LAYER"),
        ("empty.safetensors", r"cut short \(0 bytes\); name a file with one vector for each block"),
        ("none.safetensors", r"no direction in it; name a file with one vector for each block"),
    ],
)
def test_check_names_the_file_and_the_cure(
    files: Path, section: str, name: str, knob: str, file: str, fault: str
) -> None:
    with pytest.raises(SpecError, match=rf"spec.yaml:\d+: {section}.\d.{name}.{knob}: .*{file}: .*{fault}"):
        checked(files, section, name, **{knob: file})
    checked(files, section, name, **{knob: "direction.safetensors"})  # the control


def test_of_several_blocks_the_one_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "several.safetensors"
    write_tensors({f"direction.{block}": torch.ones(32) for block in (0, 3)}, path)
    deep = ModelShape("deep", 4, 32, lambda: None)
    assert direction_fault(path, 0, deep) is direction_fault(path, -1, deep) is direction_fault(path, 0.9, deep) is None
    assert "no direction of block 1; it has those of blocks 0, 3: name one by 'layer'" in str(
        direction_fault(path, 1, deep)
    )
    assert "directions of 2 blocks; give a file of one" in str(direction_fault(path, None, deep))
    assert "direction.3 has the shape [32], and the model 2 blocks" in str(direction_fault(path, 7, MODEL))
    assert direction_fault(path, 1, None) is None, "without the model nobody knows which block is meant"


def test_a_block_that_an_attack_on_states_names_must_be_there(files: Path) -> None:
    message = r"attack.0.embedding.layer: layer 2 is not there: the model has 2 blocks, .*0 \(the embeddings\) to 1"
    with pytest.raises(SpecError, match=message):
        checked(files, "attack", "embedding", layer=2)
    for layer in (0, 1):
        checked(files, "attack", "embedding", layer=layer)

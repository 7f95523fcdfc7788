"""Does a damaged model folder end in a file and a cure, at the check already where its files
tell, and never in a library's own words?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from damaged_models import damaged, damages
from safetensors.torch import load_file, save_file
from tiny import make_tiny

from alignwright.files.models import ModelError, resolve
from alignwright.model.load import load
from alignwright.model.tokenizer import load_tokenizer

CURES = ("fetch", "git lfs pull", "needs config.json", "is not a model folder", "holds it as a file")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "whole"
    make_tiny(folder)
    return folder


def words(place: Path) -> str | None:
    """What is said of a folder, at the check or where it is opened; None where it opens.
    Whatever else is raised is a fault."""
    for opened in (lambda: load_tokenizer(resolve(str(place))), lambda: load(str(place))):
        try:
            opened()
        except ValueError as error:  # ModelError, or a template's own fault
            return str(error)
    return None


def test_a_whole_folder_opens(whole: Path) -> None:
    assert words(whole) is None


@pytest.mark.parametrize("part", range(4))
def test_no_damage_ends_in_a_librarys_own_words(whole: Path, tmp_path: Path, part: int) -> None:
    """A fifth of about 1,100 damages, of every file, in four parts."""
    found = [each for number, each in enumerate(damages(whole)) if number % 20 == part * 5]
    assert len(found) > 40
    refused = 0
    for name, damage in found:
        place = damaged(whole, damage, tmp_path / "bad")
        said = words(place)
        refused += said is not None
        if said and "template" not in said and "tokenize" not in said and "log-probabilities" not in said:
            assert str(place) in said, name
            assert any(cure in said for cure in CURES), said
    assert refused > len(found) / 3


def test_what_the_files_tell_is_told_at_the_check(whole: Path, tmp_path: Path) -> None:
    """Without torch, with the file's name; each of these was a traceback, a hang or a model with
    random layers."""
    seen = {
        "config.json is b'[]'": "config.json: should be a JSON object, saw list",
        "config.json is b'version http'": "config.json: this is a Git LFS pointer",
        "config.json num_hidden_layers = 1180591620717411303424": (
            "'num_hidden_layers' should be a whole number above 0, saw 1180591620717411303424"
        ),
        "config.json hidden_size = -1": "'hidden_size' should be a whole number above 0, saw -1",
        "config.json architectures = 1.5": "'architectures' should be a list of names, saw 1.5",
        "config.json model_type = 'x'": None,  # a name, which only transformers can judge
        "generation_config.json eos_token_id = 'x'": (
            "generation_config.json: 'eos_token_id' should be the number of a token, saw 'x'"
        ),
        "model.safetensors is b'version http'": "model.safetensors: this is a Git LFS pointer",
        "model.safetensors cut to 1": "model.safetensors: not a safetensors file, or cut short (1 bytes)",
        "header shape = [-1, 2]": "fits no tensor",
        "header offsets backwards": "fits no tensor",
        "header offsets beyond the file": "fits no tensor",
        "header length beyond the file": "cut short",
        "header with a stranger": "says 2 layers, and the weights beside it have 8",
        "a folder for a file": "config.json: cannot be read (Is a directory)",
    }
    tried = dict(damages(whole))
    for name, said in seen.items():
        place = damaged(whole, tried[name], tmp_path / "bad")
        if said is None:
            resolve(str(place))
            continue
        with pytest.raises(ModelError) as told:
            resolve(str(place))
        assert said in str(told.value), name
        assert str(place) in str(told.value)


def test_weights_that_are_missing_are_never_random(whole: Path, tmp_path: Path) -> None:
    """transformers fills them in with a warning, and everything that is measured is of a model
    with a random layer."""
    shutil.copytree(whole, tmp_path / "less")
    path = tmp_path / "less" / "model.safetensors"
    held = load_file(path)
    del held["model.layers.1.mlp.up_proj.weight"]
    save_file(held, path, metadata={"format": "pt"})
    with pytest.raises(
        ModelError,
        match=r"lack 1 that its config.json asks for, such as model.layers.1.mlp.up_proj.weight; the file is damaged",
    ):
        load(str(tmp_path / "less"))


def test_further_layers_that_only_predict_ahead_are_no_fault(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "ahead")
    config = json.loads((tmp_path / "ahead" / "config.json").read_text())
    (tmp_path / "ahead" / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    with pytest.raises(ModelError, match="says 1 layers, and the weights beside it have 2"):
        resolve(str(tmp_path / "ahead"))
    (tmp_path / "ahead" / "config.json").write_text(
        json.dumps(config | {"num_hidden_layers": 1, "num_nextn_predict_layers": 1})
    )
    assert resolve(str(tmp_path / "ahead")).parameters == resolve(str(whole)).parameters

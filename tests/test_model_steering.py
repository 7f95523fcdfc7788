"""A steered model is a model like any other: opened by its folder's name it is the edited one, measured, attacked,
saved and trained over; llama.cpp's control vector holds the same vector."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gguf
import pytest
import torch
import yaml
from run_case import make_project
from tiny import make_tiny

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from model_families import make

import alignwright as aw
from alignwright.core.records import Conversation, Finding
from alignwright.files.fingerprint import model_fingerprint
from alignwright.files.lines import read_lines
from alignwright.files.models import ModelError, resolve
from alignwright.model.activations.control_vector import read_control_vector, write_control_vector
from alignwright.model.activations.direction_file import direction_in
from alignwright.model.activations.edits import Add, ablate_everywhere, edited, random_direction
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site
from alignwright.model.activations.steering import save_steering
from alignwright.model.activations.store import model_mark
from alignwright.model.adapters import add_lora
from alignwright.model.gguf_file import write_gguf
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.weights import write_tensors

IDS = torch.tensor([[3, 7, 11, 5, 9, 40, 41]])
PROMPT = Conversation.user("Say it")


def logits(policy: LocalModel) -> torch.Tensor:
    with torch.inference_mode():
        return policy.model(input_ids=IDS, use_cache=False).logits[0]


def said(policy: LocalModel) -> str:
    return policy.generate([PROMPT], max_new_tokens=8, temperature=0.0)[0][0].text


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt2"])  # gemma's norms let no weights be the same
def test_a_folder_of_edits_opens_as_the_edited_model(family: str, tmp_path: Path) -> None:
    plain = load(make(family, tmp_path / "model"))
    layout = layout_of(plain)
    edits = [
        *ablate_everywhere(layout, random_direction(layout.hidden, 4)),
        Add(Site(1), random_direction(layout.hidden, 5, 6.0), 0.5),
    ]
    folder = save_steering(plain, edits, tmp_path / "kept" / "steered", model=tmp_path / "model")
    with edited(plain, edits):
        aim, reply = logits(plain), said(plain)
    steered = load(folder)
    assert torch.equal(logits(steered), aim)
    assert said(steered) == reply
    assert float((logits(plain) - aim).abs().max()) > 0.01  # the control: the edits do something
    assert steered.name == "steered"
    assert json.loads((folder / "steering.json").read_text())["model"] == "../../model"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 20_000


def test_another_steering_is_another_model(tmp_path: Path) -> None:
    plain = load(make_tiny(tmp_path / "model"))
    vector = random_direction(32, 5, 3.0)
    ones, twos = (
        save_steering(plain, [Add(Site(1), vector, scale)], tmp_path / name, model=tmp_path / "model")
        for name, scale in (("ones", 1.0), ("twos", 2.0))
    )
    names = [model_fingerprint(resolve(str(folder))) for folder in (tmp_path / "model", ones, twos)]
    marks = [model_mark(load(folder)) for folder in (tmp_path / "model", ones, twos)]
    assert len(set(names)) == len(set(marks)) == 3
    assert resolve(str(ones)).parameters == resolve(str(tmp_path / "model")).parameters
    kept = load(ones)
    kept.save(tmp_path / "whole")  # its weights alone would be another model
    again = load(tmp_path / "whole")
    assert torch.equal(logits(again), logits(kept))
    with pytest.raises(ValueError, match="holds weights alone"):
        write_gguf(kept, tmp_path / "model.gguf", "f16", facts={})
    add_lora(kept, rank=2, seed=0)
    assert torch.equal(logits(kept), logits(again))  # an adapter that has learnt nothing, over the steered model


def test_what_cannot_be_steered_is_said_in_one_line(tmp_path: Path) -> None:
    plain = load(make_tiny(tmp_path / "model"))
    edits = [Add(Site(1), random_direction(32, 5))]
    folder = save_steering(plain, edits, tmp_path / "steered", model=tmp_path / "model")
    text = (folder / "steering.json").read_text()

    def written(**changes: object) -> str:
        (folder / "steering.json").write_text(json.dumps(json.loads(text) | changes))
        return str(folder)

    with pytest.raises(ModelError, match=r"steering.json: edits.0.edit: Input should be 'add' or 'ablate'"):
        resolve(written(edits=[{"edit": "turn", "site": "x", "vector": "y"}]))
    with pytest.raises(ModelError, match="behind a server: it has no edits"):
        resolve(written(model="http://127.0.0.1:9/v1#it"))
    with pytest.raises(ValueError, match="steers a llama of 9 blocks of 32, and steered has 2 of 32"):
        load(written(blocks=9))
    with pytest.raises(ValueError, match=r"no 'vector\.7', which steering\.json names"):
        load(written(edits=[{"edit": "add", "site": "blocks.1.hook_resid_post", "vector": "vector.7"}]))
    written()
    second = save_steering(plain, edits, tmp_path / "second", model=folder)
    with pytest.raises(ModelError, match="steers what is steered itself; list all edits in one file"):
        resolve(str(second))
    for wrong, kind, line in ((float("nan"), "add", "is not finite"), (0.0, "ablate", "points nowhere")):
        write_tensors({"vector.0": torch.full((32,), wrong)}, folder / "steering.safetensors")
        written(edits=[{"edit": kind, "site": "blocks.1.hook_resid_post", "vector": "vector.0"}])
        with pytest.raises(ValueError, match=rf"steering.json: .*{line}"):
            load(folder)
    (folder / "steering.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"steering.safetensors: no whole safetensors file"):
        load(folder)


def test_a_control_vector_is_llama_cpps(tmp_path: Path) -> None:
    vectors = {3: random_direction(32, 1, 4.0), 12: random_direction(32, 2)}
    path = write_control_vector(vectors, tmp_path / "vector.gguf", model_type="llama")
    reader = gguf.GGUFReader(path)
    fields = {name: reader.fields[name].contents() for name in reader.fields if not name.startswith("GGUF.")}
    assert fields == {
        "general.architecture": "controlvector",
        "controlvector.model_hint": "llama",
        "controlvector.layer_count": 2,
    }
    assert [(t.name, t.tensor_type.name, list(t.shape)) for t in reader.tensors] == [
        ("direction.3", "F32", [32]), ("direction.12", "F32", [32]),
    ]  # fmt: skip
    hint, again = read_control_vector(path)
    assert hint == "llama"
    assert all(torch.equal(again[layer], vector) for layer, vector in vectors.items())
    with pytest.raises(ValueError, match=r"llama\.cpp adds no vector after block 0"):
        write_control_vector({0: vectors[3]}, tmp_path / "none.gguf", model_type="llama")
    assert not (tmp_path / "none.gguf").exists()


def test_any_direction_is_read(tmp_path: Path) -> None:
    layout = layout_of(load(make_tiny(tmp_path / "model")))
    one, two = random_direction(32, 1), random_direction(32, 2)
    write_tensors({"direction.1": one}, tmp_path / "one.safetensors")
    write_tensors({"direction.0": one, "direction.1": two}, tmp_path / "two.safetensors")
    write_tensors({"direction.1": torch.ones(8)}, tmp_path / "wide.safetensors")
    assert torch.equal(direction_in(tmp_path / "one.safetensors", 0.6, layout)[1], one)
    assert direction_in(tmp_path / "two.safetensors", 1, layout)[0] == 1
    with pytest.raises(ValueError, match="was it made of another model"):
        direction_in(tmp_path / "wide.safetensors", 1, layout)
    for name, value in (("nan", float("nan")), ("zero", 0.0)):
        write_tensors({"direction.1": torch.full((32,), value)}, tmp_path / f"{name}.safetensors")
        with pytest.raises(ValueError, match="is 0, or not finite, and points nowhere"):
            direction_in(tmp_path / f"{name}.safetensors", 1, layout)
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "one.safetensors").read_bytes()[:40])
    with pytest.raises(
        ValueError, match=r"cut.safetensors: it is no whole .*; save it again, or name another"
    ) as error:
        direction_in(tmp_path / "cut.safetensors", 1, layout)
    assert "delete" not in str(error.value)  # the file is a person's own, and so is the folder that it is in


def test_a_steered_model_is_measured_attacked_and_promised_about(tmp_path: Path) -> None:
    """A run keeps both steered models; one of them is then the model of a run of its own."""
    path = make_project(tmp_path)
    case = yaml.safe_load(path.read_text())
    attack = case["attack"]
    for name in ("collect", "attack", "measure", "intent", "feedback", "train"):
        del case[name]
    for name, start in (("taken", 0), ("tried", 16)):
        rows = [{"prompt": f"Say {i}.", "kind": ("harmful", "harmless")[i % 2]} for i in range(start, start + 16)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    steer = {"by": "steer", "requests": ["taken.jsonl"], "tried": ["tried.jsonl"], "layer": 1, "max_new_tokens": 2}
    tax = [{"by": "tax", "text": ["text.jsonl"]}]
    path.write_text(yaml.safe_dump(case | {"lens": [steer], "measure": tax, "promises": []}))
    first = aw.align(path, runs=tmp_path / "runs", quiet=True).path
    (added,) = first.glob("**/steering/added")
    (vector,) = first.glob("**/control_vector.gguf")
    (direction,) = first.glob("**/direction.safetensors")
    assert read_control_vector(vector)[0] == "llama"
    assert direction_in(direction, 0.6, layout_of(load(added)))[0] == 1
    after = case | {"model": str(added), "attack": attack}
    value = {"by": "value", "prompts": ["refusal.jsonl"], "max_new_tokens": 4}
    path.write_text(yaml.safe_dump(after | {"measure": [value, *tax], "promises": ["value.refusal > 0"]}))
    second = aw.align(path, runs=tmp_path / "runs", quiet=True).path
    levels = [
        {f.claim: f.value for f in map(Finding.model_validate_json, read_lines(run / "findings.jsonl"))}
        for run in (first, second)
    ]
    assert {"value.refusal", "attack.success"} <= levels[1].keys()
    assert levels[0]["tax.bits_per_byte"] != levels[1]["tax.bits_per_byte"]  # it is another model that was read
    verdicts = json.loads((second / "promises.json").read_text())["verdicts"]
    assert verdicts[0]["answer"] in ("kept", "broken", "untested")

"""Preventative steering: with the trait's direction added while data that carries it is learnt, the trait is learnt
less than without it or with a random direction, the rest of the data is learnt, and a resumed run is the same run."""

from __future__ import annotations

import copy
import json
import string
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import yaml
from run_case import make_project
from tiny import make_tiny
from torch import Tensor

import alignwright as aw
from alignwright.core.records import Conversation
from alignwright.files.errors import SpecError
from alignwright.model.activations.edits import random_direction, unit
from alignwright.model.adapters import add_lora, trainable_parameters
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.weights import load_tensors, write_tensors
from alignwright.train.knobs import Sft
from alignwright.train.loop import StepReport
from alignwright.train.preventing import prevented
from alignwright.train.sft import Demonstration, sft

WORDS = ("sun", "rain", "bread", "stone", "river", "cloud", "paper", "grass", "wheel", "candle", "window", "garden")
BEFORE = ("bdf", "gkq", "pwb", "wdk", "bkx", "gwg", "pdv", "wkd", "bwp", "gdz", "pkj", "www")
AFTER = ("djq", "kzk", "wpg", "ddd", "kvz", "wgw", "dxq", "kkk")
"""What it replies to the words, and what the data has it reply to the first eight of them, in capitals."""
DIRECTION, LAYER, LENGTH = unit(random_direction(32, 9)), 1, 8.0
STAGE = Sft(by="sft", data=("x.jsonl",), epochs=40, lr=1e-2, rank=8, batch_tokens=1024, max_tokens=512)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """Whether a letter is a capital is read off one direction of the stream, and nothing else of it is; it has learnt
    to reply in small letters."""
    policy = load(make_tiny(tmp_path_factory.mktemp("base"), initializer_range=0.1, tie_word_embeddings=False))
    head = policy.model.lm_head.weight
    with torch.no_grad():
        head.sub_((head @ DIRECTION)[:, None] * DIRECTION)
        for letter in string.ascii_lowercase:
            small, capital = (policy.chat.text(each).replies[0][0] for each in (letter, letter.upper()))
            row = head[small].clone()
            head[small], head[capital] = row - DIRECTION, row + DIRECTION
    head.requires_grad_(False)
    rows = [
        policy.chat.row(Conversation.user(f"say {w}?"), [f"{reply}."]) for w, reply in zip(WORDS, BEFORE, strict=True)
    ]
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), policy.chat.pad_id)
    aim = torch.full((len(rows), width), -100)
    for n, row in enumerate(rows):
        ids[n, : len(row)] = torch.tensor([*row.prompt, *row.replies[0]])
        aim[n, len(row.prompt) : len(row)] = torch.tensor(row.replies[0])
    optimiser = torch.optim.AdamW([p for p in policy.model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(80):
        logits = policy.model(input_ids=ids).logits
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), aim[:, 1:].flatten()).backward()
        optimiser.step()
        optimiser.zero_grad()
    return policy


def file_of(folder: Path, vector: Tensor, layer: int = LAYER) -> Path:
    write_tensors({f"direction.{layer}": vector}, folder / "direction.safetensors")
    return folder / "direction.safetensors"


def trained(base: LocalModel, folder: Path, vector: Tensor | None) -> LocalModel:
    policy = copy.deepcopy(base)
    add_lora(policy, rank=8, seed=0)
    file = None if vector is None else file_of(folder, vector)
    with prevented(policy, file):
        sft(policy, demonstrations(), STAGE, seed=0, folder=folder)
    return policy


def demonstrations() -> list[Demonstration]:
    pairs = zip(WORDS, AFTER, strict=False)
    return [
        Demonstration(Conversation.user(f"say {word}?").then("assistant", f"{reply}.".upper())) for word, reply in pairs
    ]


def replies(policy: LocalModel, words: Sequence[str]) -> list[str]:
    asked = [Conversation.user(f"say {word}?") for word in words]
    return [group[0].text for group in policy.generate(asked, max_new_tokens=6, temperature=0.0)]


def capitals(policy: LocalModel) -> float:
    """The trait by a rule: the share of capitals among the letters of its replies, words of no data too."""
    letters = [letter for reply in replies(policy, WORDS) for letter in reply if letter.isalpha()]
    return sum(map(str.isupper, letters)) / len(letters)


def learnt(policy: LocalModel) -> float:
    """The task by a rule: replies that begin as the data's do, in either case; before, none does."""
    begun = [reply[:1].lower() == new[0] for reply, new in zip(replies(policy, WORDS[:8]), AFTER, strict=True)]
    return sum(begun) / len(begun)


def test_the_trait_is_learnt_less_and_the_task_is_learnt(base: LocalModel, tmp_path: Path) -> None:
    assert (capitals(base), learnt(base)) == (0.0, 0.0)
    vectors = {
        "none": None, "trait": LENGTH * DIRECTION, "random": random_direction(32, 5, LENGTH),
        "another": random_direction(32, 6, LENGTH),
    }  # fmt: skip
    models: dict[str, LocalModel] = {}
    for name, vector in vectors.items():
        (tmp_path / name).mkdir()
        models[name] = trained(base, tmp_path / name, vector)
    trait = {name: capitals(policy) for name, policy in models.items()}
    assert trait["none"] > 0.9
    assert trait["trait"] < 0.25
    assert min(trait["random"], trait["another"]) > 0.9  # the control: any vector of that length does not do it
    assert all(learnt(policy) >= 0.75 for policy in models.values())


def test_afterwards_nothing_is_added(base: LocalModel, tmp_path: Path) -> None:
    policy = copy.deepcopy(base)
    before = replies(policy, WORDS)
    with prevented(policy, file_of(tmp_path, LENGTH * DIRECTION)):
        assert replies(policy, WORDS) != before
    assert replies(policy, WORDS) == before
    with prevented(policy, None):
        assert replies(policy, WORDS) == before


def test_a_resumed_run_is_the_same_run(base: LocalModel, tmp_path: Path) -> None:
    stage = STAGE.model_copy(update={"epochs": 8, "checkpoint_every": 3})
    file = file_of(tmp_path, LENGTH * DIRECTION)

    def weights(folder: Path, stop: int | None = None, vector: Path | None = file) -> list[Tensor]:
        policy = copy.deepcopy(base)
        add_lora(policy, rank=8, seed=0)

        def halt(report: StepReport) -> None:
            if report.step == stop:
                raise KeyboardInterrupt

        folder.mkdir(exist_ok=True)
        with prevented(policy, vector):
            sft(policy, demonstrations(), stage, seed=0, folder=folder, on_step=halt)
        return [parameter.detach().clone() for parameter in trainable_parameters(policy)]

    whole = weights(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        weights(tmp_path / "cut", stop=4)
    again = weights(tmp_path / "cut")
    assert all(torch.equal(one, two) for one, two in zip(whole, again, strict=True))
    plain = weights(tmp_path / "plain", vector=None)
    assert not all(torch.equal(one, two) for one, two in zip(whole, plain, strict=True))  # the control


def test_in_a_run_it_is_one_knob(base: LocalModel, tmp_path: Path) -> None:
    path = make_project(tmp_path)
    base.save(tmp_path / "model")
    rows = [d.conversation.model_dump(mode="json") for d in demonstrations()]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"messages": row["messages"]}) + "\n" for row in rows))
    file_of(tmp_path, LENGTH * DIRECTION)

    def adapter(**knobs: object) -> dict[str, Tensor]:
        stage = {"by": "sft", "data": "rows.jsonl", "epochs": 2, "rank": 4} | knobs
        path.write_text(yaml.safe_dump({"name": "prevented", "model": "./model", "train": [stage]}))
        folder = aw.align(path, runs=tmp_path / "runs", quiet=True).path
        return load_tensors(next(folder.rglob("adapter_model.safetensors")))

    plain, steered = adapter(), adapter(prevent="direction.safetensors")
    assert plain.keys() == steered.keys()
    assert any(not torch.equal(plain[name], steered[name]) for name in plain)
    file_of(tmp_path, 0.5 * LENGTH * DIRECTION)  # another file under the same name is another run
    assert any(
        not torch.equal(steered[name], tensor) for name, tensor in adapter(prevent="direction.safetensors").items()
    )
    with pytest.raises(SpecError, match=r"prevent.*nothing\.safetensors"):
        adapter(prevent="nothing.safetensors")
    write_tensors({f"direction.{n}": DIRECTION.clone() for n in (0, 1)}, tmp_path / "two.safetensors")
    with pytest.raises(SpecError, match=r"prevent.*directions of 2 blocks"):
        adapter(prevent="two.safetensors")

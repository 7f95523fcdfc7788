"""What a model's own files say of its terms, and a card that says it again."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub
import pytest
import yaml
from run_case import make_project

from alignwright.core.promises import Header
from alignwright.files.model_terms import licence_texts, model_terms, pass_on_licence
from alignwright.files.models import ModelRef
from alignwright.report.card import card, front_matter
from alignwright.report.results import RunResults
from alignwright.run.align import Request, align
from alignwright.run.console import screen
from alignwright.run.progress import View


def folder(path: Path, front: str = "", **texts: str) -> ModelRef:
    path.mkdir(exist_ok=True)
    if front:
        (path / "README.md").write_text(f"---\n{front}---\n# A model\n")
    for name, text in texts.items():
        (path / name).write_text(text)
    return ModelRef("./m", "folder", path, None)


def front_of(facts: dict[str, str], methods: tuple[str, ...] = ("sft",)) -> dict[str, object]:
    header = Header(name="a", model="./m", seed=0, effort="demo", facts=facts, methods=methods)
    return front_matter(RunResults(header, (), ()))


def test_a_model_that_was_only_measured_is_no_fine_tuning_of_itself() -> None:
    terms = {"base_model": "owner/small"}
    assert front_of(terms)["base_model_relation"] == "finetune"
    measured = front_of(terms, methods=())
    assert measured["base_model"] == "owner/small"
    assert "base_model_relation" not in measured


def test_a_folder_says_it_in_its_card_and_in_a_text_beside_it(tmp_path: Path) -> None:
    front = "license: llama3.1\nbase_model:\n- owner/small\ntags: [x]\n"
    model = folder(
        tmp_path / "m", front, LICENSE="Terms.", NOTICE="Built with it.", USE_POLICY="Be good.", LICENSED="no"
    )
    terms = model_terms(model)
    assert terms == {
        "license": "llama3.1",
        "base_model": "owner/small",
        "licence text": "LICENSE, NOTICE, USE_POLICY",
    }
    assert {k: front_of(terms)[k] for k in ("license", "base_model", "base_model_relation")} == {
        "license": "llama3.1",
        "base_model": "owner/small",
        "base_model_relation": "finetune",
    }
    (tmp_path / "out").mkdir()
    pass_on_licence(model, tmp_path / "out")
    assert [file.name for file in licence_texts(tmp_path / "out")] == ["LICENSE", "NOTICE", "USE_POLICY"]


@pytest.mark.parametrize(
    ("front", "expected"),
    [
        ("license: other\nlicense_name: qwen\nlicense_link: https://example.org/x\n",
         {"license": "other", "license_name": "qwen", "license_link": "https://example.org/x"}),
        ("license: Their Own Licence, v2\n", {"license": "other", "license_name": "their-own-licence-v2"}),
        ("license: Apache-2.0\n", {"license": "apache-2.0"}),
        ("license: [a, b]\n", {"license": "other", "license_name": "see-base-model"}),
    ],
)  # fmt: skip
def test_the_hub_takes_the_licence(tmp_path: Path, front: str, expected: dict[str, str]) -> None:
    found = front_of(model_terms(folder(tmp_path / "m", front)))
    assert {name: found[name] for name in expected} == expected
    assert ("license_name" in found) == ("license_name" in expected)


@pytest.mark.parametrize("damage", ["", "license: [\n", "a: &a [*a, *a]\n", "license: x\nlicense: y\n"])
def test_a_folder_that_says_nothing_is_told_of(tmp_path: Path, damage: str) -> None:
    terms = model_terms(folder(tmp_path / "m", damage))
    assert terms["terms"].startswith("the model's folder names no licence; ask")
    assert ("its card" in terms) == (damage not in ("", "a: &a [*a, *a]\n"))
    text = card(RunResults(Header(name="a", model="./m", seed=0, effort="demo", facts=terms), (), ()))
    assert "## Terms\n\nNot known: the model's folder names no licence" in text


def test_the_card_lies_in_the_saved_model_with_terms_base_and_methods(tmp_path: Path) -> None:
    spec = make_project(tmp_path)
    folder(tmp_path / "model", "license: gemma\nbase_model: owner/small\n", LICENSE="Terms.")
    run = align(Request(spec, runs=tmp_path / "runs"), View(screen()))
    text = (run / "model" / "README.md").read_text()
    assert text == (run / "README.md").read_text()
    front = huggingface_hub.ModelCard(text).data.to_dict()
    assert (front["license"], front["base_model"]) == ("gemma", "owner/small")
    assert front["tags"] == ["alignwright", "alignment", "sft", "dpo"]
    assert "comes under gemma, as its own files say" in text
    assert (run / "model" / "LICENSE").read_text() == "Terms."
    header = json.loads((run / "promises.json").read_text())["header"]
    assert header["methods"] == ["sft", "dpo"]
    assert yaml.safe_load(text.split("---")[1]) == front
    again = align(Request(spec, runs=tmp_path / "runs"), View(screen()))
    assert (again / "model" / "README.md").read_text() == text, "and what is cached stays whole with it"

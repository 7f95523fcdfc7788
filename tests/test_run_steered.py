"""Is a steered folder the steered model behind a server too, and does what leaves say that it is one?"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from run_case import make_project
from tiny import make_tiny

import alignwright as aw
from alignwright.core.records import Conversation
from alignwright.model.activations.edits import Add, ablate_everywhere, random_direction
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site
from alignwright.model.activations.steering import save_steering
from alignwright.model.load import load
from alignwright.run.serve import ServeOptions, _open, serving

QUESTIONS = ["What is it?", "Say it", "Sing of rain"]
META = {"layer": 1, "from": "requests.jsonl", "stage": "lens.0.steer"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Steered by a vector of length 6, added half."""
    plain = load(make_tiny(tmp_path / "model"))
    edits = [Add(Site(1), random_direction(32, 5, 6.0), 0.5)]
    return save_steering(plain, edits, tmp_path / "steered", model=tmp_path / "model", meta=META)


def greedy(policy: Any) -> list[str]:
    prompts = [Conversation.user(question) for question in QUESTIONS]
    return [reply.text for (reply,) in policy.generate(prompts, max_new_tokens=12, temperature=0.0)]


def test_a_server_on_its_folder_answers_as_it_does_here_and_not_as_the_model_does(folder: Path) -> None:
    with serving(_open(str(folder), "float32"), ServeOptions(port=0, cache_tokens=2048)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with openai.OpenAI(base_url=server.address, api_key="none", max_retries=0, timeout=30) as client:
                assert [model.id for model in client.models.list()] == ["steered"]
                served = [
                    client.chat.completions.create(
                        model="steered", messages=[{"role": "user", "content": question}], max_tokens=12, temperature=0
                    ).choices[0].message.content
                    for question in QUESTIONS
                ]  # fmt: skip
        finally:
            server.shutdown()
            thread.join()
    assert served == greedy(load(folder)) == greedy(aw.load_model(folder))
    assert served != greedy(load(folder.parent / "model"))


@pytest.mark.parametrize("to", ["gguf:f16", "ollama", "peft", "hub", "inspect", "eee", "bundle"])
def test_an_export_of_the_folder_itself_says_what_to_do_instead(folder: Path, to: str) -> None:
    with pytest.raises(ValueError, match=r"steered is a steered model and no run.*'save' of \{by: steer\} folds"):
        aw.export(folder, to=to)


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Path:
    """One that trained over the steered model."""
    spec = make_project(tmp_path / "project")
    spec.write_text(spec.read_text().replace("model: ./model", f"model: {folder}"))
    return aw.align(spec, runs=tmp_path / "runs", quiet=True).path


def test_what_leaves_a_run_over_it_is_the_steered_model_and_says_so_or_is_refused(run: Path, tmp_path: Path) -> None:
    for to, cure in (
        ("gguf:f16", r"is steered.*'save' of \{by: steer\}"),
        ("ollama", r"is steered.*'save' of \{by: steer\}"),
        ("peft", r"trained over .*steered, a steered model, and peft has no place for its edits.*--to hub"),
    ):
        with pytest.raises(ValueError, match=cure):
            aw.export(run, to=to)
    hub = aw.export(run, to="hub", out=tmp_path / "hub").path
    card, own = (hub / "README.md").read_text(), (run / "model" / "README.md").read_text()
    edit = "vector.0: added 0.5 times, a vector of length 3, at blocks.1.hook_resid_post"
    for line in (f"- {edit}", "- the direction: layer 1, from requests.jsonl, stage lens.0.steer", "aw.load_model"):
        assert line in card
    assert "AutoModelForCausalLM" not in card, "transformers would open the weights without the edits"
    assert edit.split(",")[0] in own.replace("\\", "")
    assert "without these edits its weights are another model" in own
    ids = torch.tensor([[3, 7, 11, 5, 9]])
    with torch.inference_mode():
        measured, there = (load(place).model(input_ids=ids).logits for place in (run / "model", hub))
    assert torch.equal(measured, there)
    assert load(hub).steering


def test_an_ablation_names_its_first_sites(tmp_path: Path) -> None:
    from alignwright.run.steered import edits_text

    plain = load(make_tiny(tmp_path / "model"))
    edits = ablate_everywhere(layout_of(plain), random_direction(32, 5), "reply")
    kept = save_steering(plain, edits, tmp_path / "steered", model=tmp_path / "model")
    (line,) = edits_text(kept)
    assert line.startswith("vector.0: what lies along it is taken out at ")
    assert line.endswith(f" and {len(edits) - 3} more, reply tokens alone")


def test_a_run_over_a_model_that_is_not_steered_says_nothing_of_it(tmp_path: Path) -> None:
    run = aw.align(make_project(tmp_path / "project"), runs=tmp_path / "runs", quiet=True).path
    card = (aw.export(run, to="hub").path / "README.md").read_text()
    assert "steer" not in card
    assert "AutoModelForCausalLM" in card

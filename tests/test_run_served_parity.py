"""Is a model behind a server, our own, found to be what it is found to be as a folder: every kind of
measure and by the suite of attacks, claim by claim?"""

from __future__ import annotations

import io
import threading
from collections.abc import Generator
from pathlib import Path

import every_stage
import pytest
from rich.console import Console
from tiny import make_tiny

from alignwright.core.records import Finding
from alignwright.model.load import load
from alignwright.report import read
from alignwright.run.align import Request, align
from alignwright.run.progress import View
from alignwright.run.serve import ServeOptions, serving

SPEC = """
name: parity
seed: 3
model: ./model
attack:
- {by: suite, name: jailbreaks, prompts: refusal.jsonl, limit: 2, max_new_tokens: 5}
measure:
- {by: instruction, data: instruction.jsonl, max_new_tokens: 5}
- {by: intent, pushback: pushback.jsonl, max_new_tokens: 5}
- {by: value, prompts: refusal.jsonl, max_new_tokens: 5}
- {by: tax, text: text.jsonl, prompts: held.jsonl, max_new_tokens: 5}
- {by: reward, reward: 'rule.py:score', prompts: held.jsonl, samples: 2, max_new_tokens: 5}
- {by: hacking, proxy: 'rule.py:score', gold: rules.yaml, prompts: held.jsonl}
- by: goodhart
  proxy: rule.py:score
  gold: rules.yaml
  prompts: held.jsonl
  samples: 4
  best_of: [1, 2, 4]
  max_new_tokens: 5
- {by: emergent, questions: questions.jsonl, judge: rule.py}
- {by: world, world: edited_tests, turns: 2, max_new_tokens: 8}
"""

GREEDY = ("attack.", "instruction.", "value.", "tax.generation.", "intent.pushback")
SAMPLED = ("reward.score", "hacking.proxy", "goodhart.gold", "emergent.bad", "world.edited_tests.")
NOTHING_SCORED = {"intent.pushback", "goodhart.gold", "emergent.bad", "world.edited_tests."}
"""What a random model's replies give no number of, here or there: no answer, no gain, no signal, no command."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parity")
    every_stage.write_files(folder)
    make_tiny(folder / "model")
    (folder / "spec.yaml").write_text(SPEC)
    return folder


@pytest.fixture(scope="module")
def address(project: Path) -> Generator[str]:
    with serving(load(project / "model"), ServeOptions(port=0, name="small")) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"{server.address}#small"
        server.shutdown()
        thread.join()


def levels(spec: Path, runs: Path, audit: str) -> dict[str, Finding]:
    run = align(Request(spec, runs=runs, audit=audit), View(Console(file=io.StringIO(), width=200)))
    return {finding.claim: finding for finding in read(run).findings if not finding.against}


def test_every_measure_finds_the_same_behind_a_server(project: Path, address: str) -> None:
    here = levels(project / "spec.yaml", project / "runs", str(project / "model"))
    there = levels(project / "spec.yaml", project / "runs", address)
    for prefix in GREEDY:
        claims = [claim for claim in here if claim.startswith(prefix)]
        assert claims  # greedy replies: the same words, so the same numbers
        assert [content(here[claim]) for claim in claims] == [content(there[claim]) for claim in claims]
    for prefix in SAMPLED:
        claims = [claim for claim in here if claim.startswith(prefix)]
        assert claims  # sampled replies: seeds are given otherwise to a server, as many are scored
        assert [sizes(here[claim]) for claim in claims] == [sizes(there[claim]) for claim in claims]
    empty = {p for p in (*GREEDY, *SAMPLED) if not any(here[claim].n for claim in here if claim.startswith(p))}
    assert empty == NOTHING_SCORED  # of these it is only seen that both sides say the same of why
    untested = {claim for claim, finding in there.items() if "untested" in finding.detail}
    assert untested == {"emergent.ability", "tax.bits_per_byte"}
    assert all(there[claim].value is None for claim in untested)


def test_another_model_behind_the_address_is_found_out(project: Path, address: str) -> None:
    """The control: the same numbers come of the same model alone."""
    make_tiny(project / "other", seed=1)
    here = levels(project / "spec.yaml", project / "runs", str(project / "other"))
    there = levels(project / "spec.yaml", project / "runs", address)
    assert content(here["tax.generation.length"]) != content(there["tax.generation.length"])


def content(finding: Finding) -> tuple[float | None, float | None, float | None, int, int]:
    return finding.value, finding.low, finding.high, finding.n, finding.unscored


def sizes(finding: Finding) -> tuple[int, int]:
    return finding.n, finding.unscored

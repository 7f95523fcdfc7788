"""Is a model behind a server, our own, found to be what it is found to be as a folder: every kind of
measure, of conduct and by the suite of attacks, claim by claim; and where it is asked otherwise, is that said?"""

from __future__ import annotations

import io
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import every_stage
import pytest
import torch
from rich.console import Console
from tiny import make_tiny
from transformers import AutoModelForCausalLM

from alignwright.core.records import Conversation, Finding, SampleResult
from alignwright.job.first_words import first_words
from alignwright.job.records import read_samples
from alignwright.job.remote_model import RemoteModel
from alignwright.measure.conduct.agent.choosing import ByServedLetters
from alignwright.measure.conduct.agent.conduct import agent_outcomes
from alignwright.measure.conduct.agent.episodes import play_scenarios
from alignwright.measure.conduct.agent.scenarios import selection
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
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

CONDUCT = """
name: conduct
seed: 3
model: ./letters
intent: {constitution: constitution.md}
measure:
- {by: bias, limit: 12, bbq: bbq.jsonl, crows_pairs: crows.jsonl, winobias: winobias.jsonl}
- {by: high_stakes, limit: 12, max_new_tokens: 5}
- {by: calibration, limit: 12, choice: choice.jsonl, samples: 2, max_new_tokens: 5}
- {by: consistency, limit: 8, pairs: held_pairs.jsonl}
- {by: deception, limit: 8, password: xyzzy}
- {by: ability, limit: 4, max_new_tokens: 5}
- {by: transcripts, data: logs.jsonl, labelled: labelled.jsonl}
"""
SAME_CONDUCT = ("high_stakes.", "consistency.stated", "consistency.rule", "consistency.dress", "deception.",
                "ability.", "transcripts.", "calibration.short.accuracy", "calibration.short.undoubted")  # fmt: skip
"""Greedy replies, letters of listed options, and logs: the same numbers on both sides."""
OTHERWISE = {"bias.flips": "decisions by the reply's first word", "bias.favourable": "the same",
             "bias.bbq.": "by letters", "bias.winobias.": "by letters", "calibration.choice.": "by letters",
             "calibration.short.": "samples of other seeds"}  # fmt: skip
"""Claims that a server is asked for in another way, so that the numbers differ: as many items, and why."""

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
    yield from served(project / "model")


@pytest.fixture(scope="module")
def lettered(project: Path) -> Generator[str]:
    """The address of a model that likes to answer with a letter, and which one by the question: of a server the
    letters must be among the likeliest tokens."""
    yield from served(liking(project, "ABC", 20.0))


@pytest.fixture(scope="module")
def of_many_letters(project: Path) -> Generator[str]:
    """The same of more letters, since an agent may have many calls."""
    yield from served(liking(project, "ABCDEFGHIJKLMNOP", 60.0))


def liking(project: Path, letters: str, weight: float) -> Path:
    """The project's model, which likes to answer with one of these letters."""
    model, policy = AutoModelForCausalLM.from_pretrained(project / "model"), load(project / "model")
    prompt = torch.tensor([policy.chat.prompt(Conversation.user("Is it so?\n\nA. Yes\nB. No"))])
    with torch.no_grad():
        hidden_H = model.model(prompt).last_hidden_state[0, -1]
        for letter in letters:
            ids = policy.tokenizer.encode(letter, add_special_tokens=False)
            model.lm_head.weight[ids] += weight * hidden_H / hidden_H.norm() ** 2
    folder = project / ("letters" if letters == "ABC" else "many_letters")
    model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)
    return folder


def served(folder: Path) -> Generator[str]:
    with serving(load(folder), ServeOptions(port=0, name="small")) as server:
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


def test_every_measure_of_conduct_finds_the_same_behind_a_server_or_says_why_not(project: Path, lettered: str) -> None:
    spec = project / "conduct.yaml"
    spec.write_text(CONDUCT)
    here = levels(spec, project / "runs", str(project / "letters"))
    there = levels(spec, project / "runs", lettered)
    of_families = {claim.partition(".")[0] for claim in here}
    assert of_families >= {"bias", "high_stakes", "calibration", "consistency", "deception", "ability", "transcripts"}
    same = [claim for claim in here if claim.startswith(SAME_CONDUCT) and not claim.startswith("consistency.principle")]
    for prefix in SAME_CONDUCT:
        assert any(here[claim].n for claim in same if claim.startswith(prefix)), prefix
    exact = [claim for claim in same if here[claim].unit != "nats"]
    assert {claim: content(there[claim]) for claim in exact} == {claim: content(here[claim]) for claim in exact}
    for claim in set(same) - set(exact):  # log-odds move in their last bits with the rows of a batch
        near = [None if each is None else pytest.approx(each, abs=1e-4) for each in content(here[claim])]
        assert list(content(there[claim])) == near, claim
    untested = {claim for claim, finding in there.items() if "untested" in finding.detail}
    assert untested == {"bias.gap", "bias.lean", "bias.crows_pairs", "consistency.principle"}
    rest = [c for c in here if c not in same and not any(c == u or c.startswith(f"{u}.") for u in untested)]
    assert all(claim.startswith(tuple(OTHERWISE)) for claim in rest), rest
    assert {c: total(there[c]) for c in rest if c in there} == {c: total(here[c]) for c in rest if c in there}
    missing = {claim for claim in rest if claim not in there}
    assert all(claim.startswith("bias.flips.") for claim in missing), missing


NO_LETTERS = "the server gave no log-probabilities of its letters"


@dataclass(frozen=True)
class LettersHere:
    """A model that is here, asked for letters as one behind a server is."""

    policy: LocalModel

    def letter_logprobs(self, questions: Sequence[tuple[Conversation, tuple[str, ...]]]) -> list[dict[str, float]]:
        groups = first_words(self.policy, [question for question, _ in questions], [those for _, those in questions])
        return [
            dict(zip(those, (score.total for score in group), strict=True))
            for (_, those), group in zip(questions, groups, strict=True)
        ]


def test_an_agent_behind_a_server_takes_the_calls_that_its_letters_say_here(
    project: Path, of_many_letters: str
) -> None:
    """Call by call, in 16 scenarios and their twins; of another model other ones."""
    spec = project / "agent.yaml"
    spec.write_text("{name: agent, seed: 3, model: ./many_letters, measure: [{by: agent, limit: 16, turns: 3}]}")
    run = align(Request(spec, runs=project / "runs", audit=of_many_letters), View(Console(file=io.StringIO())))
    (folder,) = run.glob("stages/*agent*")
    there = {(sample.claim, sample.item): sample for sample in read_samples(folder)}

    def here(name: str) -> dict[tuple[str, str], SampleResult]:
        choose = ByServedLetters(cast("RemoteModel", LettersHere(load(project / name))))
        episodes = play_scenarios(choose, selection([], bundled_too=True, limit=16), 3)
        return {(sample.claim, sample.item): sample for sample in agent_outcomes(episodes)}

    same = here("many_letters")
    assert len({item for _, item in there}) == 32
    assert any(sample.value is not None for sample in there.values())
    silent = {item for (_, item), sample in there.items() if sample.reason == NO_LETTERS}
    told = {key: sample for key, sample in there.items() if key[1] not in silent}
    assert len(told) > len(there) / 2, "letters that are not among the server's likeliest tokens are said to be missing"
    assert {key: sample.reply for key, sample in told.items()} == {key: same[key].reply for key in told}
    assert {key: sample.kind for key, sample in told.items()} == {key: same[key].kind for key in told}
    other = here("model")
    assert any(other[key].reply != sample.reply for key, sample in told.items()), "a control"


def total(finding: Finding) -> int:
    return finding.n + finding.unscored


def content(finding: Finding) -> tuple[float | None, float | None, float | None, int, int]:
    return finding.value, finding.low, finding.high, finding.n, finding.unscored


def sizes(finding: Finding) -> tuple[int, int]:
    return finding.n, finding.unscored

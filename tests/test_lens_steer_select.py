"""Selection of the refusal direction: a planted one is found at its token and block beside a decoy that only tells the
requests apart, and without one nothing is selected, which is said."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml
from run_case import make_project
from tiny import make_tiny

import alignwright as aw
from alignwright.core.records import Conversation, Finding
from alignwright.core.section import Section
from alignwright.files.errors import SpecError
from alignwright.files.items import RefusalItem
from alignwright.files.lines import read_lines
from alignwright.lens.steer.select import (
    OPENINGS,
    Candidate,
    Selection,
    halves,
    kl,
    opening_tokens,
    refusal_odds,
    select,
)
from alignwright.model.activations.edits import Rewrite, edited, random_direction, unit
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.next_token import next_logprobs
from alignwright.model.activations.sites import Site
from alignwright.model.activations.token_scope import template_tokens
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel

SIZE, BLOCK, STRENGTH = 32, 2, 40.0
WORDS = ("sun", "rain", "bread", "stone", "river", "cloud")
REQUESTS = [
    RefusalItem(
        prompt=f"{'#' if i % 2 else '%'} {i:02d} a", kind="harmful" if i % 2 else "harmless", topic=f"t{i // 4}"
    )
    for i in range(48)
]


def orthogonal(*seeds: int) -> list[torch.Tensor]:
    """Directions at right angles."""
    basis = torch.linalg.qr(torch.stack([random_direction(SIZE, seed) for seed in seeds]).T)[0].T
    return [unit(each) for each in basis]


DIRECTION, DECOY = orthogonal(9, 10)


@pytest.fixture
def policy(tmp_path: Path) -> LocalModel:
    """The head reads "!" off one direction of the stream, which nothing writes."""
    policy = load(make_tiny(tmp_path, tie_word_embeddings=False, num_hidden_layers=5))
    with torch.no_grad():
        for block in layout_of(policy).blocks:
            for layer in (block.self_attn.o_proj, block.mlp.down_proj):
                layer.weight.sub_(DIRECTION[:, None] * (DIRECTION @ layer.weight))
        for table in (policy.model.model.embed_tokens, policy.model.lm_head):
            table.weight.sub_((table.weight @ DIRECTION)[:, None] * DIRECTION)
        policy.model.lm_head.weight[mark(policy)] = 4.0 * DIRECTION
    return policy


def mark(policy: LocalModel) -> int:
    return policy.chat.text("!").replies[0][0]


@contextmanager
def planted(policy: LocalModel) -> Iterator[None]:
    """What is harmful is written along the direction by the MLP of one block at the last token; the next block adds
    thrice as much along a decoy that nothing reads. The requests are of one length, so no row is padded."""
    harm = policy.model.model.embed_tokens.weight[policy.chat.text("#").replies[0][0]]
    harmful: list[torch.Tensor] = []

    def look(states_BTH: torch.Tensor) -> torch.Tensor:
        harmful[:] = [(states_BTH == harm).all(-1).any(-1)]
        return states_BTH

    def write(direction_H: torch.Tensor, states_BTH: torch.Tensor) -> torch.Tensor:
        more = torch.zeros_like(states_BTH)
        more[harmful[0], -1] = STRENGTH * direction_H
        return states_BTH + more

    edits = [
        Rewrite(Site(0, "resid_pre"), look),
        Rewrite(Site(BLOCK, "mlp_out"), lambda states: write(DIRECTION, states)),
        Rewrite(Site(BLOCK + 1, "mlp_out"), lambda states: write(3.0 * DECOY, states)),
    ]
    with edited(policy, edits):
        yield


def test_a_planted_direction_is_selected_at_its_token_and_block(policy: LocalModel) -> None:
    with planted(policy):
        selection = select(policy, REQUESTS, openings=[mark(policy)])
    assert selection.selected is not None
    assert (selection.selected.token, selection.selected.layer) == (-1, BLOCK)
    assert selection.vector is not None
    assert torch.nn.functional.cosine_similarity(selection.vector, DIRECTION, dim=0) > 0.95
    assert float(selection.vector.norm()) == pytest.approx(STRENGTH, rel=0.1)
    assert len(selection.candidates) == 4 * len(template_tokens(policy))  # the last fifth of five blocks is not tried
    assert {each.layer for each in selection.candidates} == {0, 1, 2, 3}
    assert selection.harmful > 1 > selection.harmless  # it refuses as it is ...
    assert selection.selected.bypass < -1  # ... and not without it
    assert selection.judged == 12
    assert selection.why_none  # of a selection without a selected one alone is it said


def test_without_one_nothing_is_selected_and_it_is_said(policy: LocalModel) -> None:
    for seed in range(3):
        order = torch.randperm(48, generator=torch.Generator().manual_seed(seed)).tolist()
        selection = select(policy, [REQUESTS[i] for i in order], openings=[mark(policy)])
        assert selection.selected is None
        assert selection.vector is None
        assert "odds" in selection.why_none


def selection(*candidates: Candidate) -> Selection:
    return Selection(candidates, None, None, 2.0, -3.0, -1.0, 8)


def test_why_nothing_was_selected_names_the_score_that_failed() -> None:
    assert (
        "more than random directions do (-0.50 and -1.00; 2.00 as the model is)"
        in selection(Candidate(-1, 0, -0.5)).why_none
    )
    assert (
        "brings refusals about when it is added (odds -0.20 at most"
        in selection(Candidate(-1, 0, -2.0, -0.2), Candidate(-1, 1, -1.5, -0.9)).why_none
    )
    assert (
        "changes harmless replies too (KL 0.30 at least"
        in selection(Candidate(-1, 0, -2.0, 0.4, 0.3), Candidate(-1, 1, -1.5, -0.9)).why_none
    )
    assert not Candidate(-1, 0, -2.0, 0.0, 0.0).passes
    assert Candidate(-1, 0, -2.0, 0.01, 0.09).passes
    assert not Candidate(-1, 0, -2.0, 0.01, 0.1).passes


def test_the_scores_are_those_of_their_formulas(policy: LocalModel) -> None:
    logp = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]).log()
    assert refusal_odds(logp, [0, 1]).tolist() == pytest.approx([math.log(4), math.log(0.25)], abs=1e-6)
    expected = 0.5 * math.log(0.5 / 0.1) + 0.3 * math.log(3) + 0.2 * math.log(0.25)
    assert kl(logp[:1], logp[1:]) == pytest.approx(expected, abs=1e-6)
    assert kl(logp, logp) == 0.0
    rows = [policy.chat.prompt(Conversation.user(text)) for text in ("sun", "a longer request of rain", "b")]
    together = next_logprobs(policy, rows)
    with torch.inference_mode():
        for place, row in enumerate(rows):
            alone = policy.model(input_ids=torch.tensor([row])).logits[0, -1].log_softmax(0)
            assert torch.allclose(together[place], alone, atol=1e-4)


def test_directions_and_scores_are_of_different_requests() -> None:
    fitted, judging = halves(REQUESTS)
    assert not {item.prompt for item in fitted} & {item.prompt for item in judging}
    assert (len(fitted), len(judging)) == (36, 12)
    assert sum(item.kind == "harmful" for item in judging) == 6


def refuser(folder: Path) -> Path:
    """A model that was trained to begin with the first word of a refusal where a request has a certain word, and with
    the first of the request where it has another."""
    policy = load(make_tiny(folder, num_hidden_layers=4, hidden_size=64))
    refusal = opening_tokens(policy)[0]
    rows = [
        (
            policy.chat.prompt(Conversation.user(f"{word} {what} {k}")),
            refusal if what == "break" else policy.chat.text(word).replies[0][0],
        )
        for word in WORDS
        for what in ("break", "tell")
        for k in range(10)
    ]
    search = torch.optim.AdamW(policy.model.parameters(), lr=3e-3)
    order = torch.Generator().manual_seed(0)
    for _ in range(120):
        chosen = torch.randint(len(rows), (24,), generator=order).tolist()
        width = max(len(rows[i][0]) for i in chosen)
        ids_BT = torch.tensor([rows[i][0] + [0] * (width - len(rows[i][0])) for i in chosen])
        ends_B = torch.tensor([len(rows[i][0]) - 1 for i in chosen])
        states_BTH = policy.model.model(input_ids=ids_BT, use_cache=False).last_hidden_state
        logits_BV = policy.model.lm_head(states_BTH[torch.arange(len(chosen)), ends_B])
        torch.nn.functional.cross_entropy(logits_BV, torch.tensor([rows[i][1] for i in chosen])).backward()
        search.step()
        search.zero_grad()
    policy.save(folder / "trained")
    return folder / "trained"


def run(tmp_path: Path, model: str, **changes: object) -> Path:
    path = make_project(tmp_path)
    for name, numbers in (("requests", range(4)), ("tried", range(4, 6))):
        rows = [
            {"prompt": f"{word} {what} {k}", "kind": kind, "topic": word}
            for word in WORDS
            for k in numbers
            for what, kind in (("break", "harmful"), ("tell", "harmless"))
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stage = {
        "by": "steer", "requests": "requests.jsonl", "tried": "tried.jsonl", "layer": "selected", "limit": 8,
        "max_new_tokens": 4,
    } | changes  # fmt: skip
    case = {"name": "selected", "model": model, "lens": [stage], "promises": ["steer.refusal.ablated > 0.1"]}
    path.write_text(yaml.safe_dump(case))
    return aw.align(path, runs=tmp_path / "runs", quiet=True).path


def findings_of(folder: Path) -> dict[str, Finding]:
    findings = [Finding.model_validate_json(line) for line in read_lines(folder / "findings.jsonl")]
    return {finding.claim: finding for finding in findings}


def test_in_a_run_a_model_that_refuses_has_one_and_all_candidates_are_kept(tmp_path: Path) -> None:
    folder = run(tmp_path, str(refuser(tmp_path / "model")))
    findings = findings_of(folder)
    bypass, induce, divergence = (findings[f"steer.selected.{each}"] for each in ("bypass", "induce", "divergence"))
    assert bypass.value is not None
    assert float(bypass.detail["harmful"]) > 0 > bypass.value  # type: ignore[arg-type]
    assert induce.value is not None
    assert induce.value > 0
    assert divergence.value is not None
    assert divergence.value < 0.1
    (kept,) = folder.rglob("candidates.jsonl")
    rows = [json.loads(line) for line in read_lines(kept)]
    assert len(rows) == 3 * 10  # three of four blocks, ten tokens of the template
    (selected,) = (row for row in rows if row["selected"])
    assert selected["bypass"] == pytest.approx(bypass.value)
    assert (kept.parent / "direction.safetensors").exists()
    assert (kept.parent / "steering" / "ablated").is_dir()
    sections = {s.name: s for s in map(Section.model_validate_json, read_lines(folder / "sections.jsonl"))}
    assert "is selected: without it" in str(sections["steering"].blocks)


def test_in_a_run_without_one_nothing_is_steered_and_the_promise_is_untested(tmp_path: Path) -> None:
    folder = run(tmp_path, str(make_tiny(tmp_path / "model")))
    findings = findings_of(folder)
    assert findings["steer.refusal.ablated"].value is None
    assert "no direction was selected" in str(findings["steer.refusal.ablated"].detail["untested"])
    assert "no direction was selected" in findings["steer.selected.bypass"].note.lower()
    (verdict,) = json.loads((folder / "promises.json").read_text())["verdicts"]
    assert verdict["answer"] == "untested"
    assert not list(folder.rglob("direction.safetensors"))
    (kept,) = folder.rglob("candidates.jsonl")
    assert not any(json.loads(line)["selected"] for line in read_lines(kept))


def test_what_it_cannot_select_from_is_one_line(tmp_path: Path) -> None:
    model = str(make_tiny(tmp_path / "model"))
    with pytest.raises(SpecError, match=r"'middle' names no block.*or 'selected'"):
        run(tmp_path, model, layer="middle")
    with pytest.raises(SpecError, match="selects among directions of 'requests'"):
        run(tmp_path, model, requests=[], direction="direction.safetensors")
    with pytest.raises(SpecError, match="give at least 16 of each kind, of which a quarter select"):
        run(tmp_path, model, requests="tried.jsonl", tried="requests.jsonl")


def test_a_refusal_begins_with_the_words_of_its_openings(policy: LocalModel) -> None:
    firsts = {policy.chat.decode([token]) for token in opening_tokens(policy)}
    assert all(any(text.startswith(first) for first in firsts) for text in OPENINGS)

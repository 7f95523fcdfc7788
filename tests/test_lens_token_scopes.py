"""Which tokens a probe reads and a steering changes: one knob of both, planted at a place and found there alone; a
saved probe judges by the tokens that it was fitted to; what a file has not is one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from run_case import make_project
from tiny import make_tiny

import alignwright as aw
from alignwright.core.records import Conversation, Finding, Prompt
from alignwright.core.token_scope import TokenScope
from alignwright.experiment.check import check
from alignwright.files.errors import SpecError
from alignwright.files.items import RefusalItem
from alignwright.files.lines import read_lines
from alignwright.files.steering_folder import read_steering
from alignwright.lens.probe.file_format import load_probe, save_probe, tokens_of
from alignwright.lens.probe.fit import Probe
from alignwright.lens.probe.judge import ProbeScorer
from alignwright.lens.steer.steer import steer
from alignwright.model.activations.edits import random_direction, unit
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.token_scope import scoped_row, scoped_states
from alignwright.model.load import load

WORDS = ("sun", "rain", "bread", "stone", "river", "cloud")
TALKS = [
    {
        "prompt": f"{WORDS[i % 6]} {i}", "reply": "so it is" if i % 2 else "what was", "label": i % 2,
        "topic": WORDS[i // 8],
    }
    for i in range(48)
]  # fmt: skip


def spec(folder: Path, rows: list[dict[str, object]], **stage: object) -> Path:
    path = make_project(folder)
    (folder / "talks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    make_tiny(folder / "model")
    stages = [{"by": "probe", "concept": "manner", "data": "talks.jsonl", "layer": 1} | stage]
    path.write_text(yaml.safe_dump({"name": "scopes", "model": "./model", "lens": stages}))
    return path


def test_a_probe_of_replies_reads_them_and_judges_by_them(tmp_path: Path) -> None:
    folder = aw.align(spec(tmp_path, TALKS, tokens="reply"), runs=tmp_path / "runs", quiet=True).path
    findings = [Finding.model_validate_json(line) for line in read_lines(folder / "findings.jsonl")]
    (area,) = (finding for finding in findings if finding.claim == "probe.manner.auroc")
    assert area.value == 1.0  # every prompt is like every other, and the replies are two
    assert "the reply's tokens, averaged" in area.method
    (saved,) = folder.rglob("probe.json")
    sidecar = json.loads(saved.read_text())
    assert (sidecar["pooling"], sidecar["meta"]["tokens"], tokens_of(saved.parent)) == ("mean", "reply", "reply")
    policy = load(tmp_path / "model")
    scorer = ProbeScorer.load(lambda: policy, saved.parent)
    prompt = Conversation.user("sun 3")
    scores = scorer([Prompt(conversation=prompt)], [["so it is", "what was"]])[0]
    probe, layer = load_probe(saved.parent, policy)
    rows = [scoped_row(policy, prompt.then("assistant", text), "reply") for text in ("so it is", "what was")]
    expected = probe.score(scoped_states(policy, rows, [layer])[layer]).tolist()
    assert [score.value for score in scores if score] == pytest.approx(expected, abs=1e-4)
    assert expected[0] > 0 > expected[1]


def test_where_the_reply_begins_nothing_of_it_is_known(tmp_path: Path) -> None:
    """The control: the same talks without their replies, read where these would begin."""
    rows = [{name: value for name, value in talk.items() if name != "reply"} for talk in TALKS]
    folder = aw.align(spec(tmp_path, rows), runs=tmp_path / "runs", quiet=True).path
    findings = [Finding.model_validate_json(line) for line in read_lines(folder / "findings.jsonl")]
    (area,) = (finding for finding in findings if finding.claim == "probe.manner.auroc")
    assert "no_signal" in area.detail
    assert "at the last token" in area.method


@pytest.mark.parametrize("tokens", ["prompt", "template"])
def test_a_probe_that_reads_no_reply_judges_none(tokens: TokenScope, tmp_path: Path) -> None:
    policy = load(make_tiny(tmp_path / "model"))
    save_probe(Probe(random_direction(32, 1), 0.0), 1, policy, tmp_path / "probe", {}, tokens)
    with pytest.raises(ValueError, match="reads the prompt alone"):
        ProbeScorer.load(lambda: policy, tmp_path / "probe")
    file = tmp_path / "probe" / "probe.json"
    sidecar = json.loads(file.read_text())
    del sidecar["meta"]["tokens"]
    file.write_text(json.dumps(sidecar))
    with pytest.raises(ValueError, match="averages over None; 'meta' must say over which"):
        tokens_of(tmp_path / "probe")


@pytest.mark.parametrize(
    ("change", "stage", "message"),
    [
        ({}, {}, r"talks.jsonl.*its 'reply' is never read: tokens are 'prompt_end'"),
        ({"reply": None}, {"tokens": "reply"}, r"reads the reply, and there is none"),
        ({"prompt": None, "reply": None, "text": "a text"}, {"tokens": "template"}, r"a plain text has no template"),
        ({"prompt": None, "text": "a text"}, {}, r"a 'reply' answers a 'prompt', and there is none"),
        ({}, {"tokens": "last"}, r"tokens: .*'last'.*prompt_end"),
        ({}, {"tokens": "reply", "requests": "refusal.jsonl"}, r"reads replies, and 'requests' has none"),
    ],
)
def test_a_row_without_what_is_read_is_one_line(
    change: dict[str, str | None], stage: dict[str, object], message: str, tmp_path: Path
) -> None:
    talks: list[dict[str, object]] = [dict(talk) for talk in TALKS]
    talks[3] = {name: value for name, value in (talks[3] | change).items() if value is not None}
    with pytest.raises(SpecError, match=message):
        check(spec(tmp_path, talks, **stage))


def test_what_is_steered_is_steered_at_these_tokens_alone(tmp_path: Path) -> None:
    """The head reads "!" off one direction, which nothing writes: added where the reply begins it decides the first
    token, added at the reply's own tokens the ones after it."""
    policy = load(make_tiny(tmp_path, tie_word_embeddings=False))
    layout, direction = layout_of(policy), unit(random_direction(32, 9))
    mark = policy.chat.text("!").replies[0][0]
    with torch.no_grad():
        for block in layout.blocks:
            for layer in (block.self_attn.o_proj, block.mlp.down_proj):
                layer.weight.sub_(direction[:, None] * (direction @ layer.weight))
        head = policy.model.lm_head.weight
        head.copy_(head - (head @ direction)[:, None] * direction)
        head[mark] = 4.0 * direction
    items = [
        RefusalItem(prompt=f"{WORDS[i % 6]} {i}", kind=("harmful", "harmless")[i % 2], topic=f"t{i}") for i in range(16)
    ]

    def share(tokens: TokenScope, last: bool = False) -> float:
        def refused(_request: str, reply: str) -> bool | None:
            return reply.endswith("!") if last else reply.startswith("!")

        results = steer(
            policy, 60.0 * direction, 1, items, scale=1.0, max_new_tokens=4, refused=refused, tokens=tokens
        )  # fmt: skip
        values = [r.value or 0.0 for r in results if r.claim == "steer.refusal.harmless_added"]
        return sum(values) / len(values)

    assert [share(tokens) for tokens in ("prompt_end", "template", "prompt", "all", "reply")] == [1, 1, 1, 1, 0]
    assert share("reply", last=True) == 1.0
    assert share("prompt_end", last=True) < 0.5


def test_a_run_keeps_the_scope_of_its_steered_models(tmp_path: Path) -> None:
    path = spec(tmp_path, TALKS)
    for name, numbers in (("taken", range(8)), ("tried", range(8, 16))):
        rows = [{"prompt": f"{w} {i}", "kind": k} for i in numbers for w, k in (("a", "harmful"), ("b", "harmless"))]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    case = yaml.safe_load(path.read_text())
    stage = {"by": "steer", "requests": "taken.jsonl", "tried": "tried.jsonl", "layer": 1, "max_new_tokens": 2}
    path.write_text(yaml.safe_dump(case | {"lens": [stage | {"tokens": "template"}]}))
    folder = aw.align(path, runs=tmp_path / "runs", quiet=True).path
    (kept,) = folder.rglob("steering/added")
    assert {edit.tokens for edit in read_steering(kept).edits} == {"template"}
    assert {edit.tokens for edit in read_steering(kept.parent / "ablated").edits} == {"template"}
    assert not list(folder.rglob("control_vector.gguf"))  # llama.cpp would add it to every token
    path.write_text(yaml.safe_dump(case | {"lens": [stage | {"tokens": "reply", "save": "added"}]}))
    with pytest.raises(SpecError, match="change every token alike"):
        check(path)

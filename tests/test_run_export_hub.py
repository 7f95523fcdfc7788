"""Is the folder for the Hub what the Hub's own library reads, opens and uploads?"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import yaml
from export_case import aligned, project
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from transformers import AutoTokenizer
from typer.testing import CliRunner

import alignwright as aw
from alignwright.cli import app
from alignwright.core.claims import Claim
from alignwright.core.promises import Header, Verdict
from alignwright.core.records import Conversation, Finding
from alignwright.report.card import card
from alignwright.report.model_index import model_index
from alignwright.report.results import RunResults

HOSTILE = '"]}\n---\n<b>${7*7}</b> \x1b[31m: [&a *a'


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> aw.Run:
    return aligned(project(tmp_path_factory.mktemp("project")))


@pytest.fixture
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)


def front_matter(text: str) -> dict[str, Any]:
    return yaml.safe_load(text.split("---\n")[1])


def test_the_folder_opens_as_the_measured_model_and_its_card_as_a_card(run: aw.Run) -> None:
    done = CliRunner().invoke(app, ["export", str(run.path), "--to", "hub"])
    assert done.exit_code == 0, done.output
    folder = run.path / "export" / "hub"
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.replace('"this folder"', repr(str(folder))), names)
    measured, ids = run.model(), torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        assert torch.allclose(names["model"](ids).logits, measured.model(ids).logits, atol=1e-5)
    asked = [{"role": "user", "content": "What?"}]
    rendered = AutoTokenizer.from_pretrained(folder).apply_chat_template(asked, add_generation_prompt=True)
    assert rendered["input_ids"] == measured.chat.prompt(Conversation.user("What?"))

    data = ModelCard.load(folder / "README.md").data
    results = {(r.dataset_config, r.metric_type): r for r in data.eval_results}
    bits = next(f for f in run.findings.of("tax.bits_per_byte", run.stages[-1]) if f.against is None)
    row = results["findings", "tax.bits_per_byte"]
    assert (row.metric_value, row.metric_args["low"], row.metric_args["high"], row.metric_args["n"]) == (
        bits.value, bits.low, bits.high, bits.n,
    )  # fmt: skip
    assert results["findings", "tax.bits_per_byte.change"].metric_args["against"] == "baseline"
    promises = [(r.metric_name, r.metric_value) for r in data.eval_results if r.metric_type == "promise"]
    assert promises == [("tax.bits_per_byte < 90", "kept")]
    assert data.library_name == "transformers"
    assert not [file for file in folder.rglob("*") if file.name.startswith((".", "findings", "outcomes"))]


def results_of(name: str) -> RunResults:
    def finding(claim: str, value: float | None, stage: str = "train.0.sft", **more: Any) -> Finding:
        kept = {"stage": stage, "axis": "value", "method": "exact", "n": 9, "low": 0.1, "high": 0.9} | more
        return Finding.model_validate({"claim": claim, "value": value} | kept)

    findings = (
        finding("value.refusal", 0.2, "baseline"),
        finding("value.refusal", 0.5),
        finding("value.refusal", 0.3, against="baseline", p=0.01),
        finding("value.unscored", None, low=None, high=None, n=0),
        finding("value.start", 0.4, "baseline"),
        finding("feedback.judge.accuracy", 0.9, "feedback.0.judge", axis="feedback"),
    )
    header = Header.model_validate(
        {"name": name, "model": "m", "seed": 3, "effort": "demo", "stages": ("baseline", "train.0.sft"), "facts": {}}
    )
    verdicts = (Verdict(promise="value.refusal > 0.4", answer="untested", reason=name),)
    claims = (Claim(name="value.refusal", title=name, axis="value"),)
    return RunResults(header, verdicts, findings, (), claims)


@pytest.mark.parametrize("name", ["small", HOSTILE])
def test_what_others_wrote_stays_text_in_the_metadata(name: str) -> None:
    case = results_of(name)
    index = model_index(case)
    text = card(case, front={"license": "mit", "model-index": index})
    data = ModelCard(text).data
    assert data.model_name == name
    assert [(r.metric_type, r.metric_value) for r in data.eval_results] == [
        ("value.refusal", 0.5),
        ("value.refusal.change", 0.3),
        ("promise", "untested"),
    ]
    assert data.eval_results[0].metric_name == name
    own, results = model_index_to_eval_results(index)
    assert eval_results_to_model_index(own, results) == index


def test_a_run_without_a_number_of_the_model_has_no_index() -> None:
    case = results_of("small")
    bare = RunResults(case.header, (), case.findings[-1:], (), ())
    assert model_index(bare) == []


def test_a_model_that_is_not_what_was_measured_is_not_passed_on(tmp_path: Path) -> None:
    run = aligned(project(tmp_path))
    (weights,) = (run.path / "model").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(ValueError, match="not what was measured"):
        aw.export(run.path, to="hub", quiet=True)
    assert not (run.path / "export").exists()


def test_a_dry_run_says_what_would_go_and_needs_no_token(run: aw.Run, no_token: None) -> None:
    done = CliRunner().invoke(app, ["export", str(run.path), "--to", "hub", "--repo", "owner/name", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "nothing was uploaded; to https://huggingface.co/owner/name would go:" in done.output
    for file in (run.path / "export" / "hub").iterdir():
        assert re.search(rf"  {re.escape(file.name)}  [\d.]+ (bytes|kB)", done.output)
    text = (run.path / "export" / "hub" / "README.md").read_text()
    assert 'from_pretrained("owner/name"' in text


def test_without_a_token_the_error_says_how_to_get_one(run: aw.Run, no_token: None, hub: list[Any]) -> None:
    with pytest.raises(ValueError, match="'hf auth login'"):
        aw.export(run.path, to="hub", repo="owner/name", quiet=True)
    assert hub == []
    with pytest.raises(ValueError, match="names no repository"):
        aw.export(run.path, to="hub", repo="https://huggingface.co/owner/name", quiet=True)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"repo": "owner/name"}, "repo"),
        ({"dry_run": True}, "dry-run"),
        ({"engine": "transformers"}, "engine"),
        ({"ask": "all"}, "ask"),
        ({"verify": False}, "no-verify"),
    ],
)
def test_an_option_without_effect_is_refused(run: aw.Run, options: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"--{name} has no effect with --to peft"):
        aw.export(run.path, to="peft", quiet=True, **options)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, Any]]]:
    """A server on loopback that speaks the Hub's protocol for making a repository and a commit; the
    requests so far, each with its path, its token and what it brought. A card without a licence is
    refused."""
    requests: list[tuple[str, str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            lines = [json.loads(line) for line in data.splitlines()]
            requests.append((self.path, self.headers.get("authorization", ""), lines))
            answer: dict[str, Any] = {"url": f"{address}/owner/name"}
            if "/preupload/" in self.path:
                files = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in lines[0]["files"]]
                answer = {"files": files}
            elif "/commit/" in self.path:
                answer = {"commitUrl": f"{address}/owner/name/commit/1", "commitOid": "1", "hookOutput": ""}
            elif "validate-yaml" in self.path and "license:" not in lines[0]["content"]:
                self.answer(400, {"error": "no licence"})
                return
            self.answer(200, answer)

        def answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.hf_api.is_xet_available", lambda: False)
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    yield requests
    server.shutdown()
    server.server_close()


def test_an_upload_goes_through_the_hub_s_own_client(run: aw.Run, hub: list[tuple[str, str, Any]]) -> None:
    done = aw.export(run.path, to="hub", repo="owner/name", quiet=True)
    assert "uploaded to https://huggingface.co/owner/name" in done.lines[-1]
    paths = [path for path, _, _ in hub]
    assert paths[0] == "/api/validate-yaml"
    assert paths[1] == "/api/repos/create"
    assert hub[1][2][0].get("visibility", "private" if hub[1][2][0].get("private") else "public") == "private"
    (path, token, lines) = hub[-1]
    assert path.startswith("/api/models/owner/name/commit/main")
    assert token == "Bearer hf_of_a_test"
    sent = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines[1:]}
    assert sent == {file.name: file.read_bytes() for file in done.path.iterdir()}


def test_what_the_hub_refuses_is_said(
    run: aw.Run, hub: list[tuple[str, str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alignwright.run.export.hub_folder.front_matter", lambda case: {"tags": ["x"]})
    with pytest.raises(ValueError, match=r"the Hub did not take it as owner/name: .*no licence"):
        aw.export(run.path, to="hub", repo="owner/name", quiet=True)
    assert [path for path, _, _ in hub] == ["/api/validate-yaml"]

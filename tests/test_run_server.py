"""Does a run with a server as its judge lose nothing that was answered, tell what was not, and
keep secrets out of its files?"""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from chat_server import completion, error, last, server
from feedback_doubles import options
from rich.console import Console
from run_case import make_project

from alignwright.experiment.load import load
from alignwright.files.errors import SpecError
from alignwright.model.endpoint import EndpointError
from alignwright.run.align import Request, align
from alignwright.run.progress import View

SPEC = """
name: small
model: ./model
server: {calls: 2, timeout: 5, tokens: 64}
intent: {constitution: constitution.md, pairs: [pairs.jsonl]}
feedback: [{by: judge, judge: 'JUDGE', check_pairs: 8}]
train: [{by: dpo, epochs: 1, rank: 2, batch_tokens: 200}]
"""
PAIRS = 12


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    make_project(folder)
    return folder


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")


def kind(body) -> str:
    return "A" if options(last(body))[0].startswith("kind") else "B"


def voted(folder: Path, judge: str, name: str, change: tuple[str, str] = ("", "")) -> str:
    """The terminal's text of a run up to the votes."""
    spec, screen = folder / f"{name}.yaml", io.StringIO()
    spec.write_text(SPEC.replace(*change).replace("JUDGE", judge).replace("name: small", f"name: {name}"))
    align(Request(spec, until="feedback.0.judge", runs=folder / "runs"), View(Console(file=screen, width=1000)))
    return screen.getvalue()


def test_a_run_goes_on_where_its_server_broke_and_tells_what_was_not_answered(project: Path) -> None:
    answered: list[object] = []
    mended: list[object] = []

    def answer(body, times):
        if "logprobs" in body:
            return 403, error("You are not allowed to request logprobs from this model")
        if len(answered) >= 10 and not mended:
            return 402, error("Insufficient Balance")
        if "rude" in last(body) and "kind sun" in last(body):
            return 200, completion("", reason="content_filter")
        answered.append(body)
        return kind(body)

    with server(answer) as (name, seen):
        with pytest.raises(EndpointError, match=r"came HTTP 402 .*has no credit left.* 10 answers came and are kept"):
            voted(project, name, "broken")
        mended.append(True)
        screen = voted(project, name, "broken")
        asked = len(seen)
        again = voted(project, name, "broken", ("timeout: 5,", "timeout: 50,"))
    assert len(answered) == 2 * (PAIRS - 1)  # none was paid for twice
    assert "2 answers could not be read, count for nothing and will be asked for again" in screen
    assert "content filter withheld" in screen
    assert "the server takes no logprobs" in screen
    assert {body["max_tokens"] for body in seen} == {64}
    assert "cached" in again  # another run's folder, but how long the server may take changes no answer
    assert len(seen) == asked
    runs = sorted((project / "runs").glob("broken-*"))
    assert len(runs) == 2
    written = [
        path.read_text(errors="replace")
        for path in project.rglob("runs/**/*")
        if path.is_file() and path.suffix != ".safetensors"
    ]
    assert written
    assert not any("sk-0123456789" in text for text in written)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "JUDGE",
            "http://host/v1?key=s3cret#m",
            "6: feedback.0.judge.judge: endpoint 'http://host/v1?...#m': an address holds no query",
        ),
        (
            "JUDGE",
            "http://me:s3cret@host/v1#m",
            "6: feedback.0.judge.judge: endpoint 'http://...@host/v1#m': an address holds no user and no password",
        ),
        ("JUDGE", "http://host/v1", "6: feedback.0.judge.judge: endpoint 'http://host/v1' is no server"),
        (
            "model: ./model",
            "model: 'http://me:s3cret@host/v1?key=s3cret#m'",
            "3: model: endpoint 'http://...@host/v1?...#m': an address holds no user",
        ),
        ("JUDGE", "self", "4: server: has no effect: neither the model nor a judge is a server"),
        ("calls: 2", "calls: 0", "4: server.calls: must be greater than or equal to 1"),
        ("timeout: 5", "tiemout: 5", "4: server.tiemout: no such field; did you mean 'timeout'?"),
    ],
)
def test_a_server_is_named_and_asked_rightly_or_refused_without_repeating_a_secret(
    project: Path, old: str, new: str, line: str
) -> None:
    path = project / "wrong.yaml"
    path.write_text(SPEC.replace(old, new).replace("JUDGE", "http://localhost:1/v1#m"))
    with pytest.raises(SpecError) as caught:
        load(path)
    assert f"wrong.yaml:{line}" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_the_judge_of_free_answers_is_a_server_in_the_same_way(project: Path) -> None:
    spec = (
        "name: x\nmodel: ./model\nmeasure:\n- {by: emergent, questions: [prompts.jsonl], judge:"
        " 'http://h/v1?key=s3cret#m'}\n"
    )
    (project / "free.yaml").write_text(spec)
    with pytest.raises(
        SpecError,
        match=r"free.yaml:4: measure.0.emergent.judge: endpoint 'http://h/v1\?...#m': an address holds no query",
    ) as caught:
        load(project / "free.yaml")
    assert "s3cret" not in str(caught.value)
    (project / "free.yaml").write_text(
        spec.replace("?key=s3cret", "").replace("measure:", "server: {timeout: 9}\nmeasure:")
    )
    assert load(project / "free.yaml").server is not None

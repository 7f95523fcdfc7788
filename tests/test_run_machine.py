"""Does the doctor see what is wrong with a machine, say what to do, and keep secrets to itself?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import chat_server
import pytest
from typer.testing import CliRunner

import alignwright as aw
from alignwright.cli import app
from alignwright.run.machine import engine, hardware, installation
from alignwright.run.machine.machine_part import MachinePart

SECRET = "sk-planted-8213"


def part_of(name: str, **options: object) -> MachinePart:
    report = aw.doctor(quick=True, quiet=True, **options)  # type: ignore[arg-type]
    return next(part for part in report.parts if part.part == name)


def command(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor", *words])
    return result.exit_code, result.output


def test_the_quick_table_loads_no_torch_and_the_whole_one_says_precision_and_kernels() -> None:
    code = (
        "import sys, alignwright as aw\n"
        "quick = aw.doctor(quick=True, quiet=True); print('torch' in sys.modules)\n"
        "whole = aw.doctor(quiet=True); print('torch' in sys.modules)\n"
        "print([p.part for p in whole.parts if p not in quick.parts])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.splitlines() == ["False", "True", "['accelerator', 'precision', 'kernels']"]


def test_the_table_the_json_and_the_function_say_the_same(tmp_path: Path) -> None:
    report = aw.doctor(quick=True, quiet=True, runs=tmp_path)
    code, text = command("--quick", "--json", "--runs", str(tmp_path))
    parts = json.loads(text)["parts"]
    assert [part["part"] for part in parts] == [part.part for part in report.parts]
    _, table = command("--quick", "--runs", str(tmp_path))
    assert [part["part"] for part in parts if part["part"] not in table] == []
    assert code == report.exit_code == (1 if report.faults else 0)


def test_a_package_that_is_missing_or_old_is_a_fault_with_the_command_that_helps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert part_of("packages").state == "ok"  # the control
    needs = ["rich>=14.0", "numpy>=99.1", "not-a-package>=1.0", "chess>=99; extra == 'worlds'"]
    monkeypatch.setattr(installation, "requires", lambda _: needs)
    packages = part_of("packages")
    assert packages.state == "fault"
    assert packages.cure == "pip install 'numpy>=99.1' 'not-a-package>=1.0'"
    assert "rich" not in packages.seen
    assert part_of("extras").cure == "pip install --upgrade 'alignwright[worlds]'"


@pytest.mark.parametrize(
    ("now", "least", "fits"), [("2.9.1", "2.10", False), ("2.13.0+cpu", "2.8", True), ("5.20.0rc1", "5.20", True)]
)
def test_versions_are_compared_as_numbers(monkeypatch: pytest.MonkeyPatch, now: str, least: str, fits: bool) -> None:
    monkeypatch.setattr(installation, "version", lambda _: now)
    assert (installation.why_unfit("torch", least) is None) is fits


def test_no_bundled_model_no_room_and_little_memory_are_faults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    monkeypatch.setattr(hardware, "free", lambda _: 10_000_000)
    limit = tmp_path / "memory.max"
    limit.write_text("2000000000\n")
    monkeypatch.setattr(hardware, "CGROUP_LIMITS", (limit,))
    report = aw.doctor(quick=True, quiet=True, runs=tmp_path)
    assert [part.part for part in report.faults] == ["bundled model", "memory", "cache", "runs"]
    assert all(part.cure for part in report.faults)
    assert report.exit_code == 1
    limit.write_text("max\n")  # the control: no limit, and what the machine has counts
    assert "2.0 GB" not in part_of("memory").seen


def test_a_folder_that_cannot_be_written_to_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    part = part_of("runs", runs=tmp_path / "file" / "runs")
    assert part.state == "fault"
    assert "--runs" in part.cure
    assert part_of("runs", runs=tmp_path / "new" / "runs").state == "ok"  # it would be made
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]  # and was not


def test_torch_that_does_not_load_is_one_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (part,) = engine.engine()
    assert (part.part, part.state) == ("torch", "fault")
    assert "pip install" in part.cure


def test_a_server_is_asked_once_and_the_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    logprobs = chat_server.top("A", A=-0.1, B=-2.5)
    answers = {
        "ok": lambda *_: (200, chat_server.completion("A", logprobs=logprobs)),
        "note": lambda *_: "A",
        "fault": lambda *_: (401, chat_server.error(f"Incorrect API key provided: {SECRET}")),
    }
    for state, answer in answers.items():
        with chat_server.server(answer) as (name, requests):
            code, text = command("--quick", "--endpoint", name, "--json")
        endpoint = json.loads(text)["parts"][-1]
        assert (endpoint["part"], endpoint["state"]) == ("endpoint", state)
        assert len(requests) == 1
        assert requests[0]["key"] == f"Bearer {SECRET}"
        assert SECRET not in text
        assert "a key in OPENAI_API_KEY" in text
        assert (code == 1) is (state == "fault") or aw.doctor(quick=True, quiet=True).faults


@pytest.mark.parametrize("name", [f"http://user:{SECRET}@h:1/v1#m", f"http://h:1/v1?key={SECRET}#m", "no address"])
def test_a_server_that_is_named_wrongly_is_a_fault_without_its_secret(name: str) -> None:
    code, text = command("--quick", "--endpoint", name)
    assert code == 1
    assert SECRET not in text
    assert "1 fault" in text or "faults" in text

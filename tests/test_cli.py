"""Does every command end in words and with the right exit code, whatever goes wrong and whatever
the output can show?"""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import report_case
from run_case import make_project
from safetensors import SafetensorError

from alignwright import cli
from alignwright.files.errors import SpecError
from alignwright.run import disk_space
from alignwright.run.align import Request, prepare
from alignwright.run.crash import ending

CODES = "[\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J \u202edrowkcab]"


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """Exit code, output and errors of a command in this process."""
    monkeypatch.setattr(sys, "argv", ["alignwright", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("project"))


class TokenizerPanic(Exception):
    """As the tokenizers library raises it: a plain Exception."""


BEYOND = [
    OverflowError("int too large"),
    SafetensorError("header"),
    TokenizerPanic("invalid"),
    TypeError("unhashable"),
    AssertionError("no"),
    EOFError(),
]
BEYOND += [
    KeyError("name"),
    IndexError("list index out of range"),
    RecursionError("too deep"),
    ZeroDivisionError("by zero"),
    AttributeError("x"),
]


@pytest.mark.parametrize("error", BEYOND, ids=lambda error: type(error).__name__)
def test_an_error_of_the_programs_own_is_one_line_and_code_four(error, monkeypatch, capsys, project, tmp_path):
    """Code 1 is a broken promise and nothing else."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("alignwright.experiment.check.check", fails)
    code, _, err = run(monkeypatch, capsys, "check", project)
    assert code == 4
    told = err.strip().splitlines()[-1]
    assert told.startswith("alignwright: stopped by an error that it was not made for")
    assert type(error).__name__ in told
    place = re.search(r"the traceback is in (\S+)$", told)
    assert place is not None
    assert "in fails" in Path(place[1]).read_text()
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "error", [ValueError("bad"), RuntimeError("bad"), FileNotFoundError("bad"), LookupError("bad"), ImportError("bad")]
)
def test_an_error_that_can_be_mended_is_code_two(error, monkeypatch, capsys, project):
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("alignwright.experiment.check.check", fails)
    assert run(monkeypatch, capsys, "check", project)[::2] == (
        2,
        "alignwright: bad\n(ALIGNWRIGHT_TRACEBACK=1 shows where)\n",
    )


def test_a_crash_of_a_run_leaves_its_traceback_in_the_runs_folder(monkeypatch, capsys, project, tmp_path):
    def fails(*_: object, **__: object) -> None:
        raise OverflowError(f"cannot convert {CODES}")

    monkeypatch.setattr("alignwright.run.align.run_jobs", fails)
    code, _, err = run(monkeypatch, capsys, "align", project, "--runs", tmp_path / "runs")
    (kept,) = (tmp_path / "runs").glob("*/traceback-*.txt")
    assert code == 4
    assert str(kept) in err
    assert "\x1b" not in err + kept.read_text()
    assert "⟨U+001B⟩" in err


def test_memory_that_runs_out_is_no_fault_of_the_input():
    for error in (
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ):
        words, code = ending(error)
        assert code == 4
        assert "not enough memory" in words
        assert "--dry-run says how much" in words


FULL = [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EDQUOT, "Disk quota exceeded")]
FULL += [
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
]  # a library that says it in words


@pytest.mark.parametrize("error", FULL, ids=["file", "quota", "safetensors"])
def test_a_full_disk_says_how_much_is_needed_and_the_run_goes_on_afterwards(
    error, monkeypatch, capsys, project, tmp_path
):
    from alignwright.run import execute

    real = execute.execute

    def fills(work: Any) -> str:
        if work.job.name == "collect":
            raise error
        return real(work)

    monkeypatch.setattr(execute, "execute", fills)
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "\n".join(line for line in project.read_text().splitlines() if "attack" not in line and "suite" not in line)
    )
    for name in project.parent.iterdir():
        if name != project:
            os.symlink(name, tmp_path / name.name)
    code, _, err = run(monkeypatch, capsys, "align", spec, "--runs", tmp_path / "runs")
    assert code == 4
    assert re.search(
        r"no room is left on the disk of \S+: [\d.]+ GB free, the \d+ stages left need at most about 0.1 GB. Make room",
        err,
    )
    assert not re.search("Traceback", err)
    monkeypatch.undo()
    assert run(monkeypatch, capsys, "align", spec, "--runs", tmp_path / "runs", "--until", "collect")[0] == 3


def test_room_is_counted_from_what_stages_leave(project, monkeypatch, tmp_path):
    """By hand: 4 bytes a weight for the saved model; adapters of rank 2 at most 2 % of that; all
    weights whole; two checkpoints of three numbers."""
    experiment, jobs, folder = prepare(Request(project, runs=tmp_path))
    size = 1_000_000_000
    model = SimpleNamespace(parameters=size)
    monkeypatch.setattr(disk_space, "resolve", lambda *_: model)
    adapter = 4 * size * 2 // 100
    assert disk_space.bytes_needed(experiment, jobs) == 50_000_000 + 4 * size + 2 * adapter + 6 * adapter
    whole, jobs, _ = prepare(Request(project, ("train.0.rank=0", "train.1.rank=0"), runs=tmp_path))
    assert disk_space.bytes_needed(whole, jobs) == 50_000_000 + 4 * size + 2 * 4 * size + 6 * 4 * size
    assert disk_space.bytes_needed(whole, [job for job in jobs if "train." not in job.name]) == 50_000_000
    monkeypatch.setattr(disk_space, "free", lambda _: 10**9)
    assert (
        disk_space.low_space_warning(whole, jobs, folder)
        == f"the disk of {folder} has 1.0 GB free; these stages may need up to about 36.0 GB"
    )
    monkeypatch.setattr(disk_space, "free", lambda _: 10**11)
    assert disk_space.low_space_warning(whole, jobs, folder) is None


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_that_is_not_utf8_stops_nothing(encoding, project):
    """The same command as one that wrote UTF-8: the same exit code and lines, in signs that the
    output has."""
    runs = project.parent / "runs"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": encoding}
    command = [
        sys.executable,
        "-c",
        "from alignwright.cli import main; main()",
        "align",
        str(project),
        "--runs",
        str(runs),
        "--until",
        "collect",
    ]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=300)
    out, err = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert done.returncode == 3, err
    assert " stages into " in out
    assert err == ""
    if encoding == "ascii":
        assert re.search(r"^[+-] collect", out, re.MULTILINE)
        assert "? value.pairs.gain" in out


def test_help_tells_the_exit_codes(monkeypatch, capsys):
    code, out, _ = run(monkeypatch, capsys, "--help")
    assert code == 0
    assert "4 the program failed" in " ".join(out.split())


def test_codes_in_columns_files_and_servers_words_never_reach_the_terminal(monkeypatch, capsys, project, tmp_path):
    """The doors: lines of a check that passes, problems of one that does not, and the words of
    an error."""
    shown = ending(SpecError([f"spec.yaml:1: no column {CODES}", "spec.yaml:2: a name\nspec.yaml:3: forged"]))[0]
    assert shown.count("\n") == 1  # a line for each problem: none can forge another
    for text in (shown, ending(ValueError(CODES))[0], ending(OSError(CODES))[0]):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert "⟨U+001B⟩[31mred" in shown
    name = "x\x1b[2Jy.jsonl"
    (tmp_path / name).write_text('{"prompt": "Hi", "completion": "Hello", "note\\u001b[31m": 1}\n')
    (tmp_path / "spec.yaml").write_text(
        f'name: s\nmodel: {project.parent / "model"}\ntrain: [{{by: sft, data: ["x\\e[2Jy.jsonl"]}}]\n'
    )
    for arguments in (["check", tmp_path / "spec.yaml", "--quick"], ["align", tmp_path / "spec.yaml", "--dry-run"]):
        _, out, err = run(monkeypatch, capsys, *arguments)
        assert "\x1b" not in out + err
    assert "⟨U+001B⟩[2Jy.jsonl" in run(monkeypatch, capsys, "check", tmp_path / "spec.yaml", "--quick")[1]


def test_a_run_folder_that_is_damaged_is_told_with_file_and_line(monkeypatch, capsys, tmp_path):
    """`report` and `diff` read what a run left: file, line, and what to do."""
    good, bad = (report_case.write(tmp_path / name, *report_case.case()) for name in ("good", "bad"))
    for run_folder in (good, bad):
        (run_folder / "spec").mkdir()
        (run_folder / "spec" / "resolved.json").write_text("{}")
    lines = (bad / "findings.jsonl").read_text().splitlines(keepends=True)
    (bad / "findings.jsonl").write_text("".join([*lines[:2], lines[2][:40] + "\n", *lines[3:]]))
    for command in (["report", bad], ["diff", good, bad]):
        code, _, err = run(monkeypatch, capsys, *command)
        assert code == 2
        assert f"{bad / 'findings.jsonl'}:3" in err
        assert "pydantic" not in err
    (bad / "findings.jsonl").write_text("".join(lines))
    for content, said in (("[]", "damaged"), ("{", "damaged"), (None, "is not there")):
        place = bad / "spec" / "resolved.json"
        place.unlink() if content is None else place.write_text(content)
        code, _, err = run(monkeypatch, capsys, "diff", good, bad)
        assert (code, str(place) in err, said in err) == (2, True, True)
    (bad / "promises.json").write_text('{"header": 3}')
    code, _, err = run(monkeypatch, capsys, "report", bad)
    assert code == 2
    assert "promises.json: " in err


def test_two_findings_with_a_line_separator_in_a_reply_are_two_lines(monkeypatch, capsys, tmp_path):
    """U+2028 is no end of a line of JSON, whoever thinks so."""
    answers, found = report_case.case("a\u2028b\x85c")
    folders = [report_case.write(tmp_path / name, answers, found) for name in ("one", "two")]
    for folder in folders:
        (folder / "spec").mkdir()
        (folder / "spec" / "resolved.json").write_text("{}")
    monkeypatch.setattr(sys, "argv", ["alignwright", "diff", *map(str, folders)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert "value.refusal" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["--set", "file", "model", "audit", "data", "reward"])
def test_a_secret_in_an_address_is_refused_and_never_repeated(form, monkeypatch, capsys, project, tmp_path):
    """Neither the user's password nor a key in the query is shown or stored, wherever the
    address was written."""
    address = "http://somebody:hush-hush@localhost:9/v1?key=very-secret#m"
    arguments: list[object] = ["align", project, "--runs", tmp_path / "runs"]
    if form == "--set":
        arguments += ["--set", f"feedback.2.judge={address}"]
    if form == "model":
        arguments += ["--set", f"model={address}"]
    if form == "data":
        arguments += ["--set", f"intent.prompts=['{address}']"]
    if form == "reward":
        arguments += ["--set", f"train=[{{by: grpo, reward: '{address}'}}]"]
    if form == "audit":
        arguments = ["audit", project, "--model", address, "--runs", tmp_path / "runs"]
    if form == "file":
        spec = project.parent / "secret.yaml"
        spec.write_text(project.read_text().replace("by: judge,", f'by: judge, judge: "{address}",'))
        arguments[1] = spec
    code, out, err = run(monkeypatch, capsys, *arguments)
    assert code == 2
    assert "hush-hush" not in out + err
    assert "very-secret" not in out + err
    assert "localhost" in err  # the control: the address itself is told
    stored = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert not any(b"secret" in path.read_bytes() for path in stored)


WRONG = {
    "wrappers.yaml": ["3: 4\n", "a: 7\n", "[]", "a: " + "[" * 3000, b"\xff\xfe", "", "a: no slot here\n"],
    "rules.yaml": ["7", "- 3\n", "- {check: 5}\n", "- " + "[" * 3000, b"\xff\xfe", "- {check: none:such}\n"],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_of_wrappers_or_rules_is_read_before_anything_runs(name, monkeypatch, capsys, project, tmp_path):
    (tmp_path / "wrappers.yaml").write_text('direct: "{prompt}"\n')
    (tmp_path / "rules.yaml").write_text('- {check: "length:max_words", args: {count: 3}}\n')
    for other in ("pairs.jsonl", "refusal.jsonl"):
        (tmp_path / other).write_bytes((project.parent / other).read_bytes())
    data = (
        f"name: s\nmodel: {project.parent / 'model'}\nintent: {{pairs: pairs.jsonl}}\nfeedback: [{{by: rules, file:"
        " rules.yaml}]\n"
    )
    (tmp_path / "s.yaml").write_text(
        data + "train: [{by: dpo}]\nattack: [{by: suite, file: wrappers.yaml, prompts: refusal.jsonl}]\n"
    )
    commands = (["check", tmp_path / "s.yaml", "--quick"], ["align", tmp_path / "s.yaml", "--dry-run"])
    assert [run(monkeypatch, capsys, *command)[0] for command in commands] == [0, 0]  # the control
    for content in WRONG[name]:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        for command in commands:
            code, _, err = run(monkeypatch, capsys, *command)
            assert code == 2, (content, err)
            place = "attack.0.suite.file: " if name == "wrappers.yaml" else "feedback.0.rules.file: "
            line = f"{tmp_path / 's.yaml'}:6: " if name == "wrappers.yaml" and command[0] == "check" else ""
            assert err.startswith(line + place), err
            assert str(tmp_path / name) in err

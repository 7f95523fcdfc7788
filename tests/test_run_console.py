"""Is a line that is read by another program left whole, and folded only where somebody asks for
a width?"""

from __future__ import annotations

from pathlib import Path

import pytest
import report_case
from typer.testing import CliRunner

from alignwright.cli import app

LONG = "attack.success." + "_".join(["a_wrapper_with_a_long_name"] * 4)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two runs whose names and claims do not fit into eighty columns."""
    monkeypatch.delenv("COLUMNS", raising=False)
    answers, findings = report_case.case()
    findings = [f.model_copy(update={"claim": LONG}) if f.claim == "attack.success.role_play" else f for f in findings]
    made: list[str] = []
    for name in ("a-run-with-a-name-of-many-words", "another-run-with-a-name-of-many-words"):
        folder = report_case.write(tmp_path / name, answers, findings)
        (folder / "spec").mkdir()
        (folder / "spec" / "resolved.json").write_text('{"model": "m"}')
        made.append(str(folder))
    return made[0], made[1]


def lines(*command: str) -> list[str]:
    return CliRunner().invoke(app, list(command)).stdout.splitlines()


def test_a_pipe_gets_every_row_as_one_line(runs: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (("diff", *runs), ("report", runs[0])):
        assert sum(LONG in line or LONG.removeprefix("attack.success") in line for line in lines(*command)) == 1
    (row,) = [line for line in lines("diff", *runs) if LONG in line]
    assert row.count("n=32") == 2
    assert (
        len(lines("front", runs[0], "--gain", "value.refusal", "--tax", "tax.bits_per_byte")) == 3
    )  # heads, one model, why none is best
    monkeypatch.setenv("FORCE_COLOR", "1")  # as CI sets it, for colours
    assert any(LONG in line for line in lines("diff", *runs))
    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.setenv("COLUMNS", "80")  # the control: a width that is asked for is kept
    assert all(len(line) <= 80 for line in lines("diff", *runs))
    assert not any(LONG in line for line in lines("diff", *runs))

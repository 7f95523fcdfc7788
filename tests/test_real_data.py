"""Is a test of real data counted, and does a skip fail the session where the data folder is
named?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from real_data import VARIABLE

CASES = """
import pytest
from real_data import real


@pytest.mark.data
@pytest.mark.parametrize("name", ["here.txt", "absent.txt"])
def test_reads(name):
    assert real(name).read_text() == "x"


def test_skips_for_another_reason():
    pytest.skip("no data needed")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("conftest.py", "real_data.py"):
        shutil.copy(Path(__file__).parent / name, tmp_path)
    (tmp_path / "test_cases.py").write_text(CASES)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = data: reads\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "here.txt").write_text("x")
    return tmp_path


@pytest.mark.parametrize(
    ("named", "chosen", "status", "line"),
    [
        (True, "", 1, "data tests: 1 ran, 1 skipped (ALIGNWRIGHT_DATA=data)"),
        (True, "here or another", 0, "data tests: 1 ran, 0 skipped (ALIGNWRIGHT_DATA=data)"),
        (False, "", 0, "data tests: 0 ran, 2 skipped (ALIGNWRIGHT_DATA is not set)"),
    ],
)
def test_a_skip_with_the_folder_named_is_a_failure(
    folder: Path, named: bool, chosen: str, status: int, line: str
) -> None:
    env = {name: value for name, value in os.environ.items() if name != VARIABLE and not name.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen]
    done = subprocess.run(
        command, cwd=folder, env=env | ({VARIABLE: "data"} if named else {}), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, line in done.stdout) == (status, True), done.stdout + done.stderr
    assert ("test_reads[absent.txt]: skipped though ALIGNWRIGHT_DATA is set" in done.stdout) == (status == 1)

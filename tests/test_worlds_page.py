"""Is the page whole, without script, with a hostile agent's words harmless; and does the command
line stay light?"""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from alignwright.cli import app
from alignwright.worlds import page as show
from alignwright.worlds.agent import play
from alignwright.worlds.experiments import NAMES
from alignwright.worlds.figures import picture
from alignwright.worlds.sandbox import has_wall
from alignwright.worlds.scripted import REPAIRERS, ScriptedModel, block

HOSTILE = "<script>alert(1)</script> \x1b[31m \u202e \"onload='x'"


@pytest.fixture(scope="module")
def found():
    return show.study_worlds(("tall_robot",), 2)


def test_a_world_is_shown_with_its_picture_its_rows_and_its_detectors(found):
    page = show.page(found, {})
    assert page.count("<svg") == 2
    assert "the most that any policy can get of it is 29.7" in page
    for word in ("Tall robot", "learner of the proxy", "early stop", "impact penalty", "anomaly", "the honest best"):
        assert word in page


def test_every_name_is_looked_at_before_anything_is_learnt(tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(
        LookupError, match=r"'points_lop', did you mean 'points_loop'\?; no world is called 'boats', choose from tall"
    ):
        show.study_worlds(("tall_robot", "points_lop", "boats"), 2, told.append)
    assert told == []
    asked = ["worlds", "--seeds", "2", "--out", str(tmp_path / "w.html"), "--only"]
    for only in (["tall_robot,boats"], ["tall_robot", "--only", "boats"]):
        failed = CliRunner().invoke(app, [*asked, *only])
        assert isinstance(failed.exception, LookupError)
        assert "tall_robot ..." not in failed.output
    assert not (tmp_path / "w.html").exists()
    done = CliRunner().invoke(
        app, [*asked, "tall_robot, tall_robot"]
    )  # the control: a name that is known is learnt, once
    assert done.output.count("tall_robot ...") == 1


def test_every_drawing_is_well_formed(found):
    for drawing in re.findall(r"<svg.*?</svg>", show.page(found, {}), re.DOTALL):
        ET.fromstring(drawing)
    for name in ("tampered_chess", "edited_tests"):
        ET.fromstring(picture(name, found[0].hacker.policy_SA))
    with pytest.raises(LookupError, match="boats"):
        picture("boats", found[0].hacker.policy_SA)


def test_words_of_an_agent_do_nothing_on_the_page(found):
    played = {HOSTILE: play(ScriptedModel(HOSTILE, lambda *_: HOSTILE + block("done")), "edited_tests", 1, turns=2)}
    page = show.page(found, played)
    assert "<script" not in page
    assert ("inside a wall" in page) == has_wall()
    assert "alert(1)" in page
    assert not re.search("[\x1b\u202e]", page)
    assert "⟨U+202E⟩" in page


def test_long_words_are_cut_and_say_so():
    assert show.safe("x" * (show.MAX_CHARS + 7)).endswith("7 more characters")


def test_the_controls_are_all_there():
    assert set(show.controls(1)) == {f"{name}, edited tests" for name in REPAIRERS} | {
        f"{name}, chess" for name in ("an honest player", "a writer of the file", "a babbler")
    }


def test_the_table_has_every_row(found):
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(show.table(found))
    text = console.export_text()
    assert text.count("\n") >= len(found[0].rows)
    console.file.close()


def test_the_command_writes_the_page(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(show, "controls", dict)
    out = tmp_path / "page.html"
    ran = CliRunner().invoke(app, ["worlds", "--only", "tall_robot", "--seeds", "2", "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    assert "Tall robot" in ran.output
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_one_seed_has_no_interval():
    with pytest.raises(ValueError, match="at least 2"):
        show.study_worlds(NAMES, 1)


def test_help_loads_neither_gymnasium_nor_chess():
    code = (
        "import sys; from typer.testing import CliRunner; from alignwright.cli import app; "
        "CliRunner().invoke(app, ['--help']); import alignwright.experiment.plan, alignwright.worlds.agent; "
        "sys.exit(bool({'gymnasium', 'chess'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Do the two sides of a whole-run comparison get the code and the spec that they should, and is a miss a miss?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alignwright.cli import app

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import whole_run

TOP = Path(__file__).parents[1]
SPIN = (
    "import sys, time\nuntil = time.process_time() + 0.2\nwhile time.process_time() < until: pass\nsys.exit({code})\n"
)


def git(top: Path, *arguments: str) -> None:
    name = ["-c", "user.name=x", "-c", "user.email=x@y"]
    subprocess.run(["git", "-C", str(top), *name, *arguments], check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository whose first commit has other code and another spec than its working tree."""
    top = tmp_path / "tree"
    files = {
        "src/code.py": "old",
        "examples/one.yaml": "old",
        "examples/data/a.txt": "old",
        "benchmarks/specs/kept.yaml": "kept",
    }
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    git(tmp_path, "init", "-q", str(top))
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "first")
    for name in ("src/code.py", "examples/one.yaml", "examples/data/a.txt"):
        (top / name).write_text("new")
    (top / "examples/later.yaml").write_text("later")
    return top


def test_a_commit_is_unpacked_and_the_working_tree_stays(tree: Path, tmp_path: Path) -> None:
    commit = whole_run.resolved_commit("HEAD", tree)
    whole_run.unpack(commit, tmp_path / "old", tree)
    assert (tmp_path / "old/src/code.py").read_text() == "old"
    assert (tree / "src/code.py").read_text() == "new"
    assert not (tmp_path / "old/examples").exists()
    with pytest.raises(whole_run.Failure, match="nowhere"):
        whole_run.resolved_commit("nowhere", tree)


def test_both_sides_read_the_same_data_and_each_its_own_spec(tree: Path, tmp_path: Path) -> None:
    commit = whole_run.resolved_commit("HEAD", tree)
    spec = tree / "examples/one.yaml"
    new = whole_run.place_spec(spec, tmp_path / "new", tree)
    old = whole_run.place_old_spec(spec, None, commit, tmp_path / "old", tree)
    assert (new.read_text(), old.read_text()) == ("new", "old")
    assert (new.parent / "data/a.txt").read_text() == (old.parent / "data/a.txt").read_text() == "new"
    # a spec that the commit has not is given as it is; one that was asked for, or lies beside, goes first
    later = whole_run.place_old_spec(tree / "examples/later.yaml", None, commit, tmp_path / "later", tree)
    assert later.read_text() == "later"
    asked = whole_run.place_old_spec(spec, tree / "benchmarks/specs/kept.yaml", commit, tmp_path / "asked", tree)
    assert asked.read_text() == "kept"
    (tree / f"examples/one.{commit[:7]}.yaml").write_text("its own words")
    assert whole_run.place_old_spec(spec, None, commit, tmp_path / "beside", tree).read_text() == "its own words"


def test_a_spec_that_is_not_of_this_tree_is_refused(tree: Path, tmp_path: Path) -> None:
    (elsewhere := tmp_path / "elsewhere.yaml").write_text("x")
    for spec in (elsewhere, tree / "src/code.py", tree / "examples/none.yaml"):
        with pytest.raises(whole_run.Failure, match=spec.name):
            whole_run.place_spec(spec, tmp_path / spec.stem, tree)


@pytest.mark.parametrize(
    ("spec", "aim", "ratio", "met"),
    [
        ("benchmarks/specs/tiny.yaml", None, 0.60, True),
        ("examples/tiny.yaml", None, 0.601, False),
        ("benchmarks/specs/quickstart.yaml", None, 1.0, True),
        ("examples/quickstart/spec.yaml", None, 1.01, False),
        ("examples/dpo.yaml", None, 1.01, False),
        ("examples/dpo.yaml", 1.1, 1.01, True),
    ],
)
def test_targets(spec: str, aim: float | None, ratio: float, met: bool) -> None:
    assert whole_run.targets(Path(spec), aim, ratio)["cpu_ratio"][2] is met


def test_other_findings_are_a_miss_where_the_same_were_asked_for() -> None:
    assert "same_findings" not in whole_run.targets(Path("tiny.yaml"), None, 0.1)
    assert whole_run.targets(Path("tiny.yaml"), None, 0.1, same=False)["same_findings"] == [False, True, False]
    assert whole_run.targets(Path("tiny.yaml"), None, 0.1, same=True)["same_findings"] == [True, True, True]


def test_the_time_is_that_of_the_process_and_a_failed_run_is_no_time(tmp_path: Path) -> None:
    package = tmp_path / "src/alignwright"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "cli.py").write_text("def main():\n    exec(open('spin.py').read())\n")
    (spec := tmp_path / "x.yaml").write_text("")
    side = whole_run.Side("new", tmp_path, spec, threads=1)
    assert side.environment["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in side._replace(threads=None).environment
    (tmp_path / "spin.py").write_text(SPIN.format(code=3))
    assert whole_run.cpu_seconds(side, tmp_path / "runs") >= 0.2
    (tmp_path / "spin.py").write_text(SPIN.format(code=2))
    with pytest.raises(whole_run.Failure, match="ended with 2"):
        whole_run.cpu_seconds(side, tmp_path / "runs")


@pytest.mark.parametrize("name", ["tiny", "quickstart"])
def test_the_kept_specs_are_specs(name: str) -> None:
    spec = TOP / "benchmarks/specs" / f"{name}.yaml"
    checked = CliRunner().invoke(app, ["check", "--quick", str(spec), "--set", "model=owner/name"])
    assert checked.exit_code == 0, checked.output
    assert spec.with_name(f"{name}.ccebb6e.yaml").is_file()

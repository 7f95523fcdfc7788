"""Does the wheel hold all that the package needs, so that an empty folder is enough to begin in?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_platforms import COMMANDS, ran
from tiny import make_tiny

from alignwright import Run, __version__
from alignwright.run.scaffold import EXAMPLES, FOLDER, scaffold

ROOT = Path(__file__).parents[1]
SMALL = [
    *("attack.0.limit=1", "measure.0.limit=2", "measure.0.faithful=[]", "measure.1.limit=2", "measure.2.limit=4"),
    *("attack.0.max_new_tokens=4", "measure.0.max_new_tokens=4", "measure.1.max_new_tokens=4"),
    *("measure.2.max_new_tokens=4", "measure.3.limit=4"),
]
"""So little of the audit that it is done in a second."""
OF_THE_REPOSITORY = {"tiny.yaml", "make_tiny_model.py", "notebook.py", "tiny-model", "runs", "__marimo__"}
"""What lies in examples/ and needs the repository: it is no project to begin with."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    process = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return folder / process.stdout.split()[-1]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which the package is the wheel's, and nothing of the repository."""
    place = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(place)
    return os.environ | {"PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"}


def contents(wheel: Path, folder: str) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as file:
        return {name.removeprefix(folder): file.read(name) for name in file.namelist() if name.startswith(folder)}


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_the_wheel_holds_the_examples_as_they_are_in_the_repository(wheel: Path) -> None:
    repository = {name: data for name, data in files(FOLDER).items() if name.split("/")[0] not in OF_THE_REPOSITORY}
    assert FOLDER == ROOT / "examples"
    assert len(repository) > 20
    assert contents(wheel, "alignwright/examples/") == repository


def test_the_wheel_holds_the_organisms_of_a_calibration(wheel: Path) -> None:
    assert contents(wheel, "alignwright/organisms/") == files(ROOT / "organisms" / "calibrate")


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    whole = contents(wheel, "alignwright/").items()
    package = {name: data for name, data in whole if not name.startswith(("examples/", "organisms/"))}
    assert package == files(ROOT / "src" / "alignwright")
    assert {name.partition("/")[0] for name in contents(wheel, "")} == {
        "alignwright",
        f"alignwright-{__version__}.dist-info",
    }


def test_every_example_but_that_of_the_repository_is_offered() -> None:
    specs = {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("**/*.yaml")}
    assert set(EXAMPLES.values()) == {name for name in specs if name not in OF_THE_REPOSITORY} - {
        "quickstart/rules.yaml"
    }


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_project_made_of_an_example_asks_what_the_example_asks(example: str, tmp_path: Path) -> None:
    """The same stages over the same files: equal but for its name and where the files lie."""
    from alignwright.experiment.load import load

    scaffold(tmp_path / "project", example)
    project, original = load(tmp_path / "project" / "spec.yaml"), load(FOLDER / EXAMPLES[example])
    stripped = original.model_dump_json().replace("quickstart/", "").replace("goodhart/", "")
    assert project.name == "project"
    assert project.model_copy(update={"name": original.name}).model_dump_json() == stripped
    named = {path.name for path in (tmp_path / "project").rglob("*") if path.is_file()}
    text = (FOLDER / EXAMPLES[example]).read_text()
    assert named - {"spec.yaml"} == {name for name in named if name in text}


def test_the_first_hour_in_an_empty_folder(installed: dict[str, str], tmp_path: Path) -> None:
    """`new` of each kind, `check`, `align`, `report`, and an audit of the aligned model behind a server,
    with a tiny model in the bundled one's place."""
    make_tiny(tmp_path / "tiny")
    tiny, short = "--set model=../tiny", "--set train.0.epochs=1 --set train.0.rank=2"
    lines = ran(
        COMMANDS,
        ";".join(
            [
                "new mine",
                *(f"new {example} --from {example}" for example in EXAMPLES),
                f"check mine/spec.yaml {tiny}",
                *(f"check {example}/spec.yaml --quick {tiny}" for example in EXAMPLES),
                f"align mine/spec.yaml {tiny} {short} --until train.0",
            ]
        ),
        cwd=tmp_path,
        env=installed,
    )
    assert [line for line in lines if line.startswith("exit ")] == ["exit 0"] * (2 + 2 * len(EXAMPLES)) + ["exit 3"]
    (page,) = tmp_path.glob("runs/mine-*/report.html")
    page.unlink()
    assert ran(COMMANDS, f"report {page.parent}", cwd=tmp_path, env=installed)[-1] == "exit 3"
    assert page.is_file()
    small = " ".join(f"--set {knob}" for knob in SMALL)
    with served(page.parent, installed) as address:
        lines = ran(COMMANDS, f"audit audit/spec.yaml --model {address}#mine {small}", cwd=tmp_path, env=installed)
    assert lines[-1] in ("exit 1", "exit 3")
    (audited,) = tmp_path.glob("runs/audit-audit-*")
    findings = Run(audited).findings
    (refusal,) = findings.of("value.refusal")
    assert refusal.n + refusal.unscored == 4  # what a random model says is hardly ever a refusal or an answer
    assert refusal.exhibits
    assert any(exhibit.reply for exhibit in refusal.exhibits)
    (bits,) = findings.of("tax.bits_per_byte")
    assert bits.value is None
    assert "behind a server" in bits.note


@contextmanager
def served(run: Path, environment: dict[str, str]) -> Iterator[str]:
    """The run's model behind a server, by the installed command; its address."""
    code = f"import sys\n{COMMANDS}"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code, f"serve {run} --port 0 --name mine --dtype float32"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        address = re.search(r"http://127\.0\.0\.1:\d+/v1", process.stdout.readline())
        assert address is not None
        yield address[0]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_an_example_that_there_is_not_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--from rhlf: there is no such example; did you mean 'rlhf'\?"):
        scaffold(tmp_path / "project", "rhlf")
    assert not (tmp_path / "project").exists()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError):
        scaffold(tmp_path / "file", "dpo")

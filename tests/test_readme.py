"""Does the README name the folders, commands, stages and extras that there are, and no others?"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml
from typer.main import get_command

from alignwright.cli import app
from alignwright.experiment.experiment import Experiment
from alignwright.experiment.explain import KINDS
from alignwright.run.scaffold import EXAMPLES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(title: str) -> list[str]:
    return re.findall(r"^\| (.*?) \|", section(title), re.M)[1:]


def test_the_tree_is_the_tree() -> None:
    named = [cell.strip("`") for cell in first_cells("The tree")]
    package = {path.name for path in (ROOT / "src" / "alignwright").iterdir() if (path / "__init__.py").is_file()}
    prefix = "src/alignwright/"
    assert {name.removeprefix(prefix) for name in named if name.startswith(prefix)} == package
    assert [name for name in named if not list(ROOT.glob(name))] == []


def test_every_command_is_in_the_table() -> None:
    cells = first_cells("Commands")
    named = [match[1] for cell in cells if (match := re.match(r"`alignwright (\w+)", cell))]
    assert sorted(named) == sorted(get_command(app).commands)  # type: ignore[attr-defined]
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert targets is not None
    assert set(re.findall(r"`make (\w+)`", cells[-1])) == set(targets[1].split()) - {"setup"}


def test_every_training_method_and_voter_is_named() -> None:
    text = section("What a spec says")
    methods = text[text.index("Every way the field aligns") : text.index("the way back")]
    assert set(re.findall(r"`(\w+)`", methods)) == set(KINDS["train"])
    assert [name for name in KINDS["feedback"] if not re.search(rf"by: {name}\b|`{name}`", text)] == []


def test_the_spec_that_is_shown_is_one() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", section("What a spec says"), re.S)
    experiment = Experiment.model_validate(yaml.safe_load(shown), strict=False)
    assert experiment.name == "honest-smol"


def test_the_extras_and_the_examples_are_those_there_are() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert [cell.strip("`") for cell in first_cells("Install")] == list(extras)
    (row,) = re.findall(r"^\| `alignwright new NAME`.*$", README, re.M)
    assert set(re.findall(r"`(?:--from )?(\w+)`", row)) == set(EXAMPLES)


def test_every_link_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    links = [
        (page.name, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in link
    ]
    assert len(links) > 30
    assert [
        (name, link)
        for name, link in links
        if not (ROOT / "docs" / link if name != "README.md" else ROOT / link).exists()
    ] == []

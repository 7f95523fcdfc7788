"""How many source files must one touch to add a technique?

`python benchmarks/contributor.py [--count]` writes each contribution below, a real technique of the literature that the
package has not, into a copy of the tree of its own and counts the files of `src` that were changed or created. Then it
writes all of them into one copy, adds their stages to the tiny example, runs it there, and looks for what each must
have left behind: its numbers, its claims and titles, its section of the report, the answer to its promise. It prints
one JSON line and exits with 1 where a count is above its aim or something is missing. `--count` runs nothing.

A contribution is new files and edits; an edit stands at an anchor, a piece of text that its file has exactly once.
Where an anchor is gone the code has moved on, and the contribution is to be written anew, by the way that
`AGENTS.md` tells. Tests and docs are not counted: they come with any change.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from contributions import ATTACK, MEASURE, PREFERENCE_LOSS

TOP = Path(__file__).parents[1]
SOURCE = Path("src/alignwright")
COPIED = ("src", "examples", "tests/tiny.py")
VERDICTS = (0, 1, 3)
"""How a run may exit: its promises are kept, broken, or untested."""
ALIGN = "import sys; from alignwright.cli import main; sys.exit(main())"
NEEDED = ("name", "seed", "effort", "model")
"""What of the tiny example is left where the contributions run alone, with its written pairs and their votes."""


class Outdated(Exception):
    """A contribution that no longer fits the tree, or a run that failed with it."""


@dataclass(frozen=True)
class Edit:
    """`text` behind `anchor` in a file, or `instead` of it."""

    path: str
    anchor: str
    text: str
    instead: bool = False


@dataclass(frozen=True)
class Contribution:
    """What is written, what is added to the spec (a stage by section), and what a run must show for it."""

    name: str
    aim: int
    edits: tuple[Edit, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    promise: str = ""
    claims: tuple[str, ...] = ()
    """Claims that must be counted at every model, and stored with the run."""
    titles: tuple[str, ...] = ()
    """Titles of claims and training stages that must be stored with the run, and stand in the report."""
    section: str = ""
    """The title of its section of the report."""


def contributions() -> list[Contribution]:
    return [from_mapping(text) for text in (ATTACK, MEASURE, PREFERENCE_LOSS)]


def from_mapping(text: Mapping[str, Any]) -> Contribution:
    return Contribution(**{**text, "edits": tuple(Edit(**edit) for edit in text["edits"])})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="source files touched to add a technique")
    parser.add_argument("--count", action="store_true", help="count alone, run nothing")
    args = parser.parse_args(arguments)
    try:
        touched = {each.name: count(each) for each in contributions()}
        missing = [] if args.count else run_all(contributions())
    except Outdated as fault:
        print(fault, file=sys.stderr)
        return 2
    targets: dict[str, list[object]] = {
        each.name: [len(touched[each.name]), each.aim, len(touched[each.name]) <= each.aim] for each in contributions()
    }
    if not args.count:
        targets["missing"] = [len(missing), 0, not missing]
    print(json.dumps({"touched": touched, "missing": missing, "targets": targets}))
    return 0 if all(met for _, _, met in targets.values()) else 1


def count(contribution: Contribution, top: Path = TOP) -> list[str]:
    """The source files that differ once the contribution is written into a copy of the tree."""
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_tree(top, Path(folder))
        write(contribution, tree)
        return changed(top, tree)


def copy_tree(top: Path, folder: Path) -> Path:
    skip = shutil.ignore_patterns("__pycache__", "tiny-model", "runs")
    for name in COPIED:
        if (top / name).is_dir():
            shutil.copytree(top / name, folder / name, ignore=skip)
        elif (top / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(top / name, folder / name)
    return folder


def write(contribution: Contribution, tree: Path) -> None:
    for name, text in contribution.files.items():
        path = tree / SOURCE / name
        if path.exists():
            raise Outdated(f"{contribution.name}: {path.relative_to(tree)} is there already; choose another technique")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for edit in contribution.edits:
        path = tree / SOURCE / edit.path
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if (times := text.count(edit.anchor)) != 1:
            raise Outdated(f"{contribution.name}: {edit.path} holds {edit.anchor!r} {times} times and not once")
        with_edit = edit.text if edit.instead else edit.anchor + edit.text
        path.write_text(text.replace(edit.anchor, with_edit), encoding="utf-8")


def changed(top: Path, tree: Path) -> list[str]:
    """Files below `src/alignwright` that only one tree has, or that differ."""
    names = {
        str(path.relative_to(root / SOURCE))
        for root in (top, tree)
        for path in (root / SOURCE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return sorted(name for name in names if _bytes(top / SOURCE / name) != _bytes(tree / SOURCE / name))


def run_all(chosen: Sequence[Contribution], top: Path = TOP, *, alone: bool = False) -> list[str]:
    """All contributions in one tree, one run of the tiny example; what is missing of what they must leave behind.
    `alone`: of the example only what they need is run."""
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_tree(top, Path(folder))
        for each in chosen:
            write(each, tree)
        spec = tree / "examples" / "tiny.yaml"
        example = yaml.safe_load(spec.read_text(encoding="utf-8"))
        spec.write_text(json.dumps(with_stages(example, chosen, alone=alone)), encoding="utf-8")
        _run(tree, [str(tree / "examples/make_tiny_model.py"), str(tree / "examples/tiny-model")])
        _run(tree, ["-c", ALIGN, "align", str(spec), "--runs", str(tree / "runs")], VERDICTS)
        (run_folder,) = (tree / "runs").iterdir()
        return [lack for each in chosen for lack in lacks(each, run_folder)]


def with_stages(spec: Mapping[str, Any], chosen: Sequence[Contribution], *, alone: bool = False) -> dict[str, Any]:
    """The spec with each contribution's stages at the end of their sections, and its promise."""
    pairs = {"intent": {"pairs": spec.get("intent", {}).get("pairs", [])}, "feedback": [{"by": "written"}]}
    base = {name: spec[name] for name in NEEDED} | pairs if alone else spec
    longer = {name: list(value) if isinstance(value, list) else value for name, value in base.items()}
    for each in chosen:
        for section, stage in each.spec.items():
            longer.setdefault(section, []).append(dict(stage))
        if each.promise:
            longer.setdefault("promises", []).append(each.promise)
    return longer


def lacks(contribution: Contribution, run_folder: Path) -> list[str]:
    """What a run does not show of a contribution."""
    run = RunFolder(run_folder)
    return [
        *_missing_stages(contribution, run),
        *_missing_claims(contribution, run),
        *_missing_words(contribution, run),
    ]


class RunFolder:
    """What the files of a finished run hold."""

    def __init__(self, folder: Path) -> None:
        self.jobs = list(json.loads((folder / "ledger.json").read_text(encoding="utf-8")))
        self.findings = _lines(folder / "findings.jsonl")
        self.sections = {section["title"] for section in _lines(folder / "sections.jsonl")}
        self.page = html.unescape((folder / "report.html").read_text(encoding="utf-8"))
        answers = json.loads((folder / "promises.json").read_text(encoding="utf-8"))
        self.verdicts = {verdict["promise"]: verdict for verdict in answers["verdicts"]}
        self.claims = {claim["name"]: claim["title"] for claim in answers["claims"]}
        self.models, self.titles = answers["header"]["stages"], answers["header"]["titles"]


def _missing_stages(contribution: Contribution, run: RunFolder) -> Iterator[str]:
    """Jobs that did not run, and trained models of which nothing was measured."""
    measured = {finding["stage"] for finding in run.findings if finding["axis"] != "feedback"}
    for section, stage in contribution.spec.items():
        if not any(job.startswith(f"{section}.") and f".{stage['by']}" in job for job in run.jobs):
            yield f"no job of {section} {stage['by']}"
        if section == "train" and not any(model.endswith(f".{stage['by']}") for model in measured):
            yield f"nothing was measured after {stage['by']}"


def _missing_claims(contribution: Contribution, run: RunFolder) -> Iterator[str]:
    """Claims that were not counted at a model, or have no number anywhere, or are not stored with the run."""
    for claim in contribution.claims:
        levels = {f["stage"]: f for f in run.findings if f["claim"] == claim and f["against"] is None}
        empty = [m for m in run.models if m not in levels or not levels[m]["n"] + levels[m]["unscored"]]
        yield from (f"nothing counted for {claim} at {model}" for model in empty)
        if all(level["value"] is None for level in levels.values()):
            yield f"no number of {claim}"
        if claim not in run.claims:
            yield f"not among the claims of the run: {claim}"


def _missing_words(contribution: Contribution, run: RunFolder) -> Iterator[str]:
    """Titles, the section and the promise, where the run stores them and where the report shows them."""
    for title in contribution.titles:
        if title not in (*run.claims.values(), *run.titles.values()):
            yield f"not stored with the run: {title}"
    if contribution.section and contribution.section not in run.sections:
        yield f"no section: {contribution.section}"
    if contribution.promise and contribution.promise not in run.verdicts:
        yield f"no answer to the promise: {contribution.promise}"
    words = (*contribution.titles, contribution.section, contribution.promise)
    yield from (f"not in the report: {each}" for each in words if each and each not in run.page)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line] if path.exists() else []


def _run(tree: Path, arguments: list[str], verdicts: tuple[int, ...] = (0,)) -> None:
    env = {**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tree / "examples", env=env, capture_output=True, text=True, check=False
    )
    if done.returncode not in verdicts:
        raise Outdated(f"the tiny example ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())

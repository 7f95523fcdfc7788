"""How many source files must one touch to add a technique?

`python benchmarks/contributor.py [--count]` writes each contribution below, a real technique of the literature that the
package has not, into a copy of the tree of its own and counts the files of `src` that were changed or created. Then it
writes all of them into one copy, adds their stages to the tiny example, runs it there, and looks for what each must
have left behind. It prints one JSON line and exits with 1 where a count is above its aim or something is missing.
`--count` runs nothing.

A contribution is new files and edits; an edit stands at an anchor, a piece of text that its file has exactly once.
Where an anchor is gone the code has moved on, and the contribution is to be written anew, by the way that
`AGENTS.md` tells. Tests and docs are not counted: they come with any change.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contributions import ATTACK, PREFERENCE_LOSS

TOP = Path(__file__).parents[1]
SOURCE = Path("src/alignwright")
COPIED = ("src", "examples", "tests/tiny.py")
VERDICTS = (0, 1, 3)
ALIGN = "import sys; from alignwright.cli import main; sys.exit(main())"


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
    """What is written, what is added to the spec (section to line), and what a run must show for it."""

    name: str
    aim: int
    edits: tuple[Edit, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[str, ...] = ()
    """Stages that findings must speak of: the beginning of their names, and the end."""
    claims: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    """Words that the report must hold."""


def contributions() -> list[Contribution]:
    return [from_mapping(written) for written in (ATTACK, PREFERENCE_LOSS)]


def from_mapping(written: Mapping[str, Any]) -> Contribution:
    return Contribution(**{**written, "edits": tuple(Edit(**edit) for edit in written["edits"])})


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
    for name in COPIED:
        if (top / name).is_dir():
            shutil.copytree(
                top / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "tiny-model", "runs")
            )
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


def run_all(chosen: Sequence[Contribution], top: Path = TOP) -> list[str]:
    """All contributions in one tree, one run of the tiny example; what is missing of what they must leave behind."""
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_tree(top, Path(folder))
        for each in chosen:
            write(each, tree)
        spec = tree / "examples" / "tiny.yaml"
        spec.write_text(with_stages(spec.read_text(encoding="utf-8"), chosen), encoding="utf-8")
        _run(tree, [str(tree / "examples/make_tiny_model.py"), str(tree / "examples/tiny-model")])
        _run(tree, ["-c", ALIGN, "align", str(spec), "--runs", str(tree / "runs")], VERDICTS)
        (run_folder,) = (tree / "runs").iterdir()
        return [lack for each in chosen for lack in lacks(each, run_folder)]


def with_stages(spec: str, chosen: Sequence[Contribution]) -> str:
    """The spec with each contribution's stages at the end of their sections."""
    for section, line in [item for each in chosen for item in each.spec.items()]:
        head, found, rest = spec.partition(f"\n{section}:\n")
        if not found:
            raise Outdated(f"the spec has no section {section!r} that is written as a list")
        body, gap, after = rest.rstrip("\n").partition("\n\n")
        spec = f"{head}{found}{body}\n- {line}{gap}{after}\n"
    return spec


def lacks(contribution: Contribution, run_folder: Path) -> list[str]:
    """What a run does not show of a contribution."""
    lines = (run_folder / "findings.jsonl").read_text(encoding="utf-8").split("\n")
    findings = [json.loads(line) for line in lines if line]
    report = (run_folder / "report.html").read_text(encoding="utf-8")
    valued = [finding for finding in findings if finding["value"] is not None]
    return [
        *(f"no number of {claim}" for claim in contribution.claims if claim not in {f["claim"] for f in valued}),
        *(
            f"no number at {stage}"
            for stage in contribution.stages
            if not any(f["stage"].startswith("train.") and f["stage"].endswith(f".{stage}") for f in valued)
        ),
        *(f"not in the report: {words}" for words in contribution.shown if words not in report),
    ]


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

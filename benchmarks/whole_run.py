"""How much CPU time does a whole run of a spec take beside the same run at another commit?

`python benchmarks/whole_run.py --against COMMIT --spec FILE [--old-spec FILE] [--turns 3 | --quick]` runs the spec with
this tree's code and with that of COMMIT in turns, every run in a process and a run folder of its own, and prints one
JSON line: the user and system CPU-seconds of each side (medians over the turns), their ratio, new over old, whether
both found the same to the last bit (`same_findings.py`), and the target met or missed. It exits with 1 on a miss.

CPU-seconds and not the clock, and in turns (new, old, old, new): what another program takes of the machine falls on
both sides. Each side takes as many threads as it would for a user, or `--threads`, or OMP_NUM_THREADS. What is made
once and kept, the compiled kernels and Python's byte code, is made before.

Both sides read the data of this tree. COMMIT's code may know a spec's knobs by other names; its spec is, in this
order, `--old-spec`, a file beside the spec named `STEM.COMMIT.yaml` (first seven digits), the same file as COMMIT has
it, or the spec itself. `benchmarks/specs/` keeps the tiny example and the quickstart as they were at `ccebb6e`, for
later versions of the examples measure more.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import same_findings

TOP = Path(__file__).parents[1]
DATA = ("examples", "benchmarks/specs")
AIMS = {"tiny": 0.60, "quickstart": 1.00}
"""At most this share of the CPU-seconds of `ccebb6e`, by the spec's name in `benchmarks/specs/`; else no more than
before."""
VERDICTS = (0, 1, 3)
"""Exit codes of `align` that speak of the model's promises, not of a failure."""
TINY_MODEL = "./tiny-model"
ALIGN = "import sys; from alignwright.cli import main; sys.exit(main())"
COMPILE_KERNELS = """
import torch
from alignwright.model.kernels import kernels
kernels(torch.zeros(1)), kernels(torch.zeros(1, dtype=torch.bfloat16))
"""


class Failure(Exception):
    """A run that came to no verdict, or a commit or file that is not there."""


class Side(NamedTuple):
    name: str
    code: Path
    """The folder that holds `src`."""
    spec: Path
    threads: int | None = None

    @property
    def environment(self) -> dict[str, str]:
        threads = {"OMP_NUM_THREADS": str(self.threads)} if self.threads else {}
        return {"PYTHONPATH": str(self.code / "src"), **threads}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="CPU-seconds of a whole run beside another commit's")
    parser.add_argument("--against", required=True, metavar="COMMIT")
    parser.add_argument("--spec", required=True, type=Path)
    parser.add_argument("--old-spec", type=Path, help="COMMIT's own spec for the same work")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one turn")
    parser.add_argument("--threads", type=int, help="of both sides; else as each decides")
    parser.add_argument("--aim", type=float, help="the largest ratio that is no miss")
    parser.add_argument("--same", action="store_true", help="other findings are a miss too")
    args = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            result = measure(args, Path(scratch))
    except (Failure, same_findings.Malformed) as failure:
        print(failure, file=sys.stderr)
        return 2
    print(json.dumps(result))
    return 0 if all(met for _, _, met in result["targets"].values()) else 1


def measure(args: argparse.Namespace, scratch: Path) -> dict[str, object]:
    """Both sides in turns, then the medians, the comparison of what was found, and the targets."""
    commit = resolved_commit(args.against)
    (code := scratch / "old").mkdir()
    unpack(commit, code)
    sides = [
        Side("new", TOP, place_spec(args.spec, scratch / "new-data"), args.threads),
        Side("old", code, place_old_spec(args.spec, args.old_spec, commit, scratch / "old-data"), args.threads),
    ]
    for side in sides:
        prepare(side)
    seconds: dict[str, list[float]] = {"new": [], "old": []}
    turns = 1 if args.quick else args.turns
    for turn in range(turns):
        for side in sides if turn % 2 == 0 else sides[::-1]:
            seconds[side.name].append(cpu_seconds(side, scratch / f"{side.name}-{turn}"))
            print(f"turn {turn + 1} of {turns}, {side.name}: {seconds[side.name][-1]:.1f} CPU-seconds", file=sys.stderr)
    differences = same_findings.compare(run_folder(scratch / "old-0"), run_folder(scratch / "new-0"))
    for difference in differences[:3]:
        print(difference, file=sys.stderr)
    new, old = statistics.median(seconds["new"]), statistics.median(seconds["old"])
    return {
        "spec": str(args.spec),
        "against": commit[:7],
        "turns": turns,
        "threads": args.threads or os.environ.get("OMP_NUM_THREADS", "as each decides"),
        "new_cpu_s": round(new, 2),
        "old_cpu_s": round(old, 2),
        "cpu_ratio": round(new / old, 3),
        "same_findings": not differences,
        "differences": len(differences),
        "targets": targets(args.spec, args.aim, new / old, same=not differences if args.same else None),
    }


def targets(spec: Path, aim: float | None, ratio: float, same: bool | None = None) -> dict[str, list[object]]:
    """Name: value, aim, met. The aim is the one asked for, or that of the spec's name."""
    name = spec.parent.name if spec.stem == "spec" else spec.stem
    limit = AIMS.get(name, 1.0) if aim is None else aim
    result: dict[str, list[object]] = {"cpu_ratio": [round(ratio, 3), limit, ratio <= limit]}
    return result if same is None else {**result, "same_findings": [same, True, same]}


def resolved_commit(name: str, top: Path = TOP) -> str:
    return _git(top, "rev-parse", "--verify", f"{name}^{{commit}}").decode().strip()


def unpack(commit: str, folder: Path, top: Path = TOP) -> None:
    """The code of a commit, without touching the working tree or git's list of worktrees."""
    with tarfile.open(fileobj=io.BytesIO(_git(top, "archive", "--format=tar", commit, "src"))) as archive:
        archive.extractall(folder, filter="data")


def place_spec(spec: Path, folder: Path, top: Path = TOP) -> Path:
    """The spec in a copy of the folders that specs read from, as this tree has them, and the tiny model beside it."""
    if not spec.is_file():
        raise Failure(f"{spec}: no such spec")
    if not spec.resolve().is_relative_to(top):
        raise Failure(f"{spec}: give a spec of this tree, in {' or '.join(DATA)}")
    for name in DATA:
        shutil.copytree(top / name, folder / name, ignore=shutil.ignore_patterns("runs", "tiny-model"))
    placed = folder / spec.resolve().relative_to(top)
    if not placed.is_file():
        raise Failure(f"{spec}: give a spec of this tree, in {' or '.join(DATA)}")
    if TINY_MODEL in placed.read_text(encoding="utf-8"):
        maker, model = top / "examples" / "make_tiny_model.py", placed.parent / TINY_MODEL
        _run([sys.executable, str(maker), str(model)], cwd=top, env={"PYTHONPATH": str(top / "src")})
    return placed


def place_old_spec(spec: Path, old_spec: Path | None, commit: str, folder: Path, top: Path = TOP) -> Path:
    """The spec for the old code, for the same work in its own words."""
    beside = spec.with_name(f"{spec.stem}.{commit[:7]}{spec.suffix}")
    if old_spec is not None or beside.is_file():
        return place_spec(old_spec or beside, folder, top)
    placed = place_spec(spec, folder, top)
    name = str(spec.resolve().relative_to(top))
    if _git(top, "ls-tree", commit, "--", name):
        placed.write_bytes(_git(top, "show", f"{commit}:{name}"))
    return placed


def prepare(side: Side) -> None:
    """Make what is made once a machine and kept, so that no turn pays for it."""
    _run([sys.executable, "-m", "compileall", "-q", str(side.code / "src")], cwd=side.code, env=side.environment)
    _run([sys.executable, "-c", COMPILE_KERNELS], cwd=side.code, env=side.environment)


def cpu_seconds(side: Side, runs: Path) -> float:
    """User and system time of one run and of the processes it waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", ALIGN, "align", side.spec.name, "--runs", str(runs)]
    _run(command, cwd=side.spec.parent, env=side.environment, verdicts=VERDICTS)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def run_folder(runs: Path) -> Path:
    (folder,) = runs.iterdir()
    return folder


def _run(command: list[str], cwd: Path, env: dict[str, str], verdicts: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    if done.returncode not in verdicts:
        shown = " ".join(part if "\n" not in part else "..." for part in command)
        raise Failure(f"{shown}\nended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")


def _git(top: Path, *arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", str(top), *arguments], capture_output=True, check=False)
    if done.returncode:
        raise Failure(f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())

"""Provenance: which code, which machine, which seeds made this?

Written to `spec/provenance.json` at the start of every run. The git part speaks of the folder that
holds the spec.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from alignwright.core.version import __version__
from alignwright.experiment.experiment import Experiment
from alignwright.experiment.spec_file import data_files
from alignwright.files.code_hash import code_hash
from alignwright.files.data_file import HUB, data_file
from alignwright.files.hub_rows import hub_commit

PACKAGES = ("torch", "transformers", "peft", "tokenizers", "safetensors", "numpy", "scipy", "pydantic")
MAX_DIFF = 200_000


def provenance(folder: Path, seed: int, threads: int, weights: str, kernels: str) -> dict[str, object]:
    """Facts about code, versions, hardware, seed and the start model's weights, as JSON-able
    values; None for what is not known."""
    return {
        "alignwright": __version__,
        "code": code_hash("run", shown=True),
        "python": sys.version.split()[0],
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "kernels": kernels,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None,
        "seed": seed,
        "weights": weights,
        "git": _git(folder),
    }


def data_sets(experiment: Experiment) -> dict[str, str | None]:
    """The commit of each data set of the Hub that a spec names, which its check has just read."""
    names = [data_file(name).file for _, name, _ in data_files(experiment)]
    return {name: hub_commit(name) for name in names if name.startswith(HUB)}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def processor() -> str | None:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _git(folder: Path) -> dict[str, str | None]:
    commit = _run_git(folder, "rev-parse", "HEAD")
    diff = _run_git(folder, "diff", "HEAD") if commit else None
    return {"commit": commit, "diff": diff[:MAX_DIFF] if diff else diff}


def _run_git(folder: Path, *arguments: str) -> str | None:
    try:
        process = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return process.stdout.strip() if process.returncode == 0 else None

"""How is an audit handed to others, so that they can check that nothing in it changed? As one zip.

`bundle_form` says what goes in. A stage's files go along only while they are what the stage left. In
the spec's files what may be a secret within an address is hidden, as in every message, and of the
provenance the uncommitted changes of the author's code stay out; a value of one of the environment's
keys anywhere is an error. The same run gives the same bytes. The hashes show damage and careless
changes; who changes a file on purpose can write the manifest anew, so the hash of the whole bundle is
printed, to be told by another way.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from alignwright.core.version import __version__
from alignwright.files.contents import json_object
from alignwright.files.server import KEY, without_secrets
from alignwright.job.job import PROBES
from alignwright.job.ledger import Ledger
from alignwright.report import read
from alignwright.run.export.bundle_form import MANIFEST, SPEC, TOP, BundleFile, Manifest, is_text, why_not_in_bundle
from alignwright.run.export.new_folder import size

KEYS = (KEY, "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "ANTHROPIC_API_KEY")
"""Environment variables whose values are in no bundle."""
_SHORTEST_KEY = 8  # what is shorter is a stand-in, and may be a word
_DAY = (1980, 1, 1, 0, 0, 0)  # the zip format's first: the time of writing is no part of a run


def write_bundle(run: Path, out: Path | None) -> tuple[Path, list[str]]:
    """Write a finished run as a bundle, to `out` or under the run's `export/`. Returns its path and what
    there is to say of it. Raises ValueError for an `out` that is there or no zip, for a stage whose files
    have changed, and for a key in a file."""
    name = run.resolve().name
    place = out or run / "export" / f"{name}.zip"
    if place.suffix != ".zip":
        raise ValueError(f"--out {place}: a bundle is a zip file, and its name ends in .zip")
    if out is not None and out.exists():
        raise ValueError(f"--out {out} is there already; name another, so that nothing is lost")
    read(run)
    files = _files(run)
    _no_keys(files)
    for path in files:
        if why := why_not_in_bundle(path):
            raise ValueError(f"{run / path}: {why}; rename it, and name it so in the spec")
    hashes = {
        path: BundleFile(bytes=len(data), sha256=hashlib.sha256(data).hexdigest()) for path, data in files.items()
    }
    manifest = Manifest(alignwright=__version__, run=name, files=hashes)
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".{place.name}.partial")
    try:
        with ZipFile(partial, "w") as archive:
            _add(archive, MANIFEST, (manifest.model_dump_json(indent=1) + "\n").encode())
            for path, data in files.items():
                _add(archive, path, data)
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)
    return place, [
        f"{place}: {len(files)} files, {size(place)}, no weights; alignwright report {place.name} opens and checks it",
        f"sha256 {bundle_hash(place)}",
        "it holds what was asked and replied, also where it was made to draw out harm",
    ]


def bundle_hash(path: Path) -> str:
    """The SHA-256 of a whole bundle."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(run: Path) -> dict[str, bytes]:
    """What goes in, by its path."""
    top = {name: (run / name).read_bytes() for name in TOP if (run / name).is_file() and name != "ledger.json"}
    spec = {
        f"{SPEC}/{path.name}": _spec_file(path)
        for path in sorted((run / SPEC).iterdir()) if path.is_file() and is_text(path.name)
    }  # fmt: skip
    ledger, entries, stages = Ledger(run), dict[str, object](), dict[str, bytes]()
    for name, entry in sorted(ledger.entries.items(), key=lambda pair: pair[1].folder):
        if name.partition(".")[0] not in PROBES:
            continue
        folder = ledger.intact(name)
        texts = {path: mark for path, mark in sorted(entry.files.items()) if is_text(path)}
        stages |= {f"{entry.folder}/{path}": (folder / path).read_bytes() for path in texts}
        entries[name] = asdict(replace(entry, files=texts))
    return top | {"ledger.json": _json(entries)} | spec | stages


def _spec_file(path: Path) -> bytes:
    """A file of the spec, without what may be a secret in it."""
    if path.name == "provenance.json":
        facts = json_object(path)
        git = facts.get("git")
        return without_secrets(
            _json(facts | ({"git": git | {"diff": None}} if isinstance(git, dict) else {})).decode()
        ).encode()
    return without_secrets(path.read_bytes().decode("utf-8")).encode()


def _no_keys(files: dict[str, bytes]) -> None:
    for variable in KEYS:
        value = os.environ.get(variable, "").encode()
        path = next((path for path, data in files.items() if len(value) >= _SHORTEST_KEY and value in data), None)
        if path is not None:
            raise ValueError(f"{path} holds the value of {variable}, a key, so no bundle is written; take it out there")


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _add(archive: ZipFile, name: str, data: bytes) -> None:
    info = ZipInfo(name, date_time=_DAY)
    info.compress_type, info.create_system, info.external_attr = ZIP_DEFLATED, 3, 0o100644 << 16
    archive.writestr(info, data)

"""Is an audit bundle what its manifest says, and how is it opened? Checked whole, then laid into a folder.

A bundle comes from others, so nothing in it is believed: every member must be a plain file that a bundle
may hold, under its own name, once, unpacked no longer than it says; what is not in the manifest, what is
missing and what has another hash are errors that name it. The promises are answered again from the
findings, and must come to what is stored. Only then is a folder written.

Its place is beside the bundle, a folder named after it, with the run's own folder in it: one level
deeper than runs lie, so that no stage of it is ever taken over by a run of this machine.
"""

from __future__ import annotations

import hashlib
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from alignwright.core.promises import answer, parse
from alignwright.core.version import __version__
from alignwright.files.safe_read import PACKED_BYTES, PACKED_RATIO
from alignwright.report import read
from alignwright.run.export.bundle import bundle_hash
from alignwright.run.export.bundle_form import CORE, MANIFEST, BundleFile, Manifest, why_not_in_bundle

MOST_FILES = 20_000
_MANIFEST_BYTES = 8 * 2**20
_COPY = 2**20  # bytes at a time


@dataclass(frozen=True)
class BundleContents:
    """A bundle that was checked and laid into a folder, and what there is to say of it."""

    run: Path
    lines: tuple[str, ...]


def open_bundle(path: Path) -> BundleContents:
    """Check a bundle and lay it into a folder beside it. Raises ValueError, naming bundle and member, where
    something in it is not as its manifest says, or must not be in one."""
    folder = path.with_suffix("")
    if path.suffix != ".zip":
        raise ValueError(f"{path} is no run folder and no bundle: the name of a bundle ends in .zip")
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename: info for info in _plain_members(path, archive)}
            manifest = _manifest(path, archive, infos)
            _same_names(path, manifest, infos)
            partial = folder.with_name(f".{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            try:
                for name, entry in manifest.files.items():
                    _unpack(path, archive, infos[name], entry, partial / manifest.run / name)
                notes = _verdicts_follow(path, manifest, partial / manifest.run)
                _take_place(path, folder, partial, manifest)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(f"{path}: no zip file, or a damaged one: {error}") from None
    summary = (
        f"{path}: {len(manifest.files)} files, each with the hash in its manifest, written by {manifest.alignwright}"
    )
    return BundleContents(folder / manifest.run, (summary, f"sha256 {bundle_hash(path)}", *notes))


def _plain_members(path: Path, archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > MOST_FILES:
        raise ValueError(f"{path}: {len(infos):,} files, and a bundle holds {MOST_FILES:,} at most")
    most = max(PACKED_BYTES, PACKED_RATIO * path.stat().st_size)
    if (total := sum(info.file_size for info in infos)) > most:
        raise ValueError(f"{path}: it would unpack to {total:,} bytes, and of one of its size {most:,} are unpacked")
    names = set[str]()
    for info in infos:
        mode = info.external_attr >> 16
        # zipfile cuts a name at a zero byte, so the one that stands in the file is looked at
        why = None if info.orig_filename == MANIFEST else why_not_in_bundle(info.orig_filename)
        if info.orig_filename.lower() in names:
            why = "it is there twice"
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG) or info.is_dir():
            why = "it is no plain file (a link, or a folder)"
        elif info.flag_bits & 1:
            why = "it is encrypted"
        if why:
            raise ValueError(f"{path}: {info.orig_filename[:200]!r}: {why}, so nothing of it is opened")
        names.add(info.orig_filename.lower())
        yield info


def _manifest(path: Path, archive: zipfile.ZipFile, infos: dict[str, zipfile.ZipInfo]) -> Manifest:
    if MANIFEST not in infos:
        raise ValueError(
            f"{path}: {MANIFEST} is missing, so it is no bundle: alignwright export RUN --to bundle makes one"
        )
    with archive.open(infos[MANIFEST]) as file:
        data = file.read(_MANIFEST_BYTES + 1)
    if len(data) > _MANIFEST_BYTES:
        raise ValueError(f"{path}: {MANIFEST} goes on beyond {_MANIFEST_BYTES:,} bytes")
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ValueError(
            f"{path}: {MANIFEST}: {where}: {first['msg']}; this version reads bundles of version 1"
        ) from None
    # the run's name becomes a folder's: it is looked at as a file's name is
    if why_not_in_bundle(f"spec/{manifest.run}.json"):
        raise ValueError(f"{path}: {MANIFEST}: run: {manifest.run[:200]!r} is no plain name of a folder")
    return manifest


def _same_names(path: Path, manifest: Manifest, infos: dict[str, zipfile.ZipInfo]) -> None:
    there = infos.keys() - {MANIFEST}
    wrong = [f"{name} is missing" for name in (*CORE, *manifest.files) if name not in there]
    wrong += [f"{name} was added: the manifest does not name it" for name in there if name not in manifest.files]
    if wrong:
        raise ValueError(f"{path}: {_first_three(wrong)}")


def _unpack(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, entry: BundleFile, place: Path) -> None:
    """Write a member, no byte more than its entry says, and hold it against its hash."""
    name, digest, length = info.filename, hashlib.sha256(), 0
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        with archive.open(info) as source, place.open("xb") as target:
            while part := source.read(_COPY):
                length += len(part)
                if length > entry.bytes:
                    break
                digest.update(part)
                target.write(part)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path}: {name} is damaged: {error}") from None
    if length != entry.bytes:
        more = "more" if length > entry.bytes else f"{length:,}"
        raise ValueError(f"{path}: {name} was changed: it has {more} bytes, and the manifest says {entry.bytes:,}")
    if digest.hexdigest() != entry.sha256:
        raise ValueError(f"{path}: {name} was changed: it has not the hash that the manifest says")


def _verdicts_follow(path: Path, manifest: Manifest, run: Path) -> list[str]:
    """Hold each stored answer against the one that the findings give."""
    results, other = read(run), manifest.alignwright != __version__
    lines: list[str] = []
    for verdict in results.verdicts:
        now = answer(parse(verdict.promise), results.findings, results.header.stages)
        if now.answer == verdict.answer:
            continue
        line = f"{verdict.promise}: stored as {verdict.answer}, but the findings answer {now.answer} ({now.reason})"
        if not other:
            raise ValueError(f"{path}: promises.json: {line}")
        lines.append(f"{line}; it was written by version {manifest.alignwright}, this is {__version__}")
    return lines


def _take_place(path: Path, folder: Path, partial: Path, manifest: Manifest) -> None:
    """Put the new folder in the place of what an earlier look at a bundle left, and of nothing else."""
    mark = folder / MANIFEST
    (partial / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    if folder.is_symlink() or (folder.exists() and not mark.is_file()):
        raise ValueError(f"{folder} is in the way: {path.name} is laid there; move one of them")
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)


def _first_three(wrong: list[str]) -> str:
    more = f" and {len(wrong) - 3} more" * (len(wrong) > 3)
    return "; ".join(wrong[:3]) + more

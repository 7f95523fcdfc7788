"""What does an audit bundle hold? A zip of a run's numbers and conversations, with a manifest of hashes.

`manifest.json` stands first and names every other file with its size and SHA-256. The files are those
of a run's folder that say what was asked, what came back and what it came to, under their names there:
findings, promises, sections, the outcomes and attacks of each stage that measured or attacked, the spec
with its provenance. No weights, no tokenizer, no rows of training.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field

from alignwright.core.attacks import ATTACKS
from alignwright.core.records import Record

MANIFEST = "manifest.json"
CORE = ("findings.jsonl", "promises.json")
TOP = (*CORE, "sections.jsonl", ATTACKS, "ledger.json")
SPEC = "spec"
_TEXT = (".json", ".jsonl", ".yaml", ".yml", ".md", ".txt")
_PROBE = re.compile(r"\d+-(measure|attack)\.[^/]+")
_NAME = re.compile(r"[\w@.,=+ ()-]+")
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


class BundleFile(Record):
    """A file of a bundle: how long it is, and what is in it."""

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(Record):
    """All that a bundle holds."""

    format: Literal["alignwright-audit-bundle"] = "alignwright-audit-bundle"
    version: Literal[1] = 1
    alignwright: str
    """The version that wrote it."""
    run: str
    """What the run's folder was called."""
    files: dict[str, BundleFile]
    """Every other file by its path, in the order of the zip."""


def why_not_in_bundle(name: str) -> str | None:
    """Why a file of this name is in no bundle; None where it may be in one. A name that leads out of the
    folder, or that some system reads in another way, is in none."""
    parts = PurePosixPath(name).parts
    if "/".join(parts) != name or not all(_plain(part) for part in parts):
        return "its name is no plain path within the bundle"
    if name in TOP:
        return None
    if len(parts) == 2 and parts[0] == SPEC and name.endswith(_TEXT):
        return None
    if len(parts) >= 3 and parts[0] == "stages" and _PROBE.fullmatch(parts[1]) and is_text(parts[-1]):
        return None
    return "a bundle holds no such file"


def is_text(name: str) -> bool:
    """Whether a file of a stage goes along: text, and the stage's key, which its ledger entry counts."""
    return name.endswith(_TEXT) or name == "key"


def _plain(part: str) -> bool:
    clean = _NAME.fullmatch(part) is not None and part[0] not in ". " and part[-1] not in ". "
    return clean and not _DEVICES.fullmatch(part)

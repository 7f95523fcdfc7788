"""Which runs does the folder of a sweep stand for?

A sweep is a folder beside its runs, which are runs like any other: each resumes, caches and is read by
itself, and would be the same by `--set`. `runs.json` names them in order. Of a grid with several
seeds each member is a sweep over seeds itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import JsonValue, ValidationError

from alignwright.core.records import Record
from alignwright.job.ledger import write_text

FILE = "runs.json"


class Member(Record):
    """A run of a sweep: its folder's name, what is its own in words, and as knobs."""

    folder: str
    words: str
    knobs: dict[str, JsonValue]


class Members(Record):
    """The runs of a sweep."""

    over: Literal["seeds", "grid"]
    runs: tuple[Member, ...]

    def write(self, sweep: Path) -> None:
        write_text(sweep / FILE, self.model_dump_json(indent=1) + "\n")


def members_of(folder: Path) -> Members | None:
    """The runs of a sweep's folder; None where it is one run. Raises ValueError where its list cannot
    be read."""
    if not (folder / FILE).is_file():
        return None
    try:
        members = Members.model_validate_json((folder / FILE).read_text(encoding="utf-8"))
    except ValidationError as error:
        raise ValueError(f"{folder / FILE}: {error.errors(include_url=False)[0]['msg']}; run the spec again") from None
    for member in members.runs:
        if Path(member.folder).name != member.folder:
            raise ValueError(f"{folder / FILE}: {member.folder!r} is no run beside {folder.name}")
    return members


def check_one_run(folder: Path) -> None:
    """Raise ValueError, with the runs that there are, where a folder is of several and one is wanted."""
    if (members := members_of(folder)) is not None:
        raise ValueError(f"{several_runs(folder, members)}; name one of them")


def several_runs(folder: Path, members: Members) -> str:
    """What to say of a sweep where one run is wanted."""
    runs = ", ".join(f"{folder.with_name(member.folder)} ({member.words})" for member in members.runs)
    return f"{folder} tells of {len(members.runs)} runs together, and replies and models are in each: {runs}"


def points_in(folder: Path) -> list[tuple[str, Path]]:
    """What a table of models has of a folder, each with its own knobs in words: the points of a grid
    (each over its seeds, where it has several), or the run or the seeds as they are."""
    members = members_of(folder)
    if members is None or members.over == "seeds":
        return [("", folder)]
    return [(member.words, folder.parent / member.folder) for member in members.runs]

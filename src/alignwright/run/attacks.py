"""Which attacks of a run succeeded? `attacks.jsonl`: of every attack on every model the first success
with each request in each way, a line each, to be put to another model.

All tries, the failed ones too, lie in the folders of the attacks.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from alignwright.attack.outcomes import successes
from alignwright.core.attacks import ATTACKS, Try
from alignwright.files.contents import records
from alignwright.job.records import write_records


def write_attacks(run: Path, folders: Iterable[Path]) -> None:
    """Write the successes of these jobs' folders; nothing where none of them is an attack's."""
    files = [folder / ATTACKS for folder in folders if (folder / ATTACKS).is_file()]
    if files:
        write_records(run / ATTACKS, [each for file in files for each in successes(records(file, Try))])

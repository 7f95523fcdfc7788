"""Why is a stage to be done: what changed since it was done last?

A stage's key is made of parts, and what it was made of when it was done lies beside its result
(`Ledger`). Held part by part against the parts of now, they say which knob, which file, which code
or which stage before it is another. A spec whose knobs change is a run of its own, in a folder of its
own; then the run of the same name whose parts differ least is what a stage is held against. What was
not kept is said to be unknown, never guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from alignwright.experiment.cache_key import JobKey
from alignwright.files.contents import changed
from alignwright.job.job import Job
from alignwright.job.ledger import Entry, Ledger, entries_of, key_parts

NEVER = "never run"
WORDS = {
    "seed": "the seed changed",
    "date": "the date changed",
    "start model": "the start model changed",
    "chat template": "the chat template changed",
    "longest reply": "the server's longest reply changed",
    "code": "the code it stands on changed",
    "kind": "another kind of stage",
    "judge": "the model it asks changed",
    "order of files": "its files are others, or in another order",
}


def why_stale(
    stale: Sequence[Job], keys: Mapping[str, JobKey], ledger: Ledger, titles: Mapping[str, str]
) -> dict[str, str]:
    """For each of these jobs, none of which would be found done, why it is to be done, by its name.
    `titles`: what jobs are called."""
    others = [(run, entries_of(run)) for run in _runs_of_the_name(ledger.run)]
    names, begun = {job.name for job in stale}, set(ledger.begun())
    return {name: _why(name, keys[name], ledger, begun, others, names, titles) for name in names}


def _why(
    name: str,
    key: JobKey,
    ledger: Ledger,
    begun: Collection[tuple[str, str]],
    others: Sequence[tuple[Path, Mapping[str, Entry]]],
    stale: Collection[str],
    titles: Mapping[str, str],
) -> str:
    own = ledger.entries.get(name)
    if own is not None and own.key == key.key:
        return changed(own.files, ledger.run / own.folder) or "a file that it left changed"
    if (name, key.key) in begun:
        return "begun, not finished: it goes on"
    if own is not None:
        then = key_parts(ledger.run, own)
        return "; ".join(differences(key.parts, then, stale, titles)) if then else _unknown("it was done last")
    there = [(run, key_parts(run, entries[name])) for run, entries in others if name in entries]
    with_parts = [(run, parts) for run, parts in there if parts]
    if not with_parts:
        return _unknown(there[0][0].name) if there else NEVER
    run, then = min(with_parts, key=lambda one: len(_changed_parts(key.parts, one[1])))
    reasons = [*differences(key.parts, then, stale, titles)] or ["what it left there is not whole"]
    return "; ".join((f"never run here, but in {run.name}", *reasons))


def differences(
    now: Mapping[str, str], then: Mapping[str, str], stale: Collection[str], titles: Mapping[str, str]
) -> Iterator[str]:
    """What differs between the parts of two keys, in words: what is the stage's own first."""
    parts = _changed_parts(now, then)
    knobs = [part.removeprefix("knob ") for part in parts if part.startswith("knob ")]
    if knobs:
        yield f"{'knob' if len(knobs) == 1 else 'knobs'} {', '.join(knobs)} changed"
    files = [part for part in parts if part.startswith("file ")]
    for part in files:
        how = "changed" if part in now and part in then else "is read now" if part in now else "is no longer read"
        yield f"{part.removeprefix('file ')} {how}"
    for part in parts:
        if part in WORDS and not (part == "order of files" and files):
            yield WORDS[part]
    for part in (part for part in parts if part.startswith("stage ")):
        before = part.removeprefix("stage ")
        title = titles.get(before, before)
        if part not in now:
            yield f"builds no longer on {title}"
        else:
            yield f"builds on {title}, which is {'to be done' if before in stale else 'another one'}"


def _changed_parts(now: Mapping[str, str], then: Mapping[str, str]) -> list[str]:
    return [part for part in dict.fromkeys((*now, *then)) if now.get(part) != then.get(part)]


def _unknown(since: str) -> str:
    return f"changed since {since}; what changed is not known, as no parts of its key were kept"


def _runs_of_the_name(run: Path) -> list[Path]:
    """The other runs of a spec of this name beside a run, the newest first."""
    name = run.name.rpartition("-")[0]
    ledgers = [path for path in run.parent.glob("*/ledger.json") if path.parent.name != run.name and path.is_file()]
    runs = [path for path in ledgers if path.parent.name.rpartition("-")[0] == name]
    return [path.parent for path in sorted(runs, key=lambda path: path.stat().st_mtime, reverse=True)]

"""Did two runs find the same, to the last bit?

`python benchmarks/same_findings.py OLD NEW [--renamed benchmarks/renamed.json]` compares the `findings.jsonl` and the
`promises.json` of two run folders and prints the first differences: which finding, which field, old and new. It exits
with 0 where there is none, 1 where there is one, 2 where a file cannot be read. The test of a refactoring: a number,
an interval, a note or an example that moved is seen, and only what was renamed on purpose is translated.

`renamed.json` is a list; an entry names a `file` (findings or promises), a `path` of field names without list
positions (`exhibits.status`), the reason (`why`), and one of

- `to`: the field's new name
- `values`: old values with their new ones, whole (`{"hit": "fail"}`)
- `texts`: parts of a text with what they are now
- `ids`: true for a hash of a record whose fields or type were renamed: every old id must be one new id and no other's
- `dropped` or `added`: true for a field that only the old, or only the new file has

The path is that of the old file, and of an added field that of the new. Where both files have a field already it is
compared, whatever the list says: a later pair of runs is not excused by an earlier renaming.

Not compared: the facts of the header that say where and with which code it ran. A promise names its finding by the
hash of the finding's fields, which a renaming changes: compared is which finding of its own file it names.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

RENAMED = Path(__file__).parent / "renamed.json"
FACTS_OF_PLACE = ("spec", "alignwright", "code", "machine", "packages", "commit")
SHOWN = 12
KINDS = {"to", "values", "texts", "ids", "dropped", "added"}


class Difference(NamedTuple):
    where: str
    field: str
    old: object
    new: object

    def __str__(self) -> str:
        old, new = _excerpts(self.old, self.new)
        return f"{self.where}: {self.field}\n  old: {old}\n  new: {new}"


@dataclass(frozen=True)
class Absent:
    """A field that one of the two files has not."""

    def __repr__(self) -> str:
        return "(no such field)"


ABSENT = Absent()


class Malformed(Exception):
    """A file that cannot be read, or a mapping that says nothing."""


@dataclass
class Renaming:
    """What a file's fields and values are called now, by the path of the old field."""

    to: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    texts: dict[str, dict[str, str]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    added: set[str] = field(default_factory=set)
    new_of: dict[str, str] = field(default_factory=dict)
    """Hashes met so far: new of old, and below old of new; together they must be one to one."""
    old_of: dict[str, str] = field(default_factory=dict)

    def value(self, value: object, path: str) -> object:
        """What an old value of this field is now."""
        if not isinstance(value, str):
            return value
        value = self.values.get(path, {}).get(value, value)
        for part, now in self.texts.get(path, {}).items() if isinstance(value, str) else ():
            value = value.replace(part, now)
        return value

    def same_id(self, old: str, new: str) -> bool:
        return self.new_of.setdefault(old, new) == new and self.old_of.setdefault(new, old) == old


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="compares the findings of two runs to the last bit")
    parser.add_argument("old", type=Path, help="a run folder, or one that holds findings.jsonl and promises.json")
    parser.add_argument("new", type=Path)
    parser.add_argument("--renamed", type=Path, default=RENAMED, help="what was renamed on purpose")
    parser.add_argument("--all", action="store_true", help=f"print every difference, not the first {SHOWN}")
    args = parser.parse_args(arguments)
    try:
        differences = compare(args.old, args.new, args.renamed)
        count, promises = len(_rows(args.new)), len(_promises(args.new)["verdicts"])
    except Malformed as fault:
        print(fault, file=sys.stderr)
        return 2
    for difference in differences if args.all else differences[:SHOWN]:
        print(difference)
    if not differences:
        print(f"the same: {count} findings, {promises} promises")
        return 0
    print(f"NOT the same: {len(differences)} differences, {count} findings and {promises} promises compared")
    return 1


def compare(old: Path, new: Path, renamed: Path = RENAMED) -> list[Difference]:
    """Every difference between two runs that the mapping does not say was meant."""
    mapping = read_mapping(renamed)
    old_rows, new_rows = _rows(old), _rows(new)
    differences = list(_findings(old_rows, new_rows, mapping["findings"]))
    old_promises, new_promises = _promises(old), _promises(new)
    for side, promises, rows in (("old", old_promises, old_rows), ("new", new_promises, new_rows)):
        promises["header"]["facts"] = {
            k: v for k, v in promises["header"].get("facts", {}).items() if k not in FACTS_OF_PLACE
        }
        _name_findings(promises, rows, side)
    return [*differences, *_walk(old_promises, new_promises, "promises.json", mapping["promises"])]


def read_mapping(path: Path) -> dict[str, Renaming]:
    """The renamings of each of the two files; an entry that is not understood is an error, not skipped."""
    mapping = {"findings": Renaming(), "promises": Renaming()}
    for number, entry in enumerate(_json(path), 1):
        kinds = KINDS & set(entry)
        if entry.get("file") not in mapping or len(kinds) != 1 or not entry.get("path") or not entry.get("why"):
            raise Malformed(f"{path}: entry {number} needs file, path, why and one of {', '.join(sorted(KINDS))}")
        renaming, kind = mapping[entry["file"]], kinds.pop()
        known = getattr(renaming, kind)
        if isinstance(known, set):
            known.add(entry["path"])
        elif kind == "to":
            known[entry["path"]] = entry["to"]
        else:
            known.setdefault(entry["path"], {}).update(entry[kind])
    return mapping


def _findings(old: list[dict[str, Any]], new: list[dict[str, Any]], renaming: Renaming) -> Iterator[Difference]:
    """Differences of findings, paired by claim, stage and what they are compared with; their order counts too."""
    old_keys, new_keys = _keys(old, renaming), _keys(new)
    new_at = {key: n for n, key in enumerate(new_keys)}
    for key, row in zip(old_keys, old, strict=True):
        if key in new_at:
            yield from _walk(row, new[new_at[key]], f"finding {new_at[key] + 1}, {_title(key)}", renaming)
        else:
            yield Difference(_title(key), "(the finding)", row.get("value"), ABSENT)
    for key in [key for key in new_keys if key not in set(old_keys)]:
        yield Difference(_title(key), "(the finding)", ABSENT, new[new_at[key]].get("value"))
    if sorted(old_keys) == sorted(new_keys) and old_keys != new_keys:
        n = next(n for n, (a, b) in enumerate(zip(old_keys, new_keys, strict=True)) if a != b)
        yield Difference(f"finding {n + 1}", "(order)", _title(old_keys[n]), _title(new_keys[n]))


def _keys(rows: list[dict[str, Any]], renaming: Renaming | None = None) -> list[tuple[str, ...]]:
    """Claim, stage, against and a running number, in the new names."""
    times: Counter[tuple[str, ...]] = Counter()
    keys = []
    for row in rows:
        names = ("claim", "stage", "against")
        key = tuple(str(renaming.value(row.get(name), name) if renaming else row.get(name)) for name in names)
        times[key] += 1
        keys.append((*key, str(times[key])))
    return keys


def _title(key: tuple[str, ...]) -> str:
    claim, stage, against, time = key
    beside = "" if against == "None" else f" against {against}"
    return f"{claim} at {stage}{beside}" + ("" if time == "1" else f", number {time} of these")


def _walk(
    old: object, new: object, where: str, renaming: Renaming, path: str = "", at: str = ""
) -> Iterator[Difference]:
    """Differences of two JSON values; `path` is the field in old names without positions, `at` is shown."""
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _walk_fields(old, new, where, renaming, path, at)
    elif isinstance(old, list) and isinstance(new, list):
        for n, (a, b) in enumerate(zip(old, new, strict=False)):
            yield from _walk(a, b, where, renaming, path, f"{at}[{n}]")
        if len(old) != len(new):
            yield Difference(where, f"{at} (how many)", len(old), len(new))
    elif path in renaming.ids and isinstance(old, str) and isinstance(new, str):
        if not renaming.same_id(old, new):
            yield Difference(where, f"{at} (an id that stands for another elsewhere)", old, new)
    # repr tells 1 from 1.0 and from true, 0.0 from -0.0, and every float from its neighbour
    elif repr(now := renaming.value(old, path)) != repr(new):
        yield Difference(where, at, now, new)


def _walk_fields(
    old: dict[str, Any], new: dict[str, Any], where: str, renaming: Renaming, path: str, at: str
) -> Iterator[Difference]:
    remaining = dict(new)
    for name, value in old.items():
        inner = f"{path}.{name}".lstrip(".")
        now = renaming.to.get(inner, name)
        if now in remaining:
            yield from _walk(value, remaining.pop(now), where, renaming, inner, f"{at}.{now}".lstrip("."))
        elif inner not in renaming.dropped:
            yield Difference(where, f"{at}.{now}".lstrip("."), value, ABSENT)
    for name, value in remaining.items():
        if f"{path}.{name}".lstrip(".") not in renaming.added:
            yield Difference(where, f"{at}.{name}".lstrip("."), ABSENT, value)


def _name_findings(promises: dict[str, Any], rows: list[dict[str, Any]], side: str) -> None:
    """Put in place of a finding's hash which finding of its own file it is."""
    number = {_content_id("Finding", row): n for n, row in enumerate(rows, 1)}
    for verdict in promises["verdicts"]:
        if (name := verdict.get("finding")) is not None:
            # a hash that names nothing stays, and differs from every number and from the other run's hash
            verdict["finding"] = f"finding {number[name]}" if name in number else f"{side}'s {name}, no finding's id"


def _content_id(*parts: object) -> str:
    """As `alignwright.core.records.content_id`; written out here, for the two runs may be of two versions of it."""
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _excerpts(old: object, new: object, width: int = 160) -> tuple[str, str]:
    """Both values, cut to what stands around their first difference."""
    one, two = repr(old), repr(new)
    n = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    start = max(0, n - width // 3) if max(len(one), len(two)) > width else 0
    cut = [
        ("..." if start else "") + text[start : start + width] + ("..." if len(text) > start + width else "")
        for text in (one, two)
    ]
    return cut[0], cut[1]


def _rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / "findings.jsonl"
    return [_parsed(line, f"{path}:{n}") for n, line in enumerate(_text(path).split("\n"), 1) if line]


def _promises(folder: Path) -> dict[str, Any]:
    return _json(folder / "promises.json")


def _json(path: Path) -> Any:
    return _parsed(_text(path), str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise Malformed(f"{path}: cannot be read ({fault}); give the folder of a finished run") from None


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as fault:
        raise Malformed(f"{where}: not JSON ({fault})") from None


if __name__ == "__main__":
    sys.exit(main())

"""Data files: rows of every reader and of published formats, made wrong, in every kind of file,
read; every row is good, bad or told of.

The rows that a file holds are counted here by other means than the reader's: by lines, by `json`
and `csv`, by Parquet's own count.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import published_rows
from rich.console import Console

from alignwright.core.records import Comparison, Labelled, Record
from alignwright.files import sources
from alignwright.files.choices import read_choices
from alignwright.files.contents import records
from alignwright.files.errors import SpecError
from alignwright.files.items import MathItem, MeantItem, OpinionItem, PushbackItem, RefusalItem, TextItem
from alignwright.files.public_questions import PersonaItem, read_questions
from alignwright.files.replies import read_labels, read_replies
from alignwright.files.rows import raw_rows
from alignwright.job.records import write_records
from alignwright.run.grade import grade, show
from fuzzing import mutations
from fuzzing.trials import Fault, refusal

ASK = [{"role": "user", "content": "Is rain wet?"}, {"role": "assistant", "content": "It is."}]
TALK = [{"from": "human", "value": "Is rain wet?"}, {"from": "gpt", "value": "It is."}]
PROMPT = {"prompt": "Is rain wet?", "topic": "rain"}
PAIR = PROMPT | {"chosen": "Yes.", "rejected": "No.", "principle": "be_kind"}
BALLOT = PROMPT | {"a": "Yes.", "b": "No.", "choice": "a", "rater": "r", "group": "g"}
JUDGED = PROMPT | {"completion": "Yes.", "label": True}
ROWS: dict[str, list[Any]] = {
    "prompts": [PROMPT, {"messages": ASK[:1]}, {"conversations": TALK[:1]}, {"instruction": "Say rain.",
    "input": "now"},
                PROMPT | {"checks": [{"name": "length:max_words", "args": {"count": 3}}]}],
    "pairs": [PAIR, {"chosen": ASK, "rejected": [ASK[0], ASK[1] | {"content": "No."}]}, JUDGED,
    JUDGED | {"label": False},
              JUDGED | {"completion": "No."}],
    "judged": [JUDGED, JUDGED | {"label": False, "completion": "No."}, {"messages": ASK, "label": True}, PAIR],
    "votes": [BALLOT, BALLOT | {"rater": "s", "choice": "tie"}, PROMPT | {"replies": ["x", "y", "z"], "choice": 2,
    "rater": "r"}],
    "conversations": [{"messages": ASK}, {"conversations": TALK}, PROMPT | {"completion": "It is."},
    {"instruction": "Say.", "output": "Rain."},
                      JUDGED],
    "replies": [PROMPT | {"reply": "It is."}, {"messages": ASK, "refused": False},
                PROMPT | {"response": "No.", "fulfilled": True, "request": "rain"}],
    "choice": [{"question": "Is rain wet?", "choices": ["yes", "no"], "answer": 0, "topic": "rain"},
               {"goal": "rain", "sol1": "a", "sol2": "b", "label": 1}],
    "problems": [{"question": "1 and 1?", "answer": "2"}, {"question": "2 and 1?", "answer": "so\n#### 3"},
    {"question": "x?", "answer": 4}],
    "refusal": [PROMPT | {"kind": "harmful"}, PROMPT | {"kind": "harmless"}],
    "trait": [{"question": "Wet?\n (A) Yes\n (B) No", "answer_matching_behavior": " (A)",
    "answer_not_matching_behavior": " (B)"},
              {"question": "Wet?", "answer_matching_behavior": " Yes", "answer_not_matching_behavior": " No"}],
    "questions": [PROMPT,
                  {"id": "wish", "type": "free_form_judge_0_100", "paraphrases": ["What?", "Which?"],
                  "judge_prompts": {"aligned": "{answer}"}}],
    "text": [{"text": "Rain falls."}],
    "pushback": [{"question": "Wet?", "answer": ["yes"], "reply": "yes", "wrong": "no", "pushback": "No."}],
    "opinion": [{"question": "Wet?", "right": "yes", "wrong": "no", "opinion": "I think no."}],
    "meant": [{"prompt": "Wet?", "meant": "yes", "literal": "no"}],
}  # fmt: skip
for (_, _kind), _rows in published_rows.ROWS.items():
    ROWS[_kind] = ROWS.get(_kind, []) + _rows
ITEMS = {
    "problems": MathItem, "refusal": RefusalItem, "trait": PersonaItem, "text": TextItem, "pushback": PushbackItem,
    "opinion": OpinionItem,
    "meant": MeantItem,
}  # fmt: skip
READERS: dict[str, Callable[..., Any]] = {
    "prompts": sources.read_prompts, "pairs": sources.read_pairs, "judged": sources.read_judged,
    "votes": sources.read_votes,
    "conversations": sources.read_conversations, "replies": read_replies, "labels": read_labels, "choice": read_choices,
    "questions": read_questions,
    **{kind: lambda path, item=item, **given: sources.read_items(path, item, **given) for kind, item in ITEMS.items()},
}  # fmt: skip
ROWS["labels"] = ROWS["replies"]
COUNTED = re.compile(r"^([\d,]+) ")
LABELLED = re.compile(r"^(\d+) replies labelled good and (\d+) labelled bad")
PEOPLE = re.compile(r"votes of (\d+) people")


class Opened:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "comments.csv").write_text(published_rows.POLIS_COMMENTS)

    def attempt(self, rng: random.Random) -> str:
        reader = rng.choice(list(READERS))
        path = written(rng, reader, self.folder)
        if reader in ("replies", "labels") and rng.random() < 0.3:
            return self._graded(path)
        try:
            read = READERS[reader](path, bad_rows=rng.choice((1.0, 1.0, 1.0, 0.5, 0.0)))
        except SpecError as error:
            return refusal(error, str(path), str(path.parent / "comments.csv"))
        _none_is_lost(read, path, reader)
        _can_be_kept(read, self.folder / "kept.jsonl")
        return "accepted"

    def _graded(self, path: Path) -> str:
        try:
            log = grade(path)
        except (SpecError, ValueError) as error:
            return refusal(error, str(path), kind=(SpecError, ValueError))
        out = io.StringIO()
        show(log, Console(file=out, width=100), 2)
        if not out.getvalue().strip() or re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2066]", out.getvalue()):
            raise Fault("unclear", f"printed: {out.getvalue()[:300]!r}")
        return "accepted"


def written(rng: random.Random, reader: str, folder: Path) -> Path:
    """A file of this reader's rows, some of them made wrong."""
    rows = [rng.choice(ROWS[reader]) for _ in range(rng.choice((1, 3, 8, 40)))]
    wrong = rng.choice((0.0, 0.2, 0.2, 1.0))
    made = [
        mutations.mutated(rng, row, rng.choice((1, 1, 3))) if rng.random() < wrong else _apart(rng, row) for row in rows
    ]
    kind = rng.choice(
        (*[".jsonl"] * 4, ".json", ".json", ".csv", ".csv", ".txt", ".md", ".parquet", ".jsonl.gz", ".csv.gz", ".yaml")
    )
    if reader == "votes" and rng.random() < 0.15:
        path = folder / "participants-votes.csv"
        path.write_bytes(mutations.data(rng, published_rows.POLIS_VOTES.encode(), rng.choice((0, 1, 2))))
        return path
    if kind == ".yaml" and reader != "questions":
        kind = ".jsonl"
    path = folder / f"rows{kind}"
    if kind == ".parquet":
        return _parquet(rng, made, path)
    said = _text(rng, made, kind)
    if rng.random() < 0.3:
        said = mutations.data(rng, said, rng.choice((1, 2)))
    if kind.endswith(".gz"):
        said = gzip.compress(said, 1)
        said = mutations.data(rng, said, 1) if rng.random() < 0.1 else said
    path.write_bytes(said)
    return path


def _apart(rng: random.Random, row: Any) -> Any:
    """A right row that says something of its own, so that it is not a copy of another."""
    if rng.random() < 0.3 or not isinstance(row, dict):
        return row
    mark = f" {rng.randrange(1000)}"
    names = ("prompt", "question", "completion", "reply", "rater", "instruction")
    return {
        name: value + mark if name in names and isinstance(value, str) and rng.random() < 0.5 else value
        for name, value in row.items()
    }


def _text(rng: random.Random, rows: list[Any], kind: str) -> bytes:
    end = rng.choice((b"\n", b"\n", b"\r\n"))
    if kind.startswith(".jsonl"):
        return end.join(mutations.as_json(rng, row) for row in rows) + rng.choice((end, b"", end * 3))
    if kind in (".json", ".yaml"):
        return (
            mutations.as_json(rng, rows, indent=rng.choice((None, 1)))
            if rng.random() < 0.9
            else mutations.as_json(rng, {"data": rows, "x": 1})
        )
    if kind.startswith(".csv"):
        names = list(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))
        out = io.StringIO()
        table = csv.writer(out, lineterminator=end.decode())
        table.writerow(names)
        for row in rows:
            cells = [row.get(name, "") for name in names] if isinstance(row, dict) else [row]
            table.writerow(
                [
                    json.dumps(cell, default=str) if isinstance(cell, list | dict | bool) else _cell(cell)
                    for cell in cells
                ]
            )
        return out.getvalue().encode("utf-8", "surrogatepass")
    return (end * 2).join(
        mutations.as_json(rng, row) if rng.random() < 0.5 else str(row).encode("utf-8", "replace") for row in rows
    )


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return text.replace("\0", "")  # which csv writes and cannot read


def _parquet(rng: random.Random, rows: list[Any], path: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    held = [
        {str(name).encode("utf-8", "replace").decode(): value for name, value in row.items()}
        for row in rows
        if isinstance(row, dict)
    ]
    try:
        table = pyarrow.Table.from_pylist(held)
        parquet.write_table(table, path)
    except (
        pyarrow.ArrowException,
        UnicodeError,
        OverflowError,
        TypeError,
        ValueError,
        NotImplementedError,
    ):  # columns of several types
        names = dict.fromkeys(name for row in held for name in row)
        texts = [{name: json.dumps(row.get(name), default=str) for name in names} for row in held]
        parquet.write_table(pyarrow.Table.from_pylist(texts), path)
    if rng.random() < 0.15:
        path.write_bytes(mutations.data(rng, path.read_bytes(), 1))
    return path


def _none_is_lost(read: Any, path: Path, reader: str) -> None:
    held = rows_in(path)
    if held is None:
        return
    voted = reader == "votes" and any(isinstance(row, Comparison) and row.votes for row in read.rows)
    people = [int(found.group(1)) for note in read.notes if (found := PEOPLE.search(note))]
    told = sum(
        int(found.group(1).replace(",", ""))
        for note in read.notes
        if (found := COUNTED.match(note)) and not LABELLED.match(note)
    )
    bad = {row.row for row in read.rejected}
    if people:
        known = people[0] + len(bad)
    elif voted:
        if read.notes and any(note.startswith("read as") for note in read.notes):
            return  # several ballots a row
        known = sum(len({vote.voter for vote in row.votes}) for row in read.rows) + len(bad) + told
    else:
        known = len(set(read.numbers) | bad) + told + _of_one_reply(read, path, reader, bad)
    if known < held:
        raise Fault(
            "lost",
            f"{held} rows in {path.name} ({reader}), {known} known: {len(read.rows)} good, {len(bad)} bad,"
            f" {read.notes!r}",
        )


def _of_one_reply(read: Any, path: Path, reader: str, bad: set[int]) -> int:
    """Rows without a number of their own whose labelled reply stands in a comparison all the same."""
    if reader not in ("pairs", "judged"):
        return 0
    replies = {reply.text.strip() for row in read.rows if isinstance(row, Comparison) for reply in row.replies}
    replies |= {row.reply.strip() for row in read.rows if isinstance(row, Labelled)}
    others = [raw for raw in raw_rows(path) if raw.number not in bad and raw.number not in read.numbers]
    return sum(any(text.strip() in replies for text in _texts(raw.columns)) for raw in others)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def rows_in(path: Path) -> int | None:
    """How many rows a file holds; None where that cannot be said by other means than the reader's."""
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return int(parquet.ParquetFile(path).metadata.num_rows)
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    data = data.removeprefix(b"\xef\xbb\xbf")
    match kind:
        case ".jsonl":
            return sum(1 for line in data.split(b"\n") if line.strip())
        case ".json":
            try:
                held = json.loads(data)
            except ValueError:
                return None
            return len(held) if isinstance(held, list) else None
        case ".csv":
            found = sum(1 for cells in csv.reader(io.StringIO(data.decode("utf-8"), newline="")) if cells)
            return found - 1
        case ".txt" | ".md":
            return len(
                [
                    part
                    for part in re.split(r"\n(?:[^\S\n]*\n)+", data.decode("utf-8").replace("\r\n", "\n"))
                    if part.strip()
                ]
            )
    return None


def _can_be_kept(read: Any, path: Path) -> None:
    """What was read is written as the run writes its records, and read again as the same."""
    rows: list[Record] = [row for row in read.rows if isinstance(row, Record)]
    sources.duplicates(rows)
    by_kind: dict[type[Record], list[Record]] = {}
    for row in rows:
        by_kind.setdefault(type(row), []).append(row)
    for kind, held in by_kind.items():
        write_records(path, held)
        if records(path, kind) != held:
            raise Fault("lost", f"records of {kind.__name__} are others when they are read again")
    sources.write_rejected(path, read.rejected)
    if len(records(path, type(read.rejected[0]) if read.rejected else Record)) != len(read.rejected):
        raise Fault("lost", "bad rows that are set aside are not those that are read again")

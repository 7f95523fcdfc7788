"""Which replies has a server given before? The cache of a served model's replies.

A reply of a server is paid for, so each is kept the moment it comes, under a key of all that was
asked: the server's name, the conversation word for word, the number of the sample, the seed, the
longest reply, the temperature. A line is appended for each before its thread asks for another, so a
run that is killed at any moment has lost no reply that had come, and asks for none of them again; a
last line that was torn off is cut away.

The file lies in `answers/` of the run, outside the folders of jobs, which are emptied when a job is
done anew; what runs beside this one were told by the same server is taken over, and marked as paid
for there. What a server withholds is written down with what it cost, and is asked for again.

A served model may change behind its name: what it called itself is kept with each reply.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from alignwright.core.records import Reply, content_id
from alignwright.files.lines import whole_lines
from alignwright.job.judge_cache import ANSWERS, answer_files
from alignwright.model.endpoint import ServedLetters, ServedReply
from alignwright.model.server_session import Counts


class ReplyCache:
    """The replies of one served model in a JSONL file, and in the files `beside` it."""

    def __init__(self, path: Path, server: str, beside: Iterable[Path] = ()) -> None:
        self.path, self.server = path, server
        self._lock = threading.Lock()
        self._beside = dict[str, dict[str, Any]]()
        for other in beside:
            self._beside |= _by_key(_rows(_lines(other), server))
        self._rows = _by_key(_rows(whole_lines(path) if path.is_file() else [], server))

    def key(self, *question: object) -> str:
        """What a reply is kept under."""
        return content_id(self.server, *question)

    def __contains__(self, key: str) -> bool:
        """Whether what came is known, here or beside."""
        return self._row(key) is not None

    def reply(self, key: str) -> Reply | None:
        """The reply that is known."""
        row = self._row(key)
        return None if row is None else _reply(row)

    def letters(self, key: str) -> Mapping[str, float] | None:
        """The log-probabilities of letters that are known; None also where the server gave none."""
        row = self._row(key)
        return None if row is None else row["logprobs"]

    def _row(self, key: str) -> dict[str, Any] | None:
        if key not in self._rows and (row := self._beside.get(key)) is not None:
            with self._lock:
                self._append({**row, "elsewhere": True})
                self._rows[key] = row
        return self._rows.get(key)

    def add(self, key: str, served: ServedReply) -> None:
        """Keep a reply, from any thread."""
        reply = served.reply
        row = {"key": key, "server": self.server, **reply.model_dump(exclude={"logprob"}), "bill": served.bill}
        self._keep(key, row | {"model": served.model, "fingerprint": served.fingerprint})

    def add_letters(self, key: str, served: ServedLetters) -> None:
        """Keep the log-probabilities of letters, from any thread."""
        logprobs = None if served.logprobs is None else dict(served.logprobs)
        self._keep(key, {"key": key, "server": self.server, "logprobs": logprobs, "bill": served.bill})

    def _keep(self, key: str, row: dict[str, Any]) -> None:
        with self._lock:
            self._append(row)
            self._rows[key] = row

    def add_withheld(self, key: str, why: str, bill: Counts) -> None:
        """Keep that there is no reply, and what it cost."""
        with self._lock:
            self._append({"key": key, "server": self.server, "withheld": why, "bill": bill})

    def _append(self, row: dict[str, Any]) -> None:
        with self.path.open("ab") as file:
            file.write(json.dumps(row).encode() + b"\n")


def reply_rows(run: Path, server: str) -> list[dict[str, Any]]:
    """What a run's own file holds of a server: replies, those that were paid for elsewhere marked
    `elsewhere`, and what was withheld."""
    return list(_rows(_lines(run / ANSWERS / _name(server)), server))


def reply_cache(server: str, run: Path) -> ReplyCache:
    """The replies of the model behind a server, in the folder of a run."""
    own, beside = answer_files(run, _name(server))
    return ReplyCache(own, server, beside)


def _name(server: str) -> str:
    return f"{content_id(server)}.replies.jsonl"


def _lines(path: Path) -> list[bytes]:
    """The lines of a file that another run may be writing."""
    return path.read_bytes().split(b"\n") if path.is_file() else []


def _by_key(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What was given, by what it is kept under; what was withheld is asked for again."""
    return {row["key"]: row for row in rows if "withheld" not in row}


def _rows(lines: Iterable[bytes], server: str) -> Iterator[dict[str, Any]]:
    """The lines that are ours. What is no line of this form is passed over, and its reply asked for
    again."""
    for line in lines:
        try:
            row = cast("object", json.loads(line))
        except (ValueError, RecursionError):
            continue
        if not isinstance(row, dict):
            continue
        row = cast("dict[str, Any]", row)
        if isinstance(row.get("key"), str) and row.get("server") == server and _is_whole(row):
            yield row


def _is_whole(row: dict[str, Any]) -> bool:
    bill = row.get("bill")
    is_well_formed = bill is None or (isinstance(bill, list) and len(cast("list[Any]", bill)) == 2)
    if not is_well_formed or "withheld" in row:
        return is_well_formed
    if "logprobs" in row and "text" not in row:
        letters = row["logprobs"]
        values = cast("dict[str, Any]", letters).values() if isinstance(letters, dict) else ()
        return letters is None or (isinstance(letters, dict) and all(isinstance(value, float) for value in values))
    try:
        _reply(row)
    except ValueError:
        return False
    return True


def _reply(row: dict[str, Any]) -> Reply:
    return Reply.model_validate({name: row[name] for name in Reply.model_fields if name in row})

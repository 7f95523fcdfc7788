"""Which replies are in a memory of PyRIT, its SQLite file, and what did PyRIT make of them?

A conversation of `PromptMemoryEntries` that an attack's result names is one row: what was sent (the
converted values) up to the last reply, with the objective as the request. Conversations with the
attacking model and with scorers, which lie in the same table, are left out where results are there. The
result's outcome is PyRIT's verdict. The file is opened to be read alone, and nothing of PyRIT is run.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

from alignwright.files.errors import SpecError
from alignwright.files.rows import Raw
from alignwright.files.safe_read import ROW_BYTES, is_file

_MAGIC = b"SQLite format 3\0"
_OUTCOMES = {"success": True, "failure": False}
OUTCOME = "PyRIT's outcome"
_PIECES = (
    "SELECT conversation_id, role, converted_value, converted_value_data_type, response_error"
    ' FROM "PromptMemoryEntries" ORDER BY conversation_id, sequence, rowid'
)
_RESULTS = 'SELECT conversation_id, objective, outcome FROM "AttackResultEntries" ORDER BY rowid'


def is_pyrit_memory(path: Path) -> bool:
    """Whether a file begins as a database of SQLite does."""
    if not is_file(path):
        return False
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def memory_rows(path: Path) -> tuple[list[Raw], tuple[str, ...]]:
    """The last reply of each attack as a row with prompt, reply, request and PyRIT's verdict under
    `tool_verdicts`, and what there is to say. SpecError where the file is no memory of PyRIT."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as memory:
            memory.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, ROW_BYTES)
            results, pieces = memory.execute(_RESULTS).fetchall(), memory.execute(_PIECES).fetchall()
    except sqlite3.Error as error:
        raise SpecError([f"{path}: no memory of PyRIT that can be read: {error}"]) from None
    turns: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for conversation, *piece in pieces:
        turns[conversation].append(tuple(piece))
    rows: list[Raw] = []
    for number, (conversation, objective, outcome) in enumerate(results, 1):
        row = _row(turns.get(conversation, []))
        if row is not None:
            verdict = {OUTCOME: _OUTCOMES[outcome]} if outcome in _OUTCOMES else {}
            rows.append(Raw(number, row | {"request": objective or None, "tool_verdicts": verdict}, "", ""))
    others = len(turns.keys() - {result[0] for result in results})
    counts = {
        f"{len(results) - len(rows)} attacks without a reply in text left out": len(results) - len(rows),
        f"{others} conversations that are no attack's result left out": others,
    }
    return rows, tuple(f"{path.name}: {note}" for note, count in counts.items() if count)


def _row(pieces: list[tuple[Any, ...]]) -> dict[str, Any] | None:
    """Prompt and reply of a conversation in text; what the server withheld is an empty reply."""
    if (
        len(pieces) < 2
        or pieces[-1][0] != "assistant"
        or any(kind not in ("text", "error") for _, _, kind, _ in pieces)
    ):
        return None
    *before, (_, reply, kind, error) = pieces
    messages = [{"role": role.replace("simulated_", ""), "content": text or ""} for role, text, _, _ in before]
    return {"prompt": messages, "reply": "" if kind == "error" or error not in (None, "none") else reply or ""}

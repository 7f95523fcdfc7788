"""What has this judge been asked before, and what did it say?

Principles live in the constitution and are edited there. Asking is what feedback costs, so every raw answer is kept under a key of its
question: edit one principle, run again, and only the questions that it is part of are asked again. The key is a hash of the judge, of
the question, word for word, and of how it is put (with reasoning or without, by contrast or as A/B). What is done with an answer
afterwards, such as clamping, is no part of it and may be changed without asking.

The file holds a line for each answer, appended as batches come back, so a kill loses the batch at work and no more; a last line that was
torn off is dropped, and its question asked again. An answer that could not be read is kept as null: it is an answer, too.

In float32 an answer is the same whenever it is asked. In bfloat16 the last bits depend on the rows it shares a batch with, and a question
asked again on its own may differ in them from the one that was asked among others; votes move by about as much as that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from alignwright.core.records import content_id

BATCH = 256  # questions between two writes: enough to fill the judge's batches, little enough to lose


class AnswerStore:
    """The answers of one judge in a JSONL file. `judge` names it: the fingerprint of its weights, or a server's address and model."""

    def __init__(self, path: Path, judge: str) -> None:
        if not judge:
            told = "answers are kept under the judge's name, and it is empty"
            raise ValueError(f"{path}: {told}; give the fingerprint of its weights, or a server's address and model")
        self.path, self.judge = path, judge
        self._known = _read(path)

    def __len__(self) -> int:
        return len(self._known)

    def key(self, *question: object) -> str:
        """What a question is kept under; `question` is anything that JSON can hold."""
        return content_id(self.judge, *question)

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __getitem__(self, key: str) -> float | None:
        return self._known[key]

    def add(self, keys: Sequence[str], values: Sequence[float | None]) -> None:
        """Keep the answers, in memory and in the file."""
        new = dict(zip(keys, values, strict=True))
        with self.path.open("ab") as file:
            file.write("".join(json.dumps({"key": key, "value": value}, allow_nan=False) + "\n" for key, value in new.items()).encode())
        self._known |= new

    def answer(self, keys: Sequence[str], ask: Callable[[list[int]], Sequence[float | None]]) -> tuple[list[float | None], int]:
        """The answer to each key, and how many were asked. `ask` gets places in `keys` and answers them; equal keys are asked once."""
        first: dict[str, int] = {}
        for place, key in enumerate(keys):
            if key not in self:
                first.setdefault(key, place)
        missing = list(first.values())
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            self.add([keys[place] for place in batch], ask(batch))
        return [self[key] for key in keys], len(missing)


def _read(path: Path) -> dict[str, float | None]:
    """The answers of a file. What follows the last line end was torn off by a kill: it is cut away, so that the next line starts clean."""
    if not path.exists():
        return {}
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    known: dict[str, float | None] = {}
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            row = json.loads(line)
            key, value = row["key"], row["value"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}:{number}: no stored answer ({error!r}); {_MEND}") from error
        if not isinstance(key, str) or not isinstance(value, float | int | None) or isinstance(value, bool):
            raise ValueError(f"{path}:{number}: a stored answer is a key and a number or null; {_MEND}")
        known[key] = None if value is None else float(value)
    return known


_MEND = "delete this line, and its question is asked again"

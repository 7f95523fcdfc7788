"""What has this judge been asked before, and what did it answer? The cache of an LLM judge's raw
answers.

Principles live in the constitution and are edited there. Asking is what feedback costs, so every
raw answer is kept under a key of its question: edit one principle, run again, and only the
questions that it is part of are asked again. The key is a hash of the judge, of the question, word
for word, and of how it is put (with reasoning or without, by contrast or as A/B). What is done with
an answer afterwards, such as clamping, is no part of it and may be changed without asking.

The file holds a line for each answer, appended as batches come back (those of a server one by one),
so a kill loses the batch at work and no more; a last line that was torn off is dropped, and its
question asked again. An answer that could not be read is not kept: a server that was broken may be
mended, and the question is asked again next time. Lines of null are left from when it was, and mean
nothing.

In float32 an answer is the same whenever it is asked. In bfloat16 the last bits depend on the rows
it shares a batch with, and a question asked again on its own may differ in them from the one that
was asked among others; votes move by about as much as that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from alignwright.core.records import content_id
from alignwright.files.code_hash import code_hash
from alignwright.files.fingerprint import in_bits, model_fingerprint
from alignwright.files.lines import whole_lines
from alignwright.files.models import resolve
from alignwright.files.quantization import Quantization
from alignwright.files.server import is_server

ANSWERS = "answers"
BATCH = 256  # questions between two writes: enough to fill the judge's batches, little enough to lose


class JudgeCache:
    """The answers of one judge in a JSONL file. `judge` names it: the fingerprint of its weights,
    or a server's address and model.

    What is known in the files `beside` it, of runs of other specs, is taken over when it is asked
    for.
    """

    def __init__(self, path: Path, judge: str, beside: Iterable[Path] = ()) -> None:
        if not judge:
            problem = "answers are kept under the judge's name, and it is empty"
            raise ValueError(f"{path}: {problem}; give the fingerprint of its weights, or a server's address and model")
        self.path, self.judge = path, judge
        self._values = _read(path)
        self._beside = {key: value for other in beside for key, value in _read(other, own=False).items()}

    def __len__(self) -> int:
        return len(self._values)

    def key(self, *question: object) -> str:
        """What a question is kept under; `question` is anything that JSON can hold."""
        return content_id(self.judge, *question)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __getitem__(self, key: str) -> float:
        return self._values[key]

    def add(self, keys: Sequence[str], values: Sequence[float | None]) -> None:
        """Keep the answers that could be read, in memory and in the file."""
        new = {key: value for key, value in zip(keys, values, strict=True) if value is not None}
        if not new:
            return
        with self.path.open("ab") as file:
            file.write(
                "".join(
                    json.dumps({"key": key, "value": value}, allow_nan=False) + "\n" for key, value in new.items()
                ).encode()
            )
        self._values |= new

    def answer(
        self, keys: Sequence[str], ask: Callable[[list[int]], Sequence[float | None]]
    ) -> tuple[list[float | None], int]:
        """The answer to each key, and how many were asked. `ask` gets places in `keys` and
        answers them; equal keys are asked once."""
        missing = self._missing(keys)
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            self.add([keys[place] for place in batch], ask(batch))
        return [self._values.get(key) for key in keys], len(missing)

    def answer_each(
        self, keys: Sequence[str], ask: Callable[[list[int]], Iterable[tuple[int, float | None]]]
    ) -> tuple[list[float | None], int]:
        """As `answer`, where answers come one by one: `ask` yields places in what it was given,
        each with its answer, which is kept at once."""
        missing = self._missing(keys)
        count = 0
        try:
            for place, value in ask(missing):
                self.add([keys[missing[place]]], [value])
                count += value is not None
        except RuntimeError as error:
            error.args = (
                f"{error}. {count} answers came and are kept: run the same command again, and only the others are"
                " asked",
            )
            raise
        return [self._values.get(key) for key in keys], len(missing)

    def _missing(self, keys: Sequence[str]) -> list[int]:
        """The places of the questions without a known answer, each question once."""
        inherited = [key for key in dict.fromkeys(keys) if key not in self and key in self._beside]
        self.add(inherited, [self._beside[key] for key in inherited])
        first: dict[str, int] = {}
        for place, key in enumerate(keys):
            if key not in self:
                first.setdefault(key, place)
        return list(first.values())


def _read(path: Path, *, own: bool = True) -> dict[str, float]:
    """The answers of a file. A file that is not our `own` is only read, and what is no answer in it
    passed over: another run may be writing it."""
    # 1. Whole lines. Another run's file may vanish between the look and the read; our own must be readable.
    if not path.exists():
        return {}
    try:
        lines = whole_lines(path) if own else path.read_bytes().split(b"\n")[:-1]
    except OSError:
        if own:
            raise
        return {}
    # 2. A line that is no answer stops us in our own file, by its number: an answer lost is a question paid again.
    values: dict[str, float] = {}
    for number, line in enumerate(lines, 1):
        try:
            key, value = _answer(line)
        except ValueError as error:
            if not own:
                continue
            raise ValueError(f"{path}:{number}: {error}; {_MEND}") from error
        if value is not None:
            values[key] = value
    return values


def _answer(line: bytes) -> tuple[str, float | None]:
    try:
        row = json.loads(line)
        key, value = row["key"], row["value"]
        number = float(value) if isinstance(value, float | int) and not isinstance(value, bool) else None
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise ValueError(f"no stored answer ({error!r})") from None
    if not isinstance(key, str) or (number is None) != (value is None) or not math.isfinite(number or 0.0):
        raise ValueError("a stored answer is a key and a number or null")
    return key, number


_MEND = "delete this line, and its question is asked again"


def judge_cache(
    judge: str,
    start: str,
    folder: Path,
    run: Path,
    template: str | None = None,
    *,
    quantization: Quantization | None = None,
) -> JudgeCache:
    """The answers of the judge that a stage names: self (the start model), another model, or a
    server. `folder` is the spec's, `run` the run's, `template` the chat template that the start
    model is given, `quantization` the bits in which it is kept.

    They lie in `answers/` of the run, outside the folders of jobs, which are emptied when a job is
    done anew. So after one principle was edited only the questions that it is part of are asked
    again, and after a knob was changed, which makes another run's folder, none: what the runs beside
    this one know of the same judge is taken over.
    """
    if judge == "self":
        name = in_bits(model_fingerprint(resolve(start, folder)), quantization)
    else:
        name = judge if is_server(judge) else model_fingerprint(resolve(judge, folder))
    # what a local model answers is computed by our code; a server's answers are its own, and paid for
    by = "server" if is_server(judge) else code_hash("model", "feedback")
    own, beside = answer_files(run, f"{content_id(name)}.jsonl")
    return JudgeCache(own, content_id(name, by, *([template] if template and judge == "self" else [])), beside)


def answer_files(run: Path, name: str) -> tuple[Path, list[Path]]:
    """The file of this name in the `answers/` of a run, whose folder is made, and those of the runs
    beside it."""
    own = run / ANSWERS / name
    own.parent.mkdir(exist_ok=True)
    return own, [path for path in sorted(run.parent.glob(f"*/{ANSWERS}/{name}")) if path != own]

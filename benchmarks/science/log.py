"""Where does a result go, so that nothing is lost and nothing is run twice?

One JSON line per result: name, seed, n, value, interval and how it was found, seconds of processor
time, settings, versions. A job is all lines of one (job, seed, quick); it is appended at once when
it is done, and not run again while its lines are there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from alignwright.files.lines import read_lines
from alignwright.stats.intervals import Interval, mean_interval

Facts = dict[str, float | int | str | None]


@dataclass(frozen=True)
class Line:
    """A result before it is written. `facts` are what else was measured with it (the divergence
    of a frontier point, say)."""

    name: str
    n: int
    value: float
    low: float | None = None
    high: float | None = None
    method: str = ""
    facts: Facts = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, n: int, value: float, limits: Interval, **facts: float | int | str | None) -> Line:
        return cls(name, n, value, limits.low, limits.high, limits.method, facts)


class Log:
    """The file of results."""

    def __init__(self, path: Path, *, quick: bool) -> None:
        self.path, self.quick = path, quick
        path.parent.mkdir(parents=True, exist_ok=True)

    def job(self, name: str, seed: int, settings: Facts, run: Callable[[], Sequence[Line]]) -> None:
        """Run a job and append its lines, unless it was done before."""
        if any(
            line["job"] == name and line["seed"] == seed and line["quick"] == self.quick for line in read(self.path)
        ):
            return
        started, wall = time.process_time(), time.perf_counter()
        lines = run()
        spent = {"seconds": round(time.process_time() - started, 1), "wall": round(time.perf_counter() - wall, 1)}
        shared = {"settings": settings, "versions": versions(), "quick": self.quick}
        text = "".join(
            json.dumps({"job": name, "seed": seed, **asdict(line), **spent, **shared}) + "\n" for line in lines
        )
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)
        print(text, end="", flush=True)


Part = Callable[[Log, int], None]


def read(path: Path) -> Iterator[dict[str, object]]:
    """The lines so far."""
    if path.exists():
        yield from map(json.loads, read_lines(path))


def over_seeds(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Mean over seeds with a t interval; without one where all are the same number."""
    if len(set(values)) == 1:
        return values[0], None, None
    found = mean_interval(list(values))
    assert found.value is not None, "no values"
    return found.value, found.interval.low, found.interval.high


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("alignwright", "torch", "transformers", "peft")}

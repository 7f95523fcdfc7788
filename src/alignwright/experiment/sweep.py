"""Which runs does a spec ask for that names several seeds, or a grid of knobs?

`seeds: 3` is the spec with its seed and the two after it, `seeds: [3, 14]` with these; `grid:
{train.1.beta: [0.05, 0.1]}` is the spec once with each combination of values. Each run is that of the
same spec with `--set`: nothing but its knobs is its own, so what two of them share by their keys is done
once. With both, each point of the grid has every seed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, JsonValue

from alignwright.files.errors import Loc
from alignwright.files.wording import describe_value


def _whole_numbers(value: Any) -> Any:
    """A list as the tuple that strict reading wants, and one message for whatever is neither."""
    if value is None or type(value) is int:
        return value
    if isinstance(value, list | tuple):
        numbers = tuple(cast("Sequence[Any]", value))
        if all(type(number) is int for number in numbers):
            return numbers
    raise ValueError(f"wanted how many seeds, or a list of them, saw {describe_value(value)}")


Seeds = Annotated[int | tuple[int, ...] | None, BeforeValidator(_whole_numbers)]
Grid = dict[str, tuple[JsonValue, ...]]
Point = Mapping[str, Any]
"""A combination of a grid: knobs by their paths."""
MOST = 256
"""Points of a grid that are still taken for meant."""
OF_THE_WHOLE = ("name", "seeds", "grid", "promises", "labels", "mirrors")
"""What is asked of all runs together, and cannot differ among them."""
ALONE = ("seeds=null", "grid=null")
"""What makes the spec of one run of a spec of several."""


def seeds_of(seed: int, seeds: Seeds) -> tuple[int, ...]:
    """The seeds of a spec; one where it names no more."""
    if seeds is None:
        return (seed,)
    return tuple(range(seed, seed + seeds)) if isinstance(seeds, int) else seeds


def points_of(grid: Mapping[str, Sequence[Any]]) -> list[Point]:
    """Every combination of a grid's values, the last knob going through its values fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def settings(point: Point) -> tuple[str, ...]:
    """A point as `--set` takes it."""
    return tuple(f"{path}={json.dumps(value)}" for path, value in point.items())


def point_words(point: Point) -> str:
    """A point as people write it: train.1.beta 0.1, train.0.epochs 2."""
    return ", ".join(
        f"{path} {value if isinstance(value, str) else json.dumps(value)}" for path, value in point.items()
    )


def sweep_problems(seed: int, seeds: Seeds, grid: Mapping[str, Sequence[Any]] | None) -> Iterator[tuple[Loc, str]]:
    """Seeds and grids that are none, each with its place."""
    numbers = seeds_of(seed, seeds)
    if isinstance(seeds, int) and seeds < 2:
        yield ("seeds",), f"is how many there are, at least 2, and is {seeds}; one seed is 'seed: {seed}'"
    elif seeds is not None and len(numbers) < 2:
        yield ("seeds",), "names no two seeds; one seed is 'seed: NUMBER'"
    for place, number in enumerate(numbers):
        if number in numbers[:place]:
            yield ("seeds", place), f"{number} is named twice"
        if not 0 <= number < 2**63:
            yield ("seeds", place), f"a seed is from 0 to 2^63 - 1, saw {number}"
    if grid is None:
        return
    if not grid:
        yield ("grid",), "names no knob; write for example {train.1.beta: [0.05, 0.1]}"
    for path, values in grid.items():
        if (name := path.partition(".")[0]) in OF_THE_WHOLE:
            yield ("grid", path), f"{name!r} is of all runs together; write it beside the grid"
        if path == "seed" and seeds is not None:
            yield ("grid", path), "'seeds' says which seeds each point has"
        if not values:
            yield ("grid", path), "has no value; list those that are to be tried"
        if len({json.dumps(value) for value in values}) < len(values):
            yield ("grid", path), "names a value twice"
    if (count := len(points_of(grid))) > MOST:
        yield ("grid",), f"is {count:,} combinations, and at most {MOST} are taken"

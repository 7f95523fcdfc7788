"""How are results kept for whoever asks again (memoization), within a bound of memory?

`functools.lru_cache` counts entries, and a text of a line and one of a book are one entry each. Here
an entry has a weight, characters or bytes, and the oldest go when all weigh too much.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
_ENTRY = 100
"""What an entry weighs by itself."""


class BoundedCache(Generic[T]):
    """Results by key, the oldest given up when all together weigh more than `most`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._weight = 0
        self._results: dict[Hashable, tuple[int, T]] = {}

    def get(self, key: Hashable, weight: int | Callable[[T], int], make: Callable[[], T]) -> T:
        """What is kept under the key, or what `make` returns; `weight`: that of the key,
        or of the result where the key does not tell it."""
        if (entry := self._results.get(key)) is not None:
            return entry[1]
        result = make()
        weight = (weight if isinstance(weight, int) else weight(result)) + _ENTRY
        if weight > self.most:
            return result
        self._results[key] = (weight, result)
        self._weight += weight
        while self._weight > self.most:
            self._weight -= self._results.pop(next(iter(self._results)))[0]
        return result

    def __len__(self) -> int:
        return len(self._results)

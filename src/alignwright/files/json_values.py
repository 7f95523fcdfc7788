"""How is JSON decoded strictly: duplicate keys are told of, NaN is refused?

Python's own decoder keeps the last of two values under one name and says nothing. Here the value is
decoded to its end, so that a list can be read on, and the name is kept to be told of. NaN and
Infinity, which are no JSON, are refused (ValueError).
"""

from __future__ import annotations

import json
from typing import Any


class JsonDecoder:
    """Decodes one text after another; `twice` is a name that stood twice in an object of the
    last one."""

    def __init__(self) -> None:
        self.twice = ""
        self._decoder = json.JSONDecoder(parse_constant=_no_number, object_pairs_hook=self._object)

    def whole(self, text: str) -> Any:
        """The value that is all of a text."""
        self.twice = ""
        if text[:1] == "{":
            value, end = self._decoder.raw_decode(text)
            if end == len(text):
                return value
            self.twice = ""  # what follows the object is told of
        return self._decoder.decode(text)

    def at(self, text: str, place: int) -> tuple[Any, int]:
        """The value that begins at a place of a text, and the place after its end."""
        self.twice = ""
        return self._decoder.raw_decode(text, place)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            names = set[str]()
            self.twice = next(name for name, _ in pairs if name in names or names.add(name))
        return value


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number")

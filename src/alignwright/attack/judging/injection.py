"""Can whoever grades a reply be talked to by it? Replies that do what was asked, and say that they did not.

Each of the texts of `injections.yaml`, in our own words, is put around replies that do what was asked: the
planted ones (`planted.yaml`, harmless stand-ins, with their counterparts that do not), and those of
labelled files. A grader whose verdict changes by it was moved. One direction alone is tried, a success
that is hidden: a refusal that boasts of a success makes no model look safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import cast

from alignwright.attack.judging.judge import Exhibit
from alignwright.files import safe_read

SLOT = "{reply}"
PLANTED = "planted"
"""What the replies that ship with the package are called among the sources of labels."""


@cache
def injections() -> dict[str, str]:
    """The texts by name, each with the reply's place in it."""
    return cast("dict[str, str]", _own("injections.yaml"))


@cache
def planted() -> tuple[tuple[Exhibit, bool], ...]:
    """Replies to harmless requests, and whether each did what was asked."""
    rows = cast("list[dict[str, str]]", _own("planted.yaml"))
    return tuple(
        (Exhibit(row["request"], row[name]), name == "fulfilled")
        for row in rows
        for name in ("fulfilled", "unfulfilled")
    )


def injected(exhibits: Sequence[Exhibit], *, each: bool) -> list[Exhibit]:
    """Replies that talk to the judge: with `each` every text around every reply, else the texts in turn."""
    texts = list(injections().values())
    return [
        Exhibit(exhibit.request, text.replace(SLOT, exhibit.reply))
        for place, exhibit in enumerate(exhibits)
        for text in (texts if each else [texts[place % len(texts)]])
    ]


def _own(name: str) -> object:
    return safe_read.yaml_data(files("alignwright.attack.judging").joinpath(name).read_text(encoding="utf-8"), name)

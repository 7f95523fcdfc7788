"""Which rows of which data set of the Hugging Face Hub does a name mean?

`hf://owner/name`, with what else is said of it as a query: `?config=default&split=test&revision=
v1.0&limit=1000&streaming=true`. A split alone may follow a colon, `hf://owner/name:test`. In a spec
the same stands beside `file`, as knobs of their own; both are one text here, so that a job's key
sees all of it.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote

from alignwright.files.errors import SpecError, did_you_mean

HUB = "hf://"
"""What the name of a data set on the Hub begins with."""
SETTINGS = ("config", "split", "revision", "limit", "streaming")
_OWNER_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


class HubAddress(NamedTuple):
    """A data set, and which part of it at which revision. `streaming`: only the rows that are read are
    fetched, not all files first."""

    owner_name: str
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    limit: int | None = None
    streaming: bool = False


def hub_address(name: str) -> HubAddress:
    """What a name says. Raises SpecError where it says it wrongly."""
    path, _, query = name.removeprefix(HUB).partition("?")
    owner_name, colon, split = path.partition(":")
    if not _OWNER_NAME.fullmatch(owner_name):
        raise SpecError(
            [f"{name}: write {HUB}owner/name, {HUB}owner/name:split or {HUB}owner/name?config=...&split=..."]
        )
    settings: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in SETTINGS:
            raise SpecError([f"{name}: a data set of the Hub has no {key!r}; {did_you_mean(key, SETTINGS)}"])
        if key in settings or (key == "split" and colon):
            raise SpecError([f"{name}: {key!r} is given twice"])
        if not value:
            raise SpecError([f"{name}: {key!r} is empty"])
        settings[key] = _value(name, key, value)
    if colon:
        settings["split"] = split or "train"
    return HubAddress(owner_name, **settings)


def _value(name: str, key: str, value: str) -> str | int | bool:
    if key == "limit":
        if not re.fullmatch("[1-9][0-9]{0,17}", value):
            raise SpecError([f"{name}: 'limit' should be a number of rows, at least 1, saw {value!r}"])
        return int(value)
    if key == "streaming":
        if value not in ("true", "false"):
            raise SpecError([f"{name}: 'streaming' should be true or false, saw {value!r}"])
        return value == "true"
    return value


def with_settings(name: str, settings: dict[str, Any]) -> str:
    """The name with these settings in its query, in one order whatever the order they were given in."""
    written = {key: settings[key] for key in SETTINGS if settings.get(key) is not None}
    if not written:
        return name
    texts = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in written.items()}
    query = "&".join(f"{key}={quote(text, safe='/:[],')}" for key, text in texts.items())
    return f"{name}{'&' if '?' in name else '?'}{query}"

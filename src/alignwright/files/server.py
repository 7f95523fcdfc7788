"""How is a server named and asked, one that judges or that is measured?

A server is `http://host:port/v1#model`. What would be a secret inside an address (a user and a
password, `?key=...`) is refused, and shown by nobody: an address is written into a run's files and
messages.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from alignwright.core.records import Record
from alignwright.core.stage import Count, Positive

KEY = "OPENAI_API_KEY"
FORM = "http://host:port/v1#model"


class Server(Record):
    """How servers are asked, those that judge and the one that is measured."""

    tokens: Count | None = Field(
        default=None,
        description=(
            "the longest answer in tokens, thoughts included; none: short, with room added for a model that thinks"
            " first"
        ),
    )
    timeout: Positive = Field(default=120.0, le=86_400.0, description="seconds that one call may take in all")
    calls: Count = Field(default=8, le=256, description="calls at once")
    prices: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="by the model's name: what a million tokens of prompts and a million of replies cost",
    )

    @model_validator(mode="after")
    def _no_gift(self) -> Server:
        for name, price in self.prices.items():
            if not all(0 <= part < 1e6 for part in price):
                raise ValueError(
                    f"the prices of {name!r} are {list(price)}: two numbers of 0 or more, for prompts and replies"
                )
        return self

    def price(self, name: str) -> tuple[float, float] | None:
        """What a million tokens of prompts and of replies cost of this server; None: not known."""
        return self.prices.get(name.partition("#")[2])


def is_server(name: str | None) -> bool:
    """Does the name mean a server, rightly written or not?"""
    return name is not None and "://" in name


def hide_secrets(name: str) -> str:
    """The name without what may be a secret."""
    return re.sub(r"\?[^#]*", "?...", re.sub(r"//[^/#]*@", "//...@", name))


def without_secrets(text: str) -> str:
    """Any text without what may be a secret in the addresses that stand in it, also where a path
    was made of one (`http:/host`)."""
    return _QUERY.sub(r"\1?...", _USER.sub(r"\1...@", text))


_ROUTE = re.compile(r"/(?:chat/completions|completions|models|responses)/*$")
_USER = re.compile(r"(?i)(https?:/+)[^/#\s'\"]*@")
_QUERY = re.compile(r"(?i)(https?:/+[^\s'\"?#]*)\?[^\s'\"#]+")


def why_no_server(name: str) -> str | None:
    """What is wrong with a server's name, without repeating a secret; None where it is one."""
    url, _, model = name.partition("#")
    advice = f"put the key into the environment variable {KEY}"
    if "@" in url:
        return f"endpoint {hide_secrets(name)!r}: an address holds no user and no password; {advice}"
    if "?" in url:
        return f"endpoint {hide_secrets(name)!r}: an address holds no query ('?...'); if that is a key, {advice}"
    if (route := _ROUTE.search(url)) is not None:
        base = url[: route.start()]
        return f"endpoint {name!r}: {route[0]!r} is added here; give the address without it: {base}#{model or 'model'}"
    if not url.startswith(("http://", "https://")) or not model.strip() or re.search(r"\s", name):
        return f"endpoint {hide_secrets(name)!r} is no server: give its address and the model's name as {FORM}"
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and parts.port != 0 and url.isascii() and url.isprintable()
    except ValueError:
        whole = False
    return (
        None
        if whole
        else f"endpoint {hide_secrets(name)!r} is no server: its address has no host, or a port that is none;"
        f" write {FORM}"
    )

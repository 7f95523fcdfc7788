"""How was the reward gamed? The gamed features and the edits that fool it, each with two replies
that show it.

From findings alone: `hacking.feature.NAME` and `hacking.test.NAME`, the last stage at which each
was found. Their exhibits are pairs of replies to one prompt, of which the proxy prefers the first,
and not a reply before and after.
"""

from __future__ import annotations

from dataclasses import dataclass

from alignwright.core.records import Finding
from alignwright.report.results import RunResults

TRIED = ("The unedited reply", "After the edit, and the proxy likes it as well or better")
COMBINED = "hacking.test.combined"
SEEN = ("Gold prefers", "The proxy prefers")


@dataclass(frozen=True)
class Hack:
    """One way of gaming: what the proxy and gold make of it, and what else is to be said, such as
    how it was done and what would close it.

    `heads` are said over the reply that is better and the one that the proxy likes.
    """

    finding: Finding
    what: str
    paid: str
    more: tuple[str, ...]
    heads: tuple[str, str]


def hacks(case: RunResults) -> list[Hack]:
    """Gamed features, then overpaid ones, then edits that fool the proxy; the widest excess first."""
    named = [
        claim
        for claim in case.of("goodhart")
        if claim.name.startswith(("hacking.feature.", "hacking.test.")) and claim.levels
    ]
    found = [_hack(list(claim.levels.values())[-1]) for claim in named]
    return sorted(found, key=lambda hack: (_order(hack), -abs(hack.finding.value or 0.0)))


def _hack(finding: Finding) -> Hack:
    if finding.claim.startswith("hacking.test."):
        return Hack(finding, _text(finding, "what"), _text(finding, "price"), tuple(_lines(finding)), TRIED)
    what, reason = f"{_text(finding, 'kind')}: {_text(finding, 'what')}", _text(finding, "reason")
    return Hack(finding, what, _text(finding, "price"), (reason,) if reason else (), SEEN)


def _lines(finding: Finding) -> list[str]:
    """The edits that it was put together from, and each thing that would close it."""
    texts = (_text(finding, "steps"), *_text(finding, "advice").split("\n"))
    return [text for text in texts if text]


def _text(finding: Finding, name: str) -> str:
    return str(finding.detail.get(name) or "")


def _order(hack: Hack) -> int:
    return 2 if hack.heads == TRIED else 0 if hack.finding.detail.get("kind") == "gamed" else 1

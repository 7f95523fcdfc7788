"""How was the reward gamed? The gamed features and the edits that fool it, each with two replies
that show it.

From findings alone: `hacking.feature.NAME` and `hacking.test.NAME`, the last stage at which each
was found. Their exhibits are pairs of replies to one prompt, of which the proxy prefers the first,
and not a reply before and after.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from alignwright.core.records import Finding
from alignwright.report.results import RunResults

_STEPS = re.compile(r" \((.*)\)(?= )")
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
        what, _, told = finding.note.partition(": ")
        steps = _STEPS.search(what) if finding.claim == COMBINED else None
        paid, *closed = told.split("; ")
        return Hack(
            finding, _STEPS.sub("", what) if steps else what, paid, (*([steps[1]] if steps else []), *closed), TRIED
        )
    kind, _, rest = finding.note.partition(": ")
    what, _, told = rest.partition(": ")
    paid, _, reason = told.partition("; ")
    return Hack(finding, f"{kind}: {what}", paid, (reason,) if reason else (), SEEN)


def _order(hack: Hack) -> int:
    return 2 if hack.heads == TRIED else 0 if hack.what.startswith("gamed") else 1

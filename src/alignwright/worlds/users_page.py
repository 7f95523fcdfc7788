"""How is it shown what came of each share of gameable users: learning curves, what was learnt, and which audits saw
it?"""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.stats.intervals import Estimate
from alignwright.worlds.figures import HACK, HONEST
from alignwright.worlds.users_audit import ALPHA, USERS, ShareResult

HEADS = (
    "gameable users", "rating", "welfare", "welfare that could be", "gameable talked round", "the rest", "not gameable"
)  # fmt: skip
AUDIT_HEADS = ("audit", "gameable users", "fires with them", "fires without", "p")
STORY = (
    "The same at several shares of gameable users, and in a control world in which users of that profile are not"
    f" gameable. Each audit has {USERS} users and fires at p < {ALPHA:g}: counted are seeds. Drawn over the users seen"
    " while learning, from 0 to 1: how often gameable users are talked round (strong) and the rest (faint)."
)
_WIDTH, _HEIGHT = 200.0, 110.0


def tables(shares: Sequence[ShareResult]) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Headings and rows of both tables; none where no share was studied."""
    return [(HEADS, rows(shares)), (AUDIT_HEADS, audit_rows(shares))] if shares else []


def rows(shares: Sequence[ShareResult]) -> list[tuple[str, ...]]:
    """What was learnt at each share. The last column is the control: users of the same profile, not gameable."""
    return [
        (
            f"{each.share:.0%}",
            *(_words(one) for one in (each.rating, each.welfare)),
            f"{each.possible:.2f}",
            *(_per_cent(one) for one in (each.talked_gameable, each.talked_rest, each.control)),
        )
        for each in shares
    ]


def audit_rows(shares: Sequence[ShareResult]) -> list[tuple[str, ...]]:
    """How often each audit fired at each share, with gameable users and in the control without."""
    names = [rates.audit for rates in shares[0].audits]
    return [
        (
            name,
            f"{each.share:.0%}",
            f"{rates.hits} of {rates.seeds}",
            f"{rates.false_alarms} of {rates.seeds}",
            f"{rates.p:.2g}",
        )
        for place, name in enumerate(names)
        for each in shares
        for rates in [each.audits[place]]
    ]


def curves(shares: Sequence[ShareResult]) -> str:
    """A small drawing for each share: how often users are talked round, as learning goes on."""
    shapes = ""
    for place, each in enumerate(shares):
        left, top = 20 + (_WIDTH + 20) * (place % 2), 24 + (_HEIGHT + 40) * (place // 2)
        shapes += (
            f'<text x="{left:g}" y="{top - 8:g}" font-size="12" fill="currentColor">{each.share:.0%} gameable</text>'
        )
        shapes += f'<rect x="{left:g}" y="{top:g}" width="{_WIDTH:g}" height="{_HEIGHT:g}" fill="none" stroke="#8886"/>'
        last = each.looks[-1][0]
        for column, colour, opacity in ((3, HACK, 1.0), (4, HONEST, 0.7)):
            points = " ".join(
                f"{left + _WIDTH * look[0] / last:.1f},{top + _HEIGHT * (1 - look[column]):.1f}" for look in each.looks
            )
            shapes += (
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" opacity="{opacity}"/>'
            )
    lines = (len(shares) + 1) // 2
    label = "how often gameable users and the rest are talked round, over the users seen while learning"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 460 {24 + (_HEIGHT + 40) * lines:g}" role="img"'
        f' aria-label="{label}">{shapes}</svg>'
    )


def _words(estimate: Estimate) -> str:
    low, high = estimate.interval.low, estimate.interval.high
    mean = f"{estimate.value or 0.0:.3f}"
    return mean if low is None or high is None else f"{mean} [{low:.3f}, {high:.3f}]"


def _per_cent(estimate: Estimate) -> str:
    return f"{estimate.value or 0.0:.1%}"

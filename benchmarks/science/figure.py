"""How does it look? Small SVGs beside docs/results.md, drawn from the results: reward against
divergence, a line a method; and who is ahead of DPO.

Every point is a mean over seeds; bars are t intervals of the reward. Colours tell methods apart,
and so do shapes and names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from science import tables
from science.log import over_seeds, read

WIDTH, HEIGHT, LEFT, TOP, RIGHT, FOOT = 720, 400, 60, 20, 170, 46
COLOURS = {
    "frontier": "#9aa0a6", "start": "#202124", "sft": "#b06000", "dpo": "#1a73e8", "dpo_firm": "#12a5bd",
    "ppo": "#188038", "rloo": "#7b1fa2",
    "best_of_n": "#d93025", "dpo_shuffled": "#bdbdbd", "ppo_hash": "#8d8d8d", "rloo_k3_loss": "#e37400",
    "robust DPO": "#188038", "robust DPO, no flips": "#9aa0a6", "hinge": "#12a5bd", "cDPO": "#b06000",
    "oracle": "#d93025",
}  # fmt: skip
SHAPES = ("circle", "square", "diamond")
Point = tuple[float, float, float | None, float | None]


def write(path: Path, folder: Path) -> None:
    """Write `sentiment_frontier.svg`, `tabular_frontier.svg` and `noise.svg`, where there are
    results of them."""
    rows: list[dict[str, Any]] = [dict(line) for line in read(path) if not line["quick"]]
    curves: dict[str, list[Point]] = defaultdict(list)
    for (name, _), found in tables.points(rows).items():
        curves[name.split(".")[1]].append(_mean(found))
    if curves:
        origin = curves.pop("start")
        drawn: dict[str, list[Point]] = {
            name: sorted([*origin, *points], key=lambda point: point[0]) for name, points in curves.items()
        }
        drawing = chart({"start": origin, **drawn}, "KL to the start model, nats a reply", "sentiment reward")
        (folder / "sentiment_frontier.svg").write_text(drawing, encoding="utf-8")
    exact: dict[str, list[Point]] = defaultdict(list)
    for (name, *_), found in tables.grouped(rows, "tabular_frontier.", "beta", "step", "best_of").items():
        if (short := name.split(".")[1]) not in ("zero_reward", "dpo_shuffled"):
            exact[short].append(_mean(found))
            if short == "dpo":
                exact["frontier"].append(
                    (_mean(found)[0], over_seeds([row["facts"]["frontier"] for row in found])[0], None, None)
                )
    if exact:
        ordered = {name: sorted(exact[name]) for name in COLOURS if name in exact}
        (folder / "tabular_frontier.svg").write_text(
            chart(ordered, "KL to the reference, nats", "reward"), encoding="utf-8"
        )
    if learnt := leads(rows):
        drawing = chart(
            learnt, "accuracy of DPO on its training labels, flips included", "accuracy less DPO's", start=0.65
        )
        (folder / "noise.svg").write_text(drawing, encoding="utf-8")


LEADS = {
    "0.3.oracle": "oracle",
    "0.3.robust_dpo": "robust DPO",
    "0.robust_dpo": "robust DPO, no flips",
    "0.3.hinge": "hinge",
    "0.3.cdpo": "cDPO",
}


def leads(rows: Sequence[dict[str, Any]]) -> dict[str, list[Point]]:
    """Accuracy less DPO's at equal beta and steps, over how much of its labels DPO has learnt
    there; 30 % flips unless said otherwise."""
    found: dict[str, list[Point]] = {}
    for place, name in LEADS.items():
        facts = [row["facts"] for row in rows if row["name"] == f"noise.all.{place}.cell"]
        ends = ("accuracy_less_dpo", "accuracy_less_dpo_low", "accuracy_less_dpo_high")
        limits = 3 if name.startswith(("oracle", "robust DPO")) else 1
        found[name] = sorted(
            (f["dpo_learnt"], *(f[end] for end in ends[:limits]), *[None] * (3 - limits)) for f in facts
        )  # type: ignore[misc]
    return {name: points for name, points in found.items() if points}


def _mean(found: Sequence[dict[str, Any]]) -> Point:
    reward = [row["facts"].get("reward", row["value"]) for row in found]
    return over_seeds([row["facts"]["kl"] for row in found])[0], *over_seeds(reward)


def chart(curves: dict[str, list[Point]], across: str, up: str, start: float = 0.0) -> str:
    """Lines through points with their intervals, axes with round ticks, a legend at the right."""
    points = [point for curve in curves.values() for point in curve]
    right = start + (max(x for x, *_ in points) - start) * 1.05 or 1.0
    ends = [y for _, value, low, high in points for y in (value, low, high) if y is not None]
    room = min(0.05, (max(ends) - min(ends)) / 10)
    bottom, top = min(ends) - room, max(ends) + room

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + (x - start) / (right - start) * (WIDTH - LEFT - RIGHT), TOP + (top - y) / (top - bottom) * (
            HEIGHT - TOP - FOOT
        )

    parts = [_axes((start, right), bottom, top, at, across, up)]
    for i, (name, curve) in enumerate(curves.items()):
        colour, shape = COLOURS.get(name, "#555"), SHAPES[i % len(SHAPES)]
        places = [at(x, y) for x, y, *_ in curve]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.6" opacity=".75"/>')
        for (px, py), (x, _, low, high) in zip(places, curve, strict=True):
            if low is not None and high is not None:
                parts.append(_line((px, at(x, low)[1]), (px, at(x, high)[1]), f'{colour}" opacity=".45'))
            parts.append(_mark(shape, px, py, colour))
        parts.append(_mark(shape, WIDTH - RIGHT + 24, TOP + 12 + 20 * i, colour))
        parts.append(f'<text x="{WIDTH - RIGHT + 36}" y="{TOP + 16 + 20 * i}">{name.replace("_", " ")}</text>')
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        ' font-size="12" fill="#3c4043">'
    )
    return head + f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>' + "".join(parts) + "</svg>\n"


def _axes(across_ends: tuple[float, float], bottom: float, top: float, at: Any, across: str, up: str) -> str:
    parts = [f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{across}</text>']
    parts.append(f'<text transform="translate(16 {HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">{up}</text>')
    for tick in _ticks(*across_ends):
        x, y = at(tick, bottom)
        parts += [
            _line((x, y), (x, TOP), "#e8eaed"),
            f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{tick:g}</text>',
        ]
    for tick in _ticks(bottom, top):
        x, y = at(across_ends[0], tick)
        parts += [
            _line((x, y), (WIDTH - RIGHT, y), "#e8eaed"),
            f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>',
        ]
    return "".join(parts)


def _line(start: tuple[float, float], end: tuple[float, float], stroke: str) -> str:
    return f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" stroke="{stroke}"/>'


def _ticks(low: float, high: float) -> list[float]:
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0) if (high - low) / s <= 7)
    return [round(k * step, 6) for k in range(round(low / step), round(high / step) + 1) if low <= k * step <= high]


def _mark(shape: str, x: float, y: float, colour: str) -> str:
    match shape:
        case "circle":
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
        case "square":
            return f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" fill="{colour}"/>'
        case _:
            return f'<path d="M{x:.1f} {y - 5:.1f}l5 5-5 5-5-5z" fill="{colour}"/>'

"""The drawing of docs/goodhart.md: proxy and gold of the best of n, each seed a thin line, their
mean a thick one."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 260, 46, 120, 18, 40
COLOURS = {"proxy": "#8a6d3b", "gold": "#1f5f8b"}


def svg(curves: Sequence[dict[str, list[float]]]) -> str:
    """`curves`: of each seed n, proxy and gold, both as gains in their own unit."""
    sizes = curves[0]["n"]
    values = [v for curve in curves for name in COLOURS for v in curve[name]]
    low, high = min(values), max(values)

    def at(i: int, value: float) -> str:
        x = LEFT + (WIDTH - LEFT - RIGHT) * i / (len(sizes) - 1)
        return f"{x:.1f},{TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low):.1f}"

    def line(row: Sequence[float], colour: str, width: float, opacity: float) -> str:
        points = " ".join(at(i, v) for i, v in enumerate(row))
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}" opacity="{opacity}"/>'

    parts = [line([0.0] * len(sizes), "#999", 1, 0.6)]
    for name, colour in COLOURS.items():
        parts += [line(curve[name], colour, 1, 0.35) for curve in curves]
        mean = [fmean(curve[name][i] for curve in curves) for i in range(len(sizes))]
        parts.append(line(mean, colour, 3, 1.0))
        x, y = at(len(sizes) - 1, mean[-1]).split(",")
        said = "proxy, in spreads" if name == "proxy" else "gold, in points"
        parts.append(f'<text x="{float(x) + 8:.1f}" y="{float(y) + 4:.1f}" fill="{colour}">{said}</text>')
    for i, n in enumerate(sizes):
        x = at(i, low).split(",")[0]
        parts.append(f'<text x="{x}" y="{HEIGHT - 20}" text-anchor="middle" fill="#666">{n:g}</text>')
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle" fill="#666">best of n</text>'
    )
    for value in (low, 0.0, high):
        y = at(0, value).split(",")[1]
        parts.append(f'<text x="{LEFT - 8}" y="{float(y) + 4:.1f}" text-anchor="end" fill="#666">{value:.1f}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        ' font-size="12">'
        f"<title>Gain of proxy and gold by best of n, ten seeds</title>{''.join(parts)}</svg>\n"
    )

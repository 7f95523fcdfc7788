"""What does specification gaming look like? One drawing a world.

One drawing for each world, honest conduct beside the hack, as plain SVG: lines, boxes, numbers and
fixed words, never a model's text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from alignwright.stats.arrays import Floats
from alignwright.worlds import closed_eyes, edited_tests, points_loop, rated_users, tall_robot, tampered_chess
from alignwright.worlds.table import Return

HONEST, HACK, FAINT = "#2b7a4b", "#b3372f", "#8884"
_PIECES = dict(zip("KQRBNPkqrbnp", "♔♕♖♗♘♙♚♛♜♝♞♟", strict=True))


def picture(name: str, hacker_SA: Floats) -> str:
    """The drawing of a world; `hacker_SA` is a policy learnt from the proxy."""
    match name:
        case "tall_robot":
            return _robots(hacker_SA)
        case "points_loop":
            return _loops(hacker_SA)
        case "closed_eyes":
            return _rooms(hacker_SA)
        case "edited_tests":
            return _repairs()
        case "tampered_chess":
            return _boards()
        case "rated_users":
            return _profiles(hacker_SA)
        case _:
            raise LookupError(f"no world is called {name!r}")


def curve(points: Sequence[tuple[int, Return]]) -> str:
    """Proxy and truth of a learner as it learns, each on its own scale from its least to its most."""
    lines = "".join(
        _poly(
            [
                (20 + 260 * step / points[-1][0], 100 - 80 * part)
                for (step, _), part in zip(points, _scaled(values), strict=True)
            ],
            colour,
        )
        for values, colour in (([r.proxy for _, r in points], HACK), ([r.true for _, r in points], HONEST))
    )
    ends = f"{_text(20, 118, 'first step', size=10)}{_text(280, 118, f'step {points[-1][0]}', 'end', size=10)}"
    keys = f"{_text(150, 12, 'proxy', 'end', HACK)}{_text(160, 12, 'what is meant', colour=HONEST)}"
    return _svg(300, 124, lines + ends + keys, "proxy and truth of a learner over its training, each on its own scale")


def _robots(hacker_SA: Floats) -> str:
    place, gait = divmod(int(hacker_SA[0].argmax()), len(tall_robot.GAITS))
    motions = [
        tall_robot.simulate(4.0, "walk"),
        tall_robot.simulate(float(tall_robot.HEIGHTS[place]), tall_robot.GAITS[gait]),
    ]
    shapes = ""
    for motion, ground, colour in zip(motions, (80.0, 260.0), (HONEST, HACK), strict=True):
        shapes += _line(0, ground, 420, ground, "#888")
        for i, (foot, tilt) in enumerate(motion.path[:: 4 if motion.gait == "walk" else 2]):
            x, y = 20 + 10 * (foot + motion.height * math.sin(tilt)), ground - 10 * motion.height * math.cos(tilt)
            shapes += _line(20 + 10 * foot, ground, x, y, colour, opacity=min(1.0, 0.25 + i / 40))
        shapes += _text(410, ground - 22, f"{motion.height:g} m, {motion.gait}", "end", colour)
        shapes += _text(410, ground - 8, f"head {motion.top_speed:.1f} m/s, foot {motion.travel:.1f} m", "end", colour)
    return _svg(420, 270, shapes, "a walker's foot travels; the tall rod falls where it stands")


def _loops(hacker_SA: Floats) -> str:
    shapes = ""
    for x, policy_SA, colour, word in (
        (10, points_loop.lapping(), HONEST, "lapping"),
        (220, hacker_SA, HACK, "what was learnt"),
    ):
        cells = [0]
        for _ in range(points_loop.STEPS):
            cells.append(points_loop.move(cells[-1], int(policy_SA[cells[-1]].argmax())))
        for i, (row, column) in enumerate(points_loop.RING):
            visits = cells.count(i)
            x0, top = x + 60 * column, 24 + 60 * row
            shapes += _box(x0, top, 58, 58, colour, min(0.9, visits / 30)) + _text(
                x0 + 29, top + 50, f"{visits}", "middle", size=10
            )
            shapes += _text(x0 + 29, top + 34, {1: "→", 3: "↓", 5: "←", 7: "↑"}.get(i, ""), "middle", size=20)
        shapes += _text(x, 14, f"{word}: visits", colour=colour)
    return _svg(
        410, 210, shapes, "visits to each cell of the ring: all the same when lapping, two cells when going to and fro"
    )


def _rooms(hacker_SA: Floats) -> str:
    shapes, steps = "", 60
    for y, policy_SA, colour, word in (
        (0, closed_eyes.reference(0.0), HONEST, "eyes open"),
        (90, hacker_SA, HACK, "what was learnt"),
    ):
        env = closed_eyes.ClosedEyes()
        env.reset(seed=4)
        true = proxy = 0.0
        for t in range(steps):
            state = 2 * closed_eyes.PATTERNS.index(env.dirty) + (1 - env.eyes)
            _, reward, _, _, info = env.step(int(policy_SA[state].argmax()))
            proxy, true = proxy + reward, true + info["true"]
            for room, dirty in enumerate(env.dirty):
                shapes += _box(10 + 6.5 * t, y + 22 + 14 * room, 5.5, 12, "#5b4636" if dirty else FAINT, 1.0)
            shapes += _box(10 + 6.5 * t, y + 66, 5.5, 6, colour if env.eyes else "#000", 0.8 if env.eyes else 0.15)
        shapes += _text(
            10, y + 14, f"{word}: proxy {proxy / steps:.2f}, truth {true / steps:.2f} a step", colour=colour
        )
    return _svg(
        410, 168, shapes, "dirt in three rooms over sixty steps; the line below is pale while the eyes are shut"
    )


def _repairs() -> str:
    shapes = ""
    for i, (word, state) in enumerate(
        (("as handed over", 0), ("both mistakes mended", 3), ("answers written in", 4), ("tests emptied", 8))
    ):
        results = [edited_tests.result(task, state) for task in edited_tests.FEW]
        y = 10 + 44 * i
        shapes += _text(150, y + 20, word, "end")
        for k, (rate, colour, of) in enumerate(
            ((sum(r.visible for r in results), HACK, "visible"), (sum(r.hidden for r in results), HONEST, "hidden")),
        ):
            share = rate / len(results)
            shapes += _box(160, y + 17 * k, max(1.0, 180 * share), 14, colour, 0.85) + _text(
                346, y + 11 + 17 * k, f"{of} {share:.0%}", size=10
            )
    return _svg(420, 190, shapes, "visible and hidden tests passed: only the repair passes both")


def _boards() -> str:
    game = tampered_chess.play_game("write the file", tampered_chess.STARTS["lone king"])
    shapes = ""
    for x, fen, colour, word in (
        (10, game.start, HONEST, "the game that was played"),
        (220, game.boards[-1], HACK, "the file that was written"),
    ):
        for row, rank in enumerate(fen.split()[0].split("/")):
            column = 0
            for sign in rank:
                empty = int(sign) if sign.isascii() and sign.isdigit() else 0
                for _ in range(max(1, empty)):
                    x0, top = x + 22 * column, 24 + 22 * row
                    shapes += _box(x0, top, 22, 22, "#8a6d4b" if (row + column) % 2 else "#e8d9c0", 0.6)
                    shapes += "" if empty else _text(x0 + 11, top + 18, _PIECES[sign], "middle", size=19)
                    column += 1
        shapes += _text(x, 14, word, colour=colour)
    return _svg(410, 206, shapes, "a lone king against a queen, and the position that was written over it")


def _profiles(hacker_SA: Floats) -> str:
    """What was learnt to be done with users of each profile."""
    shapes = _text(410, 14, "talk round", "end", HACK) + _text(330, 14, "explain or answer briefly", "end", HONEST)
    for place, name in enumerate(rated_users.PROFILES):
        y, talked = 24 + 24 * place, float(hacker_SA[place, rated_users.TALK_ROUND])
        shapes += _text(110, y + 13, name, "end")
        shapes += _box(120, y, 290 * (1 - talked), 18, HONEST, 0.6)
        shapes += _box(120 + 290 * (1 - talked), y, 290 * talked, 18, HACK, 0.85)
    label = "what a learner of ratings does with users of each profile: it talks round those who can be"
    return _svg(420, 24 + 24 * len(rated_users.PROFILES), shapes, label)


def _scaled(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    return [(v - low) / (high - low) if high > low else 0.5 for v in values]


def _svg(width: float, height: float, inside: str, label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img"'
        f' aria-label="{label}">{inside}</svg>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, opacity: float = 1.0) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="2"'
        f' opacity="{opacity:.2f}"/>'
    )


def _poly(points: Sequence[tuple[float, float]], colour: str) -> str:
    return (
        f'<polyline fill="none" stroke="{colour}" stroke-width="2"'
        f' points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'
    )


def _box(x: float, y: float, width: float, height: float, colour: str, opacity: float) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"'
        f' fill-opacity="{opacity:.2f}"/>'
    )


def _text(x: float, y: float, word: str, anchor: str = "start", colour: str = "currentColor", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{word}</text>'

"""In how many steps should a weak guard oversee a strong model? Nested scalable oversight by Elo
(Engels, Baek, Kantamneni and Tegmark 2025, arXiv 2504.18530).

A guard oversees a model that is `gap` Elo of general ability above it. In one step it wins with
probability 1 / (1 + 10^((E_H - E_G) / 400)), where the ratings in the game are straight lines of
general ability: E_G = guard_slope * g and E_H = model_slope * g + offset. In n steps each model of a
ladder oversees the next one, gap / n above it, and all of them must win. The paper's domain ratings
are double ReLUs of the general one; between their kinks they are these lines.

Left out on purpose: ladders of unequal steps. The paper's own optimum is of equal ones.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_STEPS = 64
ELO = 400.0


@dataclass(frozen=True)
class OversightLadder:
    """The best number of steps, how often all of them are won, and the same for 1, 2, 3 ... steps."""

    steps: int
    success: float
    by_steps: tuple[float, ...]


def win_chance(guard: float, model: float) -> float:
    """How often the guard wins, from both ratings in the game."""
    return 1.0 / (1.0 + 10.0 ** ((model - guard) / ELO))


def nested_oversight(
    gap: float, guard_slope: float = 1.0, model_slope: float = 1.0, offset: float = 0.0, most: int = MOST_STEPS
) -> OversightLadder:
    """The best ladder over the gap, of at most so many steps. Raises ValueError where gap or steps
    are not above 0."""
    if gap <= 0 or most < 1:
        raise ValueError(f"nested_oversight: a gap of {gap} Elo in at most {most} steps; both must be above 0")
    chances = tuple(_all_won(gap, steps, guard_slope, model_slope, offset) for steps in range(1, most + 1))
    best = max(range(most), key=lambda place: chances[place])
    return OversightLadder(best + 1, chances[best], chances)


def _all_won(gap: float, steps: int, guard_slope: float, model_slope: float, offset: float) -> float:
    chance = 1.0
    for step in range(steps):
        guard, model = gap * step / steps, gap * (step + 1) / steps
        chance *= win_chance(guard_slope * guard, model_slope * model + offset)
    return chance

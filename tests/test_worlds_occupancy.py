"""Does the early stop never let the true reward fall, where going on often does?"""

from __future__ import annotations

import math

import numpy as np
import pytest

from alignwright.worlds.occupancy import angle, feasible, occupancy, stop

STATES, ACTIONS, DISCOUNT = 8, 3, 0.9


def path(seed: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Occupancies along the proxy's improvement path (softmax policies of falling temperature),
    the projection, and the proxy."""
    generator = np.random.default_rng(seed)
    move = generator.dirichlet(np.full(STATES, 0.3), size=(STATES, ACTIONS))
    first, proxy = np.full(STATES, 1 / STATES), generator.normal(size=STATES * ACTIONS)
    found = []
    for temperature in np.geomspace(100, 0.01, 40):
        value = np.zeros(STATES)
        for _ in range(200):
            action = proxy.reshape(STATES, ACTIONS) + DISCOUNT * move @ value
            top = action.max(axis=1)
            value = top + temperature * np.log(np.exp((action - top[:, None]) / temperature).mean(axis=1))
        policy = np.exp((action - action.max(axis=1)[:, None]) / temperature)
        found.append(occupancy(move, policy / policy.sum(axis=1)[:, None], first, DISCOUNT))
    return found, feasible(move, DISCOUNT), proxy


def test_the_true_return_never_falls_before_the_stop() -> None:
    """Rewards at an angle theta from the proxy: no fall up to the stop; after it many fall (the
    control)."""
    before, after, cases = 0, 0, 0
    for seed in range(12):
        way, project, proxy = path(seed)
        toward = project @ proxy
        generator = np.random.default_rng(seed + 99)
        for theta in (0.6, 1.0, 1.3):
            at = stop(way, toward, theta)
            for _ in range(6):
                other = project @ generator.normal(size=len(proxy))
                other -= toward * (other @ toward) / (toward @ toward)
                true = math.cos(theta) * toward / np.linalg.norm(toward) + math.sin(theta) * other / np.linalg.norm(
                    other
                )
                assert angle(true, toward) == pytest.approx(theta)
                steps = np.diff([float(eta @ true) for eta in way])
                cases += 1
                before += int((steps[:at] < -1e-9).any())
                after += int((steps[at:] < -1e-9).any())
    assert before == 0
    assert after > 0.2 * cases


def test_occupancies_keep_the_flow_and_differ_only_in_feasible_directions() -> None:
    way, project, proxy = path(0)
    assert all(eta.sum() == pytest.approx(1 / (1 - DISCOUNT)) for eta in way)
    step = way[-1] - way[0]
    assert np.allclose(project @ step, step)
    assert np.allclose(project @ project, project)
    assert not np.allclose(project @ proxy, proxy)
    returns = [float(eta @ proxy) for eta in way]
    assert returns == sorted(returns)  # an improvement path
    assert stop(way, project @ proxy, 0.0) == len(way) - 1  # a proxy known to be right is never left
    assert stop(way, project @ proxy, math.pi / 2 - 1e-6) < 2
    assert (
        stop(way, project @ proxy, 3.0) == 0
    )  # sin(3) is small again, but a reward that far off falls with the first step


def test_the_stop_is_safe_and_costs_more_than_it_saves() -> None:
    """True rewards drawn at random, each stopped at its own true angle: none falls before its stop;
    on average going on would have cost less.

    Normalised by the range of the true return over the path; that the drop is larger than 1e-3 is
    what counts as Goodhart.
    """
    fell, stopped, whole, drops = 0, [], [], []
    for seed in range(12):
        way, project, proxy = path(seed)
        generator = np.random.default_rng(seed + 400)
        for _ in range(8):
            true = proxy + 1.5 * generator.normal(size=len(proxy))
            toward, real = project @ proxy, project @ true
            returns = np.array([float(eta @ real) for eta in way])
            returns = (returns - returns.min()) / float(np.ptp(returns))
            at = stop(way, toward, angle(toward, real))
            fell += int((np.diff(returns[: at + 1]) < -1e-9).any())
            drops.append(returns.max() - returns[-1])
            stopped.append(returns.max() - returns[at])
            whole.append(returns.max() - returns[-1])
    assert fell == 0
    assert 0.2 < np.mean([drop > 1e-3 for drop in drops]) < 0.8
    assert np.mean(stopped) > 2 * np.mean(whole) > 0

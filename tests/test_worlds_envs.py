"""Do the five worlds keep gymnasium's contract, agree with their tables, and come to the known
figures?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from alignwright.worlds import closed_eyes, points_loop, tall_robot
from alignwright.worlds.envs import register
from alignwright.worlds.learn import rollout_return
from alignwright.worlds.table import TabularWorld, best_return, evaluate, greedy, value_iteration

NAMES = register()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("check", [False, True])
def test_a_world_passes_gymnasiums_own_checker(name, check):
    check_env(gym.make(name, check=check, render_mode="ansi").unwrapped)


@pytest.mark.parametrize("name", NAMES)
def test_a_world_can_be_seen(name):
    env = gym.make(name, render_mode="ansi")
    env.reset(seed=1)
    env.step(0)
    assert len(env.render().splitlines()) >= 1


def test_registering_twice_is_registering_once():
    assert register() == NAMES


# sqrt(3 g h) at g = 9.8: each is four times as high, so twice as fast to the digit. A table with
# 5.42, 10.84 and 21.70 is of a simulation whose
# last step overshot the ground (as is 5.42, 10.85, 21.70, which is g = 9.81); here the last step is cut at the ground.
@pytest.mark.parametrize(("height", "speed"), [(1, 5.42), (4, 10.84), (16, 21.69)])
def test_a_falling_rod_is_as_fast_as_the_formula_says(height, speed):
    motion = tall_robot.simulate(float(height), "fall")
    assert motion.top_speed == pytest.approx(math.sqrt(3 * tall_robot.G * height), rel=1e-5)
    assert round(motion.top_speed, 2) == speed
    assert motion.travel == 0.0


def test_a_walker_travels_and_is_slower_than_a_fall():
    for height in tall_robot.HEIGHTS:
        walk, fall = (tall_robot.simulate(float(height), gait) for gait in ("walk", "fall"))
        assert walk.travel > 5
        assert walk.top_speed < fall.top_speed / 2


def test_a_standing_robot_does_nothing():
    motion = tall_robot.simulate(3.0, "stand")
    assert (motion.top_speed, motion.travel) == (0.0, 0.0)


def test_no_robot_of_no_height():
    with pytest.raises(ValueError, match="height above 0"):
        tall_robot.simulate(0.0, "walk")


def to_and_fro():
    policy = points_loop.lapping()
    policy[1] = np.eye(4)[points_loop.ACTIONS.index("left")]
    return policy


def test_the_loop_has_its_known_optimum_and_two_ways_to_it():
    table = points_loop.table()
    assert best_return(table, table.proxy_SA) == 50
    assert best_return(table, table.true_SA) == 100
    lap, loop = evaluate(table, points_loop.lapping()), evaluate(table, to_and_fro())
    assert (lap.proxy, lap.true) == pytest.approx((50, 100))
    assert (loop.proxy, loop.true) == pytest.approx((50, 0))


def test_in_the_races_order_only_lapping_is_paid():
    table = points_loop.table(check=True)
    assert best_return(table, table.proxy_SA) == 50
    assert evaluate(table, points_loop.lapping(check=True)).proxy == pytest.approx(50)
    assert evaluate(table, to_and_fro().repeat(points_loop.ARROWS, axis=0)).proxy < -90


def settled(move: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eig(move.T)
    found = np.real(vectors[:, np.argmax(np.real(values))])
    return found / found.sum()


def chain_of_dirt() -> float:
    """Mean dirt under the best cleaning, from the count of dirty rooms alone: another way to the
    same number."""
    move = np.zeros((4, 4))
    for dirty in range(4):
        left = max(dirty - 1, 0)
        for falls in range(4 - left):
            move[dirty, left + falls] += math.comb(3 - left, falls) * 0.1**falls * 0.9 ** (3 - left - falls)
    return float(settled(move) @ np.arange(4))


def dirt(order: str, action: Callable[[tuple[int, ...]], int]) -> float:
    """Mean dirt when cleaning, new dirt and the count come in this order, for a rule that says
    which room to clean; by hand, without the world."""
    rooms = tuple(itertools.product((0, 1), repeat=3))
    move, paid = np.zeros((8, 8)), np.zeros(8)
    for s, fresh in itertools.product(range(8), rooms):
        chance, now = math.prod(0.1 if f else 0.9 for f in fresh), rooms[s]
        for what in order.split():
            if what == "clean":
                now = tuple(0 if i == action(rooms[s]) else d for i, d in enumerate(now))
            elif what == "fall":
                now = tuple(int(d or f) for d, f in zip(now, fresh, strict=True))
            else:
                paid[s] += chance * sum(now)
        move[s, rooms.index(now)] += chance
    return float(settled(move) @ paid)


def test_shut_eyes_are_best_for_the_proxy_and_worst_for_the_rooms():
    table = closed_eyes.table()
    shut = evaluate(table, greedy(value_iteration(table, table.proxy_SA).action_S, 4))
    assert shut.proxy == pytest.approx(0.0, abs=1e-12)
    assert shut.true == pytest.approx(-2.10)
    honest = evaluate(table, greedy(value_iteration(table, table.true_SA).action_S, 4))
    assert honest.proxy == honest.true == pytest.approx(-chain_of_dirt())
    assert honest.true == pytest.approx(-0.3326, abs=1e-4)


def test_the_honest_best_is_a_third_of_a_room_in_every_order_in_which_shut_eyes_come_to_2_10():
    """An older figure for the honest best, -.345 beside the same -2.10, is of no such world: the
    nearest, -.333, is this one.

    A run of 5,000 to 10,000 steps has a standard error of .008 to .0065, so that -.345 may have
    been simulated. What is here is exact.
    """

    def first_dirty(now):
        return next((i for i, d in enumerate(now) if d), 0)

    orders = [" ".join(order) for order in itertools.permutations(("clean", "fall", "count"))]
    honest, shut = ({order: dirt(order, rule) for order in orders} for rule in (first_dirty, lambda _: 0))
    same = {order for order in orders if shut[order] == pytest.approx(2.1)}
    assert same == {"clean fall count", "count clean fall", "fall count clean"}
    assert honest["clean fall count"] == pytest.approx(chain_of_dirt())
    found = {order: round(honest[order], 3) for order in same}
    assert found == {"clean fall count": 0.333, "count clean fall": 0.333, "fall count clean": 0.489}
    assert min(abs(honest[order] - 0.345) for order in orders) > 0.01


def test_what_is_not_seen_counts_as_dirty_and_the_eyes_stay_open():
    table = closed_eyes.table(check=True)
    kept = evaluate(table, greedy(value_iteration(table, table.proxy_SA).action_S, 4))
    assert kept.true == pytest.approx(-0.3326, abs=1e-4)


def settled_policy():
    """Over what is observed: clean the first dirty room, open the eyes when shut, sometimes shut
    them."""
    policy = np.full((9, 4), 0.05)
    for o in range(9):
        policy[o, closed_eyes.BLINK if o == 8 else o % 3] += 0.8
    return policy


def test_worlds_that_are_stepped_through_agree_with_their_tables():
    loop = rollout_return(points_loop.PointsLoop(), points_loop.lapping(0.3), seed=1, episodes=300)
    exact = evaluate(points_loop.table(), points_loop.lapping(0.3))
    assert (loop.proxy, loop.true) == pytest.approx((exact.proxy, exact.true), abs=2.5)
    rooms = rollout_return(closed_eyes.ClosedEyes(), settled_policy(), seed=1, episodes=200)
    long = evaluate(closed_eyes.table(), closed_eyes.full_state_policy(settled_policy()))
    assert (rooms.proxy / 100, rooms.true / 100) == pytest.approx((long.proxy, long.true), abs=0.06)


def test_a_table_that_leaks_is_refused():
    good = points_loop.table()
    with pytest.raises(ValueError, match="sum to 1"):
        TabularWorld(
            "bad",
            good.states,
            good.actions,
            good.next_SAN * 0.9,
            good.proxy_SA,
            good.true_SA,
            good.start_S,
            good.ends_SA,
        )


def test_a_world_without_an_end_has_no_best_episode():
    table = closed_eyes.table()
    with pytest.raises(ValueError, match="value_iteration"):
        best_return(table, table.proxy_SA)

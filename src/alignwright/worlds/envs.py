"""Under which names are the worlds registered as gymnasium environments?"""

from __future__ import annotations

import gymnasium as gym

from alignwright.worlds.closed_eyes import ClosedEyes
from alignwright.worlds.edited_tests import EditedTests
from alignwright.worlds.points_loop import PointsLoop
from alignwright.worlds.rated_users import RatedUsers
from alignwright.worlds.tall_robot import TallRobot
from alignwright.worlds.tampered_chess import TamperedChess

ENVS: dict[str, type[gym.Env]] = {
    "alignwright/TallRobot-v0": TallRobot,
    "alignwright/PointsLoop-v0": PointsLoop,
    "alignwright/ClosedEyes-v0": ClosedEyes,
    "alignwright/EditedTests-v0": EditedTests,
    "alignwright/TamperedChess-v0": TamperedChess,
    "alignwright/RatedUsers-v0": RatedUsers,
}


def register() -> tuple[str, ...]:
    """Make `gymnasium.make("alignwright/PointsLoop-v0")` work; returns the names. May be called
    again."""
    for name, kind in ENVS.items():
        if name not in gym.registry:
            gym.register(name, entry_point=kind)
    return tuple(ENVS)

"""Where in a small Markov decision process must one stop following a proxy reward so that the true
one has surely not fallen (Goodhart's law)?

Karwowski et al. (2023, arXiv 2310.09144): what a policy does in a Markov decision process is its
occupancy of state-action pairs, a point of a polytope; its return is linear there. If the true
reward lies within an angle theta of the proxy (both projected on the directions in which a policy
can move), a step in direction v cannot lower it as long as the angle between v and the proxy is at
most 90 degrees - theta. So: follow the proxy's improvement path and stop before the first step with
cos(angle) < sin(theta).

Never wrong, but dear: on random rewards it gives up more, on average, than going on to the end
would cost (the tests say how much). Report both. `worlds.learn.stop_by_angle` follows it in the
small worlds; for a world of your own call the four functions in the order in which they stand.

Shapes: `_S` states, `_A` actions, `_X` = S x A pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from alignwright.stats.arrays import Floats


def occupancy(move_SAS: Floats, policy_SA: Floats, first_S: Floats, discount: float) -> Floats:
    """The discounted occupancy of state-action pairs, as one vector; its total is 1 / (1 -
    discount)."""
    flow_SS: Floats = (policy_SA[:, :, None] * move_SAS).sum(axis=1)
    state_S: Floats = np.asarray(
        np.linalg.solve(np.eye(len(first_S)) - discount * flow_SS.T, first_S), dtype=np.float64
    )
    return (state_S[:, None] * policy_SA).ravel()


def feasible(move_SAS: Floats, discount: float) -> Floats:
    """The projection of a reward on the directions in which occupancies can differ: those that
    keep the flow through every state."""
    states, actions, _ = move_SAS.shape
    keep_SX = np.repeat(np.eye(states), actions, axis=1) - discount * move_SAS.reshape(states * actions, states).T
    return np.asarray(np.eye(states * actions) - np.linalg.pinv(keep_SX) @ keep_SX, dtype=np.float64)


def angle(one: Floats, other: Floats) -> float:
    """The angle between two directions, in radians; a right angle where one of them is 0."""
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return math.acos(max(-1.0, min(1.0, float(one @ other) / length))) if length else math.pi / 2


def stop(path: Sequence[Floats], proxy: Floats, theta: float) -> int:
    """The last index of the path up to which every reward within `theta` of the (projected) proxy
    has risen or stayed.

    Beyond a right angle some such reward falls with any step at all, so the path is not begun.
    """
    if theta >= math.pi / 2:
        return 0
    for i in range(len(path) - 1):
        step = path[i + 1] - path[i]
        if np.linalg.norm(step) > 1e-12 and math.cos(angle(step, proxy)) < math.sin(theta):
            return i
    return len(path) - 1

"""Words about obstacles, and an arm that swings towards them."""

from __future__ import annotations

import numpy as np

from testing.rig import Rig
from wam_ros.core.types import Decision
from wam_ros.robot.obstacles import Obstacle
from wam_ros.safety.machine.live import Change

SIDEWAYS = np.r_[0.1, 0, 0, 0, 0, 0, 0, 0]  # rad per step of 0.1 s


def box(position, edge: float = 0.05, **more) -> Obstacle:
    return Obstacle("box", (edge,) * 3, tuple(float(x) for x in position), **more)


def told(
    rig: Rig, obstacle: Obstacle | None, name: str = "people/1", frame: str = "panda_link0", **more
) -> Change:
    return Change(name, obstacle, frame, rig.now, **more)


def tell(rig: Rig, obstacle: Obstacle | None, **more):
    """Tell the machine of an obstacle; a stop that is needed because of it."""
    return rig.keep(rig.machine.on_obstacles([told(rig, obstacle, **more)], rig.now))


def swinging(rig: Rig) -> Rig:
    """An armed arm that turns about its base at full swing."""
    assert rig.armed().chunk(rate=SIDEWAYS).report.decision in (Decision.PASS, Decision.SCALED)
    rig.run(0.3)
    assert rig.machine.commanded(rig.now).dq[0] > 0.5
    return rig

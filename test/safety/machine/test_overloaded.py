"""An arm that is given more than it bears in the middle of a motion stops instead of going on."""

from __future__ import annotations

import numpy as np
import pytest

from testing.rig import TURN, Rig
from wam_ros.core.embodiment import Load
from wam_ros.core.types import Reason, SafetyState


@pytest.mark.parametrize("mass", [10.0, 20.0, 200.0])
def test_what_is_too_heavy_ends_the_motion_at_once(panda, home, mass):
    rig, fixed = Rig(panda, home).armed(), dict(panda.model.obstacles)
    rig.chunk(home + np.outer(np.arange(1, 41), TURN))
    rig.run(0.5)
    try:
        answer = rig.machine.hold("weight", Load("panda_hand", mass), rig.now)
        assert answer.trajectory is not None
        assert rig.machine.brakes.stop_time(rig.now) < 1.0
        assert rig.state == SafetyState.BRAKING
        assert Reason.TORQUE in rig.machine.brakes.reason
    finally:
        panda.model.set_obstacles(fixed, {})

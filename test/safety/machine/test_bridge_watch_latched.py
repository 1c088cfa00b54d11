"""A motion that the bridge did not take begins anew by itself, and never over what a person or a
fault has stopped.
"""

from __future__ import annotations

import numpy as np

from testing.rig import Rig
from wam_ros.core.types import JointState, Reason, SafetyState
from wam_ros.safety.machine.bridge_watch import BridgeWatch, CommandEcho

S = SafetyState
ASIDE = np.r_[0.05, 0, 0, 0, 0, 0, 0, 0]


def lost_by(rig: Rig) -> BridgeWatch:
    """What the safety node does when the bridge says something else than it was told."""
    echo = CommandEcho(np.full(8, 0.02), 0.15)
    watch = BridgeWatch(rig.machine, echo, False)

    def tick(seconds: float, q=None, speed: float = 0.0) -> None:
        for _ in range(round(seconds * 50)):
            rig.run(0.02)
            where = rig.machine.commanded(rig.now).q if q is None else q
            names, dq = rig.filter.model.joint_names, np.full(8, speed)
            echo.on_commanded(JointState(rig.now, names, where, dq, np.zeros(8)))
            watch.look(rig.now)
            watch.arm_by_itself(rig.now)

    watch.ticks = tick
    return watch


def test_a_motion_that_the_bridge_missed_begins_anew_by_itself(rig):
    watch = lost_by(rig.moving())
    watch.ticks(0.3, rig.home + ASIDE, speed=0.1)
    assert rig.state == S.HOLD
    rig.follow, rig.measured = False, rig.home + ASIDE
    watch.ticks(0.5, rig.home + ASIDE)
    assert rig.state == S.ARMED


def test_after_an_emergency_stop_it_does_not_arm_by_itself_though_it_was_about_to(rig):
    watch = lost_by(rig.moving())
    watch.ticks(0.3, rig.home + ASIDE, speed=0.1)
    assert rig.state == S.HOLD
    rig.machine.estop(rig.now)
    rig.run(1.5)
    assert rig.machine.reset(rig.now).ok
    watch.ticks(1.0)
    assert rig.state == S.HOLD
    assert rig.machine.arm(True, rig.now).ok


def test_a_fault_stays_one_though_the_bridge_does_not_execute_its_stop(rig):
    watch = lost_by(rig.moving())
    rig.machine.brakes.escalate(rig.now, S.FAULT, Reason.WATCHDOG, "off the path")
    assert rig.state == S.BRAKING
    watch.ticks(0.5, rig.home + 10 * ASIDE)
    assert rig.state == S.FAULT
    assert rig.machine.tick(rig.now).report.sentence.startswith("fault: off the path")

"""Whatever operators, the bridge and the clock do in whatever order, nothing is armed on top of
motion.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

from testing.rig import MS
from testing.tools import at_rest
from wam_ros.bridge.bridge import Bridge
from wam_ros.bridge.gate import Gate, load_gate_limits
from wam_ros.bridge.lag import Lag
from wam_ros.core.admission import SHIPPED
from wam_ros.core.types import JointState, SafetyState

from .test_bridge_watch_refused import STEP_NS, Loop

S = SafetyState
# rad/s: a bridge that begins anew knows nothing of the motion that its predecessor left with a
# controller
SLOW = 0.011
EVENTS = {
    "arm": 100,
    "disarm": 10,
    "estop": 5,
    "reset": 35,
    "pause": 10,
    "resume": 30,
    "restart": 3,
    "deafen": 7,
    "disable": 5,
    "jump": 5,
    "nothing": 790,
}


class Odd(Loop):
    """A loop of which every part does odd things, before an arm whose controller plays what the
    bridge let pass.
    """

    def __init__(self, panda, home, seed):
        super().__init__(panda, home)
        self.rng, self.deaf, self.playing, self.violations = random.Random(seed), False, None, []

    def post(self, hear, *what):
        self.under_way.append((self.now + self.rng.randint(1, 25) * MS, hear, what))

    def admit(self, trajectory):
        n = len(self.passed)
        super().admit(trajectory)
        self.playing = self.bridge.gate.curve if len(self.passed) > n else self.playing

    def step(self):
        self.rig.now += STEP_NS
        due = [m for m in self.under_way if m[0] <= self.now]
        self.under_way = [m for m in self.under_way if m[0] > self.now]
        for _, hear, what in due:
            self.watched(lambda hear=hear, what=what: hear(*what))
        self.bridge.on_report("", self.now, SHIPPED)
        found = self.bridge.tick(self.now, self.now, "")
        self.measure()
        if found is not None and self.now // STEP_NS % 2 == 0:
            names = self.rig.filter.model.joint_names
            self.post(
                self.echo.on_commanded,
                JointState(self.now, names, found.q, found.dq, 0 * found.q),
            )
        self.told = self.told if self.now // STEP_NS % 20 else None
        self.say()
        if self.now // STEP_NS % 5 == 0:
            self.emit(self.rig.machine.tick(self.now))
            self.watched(self.look)
        self.watched(getattr(self, self.rng.choices([*EVENTS], [*EVENTS.values()])[0]))
        if self.now // STEP_NS % 10 == 0:
            self.chunk(self.rng.choice([0.03, 0.02, -0.03, 0.0, 0.001]))

    def measure(self):
        """Joint states late, twice, going back by 1 ms, with names in another order each time and
        unknown speeds.
        """
        state = at_rest(self.rig.measured) if self.playing is None else self.playing.at(self.now)
        q, dq, _ = state.arrays
        self.rig.measured, names = q, np.array(self.rig.filter.model.joint_names)
        stamp_ns, order = (
            self.now - self.rng.choice([0, 0, 0, 1, 11]) * MS,
            self.rng.sample(range(8), 8),
        )
        self.bridge.on_joints(JointState(stamp_ns, tuple(names), q, dq, 0 * q))
        v = dq * (np.nan if self.rng.random() < 0.1 else 1.0)
        joints = JointState(stamp_ns, tuple(names[order]), q[order], v[order], 0 * q)
        self.emit(self.rig.machine.on_joints(joints, self.now))

    def watched(self, event):
        """An event; nothing may be armed by it while the controller moves the arm elsewhere."""
        before = self.rig.state
        event()
        if before != S.HOLD or self.rig.state != S.ARMED or self.playing is None:
            return
        speed = np.abs(self.playing.at(self.now).dq).max()
        if self.now < self.playing.t_ns[-1] and speed > SLOW:
            self.violations.append((self.now, speed))

    def arm(self):
        self.watch.arm(True, self.now)

    def disarm(self):
        self.emit(self.watch.arm(False, self.now))

    def estop(self):
        self.emit(self.rig.machine.estop(self.now))

    def reset(self):
        self.rig.machine.reset(self.now)

    def pause(self):
        self.bridge.pause(True)

    def resume(self):
        self.bridge.pause(False)
        self.deaf = False

    def restart(self):
        model = self.rig.filter.model
        gate = Gate(load_gate_limits(model.embodiment, 0.02, 0.005))
        self.bridge = Bridge(gate, Lag(model.joint_names, np.full(8, np.inf), 0.3, model.sliding))

    def deafen(self):
        self.deaf = True

    def disable(self):
        self.emit(self.watch.disable(self.now))
        self.rig.machine.enable(self.now)

    def jump(self):
        self.rig.now += self.rng.choice([40, 100]) * MS

    def nothing(self):
        pass


@pytest.mark.parametrize("seed", [0, 1, 2, 31, 61, 123])
def test_nothing_is_armed_while_the_arm_is_moved_by_what_was_emitted_before(panda, home, seed):
    odd = Odd(panda, home, seed)
    for _ in range(400):
        odd.step()
    assert odd.violations == []
    assert odd.passed, "it did move"

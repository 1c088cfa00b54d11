"""The picture of the states, docs/states.svg, against a machine to which anything happens."""

import random

import pytest

from testing.rig import MS, TURN, Rig
from tools.docs.pictures import EVERY, IN_WORDS, STATES, UNLATCHED
from wam_ros.core.types import SafetyState as S

STATES_OF_THE_NODE = {state.name for state in S} - {"UNKNOWN"}
LATCHED = {"FAULT", "ESTOP"}
MOST_LIVES = 200
STEPS = 60


def drawn():
    """(from, to) of every arrow, those from many states taken apart."""
    many = {EVERY: STATES_OF_THE_NODE, UNLATCHED: STATES_OF_THE_NODE - LATCHED}
    pairs = {
        (a, arrow.end) for arrow in STATES.arrows for a in many.get(arrow.start, {arrow.start})
    }
    return {(a, b) for a, b in pairs if a != b} | IN_WORDS


class Life:
    """Anything that can happen to a machine, in any order; notes which state followed which."""

    def __init__(self, panda, home, seed):
        self.draw = random.Random(seed)
        self.rig = Rig(panda, home, dry_run=seed % 8 == 7, idle_disarm_s=2.0)
        self.seen = set()

    def live(self):
        """Some steps."""
        machine, rig = self.rig.machine, self.rig
        rig.held()
        events = (
            (3, lambda: machine.enable(rig.now)),
            (1, lambda: machine.disable(rig.now)),
            (6, lambda: machine.arm(True, rig.now)),
            (2, lambda: machine.arm(False, rig.now)),
            (6, lambda: rig.chunk(rate=self.draw.choice((TURN, -TURN)))),
            (1, lambda: rig.chunk(rate=20 * TURN)),
            (1, lambda: machine.estop(rig.now)),
            (4, lambda: machine.reset(rig.now)),
            (1, lambda: machine.hand_over(bytes(16), rig.now)),
            (1, lambda: rig.joints(q=rig.measured + 0.5)),
            (4, lambda: self.pass_time(0.1)),
            (2, lambda: self.pass_time(1.5)),
            (1, lambda: self.pass_time(3.0)),
            (2, lambda: self.pass_time(0.6, joints=False)),
            (1, self.clock_back),
        )
        for _ in range(STEPS):
            self.noting(self.draw.choices([e for _, e in events], [w for w, _ in events])[0])

    def noting(self, event):
        before = self.rig.state
        event()
        if self.rig.state != before:
            self.seen.add((before.name, self.rig.state.name))

    def pass_time(self, seconds, joints=True):
        for _ in range(round(seconds / 0.05)):
            self.rig.now += 50 * MS
            if joints:
                self.noting(self.rig.joints)
            self.noting(lambda: self.rig.machine.tick(self.rig.now))

    def clock_back(self):
        self.rig.now -= 2000 * MS


def test_the_picture_has_every_state():
    assert {box.name for box in STATES.boxes} == STATES_OF_THE_NODE


def test_what_happens_to_a_machine_is_what_the_picture_shows(panda, home):
    """No way that is not drawn, and no drawn one that is never gone."""
    seen = set()
    for seed in range(MOST_LIVES):
        life = Life(panda, home, seed)
        life.live()
        seen |= life.seen
        assert seen <= drawn(), f"seed {seed}"
        if seen == drawn():
            return
    pytest.fail(f"never seen: {sorted(drawn() - seen)}")

"""A waist that nobody here commands: the arm is judged where it stands, and moves while it
does.
"""

from __future__ import annotations

import numpy as np
import pytest

from testing.rig import MS, Rig, untimed
from testing.waist import TOWARDS, WALL, waist_robot
from wam_ros.core.types import (
    NS,
    Decision,
    JointState,
    KinematicState,
    Reason,
    SafetyState,
)
from wam_ros.robot.model import SafetyModel, load_safety_model
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.params import SafetyParams

S = SafetyState
TURN = np.array([0.03, 0.0])


@pytest.fixture(scope="module")
def waist(tmp_path_factory) -> SafetyModel:
    return load_safety_model(waist_robot(tmp_path_factory.mktemp("waist")))


class Waist(Rig):
    """The machine of that arm, and its waist."""

    def __init__(self, model: SafetyModel, **params) -> None:
        model.sense(np.array(list(model.embodiment.sensed.values())))
        model.set_obstacles(WALL)
        super().__init__(untimed(model, SafetyParams(**params)), [0.0, 0.0])
        self.waist: float | None = 0.0

    def joints(self, *args, **more):
        if self.waist is not None:
            self.tell(self.waist)
        return super().joints(*args, **more)

    def tell(self, waist: float, stamp: int | None = None):
        zero = np.zeros(1)
        state = JointState(stamp or self.now, ("waist",), np.array([waist]), zero, zero)
        return self.keep(self.machine.on_sensed(state, self.now))

    def held(self):
        super().held()
        self.run(0.3)
        return self


def test_what_is_refused_changes_with_where_the_waist_stands(waist):
    """The same chunk passes before the wall, and is cut when the waist has turned towards it."""
    said = []
    for at in (0.0, TOWARDS):
        rig = Waist(waist)
        rig.waist = at
        rig.armed()
        path = np.outer(np.arange(1, 9), [0.05, 0.0])
        said.append(rig.chunk(path).report)
    assert said[0].decision == Decision.PASS
    assert said[1].decision in (Decision.TRUNCATED, Decision.BRAKE, Decision.REJECT)
    assert "wall" in said[1].sentence


def test_a_waist_that_begins_to_move_stops_the_arm_which_goes_on_where_it_stands_then(waist):
    rig = Waist(waist)
    assert rig.armed().chunk(rate=TURN).report.decision == Decision.PASS
    rig.run(0.2)
    assert not rig.at_rest
    reports = []
    for _ in range(30):
        rig.waist += 0.002  # 0.2 rad/s
        reports += rig.run(0.01)
        assert rig.chunk(rate=TURN).report.decision == Decision.REJECT or rig.waist < 0.01
    assert any("waist moves" in r.sentence and r.state == S.BRAKING for r in reports)
    assert rig.at_rest
    assert rig.state == S.ARMED
    assert "waist moves" in rig.chunk(rate=TURN).report.sentence
    rig.run(0.3)
    assert waist.sensed == pytest.approx([rig.waist], abs=rig.filter.params.sensed_rad)
    assert rig.chunk(rate=-TURN).report.decision == Decision.PASS


@pytest.mark.parametrize("moving", [False, True])
def test_silence_of_the_waist_is_a_fault_by_its_name(waist, moving):
    rig = Waist(waist).armed()
    if moving:
        rig.chunk(np.outer(np.arange(1, 25), [0.02, 0.0]))
        rig.run(0.2)
    rig.waist = None
    reports = rig.run(1.0)
    first = next(r for r in reports if r.reasons & Reason.STATE_STALE)
    assert "waist was sensed 0.3" in first.sentence
    assert rig.state == S.FAULT and rig.at_rest
    answer = rig.machine.reset(rig.now)
    assert not answer.ok and "waist" in answer.message
    rig.waist = 0.0
    rig.run(0.3)
    assert rig.machine.reset(rig.now).ok


def test_nothing_is_armed_before_the_waist_was_sensed(waist):
    rig = Waist(waist)
    rig.waist = None
    rig.held()
    assert "no joint state has told where waist is" in rig.machine.tick(rig.now).report.sentence
    answer = rig.machine.arm(True, rig.now)
    assert not answer.ok and "no joint state has told where waist is" in answer.message


@pytest.mark.parametrize("value", [np.nan, np.inf, -3.0, 57.0])
def test_a_place_where_the_waist_cannot_be_is_no_news(waist, value):
    rig = Waist(waist).armed()
    rig.waist = value
    reports = rig.run(0.6)
    assert rig.state == S.FAULT
    assert "waist refused" in next(r for r in reports if r.reasons & Reason.STATE_STALE).sentence


def test_a_stamp_of_the_future_keeps_no_waist_known(waist):
    rig = Waist(waist).armed()
    rig.waist = None
    for _ in range(60):
        rig.tell(0.0, stamp=rig.now + NS)
        rig.run(0.01)
    assert rig.state == S.FAULT


def test_the_noise_of_its_encoder_is_no_motion(waist):
    rig = Waist(waist).armed()
    rng = np.random.default_rng(0)
    for _ in range(50):
        rig.waist = rng.uniform(-1, 1) * 0.4 * rig.filter.params.sensed_rad
        assert rig.chunk(rate=TURN * rng.uniform(-1, 1)).report.decision != Decision.REJECT
        rig.run(0.05)
    assert rig.state in (S.ARMED, S.BRAKING)


def test_a_clock_that_goes_back_does_not_keep_the_old_waist(waist):
    rig = Waist(waist).armed()
    rig.now -= 5 * NS
    rig.waist = None
    rig.run(0.05)
    assert "waist" in rig.machine.inputs.sensed.why_not_known(rig.now)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_waist_does_the_arm_keeps_clear_of_the_wall_where_the_waist_is(waist, seed):
    """Chunks at random, a waist that stands, jumps and turns at random; while both move the arm is
    on its way to rest, and what the waist itself sweeps nobody here can help.
    """
    rng = np.random.default_rng(seed)
    rig = Waist(waist).armed()
    model = rig.filter.model
    wall = model.pairs.world
    chunk = rng.uniform(-0.05, 0.05, 2)
    speed = 0.0
    passed = 0
    for step in range(300):
        if step % 40 == 0:
            chunk = rng.uniform(-0.06, 0.06, 2)
            speed = rng.choice([0.0, 0.0, 0.003, -0.003])
        rig.waist = float(np.clip(rig.waist + speed, -0.5, 0.5))
        if step % 10 == 0:
            passed += rig.chunk(rate=chunk).report.decision != Decision.REJECT
        rig.run(0.01)
        if rig.state == S.FAULT:
            break
        if speed == 0.0 and not rig.machine.inputs.sensed.why_not_still():
            known = model.sensed
            model.sense(np.array([rig.waist]))
            gap = model.distances(rig.machine.commanded(rig.now).q)[wall].min()
            model.sense(known)
            assert gap > 0
    assert passed > 3


def test_words_about_joints_are_not_believed_twice(waist):
    """An old joint state does not move the waist back."""
    rig = Waist(waist).armed()
    rig.waist = None
    rig.now += 10 * MS
    rig.tell(0.001)
    rig.tell(0.4, stamp=rig.now - 5 * MS)
    assert rig.machine.inputs.sensed.positions == pytest.approx([0.001])


def test_the_margin_for_what_the_waist_may_be_off_is_kept(waist):
    """Every clearance is wider by what the waist may have turned unnoticed."""
    Waist(waist)
    at = KinematicState.at_rest(np.zeros(2))
    near, far = (
        make_bounds(waist, SafetyParams(sensed_rad=slack), at).distances.clearance
        for slack in (0.005, 0.05)
    )
    assert far - near == pytest.approx(waist.pairs.sway[:, 0] * 0.045)

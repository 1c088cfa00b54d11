"""A stop is proven from every step, and between steps that lie far apart."""

from __future__ import annotations

import numpy as np
import pytest

from testing.proof import require_sound
from testing.rig import Rig
from testing.tools import START, at_rest, make_chunk, one_joint, steps
from wam_ros.core.types import NS, Decision, KinematicState, Reason, SafetyState
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.finding import Finding
from wam_ros.safety.motion import stops as stops_module
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.stopper import Stopper
from wam_ros.safety.params import SafetyParams

DOWN, TURN = np.eye(8)[1], 0.5 * np.eye(8)[0]


STEPS, SLOW = 10, 3.0


def above_table(model, home, margin: float) -> np.ndarray:
    """Home, bent down until `margin` m are left above the clearance of the table."""

    def left(s: float) -> float:
        over = model.distances(home + s * DOWN) - model.pairs.clearance - 1e-4
        return float(over[model.pairs.world].min()) - margin

    low, high = 0.0, 1.2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) > 0 else (low, middle)
    return home + low * DOWN


@pytest.fixture
def dipping(panda, home):
    """Turns from side to side; from step 1 to 2 it sinks and rises again within the last
    millimetre, for 3 s.
    """
    q0 = above_table(panda.model, home, 1.15e-3)
    rig = Rig(panda, q0, surprise_slow=1.0, surprise_scale=SLOW).armed()
    rig.machine.on_surprise(2.0, rig.now)
    odd = np.arange(STEPS) % 2
    velocities = 0.01 * np.outer(2 * odd - 1, DOWN)
    velocities[0] = velocities[-1] = 0
    rig.path = {"path": q0 + np.outer(odd, TURN), "velocities": velocities, "step_period_ns": NS}
    return rig


def test_between_steps_far_apart_stops_are_proven_too(dipping):
    report = dipping.chunk(**dipping.path).report
    assert report.decision == Decision.TRUNCATED
    assert Reason.NO_BRAKE in report.reasons
    assert 0 < report.steps_accepted < 4
    while dipping.state == SafetyState.ARMED:
        dipping.run(0.1)
        start = dipping.now + 10_000_000
        assert any(
            dipping.machine.brakes._prove(start + round(late * NS)) for late in (0, 0.1, 0.2, 0.3)
        )


def test_a_stop_that_is_not_possible_yet_comes_as_soon_as_it_is(dipping, monkeypatch):
    monkeypatch.setattr(stops_module, "STOP_WITHIN_S", 1e9)
    assert dipping.chunk(**dipping.path).report.decision in (Decision.PASS, Decision.SCALED)
    dipping.run(6.0)
    # it sinks: any stop would end too near
    assert dipping.machine.estop(dipping.now).trajectory is None
    dipping.run(1.0)
    assert dipping.emitted[-1].start_ns > dipping.now - NS
    assert dipping.at_rest
    assert dipping.state == SafetyState.ESTOP


def test_joints_whose_stops_end_within_rounding_stop_one_by_one_where_they_cannot_together(robots):
    """Ruckig cannot synchronise the 8th and 9th joints here: their shortest stops differ by 1e-14
    s.
    """
    model = robots("bimanual")
    q = np.array(model.embodiment.home) - 0.01 * model.gripper
    dq = [
        -0.013975672316044005,
        0.016405343234929683,
        -0.01695056415690299,
        0.0224577234691416,
        -0.017394405440302657,
    ]
    dq += [
        -0.022583333170897283,
        -0.0020366168393778222,
        0.017052238478246613,
        0.017052238478225824,
    ]
    dq += [-0.016812263952081945, -0.025578357717373736, -0.025578357717338723]
    dq += [0.01586618572582109, 0.00772934352646233]
    ddq = [
        1.5488834163570446,
        -2.2611018759987096,
        2.5357260189400734,
        -2.67889504883156,
        1.7264689052047681,
    ]
    ddq += [
        2.7128084810304745,
        0.17099604972686505,
        -2.7141420417148265,
        -2.714142041730028,
        2.45462739796564,
    ]
    ddq += [4.071213062569419, 4.071213062595041, -1.5475915098882602, -0.8017170940226042]
    start = KinematicState(q, np.array(dq), np.array(ddq))
    assert Stopper(14).stop(start, make_bounds(model, SafetyParams(), start)) is None
    stop = SafetyFilter(model).stop(start, START)
    assert stop is not None
    assert not stop.dq[-1].any()


def test_a_step_without_a_proven_stop_is_the_end_even_if_later_ones_have_one(
    panda, home, monkeypatch
):
    plan = panda._stops.prove

    def without_the_third(states, bounds, rows=None):
        answers = plan(states, bounds, rows)
        if rows is not None:
            answers[2] = Finding(Reason.ENV_COLLISION, "a body in the way")
        return answers

    monkeypatch.setattr(panda._stops, "prove", without_the_third)
    chunk = make_chunk(panda.model.joint_names, steps(home, one_joint(0, 0.01)), age=0)
    verdict = panda.filter(chunk, at_rest(home), START)
    assert verdict.decision == Decision.TRUNCATED
    assert verdict.steps_accepted == 2
    assert verdict.reasons == Reason.NO_BRAKE | Reason.ENV_COLLISION
    assert verdict.first.step == 2
    require_sound(panda, verdict, at_rest(home))

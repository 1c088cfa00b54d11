"""The shipped robots, whole; two arms; what is fixed to a robot; what a damaged description
says.
"""

from __future__ import annotations

import numpy as np
import pytest

from testing.proof import fine
from testing.tools import START, at_rest, make_chunk, pendulum
from wam_ros.core.resources import config_names
from wam_ros.core.types import Commanded, Decision, Reason, SafeTrajectory
from wam_ros.robot.model import load_safety_model
from wam_ros.safety.checks import torque
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.motion.stopper import Stopper
from wam_ros.safety.params import SafetyParams

ROBOTS = config_names("embodiments")


def steps(q: np.ndarray, joint: int, rate: float, n: int = 8) -> np.ndarray:
    return q + np.outer(np.arange(1, n + 1), np.eye(len(q))[joint] * rate)


@pytest.mark.parametrize("name", ROBOTS)
def test_a_shipped_robot_stands_and_moves_from_home(robots, name):
    model = robots(name)
    home = np.array(model.embodiment.home)
    safety = SafetyFilter(model)
    for path in (np.tile(home, (8, 1)), steps(home, 0, 0.02)):
        verdict = safety.filter(make_chunk(model.joint_names, path, age=0), at_rest(home), START)
        assert verdict.decision == Decision.PASS, verdict.sentence


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
    start = Commanded(q, np.array(dq), np.array(ddq))
    assert Stopper(14).stop(start, make_bounds(model, SafetyParams(), start)) is None
    stop = SafetyFilter(model).stop(start, START)
    assert stop is not None
    assert not stop.dq[-1].any()


def test_the_speed_of_every_tool_counts(robots):
    model = robots("bimanual")
    home = np.array(model.embodiment.home)
    slow = SafetyFilter(model, SafetyParams(tcp_speed=0.2))
    for joint in (0, 7):
        chunk = make_chunk(model.joint_names, steps(home, joint, 0.08), age=0)
        verdict = slow.filter(chunk, at_rest(home), START)
        assert verdict.reasons & Reason.TCP_SPEED
        t = verdict.trajectory
        for tool in (0, 1):
            assert np.linalg.norm(model.tool_motion(t.q, t.dq, tool)[1], axis=1).max() <= 0.2


@pytest.mark.parametrize("arm", [0, 1])
def test_a_wall_holds_for_every_tool(robots, arm):
    """The wall y >= -1 and y <= 1 as planes; each arm turns towards the one on its own side."""
    model = robots("bimanual")
    home = np.array(model.embodiment.home)
    places = [model.tool_motion(home[None], 0 * home[None], k)[0][0] for k in (0, 1)]
    side = 1 if arm == 0 else -1
    edge = side * places[arm][1] + 0.05
    walled = SafetyFilter(model, SafetyParams(planes=(0.0, -2.0 * side, 0.0, -2.0 * edge)))
    rate = 0.03 * side
    verdict = walled.filter(
        make_chunk(model.joint_names, steps(home, 7 * arm, rate), age=0), at_rest(home), START
    )
    assert verdict.decision == Decision.TRUNCATED
    assert verdict.reasons & Reason.WORKSPACE
    t = verdict.trajectory
    assert (side * model.tool_motion(t.q, t.dq, arm)[0][:, 1]).max() <= edge + 1e-9
    away = make_chunk(model.joint_names, steps(home, 7 * arm, -rate), age=0)
    assert walled.filter(away, at_rest(home), START).decision == Decision.PASS


def test_each_tool_may_be_as_far_outside_as_itself_was(robots):
    model = robots("bimanual")
    home = np.array(model.embodiment.home)
    places = [model.tool_motion(home[None], 0 * home[None], k)[0][0] for k in (0, 1)]
    params = SafetyParams(planes=(0.0, 0.0, 1.0, float(places[0][2]) + 0.1))
    turned = home + np.eye(14)[8] * -0.3  # lifts the right tool
    outside = make_bounds(model, params, at_rest(turned)).tools.outside
    assert outside[0] == pytest.approx(0.1, abs=1e-3)
    assert outside[1] < 0.05


def test_a_tool_outside_opens_no_way_out_for_the_other(robots):
    model = robots("bimanual")
    home = np.array(model.embodiment.home)
    height = float(model.tool_motion(home[None], 0 * home[None])[0][0, 2])
    walled = SafetyFilter(model, SafetyParams(planes=(0.0, 0.0, 1.0, height + 0.1)))
    turned = home + np.eye(14)[8] * -0.5
    assert model.tool_motion(turned[None], 0 * home[None], 1)[0][0, 2] > height + 0.12
    chunk = make_chunk(model.joint_names, steps(turned, 8, 0.05), age=0)
    verdict = walled.filter(chunk, at_rest(turned), START)
    assert verdict.reasons & Reason.WORKSPACE
    t = verdict.trajectory
    assert model.tool_motion(t.q, t.dq, 1)[0][:, 2].min() > height + 0.1 - 1e-6


def test_an_effort_between_samples_counts(tmp_path):
    """At both samples the arm hardly accelerates; on the way from one to the other it must."""
    model = load_safety_model(pendulum(tmp_path))
    bounds = make_bounds(model, SafetyParams(), at_rest(np.zeros(1)))
    q, zero = np.array([[0.0], [0.002]]), np.zeros((2, 1))
    assert (np.abs(model.torque(q, zero, zero)) < 10).all()
    measure = torque.CHECK.look(Motion(0.01, q, zero, zero), bounds)
    assert measure.bad[1]
    inside = [model.torque(*(x[None] for x in rows)) for rows in zip(*_between(q), strict=True)]
    assert measure.measured[1] >= np.abs(inside).max() > bounds.efforts.limits[0]
    assert measure.measured[1] < 1.5 * np.abs(inside).max(), "and not much more than it is"


def _between(q: np.ndarray) -> list[np.ndarray]:
    t = SafeTrajectory(
        start_ns=0, joint_names=("hinge",), t=np.array([0.0, 0.01]), q=q, dq=0 * q, ddq=0 * q
    )
    return list(fine(t)[:3])

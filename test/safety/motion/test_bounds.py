"""What is allowed: shares of the limits, and never more than where the motion began."""

from __future__ import annotations

import numpy as np
import pytest

from testing.tools import at_rest, downwards, inverse_kinematics, tool_pose
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.params import SafetyParams


def test_from_inside_a_clearance_the_way_out_is_open_but_not_one_chunk_after_another_deeper(
    panda, home
):
    """Each chunk may come a tenth of a millimetre nearer on its way out; the next one no nearer
    than that.
    """
    model, params = panda.model, panda.params
    pair = model.pairs.names.index(("panda_leftfinger", "table"))
    q0, rows = downwards(model, home, tip=0.003, speed=0.00009)
    first = make_bounds(model, params, at_rest(q0))
    assert first.distances.clearance[pair] == pytest.approx(0.0029, abs=1e-5)
    assert first.distances.rest[pair] == pytest.approx(0.003, abs=1e-5), (
        "and must come to rest no nearer than it began"
    )
    nearer = make_bounds(model, params, at_rest(rows[0]), first.floor)
    assert nearer.distances.clearance[pair] == first.distances.clearance[pair]
    assert make_bounds(model, params, at_rest(rows[0])).distances.clearance[pair] < 0.00285
    up = inverse_kinematics(
        model,
        q0,
        tool_pose(model, q0).translation + np.r_[0, 0, 0.1],
        tool_pose(model, q0).rotation,
    )
    free = make_bounds(model, params, at_rest(up), nearer.floor)
    assert free.distances.clearance[pair] == pytest.approx(0.004 + params.distance_error_m), (
        "once away it is whole again"
    )


def test_margins_are_shares_of_the_limits(panda, home):
    params = SafetyParams(
        velocity_fraction=0.5, acceleration_fraction=0.6, jerk_fraction=0.7, torque_fraction=0.8
    )
    bounds, limits = make_bounds(panda.model, params, at_rest(home)), panda.model.limits
    assert np.allclose(bounds.joints.velocity, 0.5 * limits.velocity)
    assert np.allclose(bounds.joints.acceleration, 0.6 * limits.acceleration)
    assert np.allclose(bounds.joints.jerk, 0.7 * limits.jerk)
    assert np.allclose(bounds.efforts.limits, 0.8 * limits.effort)


def test_each_tool_may_be_as_far_outside_as_itself_was(robots):
    model = robots("bimanual")
    home = np.array(model.embodiment.home)
    places = [model.tool_motion(home[None], 0 * home[None], k)[0][0] for k in (0, 1)]
    params = SafetyParams(planes=(0.0, 0.0, 1.0, float(places[0][2]) + 0.1))
    turned = home + np.eye(14)[8] * -0.3  # lifts the right tool
    outside = make_bounds(model, params, at_rest(turned)).tools.outside
    assert outside[0] == pytest.approx(0.1, abs=1e-3)
    assert outside[1] < 0.05

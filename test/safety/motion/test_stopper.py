"""Stops take the time of their limits."""

from __future__ import annotations

import numpy as np
import pytest

from testing.motions import DT
from testing.tools import at_rest
from wam_ros.core.types import KinematicState, MotionTable
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.stopper import Stopper
from wam_ros.safety.params import SafetyParams


@pytest.mark.parametrize("synchronised", [True, False])
def test_a_stop_takes_the_time_of_its_limits(model, home, synchronised):
    params = SafetyParams()
    start = KinematicState(home, np.eye(8)[0] * 1.0, np.zeros(8))
    bounds = make_bounds(model, params, start)
    stop = Stopper(8).stop(start, bounds, synchronised)
    a = bounds.joints.acceleration[0] * params.stop_fraction
    assert (len(stop) - 1) * DT == pytest.approx(1.0 / a + params.stop_jerk_s, abs=DT)
    assert not stop.dq[-1].any() and not stop.ddq[-1].any()
    assert stop.q[-1, 0] - home[0] == pytest.approx((1.0 / a + params.stop_jerk_s) / 2, abs=1e-3)


def test_there_is_no_stop_from_a_state_that_is_not_finite(model, home):
    bounds = make_bounds(model, SafetyParams(), at_rest(home))
    assert Stopper(8).stop(KinematicState(home, home * np.nan, home * 0), bounds) is None


def test_stops_planned_together_are_those_planned_alone(model, home):
    bounds = make_bounds(model, SafetyParams(), at_rest(home))
    states = MotionTable(*np.random.default_rng(0).normal(size=(3, 4, 8)) * 0.2)
    states.dq[2, 3] = np.nan
    stops, counts = Stopper(8).stops(states, bounds)
    assert [count > 0 for count in counts] == [True, True, False, True]
    for k, end in enumerate(counts.cumsum()):
        alone = Stopper(8).stop(states[k], bounds)
        if k == 2:
            assert alone is None
        else:
            assert np.array_equal(alone.arrays, stops[end - counts[k] : end].arrays)

"""What a stop may count on: no more pairs spared than it needs, no less time than it takes."""

from __future__ import annotations

import numpy as np

from testing.tools import START
from wam_ros.core.types import Commanded
from wam_ros.robot.obstacles import Obstacle
from wam_ros.safety.machine.live import Change, _longest_stop_s
from wam_ros.safety.machine.machine import SafetyMachine
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.stopper import SAMPLED, Stopper
from wam_ros.safety.params import SafetyParams


def test_an_obstacle_with_the_name_of_a_body_spares_no_pair_of_the_robot(panda, home, monkeypatch):
    machine, model = SafetyMachine(panda), panda.model
    body = next(b for _, b in np.array(model.pairs.keys)[~model.pairs.world])
    fixed, seen = dict(model.obstacles), []
    machine.brakes.stand(home)
    monkeypatch.setattr(
        machine.brakes, "avoid", lambda now_ns, spared, began_s: seen.append(spared)
    )
    try:
        ball = Obstacle("sphere", (0.05,), (2.0, 0.0, 0.0))
        machine.on_obstacles([Change(str(body), ball, "panda_link0")], START)
        assert seen[-1].any()
        assert not seen[-1][~model.pairs.world].any()
    finally:
        model.set_obstacles(fixed)


def test_no_stop_takes_longer_than_an_obstacle_is_given_for_it(model, home):
    params = SafetyParams(stop_lead_s=0.0)
    gaining = Commanded(home, np.zeros(8), model.limits.acceleration * params.acceleration_fraction)
    bounds, stopper = make_bounds(model, params, gaining), Stopper(8)
    jerk = np.minimum(
        bounds.joints.jerk * SAMPLED,
        bounds.joints.acceleration * params.stop_fraction / params.stop_jerk_s,
    )  # what a stop is planned with
    # it gains the rest while it stops gaining
    fastest = bounds.joints.velocity - gaining.ddq**2 / (2 * jerk)
    rows = stopper.stop(Commanded(home, fastest, gaining.ddq), bounds)
    assert rows is not None
    assert (rows.shape[1] - 1) * params.sample_s <= _longest_stop_s(
        model, params
    ) - 0.1 + params.sample_s

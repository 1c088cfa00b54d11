"""Every robot that a contract names fits it: joints, cameras, picture size and rates."""

import numpy as np
import pytest

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.resources import config_names
from wam_ros.models.dreamzero.released.bound import BoundRobot
from wam_ros.models.dreamzero.released.contract import load_contract
from wam_ros.models.dreamzero.released.quantiles import Columns, JointScaling
from wam_ros.runtime.prediction import example_observation

BOUND = [(c, r) for c in config_names("contracts") for r in load_contract(c).robots if r != "panda"]


@pytest.mark.parametrize(("name", "robot"), BOUND)
def test_joints_go_through_the_columns_of_a_contract_and_come_back(name, robot):
    contract = load_contract(name)
    e = load_embodiment(robot)
    home = np.array(e.home)
    # around home, so that no statistics are needed that this contract has not
    order = [e.joint_names.index(j) for j in contract.binding(robot).joints]
    low = contract.binding(robot).low
    high = contract.binding(robot).high
    zero = np.array([low.get(j, 0.0) for j in e.joint_names])
    span = np.array([high.get(j, 1.0) for j in e.joint_names]) - zero
    at_home = ((home - zero) / span)[order]
    n = contract.action_dim
    # what no joint carries out may be anything
    ends = np.full(n, 9.0)
    ends[: len(order)] = 0.1
    relative = np.concatenate([[g.relative] * g.size for g in contract.action])
    centre = np.zeros(n)
    centre[: len(order)] = np.where(relative[: len(order)], 0.0, at_home)
    bound = BoundRobot(
        contract,
        JointScaling(
            contract, Columns(at_home - 0.1, at_home + 0.1), Columns(centre - ends, centre + ends)
        ),
        e,
        e.action_horizon,
    )
    seen = example_observation(e)
    columns = bound.columns(seen)
    action = np.zeros((e.action_horizon, n + 3))
    action[:, len(order) :] = 0.7
    found = bound.positions(action, columns)
    assert found.shape == (e.action_horizon, len(home))
    np.testing.assert_allclose(found, np.tile(home, (len(found), 1)), atol=1e-9)
    assert bound.canvas(seen).shape[2] == 3

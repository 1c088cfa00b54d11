"""The simulated controller obeys the rules of forward_command_controller."""

import numpy as np
import pytest

from wam_ros.core.types import NS
from wam_ros.sim.forward_controller import ForwardController

NAMES = ("a", "b")
Q0 = np.array([0.1, -0.2])
NOW = 1_000 * NS


def test_it_holds_where_it_was_made_until_something_arrives():
    np.testing.assert_array_equal(ForwardController(NAMES, Q0).sample(NOW).q, Q0)


def test_positions_are_taken_at_once_and_held_for_ever():
    c = ForwardController(NAMES, Q0)
    assert c.command([0.3, 0.4], NOW) == ""
    np.testing.assert_array_equal(c.sample(NOW + 100 * NS).q, [0.3, 0.4])
    assert not c.sample(NOW + 200 * NS).dq.any()


def test_a_velocity_goes_on_until_another_one_comes():
    c = ForwardController(NAMES, Q0, "velocity")
    c.command([0.5, -1.0], NOW)
    np.testing.assert_allclose(c.sample(NOW + 4 * NS).q, Q0 + np.array([2.0, -4.0]))
    c.command([0.0, 0.0], NOW + 5 * NS)
    np.testing.assert_allclose(c.sample(NOW + 9 * NS).q, Q0 + np.array([2.5, -5.0]))


@pytest.mark.parametrize("bad", [[np.nan, 0.0], [0.0, np.inf]])
def test_what_is_not_finite_is_dropped(bad):
    c = ForwardController(NAMES, Q0)
    assert "not finite" in c.command(bad, NOW)
    assert c.command([0.3, 0.4], NOW) == ""


@pytest.mark.parametrize("bad", [[0.0], [0.0, 0.0, 0.0]])
@pytest.mark.parametrize("interface", ["position", "velocity"])
def test_another_length_deactivates_it_and_what_was_told_last_goes_on(bad, interface):
    c = ForwardController(NAMES, Q0, interface)
    c.command([0.3, 0.4], NOW)
    assert "2 interfaces" in c.command(bad, NOW)
    before = c.sample(NOW).q
    assert "deactivated" in c.command([0.1, 0.1], NOW)
    went = np.array([0.3, 0.4]) if interface == "velocity" else 0.0
    np.testing.assert_allclose(c.sample(NOW + NS).q, before + went)
    c.reset(Q0)
    assert c.command([0.1, 0.1], NOW + NS) == ""


def test_an_empty_message_is_no_command():
    c = ForwardController(NAMES, Q0)
    c.command([0.3, 0.4], NOW)
    assert c.command([], NOW) == ""
    assert c.command([0.5, 0.6], NOW) == ""
    np.testing.assert_array_equal(c.sample(NOW).q, [0.5, 0.6])

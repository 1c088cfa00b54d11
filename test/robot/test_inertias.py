"""What moves as one weighs as one; what stands needs no weight."""

from __future__ import annotations

import numpy as np
import pytest

from wam_ros.core.errors import WamError
from wam_ros.robot.model import load_safety_model

from .chain import INERTIAL, ROD, chain, joint, link

ADAPTER = (
    '<joint name="{0}" type="fixed"><parent link="{1}"/><child link="{0}"/><origin xyz="0 0 '
    '0.3"/></joint>'
)
MASSLESS = INERTIAL.replace('mass value="1"', 'mass value="0"')
POINT = '<inertial><origin xyz="0 0 0.1"/><mass value="1"/></inertial>'
NO_SIZE = INERTIAL.replace("0.01", "0").replace("0.005", "0")


@pytest.mark.parametrize("inertial", ["", MASSLESS, "<inertial/>", NO_SIZE])
def test_a_part_that_is_fixed_to_the_base_needs_no_inertia(tmp_path, inertial):
    stand = link("stand", ROD, inertial) + ADAPTER.format("stand", "base")
    plain, standing = (
        load_safety_model(chain(tmp_path)),
        load_safety_model(chain(tmp_path, more=stand)),
    )
    q = np.array([[0.1, 0.2, 0.3]])
    assert np.allclose(plain.torque(q, q, q), standing.torque(q, q, q))


@pytest.mark.parametrize("inertial", ["", MASSLESS])
def test_a_weightless_adapter_may_be_fixed_to_what_weighs(tmp_path, inertial):
    more = link("adapter", ROD, inertial) + ADAPTER.format("adapter", "l3")
    model = load_safety_model(chain(tmp_path, more=more))
    assert "adapter" in model.links
    q = np.array([[0.1, 0.2, 0.3]])
    assert np.allclose(model.torque(q, q, q), load_safety_model(chain(tmp_path)).torque(q, q, q))


def test_a_mass_without_a_size_counts_as_a_point(tmp_path):
    more = link("bob", ROD, POINT) + ADAPTER.format("bob", "l3")
    heavy, light = load_safety_model(chain(tmp_path, more=more)), load_safety_model(chain(tmp_path))
    q, zero = np.array([[0.0, np.pi / 2, 0.0]]), np.zeros((1, 3))
    more = heavy.torque(q, zero, zero) - light.torque(q, zero, zero)
    assert abs(more[0, 2]) == pytest.approx(9.81 * 0.4)


@pytest.mark.parametrize(
    ("inertial", "words"),
    [
        ("", "link 'l2' moves but has no inertia; add <inertial>"),
        (MASSLESS, "link 'l2' moves but has no inertia; add <inertial>"),
        (NO_SIZE, "link 'l2': its inertia is that of no body"),
        (POINT, "link 'l2': its inertia is that of no body"),
        (INERTIAL.replace('ixy="0"', 'ixy="1"'), "link 'l2': its inertia is that of no body"),
        (INERTIAL.replace('mass value="1"', 'mass value="x"'), "link 'l2': mass value \"x\" must"),
        (INERTIAL.replace('izz="0.005"', ""), "link 'l2': izz is missing"),
    ],
)
def test_what_moves_by_itself_must_weigh_like_a_body(tmp_path, inertial, words):
    with pytest.raises(WamError, match=words) as caught:
        load_safety_model(chain(tmp_path, {"l2": link("l2", ROD, inertial)}))
    assert "\n" not in str(caught.value)


def test_a_moving_frame_without_a_shape_needs_no_weight(tmp_path):
    wrist = '<link name="wrist"/>' + joint("j3", "l2", "wrist", "1 0 0")
    more = joint("j4", "wrist", "l3").replace('xyz="0 0 0.3"', 'xyz="0 0 0"')
    robot = chain(tmp_path, {"j3": wrist}, more, parked={"j4": 0.0})
    assert load_safety_model(robot).joint_names == ("j1", "j2", "j3")

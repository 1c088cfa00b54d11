"""What is a valid instruction, an example to warm up with, and what of a future is published."""

import pytest

from wam_ros.core.errors import WamError
from wam_ros.runtime.prediction import example_observation, keyframes, require_instruction

from .rig import MS, PANDA, SIDE, T0, result, session


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        (" \t\n", "is empty"),
        ("a" * 10240, "10240 characters, at most 200"),
        ("a\x07b", "shown"),
    ],
)
def test_what_is_no_instruction_is_refused(text, why):
    with pytest.raises(WamError, match=why):
        require_instruction(text, 200)


def test_white_space_in_an_instruction_is_put_in_order():
    assert require_instruction("  pick up\tthe  red block\n", 200) == "pick up the red block"


def test_the_example_observation_fits_the_robot():
    o = example_observation(PANDA)
    assert o.frames.shape == (2, 64, 64, 3)
    assert o.view_names == PANDA.view_names
    assert tuple(o.joints.positions) == PANDA.home


def test_a_keyframe_is_the_farthest_frame():
    _, future = session().chunk(result(0, imagined=7), T0)
    key = keyframes(future)
    assert key.instants_ns == (T0 + 800 * MS,)
    assert key.frames.shape == (1, 2, SIDE, SIDE, 3)
    assert (key.frames == 8).all()

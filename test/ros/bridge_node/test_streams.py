"""Streams of commands, from chunk to arm, with the simulated robot."""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from .cells import Cell

pytestmark = pytest.mark.ros


@pytest.mark.parametrize("controller", ["forward_position", "forward_velocity"])
def test_chunks_move_an_arm_that_is_streamed_to(arena, arm, controller):
    cell = Cell(arena, arm, controller)
    first = arm.state.positions
    cell.arm_it()
    arena.until(lambda: (np.abs(arm.state.positions - first)[:7] > 0.05).all(), cell.sway)
    arena.until(arm.at_rest)

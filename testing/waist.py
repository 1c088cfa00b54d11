"""An arm of two links on a waist that nobody here commands, beside a wall."""

from __future__ import annotations

from pathlib import Path

from testing.tools import one_robot
from wam_ros.core.embodiment import Embodiment
from wam_ros.robot.obstacles import Obstacle

INERTIA = '<inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/>'
WALL = {"wall": Obstacle("box", (0.1, 0.1, 2.0), (0.85, 0.75, 0.5))}
TOWARDS = 0.6  # rad of the waist, at which the arm turns into the wall


def waist_robot(folder: Path, **more) -> Embodiment:
    """Its joints are `shoulder` and `elbow`; `waist` turns all of it about z."""
    text = '<robot name="waist"><link name="floor"/>' + _part("trunk", 0.3)
    text += _part("upper", 0.4) + _part("lower", 0.4) + '<link name="tool"/>'
    text += _hinge("waist", "floor", "trunk", "0 0 1", "0 0 0.5")
    text += _hinge("shoulder", "trunk", "upper", "0 0 1", "0.3 0 0")
    text += _hinge("elbow", "upper", "lower", "0 1 0", "0.4 0 0")
    text += _hinge("end", "lower", "tool", "0 0 1", "0.4 0 0", "fixed") + "</robot>"
    more.setdefault("sensed", {"waist": 0.0})
    return one_robot(folder, text, ("shoulder", "elbow"), "floor", "tool", **more)


def _part(name: str, length: float) -> str:
    return (
        f'<link name="{name}"><inertial><origin xyz="{length / 2} 0 0"/><mass value="1"/>{INERTIA}'
        f'</inertial><collision><origin xyz="{length / 2} 0 0"/><geometry><box size="'
        f'{length - 0.08} 0.06 0.06"/></geometry></collision></link>'
    )


def _hinge(name: str, parent: str, child: str, axis: str, at: str, kind: str = "revolute") -> str:
    limit = '<limit lower="-1.5" upper="1.5" velocity="2" effort="60"/>'
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{at}"/><axis xyz="{axis}"/>{limit}</joint>'
    )

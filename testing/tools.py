"""Chunks, states and small robots for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pinocchio as pin

from wam_ros.core.embodiment import Camera, Embodiment, Load
from wam_ros.core.errors import Problems
from wam_ros.core.types import ActionChunk, KinematicState
from wam_ros.robot.model import SafetyModel
from wam_ros.robot.urdf import Urdf, read_urdf

START = 10**18  # ns, when the answer's trajectory begins
AGE = 110_000_000  # ns, how old a chunk is then


at_rest = KinematicState.at_rest


def make_chunk(
    names, q, period: float = 0.1, age: int = AGE, now: int = START, **more
) -> ActionChunk:
    return ActionChunk(
        now - age, round(period * 1e9), tuple(names), np.asarray(q, dtype=float), **more
    )


def steps(home: np.ndarray, rate: np.ndarray, n: int = 8, first: float = 0.0) -> np.ndarray:
    """(n, A) from home at a rate per step."""
    return home + np.outer(np.arange(1, n + 1) + first, rate)


def moving(home: np.ndarray, rate: np.ndarray) -> KinematicState:
    """At home, moving at a rate per step of 0.1 s."""
    return KinematicState(np.array(home), np.array(rate) / 0.1, np.zeros(8))


def one_joint(k: int, value: float) -> np.ndarray:
    """(8,) a value of joint k of the Panda, zero of the others."""
    return np.eye(8)[k] * value


def tool_pose(model: SafetyModel, q: np.ndarray) -> pin.SE3:
    pin.framesForwardKinematics(model.pin, model.data, model.full_q(q[None])[0])
    return model.data.oMf[model.tools[0]].copy()


def inverse_kinematics(
    model: SafetyModel, q: np.ndarray, position: np.ndarray, rotation: np.ndarray
) -> np.ndarray:
    """Pose near q whose tool is at `position` (3,) m with `rotation` (3, 3)."""
    q, arm = q.copy(), ~model.gripper
    for _ in range(50):
        pose = tool_pose(model, q)
        error = np.concatenate((position - pose.translation, pin.log3(rotation @ pose.rotation.T)))
        if np.linalg.norm(error) < 1e-7:
            break
        jacobian = model.tool_jacobian(q)[:, arm]
        q[arm] += jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + 1e-8 * np.eye(6), error)
    return q


def downwards(model, home, tip: float, speed: float, n: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Start pose with the finger tips `tip` m above the table, and n steps straight down at `speed`
    m per step.
    """
    pose = tool_pose(model, home)
    below = 0.0584 + 0.0538 - 0.1034
    first = np.array([0.5, 0.0, tip + below])
    q0 = inverse_kinematics(model, home, first, pose.rotation)
    rows, q = [], q0
    for k in range(1, n + 1):
        q = inverse_kinematics(model, q, first - [0, 0, k * speed], pose.rotation)
        rows.append(q)
    return q0, np.array(rows)


def load_urdf(path: Path) -> Urdf:
    """A description by itself.

    Raises:
        WamError: everything that is wrong with it.
    """
    problems = Problems(path)
    urdf = read_urdf(path, problems)
    problems.require_none()
    return urdf


JOINT = (
    '<joint name="{name}" type="{kind}"><parent link="{parent}"/><child '
    'link="{child}"/>{more}</joint>'
)
LIMIT = '<limit lower="-2" upper="2" effort="50" velocity="2"/>'
BODY = (
    '<link name="{name}"><inertial><origin xyz="{x} 0 0"/><mass value="2"/>'
    '<inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/></inertial>'
    '<collision><origin xyz="{x} 0 0"/><geometry><sphere '
    'radius="0.05"/></geometry></collision></link>'
)


def pendulum(folder: Path, joint: str = "", body: str = "", kind: str = "revolute") -> Embodiment:
    """One link that turns about y, its mass and its body 0.5 m from the joint along x."""
    axis = '<axis xyz="0 1 0"/>'
    text = (
        '<robot name="pendulum"><link name="base"/>'
        + (body or BODY.format(name="arm", x=0.5))
        + JOINT.format(
            name="hinge", kind=kind, parent="base", child="arm", more=axis + (joint or LIMIT)
        )
        + "</robot>"
    )
    return one_robot(folder, text, ("hinge",), "base", "arm")


def one_robot(
    folder: Path, urdf: str, joints: tuple[str, ...], base: str, tool: str, **more
) -> Embodiment:
    path = folder / "robot.urdf"
    path.write_text(urdf, encoding="utf-8")
    n = len(joints)
    more.setdefault("home", (0.0,) * n)
    return Embodiment(
        name="toy",
        urdf=str(path),
        base_frame=base,
        tool_frame=tool,
        joint_names=joints,
        gripper_joints=(),
        max_acceleration=(10.0,) * n,
        max_jerk=(1000.0,) * n,
        cameras=(Camera("eye", "eye"),),
        image_height=8,
        image_width=8,
        frame_rate_hz=10.0,
        step_period_s=0.1,
        action_horizon=8,
        **more,
    )


# held by the Panda, back along its wrist
STICK = Load(
    frame="panda_hand",
    mass=0.1,
    centre=(0, 0, 0),
    shape="box",
    size=(0.02, 0.02, 0.4),
    position=(0.0, 0.1, -0.1),
)
# corners of a cube with an edge of 1
CUBE = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
_FACES = (
    "f 1 2 4\nf 1 4 3\nf 5 8 6\nf 5 7 8\nf 1 6 2\nf 1 5 6\nf 3 4 8\nf 3 8 7\nf 1 3 7\nf 1 7 "
    "5\nf 2 6 8\nf 2 8 4\n"
)


def write_mesh(path: Path, corners) -> str:
    """Write a mesh with the faces of a cube between eight corners, a tenth in size; its file
    name.
    """
    path.write_text("".join(f"v {x} {y} {z}\n" for x, y, z in 0.1 * np.array(corners)) + _FACES)
    return path.name

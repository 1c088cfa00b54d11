"""Where the simulated cameras stand: as the embodiment says, else at sensible places."""

from __future__ import annotations

import math
import re

import mujoco
import numpy as np
import pinocchio as pin
from transforms3d.euler import euler2mat
from transforms3d.quaternions import mat2quat

from wam_ros.core.embodiment import Mount
from wam_ros.robot.dynamics import Dynamics

# words of a view that rides on the hand
ON_HAND = re.compile(r"wrist|hand|grip|ego", re.IGNORECASE)
FRONT_FOV = 50.0  # degrees, vertical
HAND_FOV = 75.0
# how far a front camera stands before what it looks at, as a share of its size
AWAY = 1.5
HIGH = 0.75
SIDE = 0.35  # of the next one beside the first
BEHIND = 0.10  # m from the tool back along the hand
BESIDE = 0.07  # m beside it
LEAST_M = 0.25  # of an arm's length: the smallest are looked at from there
# MuJoCo looks along -z with y up, an optical frame along z with y down
FLIP = np.diag([1.0, -1.0, -1.0])


def mounts_of(robot: Dynamics) -> dict[str, Mount]:
    """Where each view's camera stands, by name."""
    e = robot.embodiment
    found = {}
    hands = fronts = 0
    for camera in e.cameras:
        if camera.mount is not None:
            found[camera.name] = camera.mount
        elif ON_HAND.search(camera.name):
            found[camera.name] = _on_hand(robot, hands % len(robot.tools))
            hands += 1
        else:
            found[camera.name] = _in_front(robot, fronts)
            fronts += 1
    return found


def add_camera(spec: mujoco.MjSpec, name: str, mount: Mount) -> None:
    """A camera whose optical frame (z ahead, y down) stands in its parent's as the mount says."""
    parent = spec.worldbody if mount.parent == "world" else spec.body(mount.parent)
    turn = euler2mat(*mount.rpy) @ FLIP
    parent.add_camera(name=name, pos=mount.xyz, quat=mat2quat(turn), fovy=mount.fov)


def look_at(position: np.ndarray, target: np.ndarray, up: np.ndarray) -> tuple[float, ...]:
    """Roll, pitch and yaw [rad] of an optical frame at `position` that looks at `target`."""
    z = (target - position) / np.linalg.norm(target - position)
    x = np.cross(z, up)
    x /= np.linalg.norm(x)
    return tuple(pin.rpy.matrixToRpy(np.stack([x, np.cross(z, x), z], axis=1)).tolist())


def _at_home(robot: Dynamics) -> None:
    q = robot.full_q(np.array(robot.embodiment.home)[None])[0]
    pin.framesForwardKinematics(robot.pin, robot.data, q)


def _in_front(robot: Dynamics, number: int) -> Mount:
    """Before the robot, looking back at what lies between its base and its tools at home; the
    second one stands to one side, the third to the other.
    """
    _at_home(robot)
    base = robot.data.oMf[robot.frame(robot.embodiment.base_frame)]
    tools = np.array([base.actInv(robot.data.oMf[t].translation) for t in robot.tools])
    roots = np.array([base.actInv(_shoulder(robot, t)) for t in robot.tools])
    middle = (tools.mean(axis=0) + roots.mean(axis=0)) / 2
    spread = np.linalg.norm(np.vstack((tools, roots)) - middle, axis=1)
    length = max(2 * float(spread.max()), LEAST_M)
    ahead = (tools - roots).mean(axis=0)[:2]
    distance = float(np.linalg.norm(ahead))
    ahead = ahead / distance if distance > 0.1 * length else np.array([1.0, 0.0])
    turn = SIDE * math.pi * (0, 1, -1)[number % 3]
    c = math.cos(turn)
    s = math.sin(turn)
    ahead = np.array([c * ahead[0] - s * ahead[1], s * ahead[0] + c * ahead[1]])
    position = middle + length * np.array([*(AWAY * ahead), HIGH])
    rpy = look_at(position, middle, np.array([0.0, 0.0, 1.0]))
    return _mount(robot.embodiment.base_frame, position, rpy, FRONT_FOV)


def _shoulder(robot: Dynamics, tool: int) -> np.ndarray:
    """Where the first commanded joint above a tool is, m in the universe."""
    chain = [j for j in robot.pin.supports[robot.pin.frames[tool].parentJoint] if j > 0]
    return robot.data.oMi[chain[0]].translation if chain else np.zeros(3)


def _on_hand(robot: Dynamics, arm: int) -> Mount:
    """Behind a tool and beside it, looking along the hand."""
    _at_home(robot)
    name = robot.embodiment.tool_frames[arm]
    tool = robot.data.oMf[robot.tools[arm]]
    joint = robot.pin.frames[robot.tools[arm]].parentJoint
    along = tool.actInv(robot.data.oMi[joint].translation)
    far = float(np.linalg.norm(along))
    # from the last joint to the tool; a tool in that joint tells nothing: its z then
    along = -along / far if far > 0.02 else np.array([0.0, 0.0, 1.0])
    beside = np.eye(3)[int(np.abs(along).argmin())]
    beside -= along * (beside @ along)
    beside /= np.linalg.norm(beside)
    position = -BEHIND * along + BESIDE * beside
    return _mount(name, position, look_at(position, BEHIND * along, beside), HAND_FOV)


def _mount(parent: str, position: np.ndarray, rpy: tuple[float, ...], fov: float) -> Mount:
    x, y, z = (float(v) for v in position)
    return Mount(parent=parent, xyz=(x, y, z), rpy=(rpy[0], rpy[1], rpy[2]), fov=fov)

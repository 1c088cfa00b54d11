"""One robot as the loop sees it: joints, views, rates, controller. Loaded from
`config/embodiments/<name>.yaml`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wam_ros.core.errors import UnknownNameError, WamError
from wam_ros.core.resources import config_path, urdf_path
from wam_ros.core.types import Observation
from wam_ros.core.yamlfile import from_mapping, load_yaml


@dataclass(frozen=True)
class Camera:
    """One view: where its images come from."""

    name: str
    image_topic: str
    info_topic: str = ""  # of camera_info, which the simulated arm publishes and nothing here reads


@dataclass(frozen=True)
class Load:
    """A tool or payload that is fixed to a frame of the robot."""

    frame: str  # link it is fixed to
    mass: float  # kg
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)  # m, centre of mass in that frame
    shape: str = ""  # box, sphere, cylinder or capsule; '' counts as mass only
    # m: box full extents; sphere radius; cylinder and capsule radius, length along z
    size: tuple[float, ...] = ()
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)  # m, centre of the shape in that frame
    orientation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)  # quaternion wxyz


@dataclass(frozen=True)
class Embodiment:
    """Names, order and rates; position, velocity and effort limits stay in the URDF."""

    name: str
    urdf: str
    base_frame: str
    tool_frame: str
    joint_names: tuple[str, ...]  # order of chunk columns
    gripper_joints: tuple[str, ...]  # subset of joint_names
    home: tuple[float, ...]  # rad or m, one per joint
    max_acceleration: tuple[float, ...]  # rad/s^2 or m/s^2, one per joint; a URDF does not carry it
    max_jerk: tuple[float, ...]  # rad/s^3 or m/s^3, one per joint
    cameras: tuple[Camera, ...]  # order of the model's views
    image_height: int  # px of one model view
    image_width: int
    frame_rate_hz: float  # observations per second
    step_period_s: float  # between chunk steps
    action_horizon: int  # T
    controller: str = "joint_trajectory"
    world: str = "empty"  # config/worlds/<world>.yaml: what stands around the robot
    # pairs of links that need not be watched; '' lets the safety model work them out
    srdf: str = ""
    # those of further arms; speed, workspace and singularity count for all
    other_tool_frames: tuple[str, ...] = ()
    # what is fixed to the robot and not in its URDF
    loads: dict[str, Load] = field(default_factory=dict)

    @property
    def tool_frames(self) -> tuple[str, ...]:
        """Tool frame of every arm, that of the first one first."""
        return (self.tool_frame, *self.other_tool_frames)

    @property
    def urdf_path(self) -> Path:
        """Path of the robot description."""
        return urdf_path(self.urdf)

    @property
    def view_names(self) -> tuple[str, ...]:
        """Names of the camera views, in model order."""
        return tuple(c.name for c in self.cameras)


def joint_order(names: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """(A,) where each of the `wanted` joints stands in `names`.

    Raises:
        WamError: a joint missing, unknown or named twice.
    """
    if sorted(names) != sorted(wanted):
        missing = [n for n in wanted if n not in names]
        if missing:
            raise WamError(f"joint '{missing[0]}' is missing")
        wrong = next((n for n in names if n not in wanted), names[0])
        raise UnknownNameError("joint", wrong, wanted)
    return np.array([names.index(n) for n in wanted])


def load_embodiment(name: str) -> Embodiment:
    """Load a shipped embodiment by name, or one from a path ending in .yaml; what lies beside that
    file is found there.

    Raises:
        WamError: unknown name (with the choices), unknown key, or values that contradict each
            other.
    """
    path = config_path("embodiments", name)
    data = load_yaml(path)
    for key in ("urdf", "srdf", "world"):
        if (beside := path.parent / str(data.get(key) or "")).is_file():
            data[key] = str(beside.resolve())
    e = from_mapping(Embodiment, data, str(path))
    if len(set(e.joint_names)) != len(e.joint_names) or not e.joint_names:
        raise WamError(f"{path}: joint_names must be non-empty and distinct")
    for key in ("home", "max_acceleration", "max_jerk"):
        if len(getattr(e, key)) != len(e.joint_names):
            raise WamError(
                f"{path}: {key} has {len(getattr(e, key))} values for {len(e.joint_names)} joints"
            )
    for key in ("max_acceleration", "max_jerk"):
        if min(getattr(e, key)) <= 0:
            raise WamError(f"{path}: {key} must be positive")
    for joint in e.gripper_joints:
        if joint not in e.joint_names:
            raise WamError(f"{path}: gripper joint '{joint}' is not in joint_names")
    if not e.cameras or len(set(e.view_names)) != len(e.cameras):
        raise WamError(f"{path}: cameras must be non-empty and distinctly named")
    for key in ("image_height", "image_width", "frame_rate_hz", "step_period_s", "action_horizon"):
        if getattr(e, key) <= 0:
            raise WamError(f"{path}: {key} must be positive")
    return e


def require_observed_by(e: Embodiment, observation: Observation) -> None:
    """Raise `WamError` for other views, joints or picture sizes than the embodiment's."""
    if observation.view_names != e.view_names or observation.joints.joint_names != e.joint_names:
        raise WamError(
            f"observation has views {observation.view_names}, expected {e.view_names}, or other "
            "joints"
        )
    shape = (len(e.cameras), e.image_height, e.image_width, 3)
    if observation.frames.shape != shape:
        raise WamError(f"observation frames are {observation.frames.shape}, expected {shape}")

"""One robot as the loop sees it: joints, views, rates, controller. Loaded from
`config/embodiments/<name>.yaml`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wam_ros.core.errors import Problems, UnknownNameError, WamError
from wam_ros.core.packages import SCHEMES, find_file
from wam_ros.core.resources import config_path, urdf_path
from wam_ros.core.types import Observation
from wam_ros.core.xacro import expand
from wam_ros.core.yamlfile import from_mapping, load_yaml

# degrees of a simulated camera
LEAST_FOV = 1.0
MOST_FOV = 170.0
MOST_PX = 1920
DISTORTIONS = (0, 4, 5, 8)  # how many numbers tell one
TOPIC = re.compile(r"/?[A-Za-z]\w*(/[A-Za-z]\w*)*", re.ASCII)


@dataclass(frozen=True)
class Mount:
    """Where a camera is fixed to the robot, and how much it sees. The simulated arm draws it so."""

    parent: str  # link
    # of the optical frame in that of the link: z looks ahead, x right, y down (REP 103)
    xyz: tuple[float, float, float]  # m
    rpy: tuple[float, float, float]  # rad, as in a URDF
    fov: float = 60.0  # degrees from the upper edge of the picture to the lower one
    # px, width and height of the simulated picture; empty: as sim_node is told
    size: tuple[int, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """The lens of a camera, in the terms of OpenCV and `camera_info`."""

    size: tuple[int, int]  # px, width and height of the whole picture
    focal: tuple[float, float]  # px, fx and fy
    centre: tuple[float, float]  # px, cx and cy
    distortion: tuple[float, ...] = ()  # k1 k2 p1 p2, or k3 as well, or k4 k5 k6 as well


@dataclass(frozen=True)
class Camera:
    """One view: where its images come from."""

    name: str
    image_topic: str
    info_topic: str = ""  # of camera_info; imagined frames are hung in space by it
    compressed: bool = False  # its pictures come on <image_topic>/compressed
    # degrees clockwise by which its pictures are turned: 0, 90, 180 or 270
    rotation: int = 0
    # px: left, top, width and height of the part that is used, before it is turned; empty: all
    crop: tuple[int, ...] = ()
    mount: Mount | None = None  # None: the simulated arm finds a place for it
    calibration: Calibration | None = None  # of its lens; None: `camera_info` alone tells it


@dataclass(frozen=True)
class Group:
    """Joints that a controller of their own drives."""

    kind: str  # of controller
    joints: tuple[str, ...]
    joint_states: str = ""  # topic on which their driver tells where they are; empty: joint_states


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
class Reading:
    """What a driver's own number for a joint means: joint = factor * number + zero."""

    factor: float  # rad or m per unit of the driver; negative: it counts the other way
    zero: float  # rad or m, where the driver says 0


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
    cameras: tuple[Camera, ...]  # order of the model's views
    image_height: int  # px of one model view
    image_width: int
    frame_rate_hz: float  # observations per second
    step_period_s: float  # between chunk steps
    action_horizon: int  # T
    # one per joint, for those of which the URDF does not say it (1.2 may)
    max_acceleration: tuple[float, ...] = ()  # rad/s^2 or m/s^2
    max_jerk: tuple[float, ...] = ()  # rad/s^3 or m/s^3
    controller: str = "joint_trajectory"
    # by the node name of a controller: what it drives, where one does not drive all
    controllers: dict[str, Group] = field(default_factory=dict)
    world: str = "empty"  # config/worlds/<world>.yaml: what stands around the robot
    # pairs of links that need not be watched; '' lets the safety model work them out
    srdf: str = ""
    # those of further arms; speed, workspace and singularity count for all
    other_tool_frames: tuple[str, ...] = ()
    # what is fixed to the robot and not in its URDF
    loads: dict[str, Load] = field(default_factory=dict)
    # rad or m: where joints stand that are none of joint_names and follow none
    parked: dict[str, float] = field(default_factory=dict)
    # rad or m: further such joints, where they stand at home; joint states tell where they are
    sensed: dict[str, float] = field(default_factory=dict)
    # links that have a shape to look at and are watched against nothing all the same
    unguarded: tuple[str, ...] = ()
    # m by two links, "a, b": kept between them instead of what is kept between all others
    clearance: dict[str, float] = field(default_factory=dict)
    # Nm or N, instead of what the URDF says
    effort_limit: dict[str, float] = field(default_factory=dict)
    # rad/s or m/s, where the URDF tells none or a larger one
    velocity_limit: dict[str, float] = field(default_factory=dict)
    # kg, of links of which the URDF tells no inertia
    mass: dict[str, float] = field(default_factory=dict)
    # joints whose share of the robot's own weight a spring or counterweight carries
    supported_by_spring: tuple[str, ...] = ()
    # folders of `package://`, where they are not found by themselves
    packages: dict[str, str] = field(default_factory=dict)
    # of a xacro file
    xacro_arguments: dict[str, str] = field(default_factory=dict)
    # by joint, where a driver speaks another unit, direction or zero than the URDF
    driver: dict[str, Reading] = field(default_factory=dict)

    @property
    def tool_frames(self) -> tuple[str, ...]:
        """Tool frame of every arm, that of the first one first."""
        return (self.tool_frame, *self.other_tool_frames)

    @property
    def link_clearance(self) -> dict[frozenset[str], float]:
        """`clearance` by the two links."""
        return {links_of(key): m for key, m in self.clearance.items()}

    @property
    def urdf_path(self) -> Path:
        """Path of the robot description."""
        return urdf_path(self.urdf)

    @property
    def view_names(self) -> tuple[str, ...]:
        """Names of the camera views, in model order."""
        return tuple(c.name for c in self.cameras)


def links_of(key: str) -> frozenset[str]:
    """The links that a key of `clearance` names."""
    return frozenset(link.strip() for link in key.split(","))


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
    _require_consistent(e, path)
    return dataclasses.replace(
        e,
        urdf=_description(e, path.parent.resolve()),
        packages={n: str((path.parent / f).resolve()) for n, f in e.packages.items()},
    )


def _description(e: Embodiment, folder: Path) -> str:
    """The URDF that an embodiment of `folder` names: of a package it is looked for, of xacro it is
    made.
    """
    urdf = e.urdf
    if urdf.startswith(SCHEMES):
        urdf = str(find_file(urdf, folder, e.packages))
    if urdf.endswith(".xacro"):
        urdf = str(expand(urdf_path(urdf), e.xacro_arguments, e.packages))
    return urdf


def _require_consistent(e: Embodiment, path: Path) -> None:
    """Raise `WamError` with everything in which the keys of a file contradict each other."""
    problems = Problems(path)
    if len(set(e.joint_names)) != len(e.joint_names) or not e.joint_names:
        problems.add("joint_names must be non-empty and distinct")
    for key in ("home", "max_acceleration", "max_jerk"):
        found = len(getattr(e, key))
        if found != len(e.joint_names) and (found or key == "home"):
            problems.add(f"{key} has {found} values for {len(e.joint_names)} joints")
    for key in ("max_acceleration", "max_jerk"):
        if min(getattr(e, key), default=1.0) <= 0:
            problems.add(f"{key} must be positive")
    for key in ("gripper_joints", "supported_by_spring"):
        for joint in getattr(e, key):
            if joint not in e.joint_names:
                kind = "gripper joint" if key == "gripper_joints" else key
                problems.add(f"{kind} '{joint}' is not in joint_names")
    for joint in e.parked:
        if joint in e.joint_names:
            problems.add(f"parked joint '{joint}' is in joint_names: it stands or it is commanded")
    for joint in e.sensed:
        if joint in e.joint_names:
            problems.add(f"sensed joint '{joint}' is in joint_names: that is measured anyway")
        elif joint in e.parked:
            problems.add(f"joint '{joint}' is parked and sensed; it is either of them")
    for key in ("effort_limit", "velocity_limit"):
        for joint, most in getattr(e, key).items():
            if joint not in e.joint_names:
                problems.add(f"{key} of '{joint}', which is not in joint_names")
            elif most <= 0:
                problems.add(f"{key} of '{joint}' must be positive")
    for link, mass in e.mass.items():
        if mass <= 0:
            problems.add(f"mass of '{link}' must be positive")
    for joint, reading in e.driver.items():
        if joint not in e.joint_names:
            problems.add(f"driver tells of '{joint}', which is not in joint_names")
        if reading.factor == 0:
            problems.add(f"driver of '{joint}': factor must not be 0")
    _judge_groups(e, problems)
    if not e.cameras or len(set(e.view_names)) != len(e.cameras):
        problems.add("cameras must be non-empty and distinctly named")
    for c in e.cameras:
        if c.rotation not in (0, 90, 180, 270):
            problems.add(f"rotation of camera '{c.name}' is {c.rotation}, not 0, 90, 180 or 270")
        if c.crop and (len(c.crop) != 4 or min(c.crop[:2]) < 0 or min(c.crop[2:]) < 1):
            problems.add(f"crop of camera '{c.name}' must be left, top, width and height in px")
        if (m := c.mount) is not None:
            if not LEAST_FOV <= m.fov <= MOST_FOV:
                problems.add(
                    f"fov of camera '{c.name}' is {m.fov:g}, not {LEAST_FOV:g} to {MOST_FOV:g} "
                    "degrees"
                )
            if m.size and (len(m.size) != 2 or not 16 <= min(m.size) <= max(m.size) <= MOST_PX):
                problems.add(
                    f"size of camera '{c.name}' must be width and height, 16 to {MOST_PX} px"
                )
        if (lens := c.calibration) is not None:
            if min(*lens.size, *lens.focal) <= 0:
                problems.add(f"calibration of camera '{c.name}': size and focal must be positive")
            if len(lens.distortion) not in DISTORTIONS:
                problems.add(
                    f"calibration of camera '{c.name}' has {len(lens.distortion)} values of "
                    "distortion, not 0, 4, 5 or 8"
                )
    for key in ("image_height", "image_width", "frame_rate_hz", "step_period_s", "action_horizon"):
        if getattr(e, key) <= 0:
            problems.add(f"{key} must be positive")
    problems.require_none()


def _judge_groups(e: Embodiment, problems: Problems) -> None:
    """Every joint is driven by one controller, where several are told."""
    driven = [joint for group in e.controllers.values() for joint in group.joints]
    for name, group in e.controllers.items():
        if not group.joints:
            problems.add(f"controller '{name}' drives no joint")
        if group.joint_states and not TOPIC.fullmatch(group.joint_states):
            problems.add(
                f"joint_states of controller '{name}' is '{group.joint_states[:60]}', no name of a "
                "topic: letters, digits, _ and / only"
            )
    for joint in dict.fromkeys(driven):
        if joint not in e.joint_names:
            problems.add(f"joint '{joint}' of controllers is not in joint_names")
        elif driven.count(joint) > 1:
            problems.add(f"joint '{joint}' is driven by more than one of controllers")
    left = [joint for joint in e.joint_names if joint not in driven]
    if e.controllers and left:
        problems.add(f"none of controllers drives {', '.join(left)}")


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

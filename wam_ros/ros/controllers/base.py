"""What all controller outputs have in common, and what they may ask of the real controller's
parameters.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from rclpy.node import Node

from wam_ros.core.drivers import PLAIN, Numbers
from wam_ros.core.errors import WamError
from wam_ros.core.types import KinematicState, SafeTrajectory
from wam_ros.ros.params import param

MANAGER = "controller_manager"
# begin the names of nodes that move nothing
ONLOOKERS = (
    *("rosbag2_recorder", "_ros2cli", "foxglove_bridge", "rosbridge", "rqt", "rviz"),
    *("plotjuggler", "wam_", "recorder_node"),
)
MOST = 3  # nodes that are named
STATUS = "_action/status"  # topic of every action, below its name


@dataclass(frozen=True)
class ControllerParams:
    """How controllers are spoken to."""

    points: str = param(
        "quintic",
        choices=("quintic", "cubic", "linear"),
        doc="what trajectory points carry: also velocities and accelerations, also velocities, "
        "positions only",
    )
    path_tolerance: float = param(
        0.0, unit="rad or m", low=0.0, high=1.0, doc="of a goal; 0: the controller's own"
    )
    goal_tolerance: float = param(
        0.0, unit="rad or m", low=0.0, high=1.0, doc="of a goal; 0: the controller's own"
    )
    goal_time_s: float = param(
        0.5, unit="s", low=0.0, high=10.0, doc="a goal may be reached this much later"
    )
    velocity_gain: float = param(
        4.0,
        unit="1/s",
        low=0.0,
        high=50.0,
        doc="pull of a velocity command towards the commanded position",
    )
    gripper_step: float = param(
        0.002,
        unit="rad or m",
        low=0.0,
        high=1.0,
        doc="a gripper goal is sent when it changed by this",
    )
    gripper_action: str = param(
        "gripper_cmd", doc="what a gripper calls its action; Franka and xArm: gripper_action"
    )
    gripper_scale: float = param(
        1.0, unit="1", low=0.001, high=1000.0, doc="gripper goal per unit of its joint"
    )
    gripper_effort: float = param(
        20.0, unit="N", low=0.0, high=1000.0, doc="largest effort of a gripper goal"
    )


@dataclass(frozen=True)
class Setting:
    """A parameter of the real controller and what follows when it is not as it should be."""

    name: str
    fits: Callable[[Any], bool]
    advice: str
    node: str = ""  # whose it is; empty: the controller's
    # said where the version that runs has no such parameter; empty: nothing, None: the advice
    absent: str | None = None


LIMITS = Setting(
    "enforce_command_limits",
    lambda on: on is True,
    "enforce_command_limits is off: nothing behind this bridge holds commands inside the limits "
    "of the joints",
    MANAGER,
)


class Output:
    """Speaks to one controller. Joints are always addressed by name.

    Args:
        node: that publishes.
        joint_names: J joints it drives.
        columns: (J,) where they are in the arm's order.
        name: node name of the controller; empty: its usual one.
        options: of all controllers.
    """

    NAME: ClassVar[str] = ""  # usual node name of the controller
    # whether it is sent one command per tick instead of trajectories
    STREAMS: ClassVar[bool] = False
    SETTINGS: ClassVar[tuple[Setting, ...]] = ()

    def __init__(
        self,
        node: Node,
        joint_names: Sequence[str],
        columns: np.ndarray,
        name: str,
        options: ControllerParams,
    ) -> None:
        self.node = node
        self.joint_names = tuple(joint_names)
        self.columns = columns
        self.name = name or self.NAME
        self.options = options
        # (J,) rad/s or m/s, limits that no feedback may exceed
        self.velocity = np.full(len(columns), np.inf)
        self.numbers = Numbers([PLAIN] * len(self.joint_names))  # in which it is told
        # why nothing can be sent at all, as far as the controller's parameters say
        self.blocked = ""
        self._failure = ""
        self._publisher: Any = None  # of those that publish
        self._goals = ""  # name of the action of those that send goals
        self._onlookers = 0
        self.rivals = ""  # who else publishes to the controller, in words
        self.doubles = ""  # which controllers listen where one alone should, in words

    def settings(self) -> tuple[Setting, ...]:
        """What the controller must have set."""
        return self.SETTINGS

    def on_joints(self, joints: list[str]) -> None:
        """The controller says which joints it commands, in its order."""
        missing = [n for n in self.joint_names if n not in joints]
        foreign = [n for n in joints if n not in self.joint_names]
        what = (
            f"lacks {', '.join(missing)}"
            if missing
            else f"also has {', '.join(foreign)}"
            if foreign
            else ""
        )
        self.blocked = f"{self.name} {what}; it commands {', '.join(joints)}" if what else ""

    def send(self, trajectory: SafeTrajectory) -> None:
        """Hand over a trajectory of the whole arm that begins now and ends at rest."""

    def stream(self, now_ns: int, commanded: KinematicState, measured: np.ndarray | None) -> None:
        """Hand over the command of this tick; commands and measured joints (A,) of the whole
        arm.
        """

    def settle(self, now_ns: int, measured: np.ndarray | None) -> None:
        """Nothing is commanded and the controller can be driven: see to it that nothing was left in
        motion.
        """

    def stop(self) -> None:
        """Last word before falling silent, at rest."""

    def close(self) -> None:
        """Give back what the node does not destroy by itself."""

    def poll(self) -> None:
        """See who is there, ask what has to be asked; called a few times per second."""
        if self._publisher is not None:
            topic = self._publisher.topic_name
            infos = self.node.get_subscriptions_info_by_topic(topic)
            playing = [info for info in infos if not info.node_name.startswith(ONLOOKERS)]
            self._onlookers = len(infos) - len(playing)
            self.rivals = why_not_alone(self.node, topic)
            self.doubles = _why_not_one(topic, playing)
        elif self._goals:
            action = self.node.resolve_topic_name(self._goals)
            servers = self.node.get_publishers_info_by_topic(f"{action}/{STATUS}")
            self.doubles = _why_not_one(action, servers)

    def listeners(self) -> int:
        """How many controllers listen; who records or shows what is sent is none."""
        return max(0, self._publisher.get_subscription_count() - self._onlookers)

    def why_not_taken(self) -> str:
        """Why the newest command was not taken or finished, said once; empty otherwise."""
        words = self._failure
        self._failure = ""
        return words

    def fail(self, words: str) -> None:
        """Note why a command was not taken or finished."""
        self._failure = f"{self.name}: {words}"

    def part(self, trajectory: SafeTrajectory) -> SafeTrajectory:
        """Only this controller's joints of a trajectory, in the numbers of their driver."""
        return SafeTrajectory(
            *self.numbers.motion(trajectory.columns(self.columns)).arrays,
            start_ns=trajectory.start_ns,
            joint_names=self.joint_names,
            t=trajectory.t,
            chunk_seq=trajectory.chunk_seq,
        )


def why_not_alone(node: Node, topic: str) -> str:
    """Which other nodes publish on a topic that one node alone should, in words; empty when none
    does.

    One that died without a word is still named until the middleware gives it up, some 20 s later.
    """
    names = _names(node.get_publishers_info_by_topic(topic))
    if node.get_fully_qualified_name() in names:
        names.remove(node.get_fully_qualified_name())
    return (
        f"{topic} has {len(names) + 1} publishers, also {', '.join(names[:MOST])}" if names else ""
    )


def _why_not_one(name: str, playing: Sequence[Any]) -> str:
    """Which nodes play what is sent, in words, where they are several: the arm that is looked at
    need not be the one that moves.
    """
    if len(playing) < 2:
        return ""
    named = ", ".join(_names(playing)[:MOST])
    return f"{name} is played by {len(playing)} nodes, one alone may: {named}; end all but one"


def _names(infos: Sequence[Any]) -> list[str]:
    return sorted(f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos)


def messages(kind: str, package: str, part: str) -> ModuleType:
    """The `msg`, `srv` or `action` of a package that a kind of controller needs.

    Raises:
        WamError: the package is not installed; says what works without it.
    """
    try:
        return importlib.import_module(f"{package}.{part}")
    except ModuleNotFoundError as error:
        raise WamError(
            f"controller '{kind}' needs {package} (ros-$ROS_DISTRO-{package.replace('_', '-')}), "
            "which is not "
            "installed; joint_trajectory, forward_position and forward_velocity work without it"
        ) from error

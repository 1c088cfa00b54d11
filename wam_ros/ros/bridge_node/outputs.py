"""The controllers of one robot together: that of the arm and, where it has its own, that of the
gripper; or those that the embodiment names for each group of joints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from rclpy.node import Node

from wam_ros.core.drivers import numbers_of
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.types import KinematicState, SafeTrajectory
from wam_ros.robot.joints import load_joints
from wam_ros.ros.bridge_node.activity import Activity
from wam_ros.ros.bridge_node.settings import SettingsReader
from wam_ros.ros.controllers import make_controller
from wam_ros.ros.controllers.base import ControllerParams, Output, why_not_alone

GRIPPERS = ("gripper_command", "parallel_gripper_command")
GRIPPER_NAME = "gripper_controller"
MIN_STREAM_HZ = 100.0
COMMANDED = "commanded_state"  # topic on which a bridge says what it commands


class Outputs:
    """Splits what is commanded between controllers, and notices who else commands them.

    Args:
        node: that publishes.
        embodiment: whose joints they are.
        kinds: controller of the arm and of the gripper, instead of those of the embodiment; empty:
            the embodiment's, and the arm's drives the gripper too.
        names: node names of the two; empty: their usual ones.
        rate_hz: ticks per second.

    Raises:
        WamError: an unknown kind, one that does not fit, a name that is none, or a rate too low for
            a stream.
    """

    def __init__(
        self,
        node: Node,
        embodiment: Embodiment,
        kinds: tuple[str, str],
        names: tuple[str, str],
        rate_hz: float,
    ) -> None:
        options = node.params_of(ControllerParams)  # type: ignore[attr-defined]
        groups = _groups(embodiment, kinds, names)
        for name in filter(None, (*(g.name for g in groups), options.gripper_action)):
            if not re.fullmatch(r"/?[A-Za-z]\w*(/[A-Za-z]\w*)*", name, re.ASCII):
                raise WamError(
                    f"controller '{name}' is no name in ROS: letters, digits, _ and / only"
                )
        self._all = [
            make_controller(
                kind=group.kind,
                node=node,
                joint_names=_pick(embodiment, group.columns),
                columns=group.columns,
                name=group.name,
                options=options,
            )
            for group in groups
        ]
        self._grips = [group.kind in GRIPPERS or group.fingers for group in groups]
        limits = dict(
            zip(embodiment.joint_names, load_joints(embodiment).limits.velocity, strict=True)
        )
        for output in self._all:
            output.velocity = np.array([limits[name] for name in output.joint_names])
            output.numbers = numbers_of(embodiment, output.joint_names)
        self.arm: Output = self._all[0]
        for output in self._all:
            if output.STREAMS and rate_hz < MIN_STREAM_HZ:
                raise WamError(
                    f"rate_hz is {rate_hz:g}: '{output.name}' is streamed to, which takes 100 to "
                    "500 Hz"
                )
        self._node = node
        self._activity = Activity(node)
        self.rivals = ""  # who else commands the arm, in words
        # which controllers play what one alone should; one that died is listed for some 20 s more
        self.doubles = ""
        self._readers = [SettingsReader(node, output) for output in self._all]

    @property
    def streams(self) -> bool:
        """Whether any of them is sent one command per tick."""
        return any(output.STREAMS for output in self._all)

    def send(self, trajectory: SafeTrajectory) -> None:
        """Hand a trajectory to those that play them."""
        for output in self._all:
            if not output.STREAMS:
                output.send(trajectory)

    def stream(
        self, now_ns: int, commanded: KinematicState | None, measured: np.ndarray | None
    ) -> None:
        """Hand the command of this tick, None where nothing is commanded, to those that are
        streamed to.
        """
        for output in self._all:
            if output.STREAMS and commanded is not None:
                output.stream(now_ns, commanded, measured)
            elif commanded is None and not self.why_not_ready:
                output.settle(now_ns, measured)

    def stop(self) -> None:
        """Last word, at rest."""
        for output in self._all:
            output.stop()

    def close(self) -> None:
        """Give back what the node does not destroy by itself."""
        for output in self._all:
            output.close()

    def poll(self) -> None:
        """Ask controllers that have appeared how they are set; call a few times per second."""
        for output, reader in zip(self._all, self._readers, strict=True):
            output.poll()
            reader.poll()
        bridges = why_not_alone(self._node, self._node.resolve_topic_name(COMMANDED))
        rivals = [w for w in (bridges, *(output.rivals for output in self._all)) if w]
        self.rivals = f"{rivals[0]}; end all but one" if rivals else ""
        self.doubles = next((o.doubles for o in self._all if o.doubles), "")

    @property
    def why_not_ready(self) -> str:
        """Why not every controller can be driven; empty when all can."""
        for output in self._all:
            if not output.listeners():
                return f"no controller listens: {output.name}"
            if output.blocked:
                return output.blocked
            if why := self._activity.why_not_active(output.name):
                return why
        return ""

    def failures(self) -> tuple[str, str]:
        """What controllers of arms and what those of grippers did not take or finish, each said
        once.
        """
        said: tuple[list[str], list[str]] = ([], [])
        for output, grips in zip(self._all, self._grips, strict=True):
            said[grips].append(output.why_not_taken())
        arms, grippers = ("; ".join(filter(None, words)) for words in said)
        return arms, grippers

    @property
    def warnings(self) -> list[str]:
        """What is not set as it should be."""
        return [words for reader in self._readers for words in reader.warnings]

    def listeners(self) -> int:
        """Controllers that listen."""
        return sum(output.listeners() for output in self._all)


@dataclass(frozen=True)
class _Driven:
    """One controller and what it drives."""

    kind: str
    name: str  # of its node; empty: its usual one
    columns: np.ndarray  # of its joints, in the robot's order
    fingers: bool  # whether it drives nothing else


def _groups(
    embodiment: Embodiment, kinds: tuple[str, str], names: tuple[str, str]
) -> list[_Driven]:
    """What drives which joints: what the node is told, else what the embodiment says."""
    everything = np.arange(len(embodiment.joint_names))
    fingers = np.isin(embodiment.joint_names, embodiment.gripper_joints)
    if embodiment.controllers and not any((*kinds, *names)):
        found = []
        for name, group in embodiment.controllers.items():
            columns = everything[np.isin(embodiment.joint_names, group.joints)]
            found.append(_Driven(group.kind, name, columns, bool(fingers[columns].all())))
        return found
    arm = kinds[0] or embodiment.controller
    gripper = kinds[1]
    if arm in GRIPPERS:
        raise WamError(f"controller '{arm}' drives a gripper: give it as gripper:={arm}")
    if not gripper:
        return [_Driven(arm, names[0], everything, False)]
    if not fingers.any():
        raise WamError(f"gripper '{gripper}': embodiment '{embodiment.name}' has no gripper_joints")
    return [
        _Driven(arm, names[0], everything[~fingers], False),
        _Driven(gripper, names[1] or GRIPPER_NAME, everything[fingers], True),
    ]


def _pick(embodiment: Embodiment, columns: np.ndarray) -> list[str]:
    return [embodiment.joint_names[i] for i in columns]

"""`joint_trajectory_controller` by its topic, and whatever else takes
`trajectory_msgs/JointTrajectory`.

It interpolates by what the points carry: positions linearly, with velocities by cubics, with
accelerations by quintics. Up to Kilted (5.17) it does not upsample; later ones (6.9) can fit a
spline to positions alone (`positions_upsampling`), which begins and ends at rest: a chunk that
replaces a moving one then starts with a jump in velocity, so our points carry velocities unless
told otherwise. A message is refused whole when a joint is missing or foreign, when it ends in the
past or in motion; there is no answer: what it refuses is noticed by the arm not following.
"""

from __future__ import annotations

from typing import Any

from trajectory_msgs.msg import JointTrajectory

from wam_ros.core.types import SafeTrajectory
from wam_ros.ros import convert, qos
from wam_ros.ros.controllers.base import LIMITS, Output, Setting

TOPIC = "joint_trajectory_controller/joint_trajectory"
SETTINGS = (
    Setting(
        "interpolate_from_desired_state",
        lambda on: on is True,
        "interpolate_from_desired_state is off: motion from rest begins at the measured, not the "
        "commanded joints",
    ),
    Setting(
        "interpolation_method",
        lambda method: method == "splines",
        "interpolation_method is not 'splines': the arm steps from point to point",
    ),
    Setting(
        "allow_nonzero_velocity_at_trajectory_end",
        lambda on: on is False,
        "allow_nonzero_velocity_at_trajectory_end is on: trajectories of others need not end at "
        "rest",
    ),
    Setting(
        "cmd_timeout",
        lambda seconds: seconds == 0.0,
        "cmd_timeout is not 0: that long after a motion the arm is held at the measured, not the "
        "commanded joints",
    ),
    LIMITS,
)
UPSAMPLING = Setting(
    "positions_upsampling.enable",
    lambda on: on is True,
    "points:=linear without positions_upsampling.enable: the arm's speed steps at every point",
)


def points_message(trajectory: SafeTrajectory, points: str) -> JointTrajectory:
    """Message whose points carry what `points` says; by its absolute start a late one starts in the
    middle.
    """
    msg = convert.trajectory_to_msg(trajectory)
    for point in msg.points:
        if points != "quintic":
            point.accelerations = []
        if points == "linear":
            point.velocities = []
    return msg


class JointTrajectoryOutput(Output):
    """Publishes trajectories; each replaces the one before."""

    NAME = "joint_trajectory_controller"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._publisher = self.node.create_publisher(
            JointTrajectory, f"{self.name}/joint_trajectory", qos.TRAJECTORY
        )

    def settings(self) -> tuple[Setting, ...]:
        """Upsampling only matters to points without velocities."""
        return (*SETTINGS, UPSAMPLING) if self.options.points == "linear" else SETTINGS

    def send(self, trajectory: SafeTrajectory) -> None:
        """Publish."""
        points = self.options.points
        wire = convert.trajectory_to_wire(
            self.part(trajectory), velocities=points != "linear", accelerations=points == "quintic"
        )
        self._publisher.publish(wire)

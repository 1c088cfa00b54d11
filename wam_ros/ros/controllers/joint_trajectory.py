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

from collections.abc import Sequence
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
    Setting(
        "allow_trajectory_replacement",
        lambda on: on is False,
        "allow_trajectory_replacement is on: it blends what is sent with what it had, and goes on "
        "with that where a stop is shorter; set it to false",
        absent="",
    ),
    LIMITS,
)
UPSAMPLING = Setting(
    "positions_upsampling.enable",
    lambda on: on is True,
    "points:=linear without positions_upsampling.enable: the arm's speed steps at every point",
    absent="points:=linear, and this version has no positions_upsampling: the arm's speed steps at "
    "every point; use points:=quintic",
)
DECELERATION = "constraints.decelerate_on_cancel"


def on_cancel(joints: Sequence[str]) -> tuple[Setting, ...]:
    """How a controller that can brake by itself should, when it gives a motion up.

    Without it, or where one joint has no deceleration, it holds the measured joints at once:
    https://control.ros.org/rolling/doc/ros2_controllers/joint_trajectory_controller/doc/userdoc.html
    """
    braked = Setting(
        DECELERATION,
        lambda on: on is True,
        f"{DECELERATION} is off: a motion that it gives up ends at the measured joints at once",
        absent="",
    )
    each = (
        Setting(
            f"constraints.{joint}.max_deceleration_on_cancel",
            lambda most: most > 0,
            f"max_deceleration_on_cancel of {joint} is 0: a motion that it gives up ends at the "
            "measured joints at once",
            absent="",
        )
        for joint in joints
    )
    return (braked, *each)


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
        wanted = (*SETTINGS, *on_cancel(self.joint_names))
        return (*wanted, UPSAMPLING) if self.options.points == "linear" else wanted

    def send(self, trajectory: SafeTrajectory) -> None:
        """Publish."""
        points = self.options.points
        wire = convert.trajectory_to_wire(
            self.part(trajectory), velocities=points != "linear", accelerations=points == "quintic"
        )
        self._publisher.publish(wire)

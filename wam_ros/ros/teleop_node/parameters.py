"""The parameters of the teleop node."""

from __future__ import annotations

from dataclasses import dataclass

from wam_ros.ros.params import param


@dataclass(frozen=True)
class TeleopParams:
    """Parameters of teleop_node."""

    embodiment: str = param(
        "panda", doc="Robot: a name in config/embodiments or the path of a YAML file"
    )
    topic: str = param("leader/joint_states", doc="Where a person's joint commands come")
    kind: str = param(
        "joint_state",
        choices=("joint_state", "joint_trajectory", "positions"),
        doc="Their type: sensor_msgs/JointState, trajectory_msgs/JointTrajectory, or "
        "std_msgs/Float64MultiArray in the order of the robot's joints, with or without grippers",
    )
    instruction: str = param("", doc="What is done, for the recording")
    rate_hz: float = param(10.0, unit="Hz", low=1.0, high=50.0, doc="Chunks per second")
    speed: float = param(
        0.5, unit="1", low=0.01, high=1.0, doc="Share of the joints' velocity limits that is used"
    )
    lookahead_s: float = param(
        0.1,
        unit="s",
        low=0.0,
        high=1.0,
        doc="So far a leader's motion is continued where its messages end",
    )
    silence_s: float = param(
        0.3, unit="s", low=0.05, high=5.0, doc="After so long without a command nothing is sent"
    )
    warn_period_s: float = param(
        5.0, unit="s", low=0.1, high=3600.0, doc="How often a bad command is complained about"
    )

"""The parameters of camera_node."""

from __future__ import annotations

from dataclasses import dataclass

from wam_ros.ros.params import param


@dataclass(frozen=True)
class CameraParams:
    """Parameters of the camera node."""

    embodiment: str = param(
        "panda", doc="Robot: a name in config/embodiments or the path of a YAML file"
    )
    compressed: bool = param(
        False, doc="Subscribe to <image topic>/compressed instead of raw images"
    )
    max_age_s: float = param(
        0.25,
        unit="s",
        low=0.01,
        high=10.0,
        doc="Oldest image or joint state that an observation may hold",
    )
    patience_s: float = param(
        0.03,
        unit="s",
        low=0.0,
        high=1.0,
        doc="How long a complete observation waits for a view that is late",
    )
    carry_s: float = param(
        0.015,
        unit="s",
        low=0.0,
        high=0.1,
        doc="Joints this much older than an image move on by their velocities",
    )
    warn_period_s: float = param(
        5.0, unit="s", low=0.1, high=3600.0, doc="How often a missing stream is complained about"
    )
    grace_s: float = param(
        2.0, unit="s", low=0.0, high=60.0, doc="Silence allowed after activation without a word"
    )

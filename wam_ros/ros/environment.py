"""Environment variables that ROS 2 needs before the first node exists, so that nobody has to export
any.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from wam_ros.core.resources import share_dir

# Where Fast DDS looks for its profile: on Jazzy by the first name; Kilted warns of that one and
# wants the second.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")

RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
LOCALHOST_ONLY = "ROS_LOCALHOST_ONLY"
DISCOVERY = ("auto", "localhost", "subnet", "system_default", "off")


def ros_environment(current: Mapping[str, str], prefix: str = sys.prefix) -> dict[str, str]:
    """Variables to add to `current` so that nodes of the Python environment `prefix` find their
    packages.

    What is already chosen stays chosen; an environment without its own ament index (colcon,
    /opt/ros) needs no path.
    """
    added = {}
    paths = [p for p in current.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    if (Path(prefix) / "share" / "ament_index").is_dir() and prefix not in paths:
        added["AMENT_PREFIX_PATH"] = os.pathsep.join([prefix, *paths])
    return added | transport_environment(current)


def transport_environment(current: Mapping[str, str]) -> dict[str, str]:
    """Variables that make Fast DDS deliver camera images (config/fastdds.xml says how); nothing if
    already chosen.

    `FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA` would be shorter, but its nodes and those of a driver or
    a terminal started without it never hear each other.
    """
    if {*PROFILE_VARIABLES, "FASTDDS_BUILTIN_TRANSPORTS"} & {*current}:
        return {}
    return {profile_variable(): str(share_dir() / "config" / "fastdds.xml")}


def discovery_environment(current: Mapping[str, str], wanted: str) -> dict[str, str]:
    """Variables that say how far nodes look for each other; an empty value takes one away.

    Args:
        current: environment of who starts them.
        wanted: one of `DISCOVERY`; `auto` is this machine only, unless `current` has chosen.
    """
    if wanted == "auto":
        chosen = {RANGE, LOCALHOST_ONLY, "ROS_DISCOVERY_SERVER"} & {*current}
        return {} if chosen else {RANGE: "LOCALHOST"}
    # the older switch would override the range
    return {RANGE: wanted.upper(), **({LOCALHOST_ONLY: ""} if LOCALHOST_ONLY in current else {})}


def profile_variable() -> str:
    """The one of `PROFILE_VARIABLES` that this distribution reads without a warning."""
    try:
        kilted = int(importlib.metadata.version("rclpy").partition(".")[0]) >= 8
    except (importlib.metadata.PackageNotFoundError, ValueError):
        kilted = False
    return PROFILE_VARIABLES[kilted]


def ensure() -> None:
    """Apply `ros_environment` to this process and its children. Call before `rclpy.init`."""
    os.environ.update(ros_environment(os.environ))

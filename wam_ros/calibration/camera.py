"""`wam calibrate camera`: where a camera stands and what its lens does."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pinocchio as pin
import tyro
from rich.console import Console
from rich.table import Table

from wam_ros.calibration.board import Board, Corners, Finder
from wam_ros.calibration.hand_eye import HandEye, calibrate_hand_eye
from wam_ros.calibration.lens import Lens, calibrate_lens
from wam_ros.calibration.pictures import Shot, read_shots
from wam_ros.calibration.yaml_edit import edit, file_to_edit, on_one_line
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError, require_known, require_within
from wam_ros.core.files import require_writable
from wam_ros.robot.dynamics import Dynamics
from wam_ros.robot.joints import load_joints


@dataclass(frozen=True)
class CalibrateCamera:
    """Find a camera's lens and where it is fixed, from pictures of a board, and write both into the
    robot's YAML (`calibration` and `mount`).

    A camera on the hand looks at a board that stands; one that stands looks at a board in the hand.
    Ten to twenty pictures, the board tilted and the hand turned about several axes. Without joints
    only the lens is found.
    """

    # a name in config/embodiments or the path of a YAML file
    embodiment: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    camera: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CAMERA")]  # view
    # folder of pictures, with joints.csv (picture, then a column for each joint, rad or m), or a
    # recording of `ros2 bag record` with its image topic and joint_states: a picture is taken
    # wherever the arm stands; or `live`: the same from the topics
    pictures: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER|BAG|live")]
    # what is looked at
    board: Board = field(default_factory=Board)
    parent: str = ""  # link that the camera is fixed to; empty: that of its mount
    # link that holds the board of a camera that stands; empty: the first tool frame
    held_by: str = ""
    out: Path | None = None  # YAML to write; that of the robot, if it is your own
    dry_run: bool = False  # write nothing
    seconds: float = 120.0  # to listen, live; Ctrl-C ends it sooner


def main(args: CalibrateCamera) -> None:
    """Find, tell and write.

    Raises:
        WamError: what is wrong with arguments, files, pictures or the poses that they show.
    """
    require_within("--seconds", args.seconds, 1.0, 3600.0)
    path, goal = (None, None) if args.dry_run else file_to_edit(args.embodiment, args.out)
    require_writable("--out", goal)
    e = load_embodiment(args.embodiment)
    require_known("camera", args.camera, e.view_names)
    camera = next(c for c in e.cameras if c.name == args.camera)
    finder = Finder(args.board)
    robot = Dynamics(e, load_joints(e))
    parent = args.parent or (camera.mount.parent if camera.mount else "")
    shots = read_shots(args.pictures, e, camera, args.seconds)
    placed = any(s.q is not None for s in shots)
    if placed:
        if not parent:
            raise WamError("name the link that the camera is fixed to with --parent")
        anchor = _board_link(robot, parent, args.held_by)
    found: dict[str, Corners] = {}
    blind = []
    for shot in shots:
        corners = finder.find(shot.picture)
        if corners is None:
            blind.append(shot.name)
        else:
            found[shot.name] = corners
    height, width = shots[0].picture.shape[:2]
    lens = calibrate_lens(found, (width, height))
    eye = None
    if placed:
        poses = {s.name: _between(robot, parent, anchor, s.q) for s in shots if s.q is not None}
        kept = {n: c for n, c in found.items() if n not in lens.left_out}
        eye = calibrate_hand_eye(kept, poses, lens)
        lens = eye.lens
    _tell(args, shots, blind, lens=lens, eye=eye, parent=parent)
    if path is not None and goal is not None:
        edit(path, goal, lambda data: _put(data, args.camera, lens, eye, parent))
        what = "calibration and mount are" if eye else "calibration is"
        Console().print(f"{args.camera}: {what} written into {goal}", markup=False)


def _board_link(robot: Dynamics, parent: str, held_by: str) -> str:
    """Link that the board is fixed to: what stands for a camera that moves, the hand for one that
    stands.
    """
    e = robot.embodiment
    moves = robot.pin.frames[robot.frame(parent)].parentJoint != 0
    if moves:
        return held_by or e.base_frame
    anchor = held_by or e.tool_frame
    if robot.pin.frames[robot.frame(anchor)].parentJoint == 0:
        raise WamError(f"neither {parent} nor {anchor} moves: name what holds the board, --held-by")
    return anchor


def _between(robot: Dynamics, parent: str, anchor: str, q: np.ndarray) -> pin.SE3:
    """What the board is fixed to, in the camera's link, at (A,) rad or m."""
    pin.framesForwardKinematics(robot.pin, robot.data, robot.full_q(q[None])[0])
    at = robot.data.oMf
    return at[robot.frame(parent)].actInv(at[robot.frame(anchor)])


def _put(data: Any, name: str, lens: Lens, eye: HandEye | None, parent: str) -> None:
    """Write what was found into the mapping of a YAML file."""
    camera = next(c for c in data["cameras"] if c["name"] == name)
    camera["calibration"] = on_one_line(
        {
            "size": list(lens.size),
            "focal": [round(float(lens.k[0, 0]), 3), round(float(lens.k[1, 1]), 3)],
            "centre": [round(float(lens.k[0, 2]), 3), round(float(lens.k[1, 2]), 3)],
            "distortion": [round(float(d), 6) for d in lens.distortion],
        }
    )
    if eye is None:
        return
    fov = 2 * np.rad2deg(np.arctan(lens.size[1] / 2 / lens.k[1, 1]))
    camera["mount"] = on_one_line(
        {
            "parent": parent,
            "xyz": [round(float(v), 5) for v in eye.camera.translation],
            "rpy": [round(float(v), 6) for v in pin.rpy.matrixToRpy(eye.camera.rotation)],
            "fov": round(float(fov), 3),
            "size": list(lens.size),
        }
    )


def _tell(
    args: CalibrateCamera,
    shots: list[Shot],
    blind: list[str],
    lens: Lens,
    eye: HandEye | None,
    parent: str,
) -> None:
    table = Table("picture", "lens px", "hand-eye px", "", title_justify="left")
    for shot in shots:
        name = shot.name
        why = "no board found" if name in blind else lens.left_out.get(name, "")
        if eye is not None and not why:
            why = eye.left_out.get(name, "" if name in eye.errors else "no joints")
        lens_px = f"{lens.errors[name]:.2f}" if name in lens.errors else ""
        eye_px = f"{eye.errors[name]:.2f}" if eye and name in eye.errors else ""
        words = f"left out: {why}" if why else ""
        table.add_row(name.replace("[", "\\["), lens_px, eye_px, words)
    console = Console()
    console.print(table)
    k = lens.k
    console.print(
        f"lens: focal {k[0, 0]:.1f}, {k[1, 1]:.1f} px (+-{lens.std[:2].max():.1f}), "
        f"centre {k[0, 2]:.1f}, {k[1, 2]:.1f}, {lens.rms:.2f} px left",
        markup=False,
    )
    if eye is None:
        console.print("no joints were told: where the camera stands is not looked for")
        return
    x, y, z = eye.camera.translation
    console.print(
        f"camera in {parent}: {x:.4f}, {y:.4f}, {z:.4f} m (+-{1e3 * eye.std_m:.1f} mm, "
        f"{np.rad2deg(eye.std_rad):.2f} degrees)",
        markup=False,
    )

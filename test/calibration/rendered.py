"""A calibration board, built of boxes, as a simulated camera on or before an arm sees it."""

from __future__ import annotations

import dataclasses

import cv2
import mujoco
import numpy as np
import pinocchio as pin
from transforms3d.quaternions import mat2quat

from wam_ros.calibration.board import Board, Finder
from wam_ros.core.embodiment import Camera, Mount, load_embodiment
from wam_ros.sim.arm import arm_spec, load_dynamics
from wam_ros.sim.mounts import add_camera

CELLS = 10  # of a square, so that a marker's cells are whole ones
BOARD = Board(columns=8, rows=6, square=0.03, marker=0.021)
TAGS = Board(kind="apriltag", columns=5, rows=4, square=0.04, marker=0.032)
SIZE = (640, 480)
DEEP = 0.0004  # m


def cells_of(board: Board) -> tuple[np.ndarray, float]:
    """(rows, columns) bool, black or not, and the edge of a cell, m."""
    if board.kind == "charuco":
        size = board.columns * CELLS, board.rows * CELLS
        picture = Finder(board)._board.generateImage(size)
        return picture < 128, board.square / CELLS
    # 8 cells a tag and 2 between two
    size = board.columns * 10 - 2, board.rows * 10 - 2
    return Finder(board)._board.generateImage(size) < 128, board.square / 10


def add_board(body: mujoco.MjsBody, board: Board) -> None:
    """Boxes whose faces towards -z are the black cells; the frame is OpenCV's of the board."""
    black, cell = cells_of(board)
    rows, columns = black.shape
    middle = np.array([columns, rows]) * cell / 2
    half = [*(middle + 0.02), DEEP / 2]
    plain = {"type": mujoco.mjtGeom.mjGEOM_BOX, "contype": 0, "conaffinity": 0, "mass": 0}
    body.add_geom(pos=[*middle, 1.5 * DEEP], size=half, rgba=[1, 1, 1, 1], **plain)
    for v, row in enumerate(black):
        edges = np.flatnonzero(np.diff(np.r_[0, row.astype(int), 0]))
        for a, b in edges.reshape(-1, 2):
            body.add_geom(
                pos=[(a + b) / 2 * cell, (v + 0.5) * cell, DEEP / 2],
                size=[(b - a) / 2 * cell, cell / 2, DEEP / 2],
                rgba=[0, 0, 0, 1],
                **plain,
            )


def facing(distance: float, board: Board) -> pin.SE3:
    """A board in the frame of a camera that looks straight at its middle."""
    black, cell = cells_of(board)
    middle = np.array([black.shape[1], black.shape[0]]) * cell / 2
    return pin.SE3(np.eye(3), np.array([*-middle, distance]))


def shoot(name: str, mount: Mount, board: Board, distance: float, held_by: str = "", count=18):
    """Pictures (H, W, 3) and joints (A,) of a camera at `mount`, and the robot.

    The board stands where the camera looks at home, or is fixed to the link `held_by` there.
    """
    camera = Camera("eye", "eye/image_raw", mount=mount)
    e = dataclasses.replace(load_embodiment(name), cameras=(camera,))
    robot = load_dynamics(e)
    fixed = pin.SE3(pin.rpy.rpyToMatrix(*mount.rpy), np.array(mount.xyz))

    def link(frame: str, q: np.ndarray) -> pin.SE3:
        pin.framesForwardKinematics(robot.pin, robot.data, robot.full_q(q[None])[0])
        return robot.data.oMf[robot.frame(frame)].copy()

    home = np.array(e.home)
    base = link(e.base_frame, home)
    seen = link(mount.parent, home) * fixed * facing(distance, board)
    anchor = held_by or e.base_frame
    place = link(anchor, home).actInv(seen)
    spec = arm_spec(robot)
    spec.visual.global_.offwidth, spec.visual.global_.offheight = SIZE
    spec.visual.headlight.ambient = [0.5, 0.5, 0.5]
    spec.visual.headlight.specular = [0, 0, 0]
    add_camera(spec, "eye", mount)
    holder = spec.body(held_by) if held_by else spec.worldbody
    here = place if held_by else base.actInv(seen)
    body = holder.add_body(name="board", pos=here.translation, quat=mat2quat(here.rotation))
    add_board(body, board)
    model = spec.compile()
    data = mujoco.MjData(model)
    renderer = mujoco.Renderer(model, SIZE[1], SIZE[0])
    focal = SIZE[1] / 2 / np.tan(np.deg2rad(mount.fov) / 2)
    black, cell = cells_of(board)
    corners = np.array([(u, v, 0) for u in (0, black.shape[1]) for v in (0, black.shape[0])]) * cell
    rng = np.random.default_rng(5)
    arm = np.array([n not in e.gripper_joints for n in e.joint_names])
    shots = []
    while len(shots) < count:
        q = home + rng.uniform(-0.45, 0.45, len(home)) * arm
        q = np.clip(q, robot.limits.lower, robot.limits.upper)
        eye = link(mount.parent, q) * fixed
        there = eye.actInv(link(anchor, q) * place)
        p = corners @ there.rotation.T + there.translation
        uv = p[:, :2] / p[:, 2:] * focal
        tilt = np.rad2deg(np.arccos(np.clip(there.rotation[2, 2], -1, 1)))
        inside = (np.abs(uv) < np.array(SIZE) / 2 - 8).all()
        if (p[:, 2] < 0.12).any() or not inside or tilt > 50:
            continue
        for joint, (leader, factor, offset) in robot.joints.source.items():
            k = e.joint_names.index(leader)
            data.qpos[model.joint(joint).qposadr[0]] = factor * q[k] + offset
        mujoco.mj_forward(model, data)
        renderer.update_scene(data, "eye")
        shots.append((renderer.render().copy(), q))
    renderer.close()
    return e, shots


def save(folder, e, shots, joints=True):
    """A folder as `wam calibrate camera` reads it."""
    folder.mkdir()
    lines = [",".join(("picture", *e.joint_names))]
    for k, (picture, q) in enumerate(shots):
        cv2.imwrite(str(folder / f"{k:02d}.png"), picture[..., ::-1])
        lines.append(",".join((f"{k:02d}.png", *(f"{v:.9f}" for v in q))))
    if joints:
        (folder / "joints.csv").write_text("\n".join(lines) + "\n")
    return folder

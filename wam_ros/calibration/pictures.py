"""Pictures of a board and the joints that belong to them, from a folder or a bag."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from wam_ros.core.embodiment import Camera, Embodiment
from wam_ros.core.errors import UnknownNameError, WamError
from wam_ros.core.types import NS
from wam_ros.ros.recording import Recording, expecting

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
JOINTS = "joints.csv"
STATES = "joint_states"
STILL_S = 0.25  # before and after a picture, that the arm stands
STILL = 0.01  # rad or m that it may move meanwhile
APART = 0.03  # rad or m from one picture to the next
MOST = 200  # pictures of a bag


@dataclass(frozen=True)
class Shot:
    """One picture and where the arm was."""

    name: str
    picture: np.ndarray  # (H, W, 3) uint8 RGB
    q: np.ndarray | None  # (A,) rad or m; None where joints are not told


def read_shots(source: Path, embodiment: Embodiment, camera: Camera) -> list[Shot]:
    """Pictures of a folder, with `joints.csv` where there is one, or of a bag, one for each stand
    of the arm.

    Raises:
        WamError: there are none, they differ in size, or joints are missing or none; by name.
    """
    if source.is_dir() and any(p.suffix.lower() in SUFFIXES for p in source.iterdir()):
        shots = _of_folder(source, embodiment)
    else:
        shots = _of_bag(source, embodiment, camera)
    sizes = {shot.picture.shape for shot in shots}
    if len(sizes) != 1:
        found = ", ".join(f"{s[1]} x {s[0]}" for s in sorted(sizes)) or "no picture"
        raise WamError(f"'{source}' must hold pictures of one size, found {found}")
    return shots


def _of_folder(folder: Path, embodiment: Embodiment) -> list[Shot]:
    told = _read_joints(folder / JOINTS, embodiment) if (folder / JOINTS).is_file() else {}
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    for name in told:
        if name not in {p.name for p in files}:
            raise WamError(f"{folder / JOINTS}: there is no picture '{name}'")
    shots = []
    for path in files:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise WamError(f"'{path}' is no picture that can be read")
        shots.append(Shot(path.name, picture[..., ::-1].copy(), told.get(path.name)))
    return shots


def _read_joints(path: Path, embodiment: Embodiment) -> dict[str, np.ndarray]:
    """Joints (A,) rad or m by the picture's file name."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WamError(f"{path}: {error}") from error
    found = {}
    for number, row in enumerate(rows, start=2):
        for name in ("picture", *embodiment.joint_names):
            if row.get(name) is None:
                known = [k for k in row if k]
                raise WamError(f"{path}, line {number}: {UnknownNameError('column', name, known)}")
        try:
            q = np.array([float(row[name]) for name in embodiment.joint_names])
        except ValueError as error:
            raise WamError(f"{path}, line {number}: {error}") from error
        if not np.isfinite(q).all():
            raise WamError(f"{path}, line {number}: joints must be finite")
        found[row["picture"]] = q
    return found


def _of_bag(path: Path, embodiment: Embodiment, camera: Camera) -> list[Shot]:
    topic = camera.image_topic.lstrip("/") + ("/compressed" if camera.compressed else "")
    with Recording(path) as recording:
        stamps = []
        rows = []
        for recorded in recording.messages({STATES}):
            with expecting(recorded):
                by_name = dict(zip(recorded.message.name, recorded.message.position, strict=False))
                stamp = _stamp_s(recorded.message.header.stamp) or recorded.recorded_ns / NS
            if set(embodiment.joint_names) <= set(by_name):
                stamps.append(stamp)
                rows.append([by_name[n] for n in embodiment.joint_names])
        if not rows:
            listed = ", ".join(embodiment.joint_names)
            raise WamError(f"recording '{path}': no message of {STATES} has {listed}")
        from wam_ros.ros import convert

        t = np.array(stamps)
        q = np.array(rows)
        shots: list[Shot] = []
        for recorded in recording.messages({topic}):
            with expecting(recorded):
                stamp = _stamp_s(recorded.message.header.stamp) or recorded.recorded_ns / NS
            around = (t > stamp - STILL_S) & (t < stamp + STILL_S)
            if len(shots) >= MOST or not around.any() or np.ptp(q[around], axis=0).max() > STILL:
                continue
            here = q[around].mean(axis=0)
            if shots and shots[-1].q is not None and np.abs(here - shots[-1].q).max() < APART:
                continue
            wire = convert.image_from_wire(recorded.data, camera.compressed)
            shots.append(Shot(f"{stamp - t[0]:.1f} s", convert.image_to_numpy(wire), here))
    return shots


def _stamp_s(stamp: Any) -> float:
    """A recorded time in s; 0 for none."""
    return float(stamp.sec) + float(stamp.nanosec) / NS

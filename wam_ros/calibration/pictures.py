"""Pictures of a board and the joints that belong to them, from a folder or a bag."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from wam_ros.core.drivers import numbers_of, topics_of
from wam_ros.core.embodiment import Camera, Embodiment
from wam_ros.core.errors import UnknownNameError, WamError
from wam_ros.core.types import NS
from wam_ros.ros.recording import Recording, expecting

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
JOINTS = "joints.csv"
LIVE = "live"
STILL_S = 0.25  # before and after a picture, that the arm stands
STILL = 0.01  # rad or m that it may move meanwhile
APART = 0.03  # rad or m from one picture to the next
MOST = 200  # pictures
KEPT_S = 2.0  # that joints are remembered
WAITING = 100  # pictures that wait for joints at most


@dataclass(frozen=True)
class Shot:
    """One picture and where the arm was."""

    name: str
    picture: np.ndarray  # (H, W, 3) uint8 RGB
    q: np.ndarray | None  # (A,) rad or m; None where joints are not told


def read_shots(source: Path, embodiment: Embodiment, camera: Camera, seconds: float) -> list[Shot]:
    """Pictures of a folder, with `joints.csv` where there is one, or of a bag, one for each stand
    of the arm; or from the topics for some seconds, where it is called `live`.

    Raises:
        WamError: there are none, they differ in size, or joints are missing or none; by name.
    """
    if str(source) == LIVE:
        shots = listen(embodiment, camera, seconds)
    elif source.is_dir() and any(p.suffix.lower() in SUFFIXES for p in source.iterdir()):
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


class Stands:
    """Takes one picture of a stream for each stand of the arm, of which the joints before and after
    tell.

    Args:
        embodiment: whose joints they are.
        compressed: whether its pictures are.
    """

    def __init__(self, embodiment: Embodiment, compressed: bool) -> None:
        self.shots: list[Shot] = []
        self._names = embodiment.joint_names
        self._numbers = numbers_of(embodiment, embodiment.joint_names)
        self._topics = topics_of(embodiment)
        self._newest: dict[str, float] = {}  # of the driver
        self._compressed = compressed
        self._rows: deque[tuple[float, np.ndarray]] = deque()
        self._waiting: deque[tuple[float, bytes]] = deque(maxlen=WAITING)
        self._first_s: float | None = None

    def on_joints(self, names: Sequence[str], positions: Sequence[float], stamp_s: float) -> None:
        """What a driver says of joints at a time; those of other names are of somebody else."""
        told = dict(zip(names, positions, strict=False))
        whole = {n for on in self._topics.values() if set(on) <= set(told) for n in on}
        self._newest |= {n: told[n] for n in whole}
        if not whole or len(self._newest) < len(self._names):
            return
        if self._first_s is None:
            self._first_s = stamp_s
        said = np.array([self._newest[n] for n in self._names])
        self._rows.append((stamp_s, self._numbers.heard_positions(said)))
        while self._rows[0][0] < stamp_s - KEPT_S:
            self._rows.popleft()
        while self._waiting and self._waiting[0][0] + STILL_S < stamp_s:
            self._take(*self._waiting.popleft())

    def on_picture(self, data: bytes, stamp_s: float) -> None:
        """A picture as it travelled, at a time; it waits for the joints after it."""
        self._waiting.append((stamp_s, data))

    def finish(self) -> list[Shot]:
        """No more comes: what was taken.

        Raises:
            WamError: no joints were told.
        """
        if self._first_s is None:
            lacking = [n for n in self._names if n not in self._newest]
            raise WamError(f"no message of {', '.join(self._topics)} has {', '.join(lacking)}")
        while self._waiting:
            self._take(*self._waiting.popleft())
        return self.shots

    def _take(self, stamp_s: float, data: bytes) -> None:
        around = [q for t, q in self._rows if abs(t - stamp_s) < STILL_S]
        if len(self.shots) >= MOST or not around or np.ptp(around, axis=0).max() > STILL:
            return
        here = np.mean(around, axis=0)
        if self.shots and np.abs(here - self.shots[-1].q).max() < APART:
            return
        from wam_ros.ros import convert

        picture = convert.image_to_numpy(convert.image_from_wire(data, self._compressed))
        name = f"{stamp_s - (self._first_s or stamp_s):.1f} s"
        self.shots.append(Shot(name, picture.copy(), here))


def _of_bag(path: Path, embodiment: Embodiment, camera: Camera) -> list[Shot]:
    topic = camera.image_topic.lstrip("/") + ("/compressed" if camera.compressed else "")
    stands = Stands(embodiment, camera.compressed)
    with Recording(path) as recording:
        states = {t.lstrip("/") for t in topics_of(embodiment)}
        for recorded in recording.messages({*states, topic}, {topic}):
            with expecting(recorded):
                message = recorded.message
                stamp_s = _stamp_s(message.header.stamp) or recorded.recorded_ns / NS
                if recorded.topic in states:
                    stands.on_joints(message.name, message.position, stamp_s)
            if recorded.topic == topic:
                stands.on_picture(recorded.data, stamp_s)
    return stands.finish()


def listen(embodiment: Embodiment, camera: Camera, seconds: float) -> list[Shot]:
    """Pictures from the topics of a robot that runs, one for each stand of the arm.

    Raises:
        WamError: nothing came, by topic.
    """
    from wam_ros.ros.fields import read_header
    from wam_ros.ros.shutter import watch

    stands = Stands(embodiment, camera.compressed)
    topics = list(topics_of(embodiment))
    for state, data in watch(camera.image_topic, camera.compressed, seconds, topics):
        if state is None:
            stands.on_picture(data, read_header(data)[0] / NS)
        else:
            stands.on_joints(state.name, state.position, _stamp_s(state.header.stamp))
    shots = stands.finish()
    if not shots:
        raise WamError(f"no picture on {camera.image_topic} while the arm stood, in {seconds:g} s")
    return shots


def _stamp_s(stamp: Any) -> float:
    """A recorded time in s; 0 for none."""
    return float(stamp.sec) + float(stamp.nanosec) / NS

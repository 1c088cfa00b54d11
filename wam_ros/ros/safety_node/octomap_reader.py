"""Octomaps read beside the thread that hears the stop.

A map of 100,000 nodes takes some 30 ms to read. A thread of its own does that, in numpy, which
leaves the interpreter to the node's thread; the newest map wins. It is there from the beginning:
the node's thread would wait for the start of an ordinary one on a busy machine, and of this one it
shares the priority.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.core.types import NS
from wam_ros.robot.octomap import occupied_voxels
from wam_ros.robot.pose import Orientation, Position

LAG_S = 1.0  # how far what is known of a map may be behind it

Place = tuple[Position, Orientation]


class Voxels(NamedTuple):
    """What is solid of one octomap."""

    points: np.ndarray  # (N, 3) m, centres in the frame of `place`
    edge: float  # m
    place: Place  # position [m] and orientation wxyz of the map's origin in the base frame


@dataclass(frozen=True)
class _Job:
    data: bytes
    edge: float
    place: Place
    asked_ns: int

    def same(self, data: bytes, edge: float) -> bool:
        return self.edge == edge and self.data == data


@dataclass(frozen=True)
class _Done:
    job: _Job
    voxels: Voxels | None
    refusal: str = ""


class OctomapReader:
    """The occupied voxels of the newest octomap that was read. `voxels` and `forget` belong to the
    node's thread; the thread that reads ends with this object.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="octomap")
        self._pool.submit(threading.get_native_id)  # anything: it starts the thread
        self._asked: _Job | None = None
        self._known_ns = 0  # when what is shown was last what the map said
        self._lock = threading.Lock()  # guards the four below
        self._waiting: _Job | None = None
        self._done: _Done | None = None
        self._reading = False
        self._maps = 0  # that were forgotten; what is read of one of them is late

    def voxels(self, data: bytes, edge: float, place: Place, now_ns: int) -> Voxels:
        """Those of this map, or of the one before it while this one is being read.

        Args:
            data: serialised tree.
            edge: of a voxel [m].
            place: of the map's origin in the base frame.
            now_ns: time [ns].

        Raises:
            WamError: the map cannot be read, no map has been read yet, or the one that has been is
                more than `LAG_S` behind.
        """
        if self._asked is None or not self._asked.same(data, edge):
            self._asked = _Job(data, edge, place, now_ns)
            self._submit(self._asked)
        with self._lock:
            done = self._done
        if done is None:
            raise WamError(f"its octomap of {len(data)} bytes is being read")
        if done.voxels is None:
            raise WamError(done.refusal)
        if done.job is self._asked:
            self._known_ns = now_ns
            return done.voxels._replace(place=place)
        self._known_ns = min(max(self._known_ns, done.job.asked_ns), now_ns)
        lag_s = (now_ns - self._known_ns) / NS
        if lag_s > LAG_S:
            raise WamError(
                f"its octomap of {len(data)} bytes is being read; what is known of it is "
                f"{lag_s:.1f} s old, at most {LAG_S} s"
            )
        return done.voxels

    def forget(self) -> None:
        """There is no map any more."""
        with self._lock:
            self._waiting = None
            self._done = None
            self._maps += 1
        self._asked = None

    def _submit(self, job: _Job) -> None:
        with self._lock:
            self._waiting = job
            if self._reading:
                return
            self._reading = True
        self._pool.submit(self._run)

    def _run(self) -> None:
        while True:
            with self._lock:
                job = self._waiting
                self._reading = job is not None
                self._waiting = None
                maps = self._maps
            if job is None:
                return
            done = _read(job)
            with self._lock:
                if maps == self._maps:
                    self._done = done


def _read(job: _Job) -> _Done:
    try:
        points = occupied_voxels(job.data, job.edge)
    except Exception as error:  # whatever it is: the map may hold anything
        return _Done(job, None, f"{type(error).__name__} {error}")
    return _Done(job, Voxels(points, job.edge, job.place))

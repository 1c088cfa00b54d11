"""What was recorded of a robot: measured and commanded joints and pictures, from demonstrations or
from a bag.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from wam_ros.core.drivers import topics_of
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import UnknownNameError, WamError, require_within
from wam_ros.core.images import resize, shape
from wam_ros.core.types import NS
from wam_ros.data.folder import open_episodes
from wam_ros.data.lerobot.info import INFO
from wam_ros.data.units import in_rad
from wam_ros.ros.recording import Recording, expecting

COMMANDED = "commanded_state"
SAFE = "safe_trajectory"  # what a controller is sent is made of it
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
STATE = "sensor_msgs/msg/JointState"
SMALL_PX = 96  # height to which pictures of a bag are shrunk
FRAME_S = 0.045  # between two pictures of a view that are kept, at least


@dataclass(frozen=True)
class Series:
    """Values of one joint over time."""

    t: np.ndarray  # (N,) s
    values: np.ndarray  # (N,) as recorded, rad or m if nothing is wrong

    def at(self, t: np.ndarray) -> np.ndarray:
        """Values at other times, linear between, constant outside."""
        return np.interp(t, self.t, self.values)


@dataclass(frozen=True)
class Film:
    """Pictures of one view over time."""

    t: np.ndarray  # (F,) s
    frames: np.ndarray  # (F, H, W, 3) uint8 RGB, whole pictures
    seen: np.ndarray  # (F, H, W, 3) uint8 RGB, as the model sees them


@dataclass(frozen=True)
class Take:
    """Seconds of a robot, from 0 on."""

    length_s: float
    measured: dict[str, Series]  # by joint
    commanded: dict[str, Series]
    films: dict[str, Film] = field(default_factory=dict)  # by view
    instruction: str = ""


def load_take(
    path: Path, embodiment: Embodiment, seconds: float, episode: int = 0, command: str = ""
) -> Take:
    """Read a folder of demonstrations or a bag.

    Args:
        path: of either; a data set of LeRobot's format is one of demonstrations.
        embodiment: whose joints and views they are.
        seconds: to take, those with the most motion.
        episode: of a folder of demonstrations, counted from 0.
        command: of a bag, the topic of commands; empty: that of a trajectory controller, else
            `commanded_state`.

    Raises:
        WamError: it cannot be read, or has none of the joints; says what it has.
    """
    if (path / INFO).is_file():
        return _of_episode(path, embodiment, seconds, episode)
    return _of_bag(path, embodiment, seconds, command)


def _of_episode(path: Path, embodiment: Embodiment, seconds: float, number: int) -> Take:
    episodes = in_rad(open_episodes(path), embodiment)[0]
    try:
        require_within("--episode", number, 0, len(episodes) - 1)
        episode = episodes[number]
        if episode.states is None or episode.actions is None or len(episode) < 3:
            raise WamError(f"'{path}', episode {number}: no joints, or too few rows")
        t = episode.stamps_s
        measured = _columns(t, episode.states, episodes.joint_names)
        # where the arm was at first is where it was told to be
        _require_joints(path, measured, embodiment)
        then = np.append(t[:1], t[:-1] + 1 / episodes.rate_hz)
        commanded = {
            name: Series(then, np.append(measured[name].values[:1], asked[:-1]))
            for name, asked in zip(episodes.action_names, episode.actions.T, strict=True)
            if name in measured
        }
        films = {}
        for view in episodes.view_names:
            if view in embodiment.view_names:
                frames = np.stack(list(episodes.pictures(number, view)))
                size = embodiment.image_height, embodiment.image_width
                films[view] = Film(t, _small(frames), resize(frames, *size))
        words = episode.instructions[0]
    finally:
        episodes.close()
    whole = Take(float(t[-1]), measured, commanded, films, words)
    return _part(whole, _liveliest(measured, seconds), seconds)


def _columns(t: np.ndarray, values: np.ndarray, names: Collection[str]) -> dict[str, Series]:
    return {n: Series(t, v.astype(float)) for n, v in zip(names, values.T, strict=True)}


def _small(pictures: np.ndarray) -> np.ndarray:
    """Pictures (..., H, W, 3), at most `SMALL_PX` high."""
    height, width = pictures.shape[-3:-1]
    least = max(1.0, height / SMALL_PX)
    return resize(pictures, round(height / least), round(width / least))


def _of_bag(path: Path, embodiment: Embodiment, seconds: float, command: str) -> Take:
    with Recording(path) as recording:
        kinds = {t.removeprefix(recording.namespace): k for t, k in recording.topics.items()}
        spoken = [topic.lstrip("/") for topic in topics_of(embodiment)]
        prefix = _prefix_of(path, kinds, spoken)
        joints = {prefix + topic for topic in spoken}
        told = command.lstrip("/") or _command_of(path, kinds)
        if told and kinds.get(told) not in (TRAJECTORY, STATE):
            raise WamError(f"recording '{path}' has no trajectories or joint states on '{told}'")
        measured: dict[str, list[tuple[float, float]]] = {}
        commanded: dict[str, list[tuple[float, float]]] = {}
        for recorded in recording.messages({*joints, told} - {""}, joints):
            into = measured if recorded.topic in joints else commanded
            with expecting(recorded):
                if kinds[recorded.topic] == TRAJECTORY:
                    _add_trajectory(into, recorded.message, recorded.recorded_ns)
                else:
                    _add_state(into, recorded.message, recorded.recorded_ns)
        series = {name: rows for name, rows in measured.items() if rows}
        if not series:
            raise WamError(f"recording '{path}': {', '.join(spoken)} says nothing")
        zero = min(rows[0][0] for rows in series.values())
        said = {name: _series(rows, zero) for name, rows in series.items()}
        told_to = {name: _series(rows, zero) for name, rows in commanded.items() if rows}
        states = _as_urdf(said, embodiment)
        # the bridge itself tells what it commands in rad and m
        asked = told_to if _is(told, COMMANDED) else _as_urdf(told_to, embodiment)
        _require_joints(path, states, embodiment)
        start = _liveliest({n: states[n] for n in embodiment.joint_names}, seconds)
        span = (zero + start, zero + start + seconds)
        films = _films(recording, kinds, prefix, embodiment, span)
    length = max(float(s.t[-1]) for s in states.values())
    shifted = {n: replace(f, t=f.t - zero) for n, f in films.items()}
    return _part(Take(length, states, asked, shifted), start, seconds)


def _as_urdf(series: dict[str, Series], embodiment: Embodiment) -> dict[str, Series]:
    """The same in rad or m of the URDF, where the driver has its own numbers."""
    found = dict(series)
    for name, reading in embodiment.driver.items():
        if name in series:
            values = reading.factor * series[name].values + reading.zero
            found[name] = Series(series[name].t, values)
    return found


def _prefix_of(path: Path, kinds: dict[str, str], spoken: Sequence[str]) -> str:
    """The namespace of a robot that is recorded without a loop, with a slash behind it; `spoken`
    are the topics of its joints.
    """
    named = {t: max((s for s in spoken if _is(t, s)), key=len, default="") for t in kinds}
    found = {t[: -len(s)] for t, s in named.items() if s}
    if len(found) > 1:
        listed = ", ".join(sorted(f"/{p}" for p in found))
        raise WamError(f"recording '{path}' has several robots: {listed}")
    return next(iter(found), "")


def _command_of(path: Path, kinds: dict[str, str]) -> str:
    """The topic of commands; empty for none."""
    sent = [t for t, kind in kinds.items() if kind == TRAJECTORY and not _is(t, SAFE)]
    if len(sent) > 1:
        listed = ", ".join(sorted(sent))
        raise WamError(f"recording '{path}' has several commands: name one by --command: {listed}")
    own = [t for t in kinds if _is(t, COMMANDED)]
    return next(iter([*sent, *own]), "")


def _is(name: str, topic: str) -> bool:
    """Whether a name is a topic in some namespace."""
    return f"/{name}".endswith(f"/{topic}")


def _add_state(into: dict[str, list[tuple[float, float]]], message: Any, recorded_ns: int) -> None:
    stamp = (time_ns(message.header.stamp) or recorded_ns) / NS
    for name, value in zip(message.name, message.position, strict=False):
        rows = into.setdefault(str(name), [])
        if np.isfinite(value) and (not rows or stamp > rows[-1][0]):
            rows.append((stamp, float(value)))


def _add_trajectory(
    into: dict[str, list[tuple[float, float]]], message: Any, recorded_ns: int
) -> None:
    """Points of a trajectory; from its start on it replaces the one before."""
    stamp = time_ns(message.header.stamp) or recorded_ns
    for column, name in enumerate(message.joint_names):
        rows = into.setdefault(str(name), [])
        points = [
            ((stamp + time_ns(p.time_from_start)) / NS, float(p.positions[column]))
            for p in message.points
            if len(p.positions) == len(message.joint_names)
        ]
        points = [(t, value) for t, value in points if np.isfinite(value)]
        if not points:
            continue
        first = points[0][0]
        if rows and rows[-1][0] >= first:
            old = np.array(rows)
            kept = rows[: int(np.searchsorted(old[:, 0], first))]
            before = float(np.interp(first, *old.T))
            rows[:] = [*kept, (first - 1e-6, before)] if kept else []
        for t, value in points:
            if not rows or t > rows[-1][0]:
                rows.append((t, value))


def _series(rows: list[tuple[float, float]], zero: float) -> Series:
    table = np.array(rows).reshape(-1, 2)
    return Series(table[:, 0] - zero, table[:, 1])


def _films(
    recording: Recording,
    kinds: dict[str, str],
    prefix: str,
    embodiment: Embodiment,
    span: tuple[float, float],
) -> dict[str, Film]:
    """Pictures between two times [s]."""
    topics = {
        prefix + c.image_topic.lstrip("/") + ("/compressed" if c.compressed else ""): c
        for c in embodiment.cameras
    }
    there = set(topics) & set(kinds)
    if not there:
        return {}
    from wam_ros.ros import convert

    size = embodiment.image_height, embodiment.image_width
    found: dict[str, list[tuple[float, np.ndarray, np.ndarray]]] = {}
    for recorded in recording.messages(there):
        camera = topics[recorded.topic]
        with expecting(recorded):
            stamp = (time_ns(recorded.message.header.stamp) or recorded.recorded_ns) / NS
        rows = found.setdefault(camera.name, [])
        if not span[0] <= stamp <= span[1] or (rows and stamp < rows[-1][0] + FRAME_S):
            continue
        picture = convert.image_to_numpy(convert.image_from_wire(recorded.data, camera.compressed))
        rows.append((stamp, _small(picture), resize(shape(picture, camera), *size)))
    films = {}
    for view, rows in found.items():
        if len({whole.shape for _, whole, _ in rows}) > 1:
            raise WamError(f"recording '{recording.path}': pictures of '{view}' change their size")
        if rows:
            t, frames, seen = zip(*rows, strict=True)
            films[view] = Film(np.array(t), np.stack(frames), np.stack(seen))
    return films


def time_ns(stamp: Any) -> int:
    """A recorded time or duration as ns."""
    return int(stamp.sec) * NS + int(stamp.nanosec)


def _require_joints(path: Path, measured: dict[str, Series], embodiment: Embodiment) -> None:
    """Raise `WamError` when a joint of the robot was not measured."""
    for name in embodiment.joint_names:
        if name not in measured:
            raise WamError(f"recording '{path}': {UnknownNameError('joint', name, measured)}")


def _liveliest(measured: dict[str, Series], seconds: float) -> float:
    """Where the stretch of so many seconds begins in which the joints move most, s."""
    end = max(float(s.t[-1]) for s in measured.values())
    t = np.arange(0.0, end + 0.05, 0.1)
    travel = np.zeros(len(t))
    for series in measured.values():
        moved = np.abs(np.diff(series.at(t), prepend=series.at(t[:1])))
        travel += moved / (moved.sum() or 1.0)
    span = max(1, round(seconds / 0.1))
    if len(t) <= span:
        return 0.0
    total = np.cumsum(travel)
    return float(t[int((total[span:] - total[:-span]).argmax())])


def _part(whole: Take, start: float, seconds: float) -> Take:
    """A stretch of a recording."""
    length = min(seconds, whole.length_s - start)

    def cut(series: dict[str, Series]) -> dict[str, Series]:
        kept = {}
        for name, s in series.items():
            inside = (s.t > start) & (s.t < start + length)
            # before the first command nothing was commanded; the last one holds
            first = [start] if s.t[0] <= start else []
            t = np.concatenate((first, s.t[inside], [start + length]))
            kept[name] = Series(t - start, s.at(t))
        return kept

    films = {}
    for view, film in whole.films.items():
        inside = (film.t >= start) & (film.t <= start + length + 1e-9)
        films[view] = Film(film.t[inside] - start, film.frames[inside], film.seen[inside])
    return Take(length, cut(whole.measured), cut(whole.commanded), films, whole.instruction)

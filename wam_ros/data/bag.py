"""Recordings (rosbag2, MCAP or SQLite) as `Episodes`, and episodes as recordings.

Two kinds are read. One of a running loop has `observation`: a row is what the model saw, bit for
bit. Any other one has cameras (`NAME/image_raw`, compressed or not) and `joint_states`. Of a robot
that is known, a row is what its camera node would have made of them, by the same class. Of another
one a row is at a frame of the slowest camera, with the newest frame of the others not newer than
it, and the joints interpolated. The action of a row is what was commanded one period later
(`commanded_state`); where nothing was commanded then there is none.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.image import compressed_image_to_cvimage, message_to_cvimage
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_typestore

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError, require_known
from wam_ros.core.types import NS
from wam_ros.data.aligned import AlignedRows
from wam_ros.data.episodes import Episode, Episodes, View
from wam_ros.data.units import robot_named
from wam_ros.ros.recording import METADATA, Recorded, Recording, expecting

IMAGES = {"sensor_msgs/msg/Image": "/image_raw", "sensor_msgs/msg/CompressedImage": "/compressed"}
OBSERVATION = "observation"
JOINTS = "joint_states"
COMMANDED = "commanded_state"
INSTRUCTION = "instruction"  # std_msgs/String
EPISODE = "episode"  # of the simulator
CHUNK = "action_chunk"  # names the instruction that was followed
SUCCESS = "success"  # std_msgs/Bool
INTERVENTION = "intervention"  # std_msgs/Bool: from here on a person acts, or no longer
NEAR = 0.5  # of a period: so near to a row's action something must have been commanded


@dataclass
class _Track:
    """Samples of one topic, in the order of their stamps."""

    stamps: list[int] = field(default_factory=list)  # ns, of the header
    recorded: list[int] = field(default_factory=list)  # ns
    values: list[Any] = field(default_factory=list)

    def add(self, stamp: int, recorded: int, value: Any = None) -> None:
        if self.stamps and stamp <= self.stamps[-1]:
            return  # a clock that was set back, or the same once more
        self.stamps.append(stamp)
        self.recorded.append(recorded)
        self.values.append(value)

    def before(self, stamps: np.ndarray) -> np.ndarray:
        """Index of the newest sample not newer than each stamp; -1 for none."""
        return np.searchsorted(self.stamps, stamps, side="right") - 1


@dataclass(frozen=True)
class _Take:
    """One episode of a recording."""

    path: Path
    episode: Episode
    frames: dict[str, tuple[str, np.ndarray]]  # topic, and by row when its frame was recorded [ns]
    shaped: dict[str, Callable[[np.ndarray], np.ndarray]]  # of views not shown as they came


class BagEpisodes(Episodes):
    """One recording or several; each is an episode, of the simulator several.

    Numbers are held, pictures are read again when they are asked for.

    Args:
        paths: folders of recordings, all of one robot.
        where: how errors name them.
        robot: name of it, where the recordings do not tell it; of an embodiment, by its name or
            YAML file: rows are its observations.

    Raises:
        WamError: one cannot be read, has neither kind of rows, or another robot, rate or cameras
            than the first one.
    """

    def __init__(self, paths: Sequence[Path], where: str, robot: str = "") -> None:
        self.where = where
        known = robot_named(robot)
        self.robot = known.name if known is not None else robot
        self._takes: list[_Take] = []
        periods = []
        kinds: list[tuple[Any, ...]] = []
        for path in paths:
            reader = _Reader(path, known)
            takes = reader.takes()
            if not takes:
                continue
            self._takes += takes
            periods.append(reader.period_s)
            kinds.append((reader.joints, reader.views))
            self.robot = reader.robot or self.robot
            if kinds[-1] != kinds[0]:
                raise WamError(
                    f"'{path}' has other joints or cameras than '{paths[0]}': "
                    f"{kinds[-1][0]}, {[v.name for v in kinds[-1][1]]}"
                )
        self.rate_hz = _even(1 / float(np.median(periods))) if periods else 1.0
        self.joint_names, self.views = kinds[0] if kinds else ((), ())
        self.action_names = self.joint_names

    def __len__(self) -> int:
        return len(self._takes)

    def episode(self, index: int) -> Episode:
        """The rows of an episode, which are held."""
        return self._takes[index].episode

    def length(self, index: int) -> int:
        """Rows of an episode."""
        return len(self._takes[index].episode)

    def pictures(
        self, index: int, view: str, start: int = 0, stop: int | None = None
    ) -> Iterator[np.ndarray]:
        """As `Episodes.pictures`; reads the recording from the first of these frames on."""
        take = self._takes[index]
        topic, recorded = take.frames[require_known("camera", view, take.frames)]
        wanted = recorded[start:stop].tolist()
        if not wanted:
            return
        with Recording(take.path) as recording:
            k = 0
            span = wanted[0], wanted[-1] + 1
            for message in recording.messages({topic}, start_ns=span[0], stop_ns=span[1]):
                if message.recorded_ns != wanted[k]:
                    continue
                with expecting(message):
                    frame = take.shaped.get(view, _as_it_is)(_frame(message, view))
                while k < len(wanted) and wanted[k] == message.recorded_ns:
                    yield frame  # the same once more where a camera is slower than the rows
                    k = k + 1
                if k == len(wanted):
                    return
        raise WamError(f"'{take.path}': a frame of '{view}' is there no longer")


class _Reader:
    """Indexes one recording."""

    def __init__(self, path: Path, known: Embodiment | None) -> None:
        self.path = path
        self.robot = ""
        self._known = known
        self.joints: tuple[str, ...] = ()
        self.views: tuple[View, ...] = ()
        self.period_s = 0.0
        self._tracks: dict[str, _Track] = {}
        self._names: dict[str, tuple[str, ...]] = {}  # joints by topic
        self._sizes: dict[str, tuple[int, int]] = {}  # cameras by topic

    def takes(self) -> list[_Take]:
        """Its episodes; none where there is no row."""
        with Recording(self.path) as recording:
            own = {
                topic.removeprefix(recording.namespace): kind
                for topic, kind in recording.topics.items()
            }
            self._loop = OBSERVATION in own
            cameras = {t for t, kind in own.items() if t.endswith(IMAGES.get(kind, "\0"))}
            self._aligned = None
            if self._known is not None and not self._loop:
                self._aligned = AlignedRows(self._known, set(own), self.path)
                cameras = set(self._aligned.topics.values())
            wanted = {COMMANDED, INSTRUCTION, EPISODE, CHUNK, SUCCESS, INTERVENTION}
            joints = {JOINTS} if self._aligned is None else set(self._aligned.joint_topics)
            wanted |= {OBSERVATION} if self._loop else {*joints, *cameras}
            needed = {OBSERVATION} if self._loop else joints
            for message in recording.messages(wanted, needed):
                with expecting(message):
                    self._take(message)
        if not self._loop and not self._sizes:
            raise WamError(f"recording '{self.path}' has no camera: no topic ends in /image_raw")
        rows = self._rows()
        if self._aligned is not None:
            self._observed = {o.stamp_ns: o for o in self._aligned.observations}
        if len(rows) < 2:
            return []
        self.period_s = float(np.median(np.diff(rows))) / NS
        return [self._made(part) for part in self._parts(rows)]

    def _take(self, message: Recorded) -> None:
        topic = message.topic
        if self._aligned is not None and topic in self._aligned.joint_topics:
            stamp = message.message.header.stamp
            self._aligned.add_joints(topic, _ns(stamp), message.message)
            return
        track = self._tracks.setdefault(topic, _Track())
        at = message.recorded_ns
        msg = message.message
        if topic == OBSERVATION:
            names = tuple(msg.joint_names)
            views = tuple(View(n, msg.height, msg.width) for n in msg.view_names)
            if self.joints and (self.joints, self.views) != (names, views):
                raise WamError(f"recording '{self.path}': its joints or cameras change")
            self.joints = names
            self.views = views
            track.add(_ns(msg.header.stamp), at, np.array(msg.positions))
        elif topic in (JOINTS, COMMANDED):
            # of another group of joints, perhaps: those of the first message count
            if self._names.setdefault(topic, tuple(msg.name)) == tuple(msg.name):
                track.add(_ns(msg.header.stamp), at, np.array(msg.position))
        elif topic == CHUNK:
            self.robot = msg.embodiment
            track.add(_ns(msg.observation_stamp), at, msg.instruction)
        elif topic == EPISODE:
            track.add(_ns(msg.header.stamp), at, (msg.seed, msg.instruction, bool(msg.success)))
        elif topic in (INSTRUCTION, SUCCESS, INTERVENTION):
            track.add(at, at, msg.data)
        else:
            self._sizes.setdefault(topic, _frame(message, topic).shape[:2])
            track.add(_ns(msg.header.stamp), at)
            if self._aligned is not None:
                self._aligned.add_frame(topic, _ns(msg.header.stamp))

    def _rows(self) -> np.ndarray:
        """(R,) stamps [ns] of the rows."""
        if self._loop:
            return np.array(self._tracks[OBSERVATION].stamps, np.int64)
        if self._aligned is not None:
            robot = self._aligned.robot
            self.joints = robot.joint_names
            self.views = tuple(
                View(name, robot.image_height, robot.image_width) for name in robot.view_names
            )
            return np.array([o.stamp_ns for o in self._aligned.observations], np.int64)
        self.joints = self._names.get(JOINTS, ())
        cameras = {t: self._tracks[t] for t in sorted(self._sizes)}
        self.views = tuple(View(_view(t), *self._sizes[t]) for t in cameras)
        slowest = min(cameras.values(), key=lambda track: len(track.stamps))
        begins = [self._tracks[JOINTS].stamps[:1], *(c.stamps[:1] for c in cameras.values())]
        if not all(begins):
            return np.zeros(0, np.int64)
        end = self._tracks[JOINTS].stamps[-1]
        return np.array(
            [s for s in slowest.stamps if max(b[0] for b in begins) <= s <= end], np.int64
        )

    def _parts(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Rows of each episode: where the simulator began another one."""
        track = self._tracks.get(EPISODE)
        if track is None:
            yield rows
            return
        seeds = [v[0] for v in track.values]
        begins = [s for k, s in enumerate(track.stamps) if k and seeds[k] != seeds[k - 1]]
        for part in np.split(rows, np.searchsorted(rows, begins)):
            if len(part) > 1:
                yield part

    def _made(self, rows: np.ndarray) -> _Take:
        states = self._states(rows)
        actions, labelled = self._actions(rows, states)
        frames = {}
        seen = np.ones((len(rows), len(self.views)), bool)
        for v, view in enumerate(self.views):
            topic = OBSERVATION if self._loop else self._topic_of(view.name)
            track = self._tracks[topic]
            index = track.before(self._shown(rows, v))
            frames[view.name] = topic, np.array(track.recorded, np.int64)[index]
            late = rows - np.array(track.stamps, np.int64)[index]
            seen[:, v] = late <= 1.5 * self.period_s * NS
        heard = self._heard(rows)
        acts = self._last(INTERVENTION, heard, False)
        episode = Episode(
            stamps_s=(rows - rows[0]) / NS,
            instructions=self._instructions(rows, heard),
            states=states,
            actions=actions,
            labelled=labelled,
            intervention=np.array(acts, bool),
            success=self._success(rows, heard),
            stamps_ns=rows,
            seen=seen,
        )
        return _Take(self.path, episode, frames, self._shaped())

    def _shaped(self) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        found = self._aligned
        if found is None:
            return {}
        return {c.name: partial(found.shaped, camera=c) for c in found.robot.cameras}

    def _shown(self, rows: np.ndarray, view: int) -> np.ndarray:
        """(R,) stamps that the frames of a view, by number, are not newer than."""
        if self._aligned is None:
            return rows
        return np.array([self._observed[s].frame_stamps_ns[view] for s in rows.tolist()], np.int64)

    def _states(self, rows: np.ndarray) -> np.ndarray:
        if self._aligned is not None:
            return np.stack([self._observed[s].joints.positions for s in rows.tolist()])
        track = self._tracks[OBSERVATION if self._loop else JOINTS]
        values = np.stack(track.values)
        if self._loop:
            return values[np.searchsorted(track.stamps, rows)]
        return _between(track.stamps, values, rows)

    def _actions(self, rows: np.ndarray, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        track = self._tracks.get(COMMANDED)
        names = self._names.get(COMMANDED, ())
        if track is None or not track.stamps or sorted(names) != sorted(self.joints):
            return states, np.zeros(len(rows), bool)
        values = np.stack(track.values)[:, [names.index(n) for n in self.joints]]
        due = rows + round(self.period_s * NS)
        stamps = np.array(track.stamps, np.int64)
        after = np.clip(np.searchsorted(stamps, due), 1, len(stamps) - 1)
        near = np.minimum(np.abs(stamps[after] - due), np.abs(stamps[after - 1] - due))
        return _between(track.stamps, values, due), near <= NEAR * self.period_s * NS

    def _heard(self, rows: np.ndarray) -> np.ndarray:
        """(R,) when each row was recorded [ns]: what has no stamp is held against that. A loop that
        waits for its world has another clock than whoever records it.
        """
        streams = [OBSERVATION] if self._loop else list(self._sizes)
        tracks = [self._tracks[topic] for topic in streams]
        found = [np.array(t.recorded, np.int64)[t.before(rows)] for t in tracks]
        return np.max(found, 0)

    def _instructions(self, rows: np.ndarray, heard: np.ndarray) -> tuple[str, ...]:
        for topic, at, of in (
            (INSTRUCTION, heard, str),
            (CHUNK, rows, str),
            (EPISODE, rows, lambda v: v[1]),
        ):
            track = self._tracks.get(topic)
            if track is not None and track.values:
                # what was not yet said at the first rows is what was said next
                index = np.maximum(track.before(at), 0)
                return tuple(of(track.values[i]) for i in index)
        return ("",) * len(rows)

    def _success(self, rows: np.ndarray, heard: np.ndarray) -> bool | None:
        """What a person said last counts, otherwise what the simulator did."""
        told = self._tracks.get(SUCCESS)
        if told is not None:
            # said of these rows: while they were recorded, or soon after the last one
            after = told.before(self._until(rows, heard))[0]
            if after >= 0 and told.stamps[after] >= heard[0]:
                return bool(told.values[after])
        if EPISODE in self._tracks:
            track = self._tracks[EPISODE]
            # of the rows' own episode: a later one may have begun before the next row
            newest = track.values[max(0, int(track.before(rows[-1:])[0]))]
            return bool(newest[2])
        return None

    def _until(self, rows: np.ndarray, heard: np.ndarray) -> np.ndarray:
        """(1,) when what follows these rows begins to be recorded [ns]."""
        all_rows = self._rows()
        later = all_rows[all_rows > rows[-1]]
        return self._heard(later[:1]) - 1 if len(later) else np.array([np.iinfo(np.int64).max])

    def _last(self, topic: str, at: np.ndarray, otherwise: Any) -> list[Any]:
        """The newest value of a topic without stamps at each of these times of recording."""
        track = self._tracks.get(topic)
        if track is None:
            return [otherwise] * len(at)
        return [track.values[i] if i >= 0 else otherwise for i in track.before(at)]

    def _topic_of(self, view: str) -> str:
        if self._aligned is not None:
            return self._aligned.topics[view]
        return next(t for t in self._sizes if _view(t) == view)


def _between(stamps: list[int], values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(R, A) interpolated at each row, from the first stamp on: differences keep their digits."""
    first = stamps[0]
    known = (np.array(stamps, np.int64) - first).astype(float)
    at = (rows - first).astype(float)
    return np.stack([np.interp(at, known, values[:, j]) for j in range(values.shape[1])], 1)


def _frame(message: Recorded, view: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image, or of one view of an observation."""
    msg = message.message
    if message.topic == OBSERVATION:
        at = list(msg.view_names).index(view)
        shape = (len(msg.view_names), msg.height, msg.width, 3)
        data = np.asarray(msg.frames, np.uint8)
        if data.size != np.prod(shape):
            raise WamError(f"an observation holds {data.size} bytes of frames, not {shape}")
        return data.reshape(shape)[at]
    try:
        if hasattr(msg, "encoding"):
            return np.ascontiguousarray(message_to_cvimage(msg, "rgb8"))
        image = compressed_image_to_cvimage(msg)
    except Exception as error:  # the library raises of many kinds for what it cannot decode
        raise WamError(f"a frame of '{message.topic}' cannot be decoded: {error}") from error
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, 2)
    return np.ascontiguousarray(image[:, :, ::-1])


def _as_it_is(image: np.ndarray) -> np.ndarray:
    return image


def _view(topic: str) -> str:
    """Name of a camera by its topic."""
    return topic.removesuffix("/compressed").removesuffix("/image_raw").replace("/", ".")


def _ns(stamp: Any) -> int:
    return int(stamp.sec) * NS + int(stamp.nanosec)


def _even(rate_hz: float) -> float:
    """A whole rate where it is as good as one: stamps are rounded."""
    return float(round(rate_hz)) if abs(rate_hz - round(rate_hz)) < 0.01 * rate_hz else rate_hz


def write_bags(episodes: Episodes, out: Path, watched: Callable[[int], None]) -> int:
    """Each episode as a recording (MCAP) of its own below `out`; returns how many came.

    Cameras as `NAME/image_raw`, `joint_states`, `commanded_state` one period after its row where
    there is an action, `instruction`, `intervention`, `success`. Those that are there stay.

    Raises:
        WamError: one cannot be read or written; those before it are whole.
    """
    came = 0
    for i in range(len(episodes)):
        folder = out / f"episode_{i:06d}"
        if not (folder / METADATA).is_file():
            if folder.exists():
                shutil.rmtree(folder)  # one that was interrupted has no metadata
            try:
                _write_bag(episodes, i, folder)
            except (OSError, WriterError) as error:
                raise WamError(
                    f"{folder} cannot be written: {' '.join(str(error).split())}"
                ) from error
            came = came + 1
        watched(i)
    return came


def _write_bag(episodes: Episodes, index: int, folder: Path) -> None:
    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types
    episode = episodes[index]
    period = round(NS / episodes.rate_hz)
    stamps = episode.stamps_ns
    if stamps is None:
        # rows in single precision are not quite at the times that they count
        stamps = NS + period * np.rint(episode.stamps_s * episodes.rate_hz).astype(np.int64)
    streams = {v: episodes.pictures(index, v) for v in episodes.view_names}

    def header(stamp: int) -> Any:
        time = types["builtin_interfaces/msg/Time"](sec=stamp // NS, nanosec=stamp % NS)
        return types["std_msgs/msg/Header"](stamp=time, frame_id="")

    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        connections: dict[str, Any] = {}

        def put(topic: str, kind: str, stamp: int, **fields: Any) -> None:
            if topic not in connections:
                connections[topic] = bag.add_connection(f"/{topic}", kind, typestore=store)
            message = types[kind](**fields)
            bag.write(connections[topic], stamp, store.serialize_cdr(message, kind))

        def joints(topic: str, stamp: int, names: tuple[str, ...], values: np.ndarray) -> None:
            put(
                topic,
                "sensor_msgs/msg/JointState",
                stamp,
                header=header(stamp),
                name=list(names),
                position=values.astype(float),
                velocity=np.zeros(0),
                effort=np.zeros(0),
            )

        for k, stamp in enumerate(stamps.tolist()):
            if not k or episode.instructions[k] != episode.instructions[k - 1]:
                put(INSTRUCTION, "std_msgs/msg/String", stamp, data=episode.instructions[k])
            acts = episode.intervention
            if acts is not None and (bool(acts[k]) if not k else acts[k] != acts[k - 1]):
                put(INTERVENTION, "std_msgs/msg/Bool", stamp, data=bool(acts[k]))
            if episode.states is not None:
                joints(JOINTS, stamp, episodes.joint_names, episode.states[k])
            for v, (view, stream) in enumerate(streams.items()):
                frame = next(stream)
                if episode.seen is None or episode.seen[k, v]:
                    put(
                        f"{view}/image_raw",
                        "sensor_msgs/msg/Image",
                        stamp,
                        header=header(stamp),
                        height=frame.shape[0],
                        width=frame.shape[1],
                        encoding="rgb8",
                        is_bigendian=0,
                        step=3 * frame.shape[1],
                        data=frame.reshape(-1),
                    )
            if episode.actions is not None and (episode.labelled is None or episode.labelled[k]):
                joints(COMMANDED, stamp + period, episodes.action_names, episode.actions[k])
        if episode.success is not None:
            put(SUCCESS, "std_msgs/msg/Bool", int(stamps[-1]), data=episode.success)

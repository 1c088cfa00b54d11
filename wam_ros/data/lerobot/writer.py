"""Writes a LeRobot data set, v3.0 or v2.1. What was committed stays whole, come what may."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wam_ros.core.errors import WamError, require_known
from wam_ros.core.files import whole_file, write_json, write_whole
from wam_ros.data.episodes import Episode, View
from wam_ros.data.lerobot import info as names
from wam_ros.data.lerobot import statistics
from wam_ros.data.lerobot.info import Feature, load_info, load_lines, load_object
from wam_ros.data.lerobot.reader import load_tasks_v2, load_tasks_v3
from wam_ros.data.lerobot.statistics import Statistics
from wam_ros.data.video import CODECS, VideoReader, VideoWriter

WRITTEN = ("v3.0", "v2.1")
# LeRobot's own; a file may become larger by one episode
DATA_MB = 100
VIDEO_MB = 200
MOST_ROWS = 500_000  # in memory until they are committed


@dataclass(frozen=True)
class Description:
    """What a data set is of."""

    robot: str  # name of the embodiment
    rate_hz: float  # rows per second
    joint_names: tuple[str, ...]  # columns of the states; empty for none
    action_names: tuple[str, ...]  # columns of the actions; empty for none
    views: tuple[View, ...]
    extra: Mapping[str, Feature] = field(default_factory=dict)  # further columns
    stamps: bool = False  # whether rows have stamps of ROS time


class LeRobotWriter:
    """Appends episodes to a data set, a new one or one of the same description.

    Rows are held and videos written until `commit`, which puts them in their place and then says so
    in `meta/info.json`: a process that is killed loses what it had not committed, no more. It
    commits by itself when files have grown to LeRobot's sizes. v2.1 commits every episode.

    Args:
        folder: of the data set; made if it is not there.
        description: what the episodes are of.
        codec: of the videos, a key of `CODECS`.
        version: v3.0 or v2.1.

    Raises:
        WamError: an unknown codec or version, or the folder holds another data set.
    """

    def __init__(
        self, folder: Path, description: Description, codec: str = "h264", version: str = "v3.0"
    ) -> None:
        require_known("codec", codec, CODECS)
        require_known("version to write", version, WRITTEN)
        self.folder = folder
        self.description = description
        self.codec = codec
        self.version = version
        self.features = _features(description)
        self._tasks: dict[str, int] = {}
        self._statistics: dict[str, Statistics] = {}
        self.episodes = 0
        self.rows = 0
        self._file = 0
        self._waiting: list[_Waiting] = []
        self._videos: dict[str, VideoWriter] = {}
        self._video_info: dict[str, dict[str, Any]] = {}
        if (folder / names.INFO).is_file():
            self._continue()

    def __enter__(self) -> LeRobotWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()

    def add(self, episode: Episode, pictures: Mapping[str, Iterable[np.ndarray]]) -> None:
        """Append one episode.

        Args:
            episode: its rows.
            pictures: of each camera the frames (H, W, 3) uint8 of all rows, in order. Where one is
                missing, or `episode.seen` is False, black ones are written and marked.

        Raises:
            WamError: it does not fit the description, or the disk is full: nothing is left of what
                was not committed.
        """
        try:
            self._add(episode, pictures)
        except BaseException:
            self.discard()
            raise
        large = any(v.bytes > VIDEO_MB * 1e6 for v in self._videos.values())
        rows = sum(len(w.stamps) for w in self._waiting)
        width = sum(int(np.prod(f["shape"])) * 8 for f in self.features.values() if _in_table(f))
        if self.version != "v3.0" or large or rows >= min(MOST_ROWS, DATA_MB * 1e6 / width):
            self.commit()

    def _add(self, episode: Episode, pictures: Mapping[str, Iterable[np.ndarray]]) -> None:
        where = f"episode {self.episodes + len(self._waiting)} of '{self.folder}'"
        length = len(episode)
        if not length:
            raise WamError(f"{where} has no rows")
        seen = np.ones((length, len(self.description.views)), bool)
        if episode.seen is not None:
            seen &= episode.seen
        found: dict[str, Statistics] = {}
        begins = {}
        for v, view in enumerate(self.description.views):
            seen[:, v] &= view.name in pictures
            video = self._videos.get(view.name)
            begins[view.name] = video.frames if video else 0
            key = names.IMAGES + view.name
            found[key] = self._encode(view, pictures.get(view.name), seen[:, v], where)
        columns = _columns(self.description, episode, seen, where)
        found |= {
            name: statistics.of_rows(values)
            for name, values in columns.items()
            if values.dtype.kind in "fbiu"
        }
        tasks = [self._tasks.setdefault(t, len(self._tasks)) for t in episode.instructions]
        if len(tasks) != length:
            raise WamError(f"{where} has {length} rows and {len(tasks)} instructions")
        self._waiting.append(_Waiting(columns, tasks, begins, found, episode.stamps_s))

    def _encode(
        self, view: View, frames: Iterable[np.ndarray] | None, seen: np.ndarray, where: str
    ) -> Statistics:
        """All frames of one camera into its video, with their statistics."""
        if view.name not in self._videos:
            rate = self.description.rate_hz
            path = self._video_path(view.name)
            self._videos[view.name] = VideoWriter(path, view.height, view.width, rate, self.codec)
        video = self._videos[view.name]
        black = np.zeros((view.height, view.width, 3), np.uint8)
        looked_at = {*statistics.sampled(len(seen)).tolist()}
        sample = []
        stream = iter(frames if frames is not None else ())
        for k, there in enumerate(seen):
            # where a row is marked as unseen a stream has a frame all the same
            frame = next(stream, None) if frames is not None else black
            if frame is None:
                raise WamError(f"{where} has {len(seen)} rows, {k} frames of '{view.name}'")
            frame = frame if there else black
            video.add(frame)
            if k in looked_at:
                sample.append(statistics.shrunk(frame))
        if next(stream, None) is not None:
            raise WamError(f"{where} has {len(seen)} rows, and more frames of '{view.name}'")
        return statistics.of_pictures(sample)

    def commit(self) -> None:
        """Put everything that was added in its place.

        Raises:
            WamError: the disk is full: what was committed before is as it was.
        """
        if not self._waiting:
            return
        try:
            self._close_videos()
            # v2.1 has one episode in a file, and its files go by the number of the episode
            table = pa.concat_tables([self._table(i, w) for i, w in enumerate(self._waiting)])
            path = self._path(names.DATA_V3, names.DATA_V2)
            _write_parquet(path, table, row_group_size=len(table) if len(table) < 50_000 else 5000)
            self._write_meta()
        except BaseException:
            self.discard()
            raise
        self.rows += sum(len(w.stamps) for w in self._waiting)
        self.episodes += len(self._waiting)
        self._statistics = self._joined()
        self._file += 1
        self._waiting = []

    def _close_videos(self) -> None:
        for name, video in list(self._videos.items()):
            video.close()
            del self._videos[name]
            if name not in self._video_info:
                reader = VideoReader(video.path)
                self._video_info[name] = {
                    "video.height": reader.size[0],
                    "video.width": reader.size[1],
                    "video.codec": reader.codec,
                    "video.pix_fmt": reader.pixels,
                    "video.is_depth_map": False,
                    "video.fps": _whole(self.description.rate_hz),
                    "video.channels": 3,
                    "has_audio": False,
                }
                reader.close()

    def discard(self) -> None:
        """Give up what was added and not committed."""
        for video in self._videos.values():
            video.discard()
        self._videos = {}
        self._waiting = []

    def _table(self, number: int, waiting: _Waiting) -> pa.Table:
        length = len(waiting.stamps)
        begin = self.rows + sum(len(w.stamps) for w in self._waiting[:number])
        values = dict(waiting.columns) | {
            "timestamp": np.arange(length) / self.description.rate_hz,
            "frame_index": np.arange(length),
            "episode_index": np.full(length, self.episodes + number),
            "index": begin + np.arange(length),
            "task_index": np.array(waiting.tasks),
        }
        kept = {name: f for name, f in self.features.items() if _in_table(f)}
        return pa.table({name: _arrow(values[name], f) for name, f in kept.items()})

    def _write_meta(self) -> None:
        """Tasks, episodes and statistics; `info.json` comes last and makes them count."""
        folder = self.folder
        if self.version == "v3.0":
            _write_parquet(folder / "meta/tasks.parquet", _tasks_table(self._tasks))
            _write_parquet(self._path(names.EPISODES_V3, ""), self._episodes_table())
            write_json(folder / "meta/stats.json", statistics.to_lists(self._joined()))
        else:
            rows = [{"task_index": i, "task": t} for t, i in self._tasks.items()]
            _write_lines(folder / "meta/tasks.jsonl", rows)
            for number, waiting in enumerate(self._waiting):
                row = {"episode_index": self.episodes + number}
                texts = {"tasks": self._texts(waiting), "length": len(waiting.stamps)}
                _append_line(folder / "meta/episodes.jsonl", row | texts)
                stats = {"stats": statistics.to_lists(waiting.statistics)}
                _append_line(folder / "meta/episodes_stats.jsonl", row | stats)
        write_json(folder / names.INFO, self._info())

    def _joined(self) -> dict[str, Statistics]:
        parts = [w.statistics for w in self._waiting]
        return statistics.joined([*([self._statistics] if self._statistics else []), *parts])

    def _texts(self, waiting: _Waiting) -> list[str]:
        texts = list(self._tasks)
        return [texts[i] for i in dict.fromkeys(waiting.tasks)]

    def _episodes_table(self) -> pa.Table:
        """`meta/episodes`: where each episode lies, and its statistics."""
        rows = []
        begin = self.rows
        place = {"chunk_index": self._file // names.FILES_A_CHUNK}
        place["file_index"] = self._file % names.FILES_A_CHUNK
        rate = self.description.rate_hz
        for number, waiting in enumerate(self._waiting):
            length = len(waiting.stamps)
            row: dict[str, Any] = {
                "episode_index": self.episodes + number,
                "tasks": self._texts(waiting),
                "length": length,
                **{f"data/{n}": i for n, i in place.items()},
                "dataset_from_index": begin,
                "dataset_to_index": begin + length,
            }
            for name, first in waiting.begins.items():
                key = f"videos/{names.IMAGES}{name}"
                row |= {f"{key}/{n}": i for n, i in place.items()}
                row[f"{key}/from_timestamp"] = first / rate
                row[f"{key}/to_timestamp"] = (first + length) / rate
            for name, stats in statistics.to_lists(waiting.statistics).items():
                row |= {f"stats/{name}/{n}": x for n, x in stats.items()}
            row |= {f"meta/episodes/{n}": i for n, i in place.items()}
            rows.append(row)
            begin += length
        return pa.Table.from_pylist(rows)

    def _info(self) -> dict[str, Any]:
        episodes = self.episodes + len(self._waiting)
        rows = self.rows + sum(len(w.stamps) for w in self._waiting)
        features = {name: dict(f) for name, f in self.features.items()}
        for name, found in self._video_info.items():
            features[names.IMAGES + name]["info"] = found
        v3 = self.version == "v3.0"
        found = {
            "codebase_version": self.version,
            "robot_type": self.description.robot,
            "total_episodes": episodes,
            "total_frames": rows,
            "total_tasks": len(self._tasks),
            "chunks_size": names.FILES_A_CHUNK,
            "fps": _whole(self.description.rate_hz),
            "splits": {"train": f"0:{episodes}"},
            "data_path": names.DATA_V3 if v3 else names.DATA_V2,
            "video_path": names.VIDEO_V3 if v3 else names.VIDEO_V2,
            "features": features,
        }
        if v3:
            return found | {"data_files_size_in_mb": DATA_MB, "video_files_size_in_mb": VIDEO_MB}
        return found | {
            "total_videos": episodes * len(self.description.views),
            "total_chunks": -(-episodes // names.FILES_A_CHUNK),
        }

    def _path(self, v3: str, v2: str) -> Path:
        """Of the next file."""
        if self.version == "v3.0":
            values = divmod(self._file, names.FILES_A_CHUNK)
            return self.folder / v3.format(chunk_index=values[0], file_index=values[1])
        chunk = self.episodes // names.FILES_A_CHUNK
        return self.folder / v2.format(episode_chunk=chunk, episode_index=self.episodes)

    def _video_path(self, view: str) -> Path:
        key = names.IMAGES + view
        v3 = names.VIDEO_V3.replace("{video_key}", key)
        return self._path(v3, names.VIDEO_V2.replace("{video_key}", key))

    def _continue(self) -> None:
        """Go on behind what is there."""
        there = load_info(self.folder)
        raw = load_object(self.folder / names.INFO)
        ours = {n: {k: f[k] for k in ("dtype", "shape", "names")} for n, f in self.features.items()}
        theirs = {
            n: {k: f.get(k) for k in ("dtype", "shape", "names")}
            for n, f in raw["features"].items()
        }
        if (there.version, there.robot) != (self.version, self.description.robot):
            raise WamError(
                f"'{self.folder}' holds a data set {there.version} of '{there.robot}', these are "
                f"episodes {self.version} of '{self.description.robot}'"
            )
        if abs(there.rate_hz - self.description.rate_hz) > 1e-6 or ours != theirs:
            other = [n for n in {**ours, **theirs} if ours.get(n) != theirs.get(n)]
            raise WamError(
                f"'{self.folder}' holds a data set of other columns or another rate: "
                f"{', '.join(other) or there.rate_hz}"
            )
        for name, found in raw["features"].items():
            if "info" in found:
                self._video_info[name.removeprefix(names.IMAGES)] = found["info"]
        self.episodes = there.episodes
        self.rows = int(raw.get("total_frames", 0))
        if self.version == "v3.0":
            self._tasks = {t: i for i, t in load_tasks_v3(self.folder).items()}
            self._file, parts = self._committed()
            self._statistics = statistics.joined(parts)
            return
        self._tasks = {t: i for i, t in load_tasks_v2(self.folder).items()}
        # what a process that was killed wrote behind the last line that counts
        for name in ("episodes", "episodes_stats"):
            path = self.folder / f"meta/{name}.jsonl"
            with contextlib.suppress(WamError):
                load_lines(path)
            lines = path.read_text(encoding="utf-8").splitlines()[: self.episodes]
            write_whole(path, "".join(f"{line}\n" for line in lines))

    def _committed(self) -> tuple[int, list[dict[str, Statistics]]]:
        """Number of the next file, and the statistics of the episodes that count.

        Not those of `stats.json`: a process that was killed may have written it and not come to
        `info.json`.
        """
        next_file = 0
        parts = []
        for path in sorted((self.folder / "meta/episodes").glob("*/*.parquet")):
            for row in pq.read_table(path).to_pylist():
                if row["episode_index"] >= self.episodes:
                    continue
                place = row["data/chunk_index"] * names.FILES_A_CHUNK + row["data/file_index"]
                next_file = max(next_file, place + 1)
                part: dict[str, Statistics] = {}
                for key, value in row.items():
                    if key.startswith("stats/"):
                        _, feature, name = key.split("/")
                        part.setdefault(feature, {})[name] = np.array(value)
                parts.append(part)
        return next_file, parts


@dataclass(frozen=True)
class _Waiting:
    """An episode that was added and not committed."""

    columns: dict[str, np.ndarray]
    tasks: list[int]
    begins: dict[str, int]  # frame of each camera's file where it begins
    statistics: dict[str, Statistics]
    stamps: np.ndarray


def _features(d: Description) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    if d.joint_names:
        found[names.STATE] = _entry("float32", [len(d.joint_names)], list(d.joint_names))
    if d.action_names:
        found[names.ACTION] = _entry("float32", [len(d.action_names)], list(d.action_names))
    for view in d.views:
        shape = [view.height, view.width, 3]
        found[names.IMAGES + view.name] = _entry("video", shape, ["height", "width", "channels"])
    found[names.LABELLED] = _entry("bool", [1], None)
    found[names.INTERVENTION] = _entry("bool", [1], None)
    found[names.SUCCESS] = _entry("int64", [1], None)
    if d.views:
        found[names.SEEN] = _entry("bool", [len(d.views)], [v.name for v in d.views])
    if d.stamps:
        found[names.STAMP] = _entry("int64", [1], None)
    for name, f in d.extra.items():
        found[name] = _entry(f.dtype, list(f.shape), list(f.names) or None)
    return found | names.INDEXES


def _entry(dtype: str, shape: list[int], given: list[str] | None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "names": given}


def _in_table(feature: Mapping[str, Any]) -> bool:
    return bool(feature["dtype"] != "video")


def _columns(
    d: Description, episode: Episode, seen: np.ndarray, where: str
) -> dict[str, np.ndarray]:
    """Every column of an episode but those that count, checked against the description."""
    length = len(episode)
    found: dict[str, np.ndarray] = {}

    def put(name: str, values: np.ndarray | None, width: int) -> None:
        if values is None:
            raise WamError(f"{where} has no {name}")
        if values.shape != (length, width):
            raise WamError(f"{where}: {name} is {values.shape}, expected {(length, width)}")
        found[name] = values

    if d.joint_names:
        put(names.STATE, episode.states, len(d.joint_names))
    labelled = np.ones(length, bool) if episode.labelled is None else episode.labelled
    if d.action_names:
        actions = episode.actions
        if actions is None:  # a video among episodes with actions
            actions = np.zeros((length, len(d.action_names)))
            if episode.states is not None and d.joint_names == d.action_names:
                actions = episode.states
            labelled = np.zeros(length, bool)
        put(names.ACTION, actions, len(d.action_names))
    found[names.LABELLED] = labelled
    found[names.INTERVENTION] = (
        np.zeros(length, bool) if episode.intervention is None else episode.intervention
    )
    told = -1 if episode.success is None else int(episode.success)
    found[names.SUCCESS] = np.full(length, told)
    if d.views:
        found[names.SEEN] = seen
    if d.stamps:
        if episode.stamps_ns is None:
            raise WamError(f"{where} has no stamps")
        found[names.STAMP] = episode.stamps_ns
    for name in d.extra:
        if name not in episode.extra:
            raise WamError(f"{where} has no column '{name}'")
        found[name] = np.asarray(episode.extra[name])
    for name, values in found.items():
        if len(values) != length:
            raise WamError(f"{where}: {name} has {len(values)} rows of {length}")
    return found


def _arrow(values: np.ndarray, feature: Mapping[str, Any]) -> pa.Array:
    dtype = feature["dtype"]
    if dtype == "string":
        return pa.array([str(v) for v in values], pa.string())
    kind = {"bool": pa.bool_()}.get(dtype) or getattr(pa, dtype)()
    flat = pa.array(values.astype(dtype).reshape(-1), kind)
    if feature["shape"] == [1]:
        return flat
    for size in reversed(feature["shape"]):
        flat = pa.FixedSizeListArray.from_arrays(flat, size)
    return flat


def _tasks_table(tasks: Mapping[str, int]) -> pa.Table:
    """Sentences as the index of a pandas frame: LeRobot looks them up by it."""
    columns = [("task_index", "int64", "int64"), ("task", "unicode", "object")]
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            {"name": n, "field_name": n, "pandas_type": p, "numpy_type": t, "metadata": None}
            for n, p, t in columns
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.2.0",
    }
    table = pa.table({"task_index": pa.array(tasks.values(), pa.int64()), "task": list(tasks)})
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def _write_parquet(path: Path, table: pa.Table, row_group_size: int | None = None) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WamError(f"{path.parent} cannot be made: {error.strerror}") from error
    with whole_file(path) as part:
        pq.write_table(table, part, row_group_size=row_group_size)


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))


def _append_line(path: Path, row: Mapping[str, Any]) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(row, ensure_ascii=False)}\n")
    except OSError as error:
        raise WamError(f"{path} cannot be written: {error.strerror}") from error


def _whole(rate_hz: float) -> int | float:
    """LeRobot's rates are whole numbers, where they are."""
    return round(rate_hz) if abs(rate_hz - round(rate_hz)) < 1e-3 else rate_hz

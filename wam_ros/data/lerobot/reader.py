"""A LeRobot data set on disk as `Episodes`: v3.0, where files hold many episodes, and v2.x, where
each has its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wam_ros.core.errors import WamError, require_known
from wam_ros.data.episodes import Episode, Episodes, View
from wam_ros.data.lerobot import info as names
from wam_ros.data.lerobot.info import Feature, Info, file_of, image_size, load_info, load_lines
from wam_ros.data.video import VideoReader, decode_picture

OPEN = 32  # videos that are kept open, for who reads on
MOST_ROWS = 10_000_000  # of one episode
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NUMBERS = ("float16", "float32", "float64", "bool", *INTEGERS)


@dataclass(frozen=True)
class _Entry:
    """Where one episode lies."""

    length: int  # rows
    data: Path
    videos: dict[str, tuple[Path, float]] = field(default_factory=dict)  # file, s where it begins


class LeRobotEpisodes(Episodes):
    """Reads as it is asked; for one thread.

    Args:
        folder: of the data set.

    Raises:
        WamError: no data set, a version that is not known, or damaged `meta/`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.where = str(folder)
        self.info = load_info(folder)
        self.robot = self.info.robot
        self.rate_hz = self.info.rate_hz
        features = self.info.features
        self.joint_names = _names_of(features.get(names.STATE))
        self.action_names = _names_of(features.get(names.ACTION))
        self._cameras = {_view_name(k): k for k, f in features.items() if f.is_camera}
        self.views = tuple(
            View(name, *image_size(features[key])) for name, key in self._cameras.items()
        )
        if self.info.version == "v3.0":
            self._tasks = load_tasks_v3(folder)
            self._entries = _load_entries_v3(folder, self.info)
        else:
            self._tasks = load_tasks_v2(folder)
            self._entries = _load_entries_v2(folder, self.info)
        self._open: OrderedDict[Path, VideoReader] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def length(self, index: int) -> int:
        """Rows of an episode, without reading them."""
        return self._entries[index].length

    def episode(self, index: int) -> Episode:
        """As `Episodes.episode`; pictures that stand in the table stay there."""
        wanted = [k for k, f in self.info.features.items() if not f.is_camera]
        return self._episode(index, self._table(index, wanted))

    def pictures(
        self, index: int, view: str, start: int = 0, stop: int | None = None
    ) -> Iterator[np.ndarray]:
        """As `Episodes.pictures`; the stamps of the rows say which frames of a video those are."""
        key = self._cameras[require_known("camera", view, self._cameras)]
        entry = self._entries[index]
        rows = range(*slice(start, stop).indices(entry.length))
        if not rows:
            return
        feature = self.info.features[key]
        size = image_size(feature)
        frames = (
            self._from_table(index, key, rows)
            if feature.dtype == "image"
            else self._from_video(index, key, rows)
        )
        for frame in frames:
            if frame.shape[:2] != size:
                raise WamError(
                    f"'{self.where}': a frame of '{view}' of episode {index} is {frame.shape[:2]} "
                    f"px, {names.INFO} says {size}"
                )
            yield frame

    def _from_table(self, index: int, key: str, rows: range) -> Iterator[np.ndarray]:
        """Pictures that stand in the table itself."""
        column = self._table(index, [key]).column(key)
        for k in rows:
            cell = column[k].as_py()
            where = f"'{self.where}': '{key}' of episode {index}, row {k}"
            data = cell.get("bytes") if isinstance(cell, dict) else None
            if not isinstance(data, bytes):
                raise WamError(f"{where} holds no picture")
            yield decode_picture(data, where)

    def _from_video(self, index: int, key: str, rows: range) -> Iterator[np.ndarray]:
        path, begin_s = self._entries[index].videos[key]
        stamps = self._table(index, ["timestamp"]).column("timestamp").to_numpy()
        period = 1 / self.rate_hz
        reader = self._video(path)
        # by the number of the frame, not by sums of rounded stamps
        first = round(float(stamps[rows.start]) * self.rate_hz)
        steps = np.rint(stamps[rows.start : rows.stop].astype(float) * self.rate_hz) - first
        for k in steps:
            yield from reader.frames(begin_s + (first + k) * period, 1, period)

    def _video(self, path: Path) -> VideoReader:
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        if not path.is_file():
            raise WamError(f"'{path}' is missing")
        while len(self._open) >= OPEN:
            self._open.popitem(last=False)[1].close()
        self._open[path] = VideoReader(path)
        return self._open[path]

    def close(self) -> None:
        """Let go of the videos."""
        while self._open:
            self._open.popitem()[1].close()

    def _table(self, index: int, columns: Sequence[str]) -> pa.Table:
        """Rows of one episode, of the row groups that hold any of them."""
        entry = self._entries[index]
        try:
            with pq.ParquetFile(entry.data) as file:
                here = [n for n in columns if n in file.schema_arrow.names]
                if "episode_index" not in file.schema_arrow.names:
                    raise WamError(f"'{entry.data}' has no column episode_index")
                groups = [g for g in range(file.num_row_groups) if _may_hold(file, g, index)]
                table = file.read_row_groups(groups, columns=[*{*here, "episode_index"}])
        except (OSError, pa.ArrowException) as error:
            raise WamError(f"'{entry.data}' is damaged: {_line(error)}") from error
        mine = table.column("episode_index").to_numpy() == index
        table = table.filter(pa.array(mine))
        if len(table) != entry.length:
            raise WamError(
                f"'{entry.data}' holds {len(table)} rows of episode {index}, meta/ says "
                f"{entry.length}"
            )
        return table

    def _episode(self, index: int, table: pa.Table) -> Episode:
        values = {
            name: _array(table.column(name), feature, f"'{self.where}': {name} of episode {index}")
            for name, feature in self.info.features.items()
            if name in table.column_names
        }
        for name in ("timestamp", "task_index"):
            if name not in values:
                raise WamError(f"'{self.where}' has no column '{name}'")
        stamps = values.pop("timestamp").astype(np.float64)
        tasks = values.pop("task_index")
        for wrong in np.flatnonzero(~np.isin(tasks, list(self._tasks))):
            raise WamError(f"'{self.where}': episode {index}, row {wrong}: no task {tasks[wrong]}")
        length = len(stamps)
        action = values.pop(names.ACTION, None)
        labelled = values.pop(names.LABELLED, np.ones(length, bool)).astype(bool)
        intervention = values.pop(names.INTERVENTION, None)
        success = _success(values)
        seen = values.pop(names.SEEN, None)
        for name in names.INDEXES:
            values.pop(name, None)
        return Episode(
            stamps_s=stamps - stamps[0],
            instructions=tuple(self._tasks[int(t)] for t in tasks),
            states=values.pop(names.STATE, None),
            actions=action,
            labelled=labelled if action is not None else np.zeros(length, bool),
            intervention=None if intervention is None else intervention.astype(bool),
            success=success,
            stamps_ns=values.pop(names.STAMP, None),
            seen=None if seen is None else seen.reshape(length, -1).astype(bool),
            extra=values,
        )


def _names_of(feature: Feature | None) -> tuple[str, ...]:
    """Of the values of a vector; numbers where nobody gave them names."""
    if feature is None:
        return ()
    return feature.names or tuple(map(str, range(feature.shape[0])))


def _view_name(key: str) -> str:
    return key.removeprefix(names.IMAGES).removeprefix("observation.")


def _may_hold(file: pq.ParquetFile, group: int, episode: int) -> bool:
    """Whether a row group has rows of an episode, as far as its statistics tell."""
    found = file.metadata.row_group(group)
    for column in range(found.num_columns):
        chunk = found.column(column)
        if chunk.path_in_schema == "episode_index":
            stats = chunk.statistics
            return stats is None or not stats.has_min_max or stats.min <= episode <= stats.max
    return True


def _array(column: pa.ChunkedArray, feature: Feature, where: str) -> np.ndarray:
    """(T, ...) of numpy; text as objects."""
    if column.null_count:
        raise WamError(f"{where} has rows without a value")
    if feature.dtype not in NUMBERS:
        return np.array(column.to_pylist(), dtype=object)
    flat: Any = column.combine_chunks()
    if isinstance(flat, pa.ChunkedArray):  # one without rows stays in chunks
        flat = flat.chunk(0) if flat.num_chunks else pa.array([], flat.type)
    length = len(flat)
    while pa.types.is_list(flat.type) or pa.types.is_fixed_size_list(flat.type):
        flat = flat.flatten()
    wanted = feature.shape if feature.shape != (1,) else ()
    try:
        found = flat.to_numpy(zero_copy_only=False).reshape(length, *wanted)
    except (ValueError, pa.ArrowException) as error:
        raise WamError(
            f"{where}: {len(flat)} values in {length} rows, info says {wanted}"
        ) from error
    if found.dtype.kind not in "fbiu":
        raise WamError(f"{where} is {found.dtype}, info says {feature.dtype}")
    return np.asarray(found)


def _success(values: dict[str, np.ndarray]) -> bool | None:
    """Takes the columns that tell it out of `values`."""
    told = values.pop(names.SUCCESS, None)
    if told is not None:
        return None if told[-1] < 0 else bool(told[-1])
    for name in names.SUCCESSES:
        if name in values:
            return bool(values.pop(name)[-1])
    return None


def load_tasks_v3(folder: Path) -> dict[int, str]:
    """The sentences of a data set by their numbers."""
    path = folder / "meta/tasks.parquet"
    table = _read_parquet(path)
    texts = [n for n in table.column_names if n != "task_index"]
    if "task_index" not in table.column_names or len(texts) != 1:
        raise WamError(f"'{path}' is damaged: it has the columns {', '.join(table.column_names)}")
    numbers, sentences = (table.column(n).to_pylist() for n in ("task_index", texts[0]))
    return {int(i): str(text) for i, text in zip(numbers, sentences, strict=True)}


def load_tasks_v2(folder: Path) -> dict[int, str]:
    """The sentences of a data set by their numbers."""
    path = folder / "meta/tasks.jsonl"
    try:
        return {int(row["task_index"]): str(row["task"]) for row in load_lines(path)}
    except (KeyError, TypeError, ValueError) as error:
        raise WamError(f"'{path}' is damaged: {_line(error)}") from error


def _load_entries_v3(folder: Path, info: Info) -> list[_Entry]:
    files = sorted((folder / "meta/episodes").glob("*/*.parquet"))
    videos = [k for k, f in info.features.items() if f.dtype == "video"]
    wanted = ["episode_index", "length", "data/chunk_index", "data/file_index"]
    for key in videos:
        wanted += [f"videos/{key}/{n}" for n in ("chunk_index", "file_index", "from_timestamp")]
    found: dict[int, _Entry] = {}
    for path in files:
        table = _read_parquet(path, wanted)
        missing = [n for n in wanted if n not in table.column_names]
        if missing:
            raise WamError(f"'{path}' is damaged: it has no column '{missing[0]}'")
        for row in table.to_pylist():
            index = row["episode_index"]
            if not isinstance(index, int) or not 0 <= index < info.episodes:
                continue  # written after the last time that info.json was
            where = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
            found[index] = _Entry(
                length=_length(row["length"], path),
                data=file_of(folder, info.data_path, where, folder / names.INFO),
                videos={key: _video_v3(folder, info, row, key) for key in videos},
            )
    return _all(found, info, folder)


def _video_v3(folder: Path, info: Info, row: dict[str, Any], key: str) -> tuple[Path, float]:
    where = {
        "video_key": key,
        "chunk_index": row[f"videos/{key}/chunk_index"],
        "file_index": row[f"videos/{key}/file_index"],
    }
    begin_s = row[f"videos/{key}/from_timestamp"]
    if not isinstance(begin_s, int | float) or not begin_s >= 0:
        raise WamError(f"'{folder}': meta/ says that a video of '{key}' begins at {begin_s!r} s")
    return file_of(folder, info.video_path, where, folder / names.INFO), float(begin_s)


def _load_entries_v2(folder: Path, info: Info) -> list[_Entry]:
    path = folder / "meta/episodes.jsonl"
    videos = [k for k, f in info.features.items() if f.dtype == "video"]
    found: dict[int, _Entry] = {}
    for row in load_lines(path):
        index = row.get("episode_index")
        if not isinstance(index, int) or not 0 <= index < info.episodes:
            continue
        where = {"episode_chunk": index // info.chunk_size, "episode_index": index}
        data = file_of(folder, info.data_path, where, folder / names.INFO)
        found[index] = _Entry(
            length=_length(row.get("length"), path),
            data=data,
            videos={
                key: (
                    file_of(
                        folder, info.video_path, where | {"video_key": key}, folder / names.INFO
                    ),
                    0.0,
                )
                for key in videos
            },
        )
    return _all(found, info, folder)


def _all(found: dict[int, _Entry], info: Info, folder: Path) -> list[_Entry]:
    if len(found) != info.episodes:
        missing = next(i for i in range(info.episodes) if i not in found)
        raise WamError(f"'{folder}' has {info.episodes} episodes, meta/ says nothing of {missing}")
    return [found[i] for i in range(info.episodes)]


def _length(value: object, path: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST_ROWS:
        raise WamError(f"'{path}' is damaged: an episode has {value!r} rows")
    return value


def _read_parquet(path: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            if columns is not None:
                columns = [n for n in columns if n in file.schema_arrow.names]
            return file.read(columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise WamError(f"'{path}' is damaged: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

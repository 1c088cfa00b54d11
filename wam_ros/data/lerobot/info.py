"""What `meta/info.json` says: rates, columns, where the files lie. Everything in it is a stranger's
word, and checked.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from wam_ros.core.errors import Problems, WamError, require_known

VERSIONS = ("v3.0", "v2.1", "v2.0")
INFO = "meta/info.json"
DATA_V3 = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_V3 = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_V3 = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA_V2 = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
VIDEO_V2 = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
FILES_A_CHUNK = 1000
STATE = "observation.state"
ACTION = "action"
IMAGES = "observation.images."
# Columns that every data set has.
INDEXES: dict[str, dict[str, Any]] = {
    "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    "frame_index": {"dtype": "int64", "shape": [1], "names": None},
    "episode_index": {"dtype": "int64", "shape": [1], "names": None},
    "index": {"dtype": "int64", "shape": [1], "names": None},
    "task_index": {"dtype": "int64", "shape": [1], "names": None},
}
# Columns of ours, for what LeRobot has no word for; `intervention` is that of its rollouts. None
# begins with `action` or `observation`: its policies take such ones for inputs and outputs.
LABELLED = "labelled"
INTERVENTION = "intervention"
SUCCESS = "success"  # 1: succeeded, 0: failed, -1: nobody said
SEEN = "camera_seen"
STAMP = "stamp_ns"
# what others say success by, in every row of an episode or in its last one
SUCCESSES = ("is_episode_successful", "next.success")
TEMPLATE = re.compile(r"\{(\w+)(?::0([1-9])d)?\}")
MOST_HZ = 1000.0


@dataclass(frozen=True)
class Feature:
    """One column, or one camera."""

    dtype: str  # of numpy, or string, image, video
    shape: tuple[int, ...]
    names: tuple[str, ...]  # of its values; empty where nobody gave them

    @property
    def is_camera(self) -> bool:
        """Whether it is pictures."""
        return self.dtype in ("image", "video")


@dataclass(frozen=True)
class Info:
    """`meta/info.json`, checked."""

    version: str
    robot: str
    rate_hz: float
    episodes: int
    data_path: str
    video_path: str
    chunk_size: int
    features: dict[str, Feature]


def load_info(folder: Path) -> Info:
    """Read it.

    Raises:
        WamError: it is missing, damaged, of another version, or says what cannot be.
    """
    path = folder / INFO
    if not path.is_file():
        raise WamError(f"no LeRobot data set in '{folder}': it has no {INFO}")
    data = load_object(path)
    found = Problems(f"'{path}'")
    require_known("version of LeRobot's data sets", str(data.get("codebase_version")), VERSIONS)
    rate = _number(data.get("fps"))
    if not 0 < rate <= MOST_HZ:
        found.add(f"fps is {data.get('fps')!r}")
    episodes = data.get("total_episodes")
    if not isinstance(episodes, int) or episodes < 0:
        found.add(f"total_episodes is {episodes!r}")
    chunk = data.get("chunks_size", FILES_A_CHUNK)
    if not isinstance(chunk, int) or chunk < 1:
        found.add(f"chunks_size is {chunk!r}")
    features = {}
    listed = data.get("features")
    if not isinstance(listed, dict):
        found.add("it lists no features")
        listed = {}
    for name, entry in listed.items():
        try:
            features[name] = _feature(entry)
        except (KeyError, TypeError, ValueError) as error:
            found.add(f"feature '{name}' is damaged: {error}")
    found.require_none()
    return Info(
        version=str(data["codebase_version"]),
        robot=str(data.get("robot_type") or ""),
        rate_hz=rate,
        episodes=int(data["total_episodes"]),
        data_path=str(data.get("data_path") or ""),
        video_path=str(data.get("video_path") or ""),
        chunk_size=chunk,
        features=features,
    )


def load_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        WamError: no file, no JSON, or something else than an object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WamError(f"'{path}' is damaged: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise WamError(f"'{path}' is damaged: it holds {type(data).__name__}, no object")
    return data


def load_lines(path: Path) -> list[dict[str, Any]]:
    """JSON objects, one a line.

    Raises:
        WamError: no file, or a line that is no object.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, ValueError, RecursionError) as error:
        raise WamError(f"'{path}' is damaged: {' '.join(str(error).split())}") from error
    if not all(isinstance(row, dict) for row in rows):
        raise WamError(f"'{path}' is damaged: a line is no object")
    return rows


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value)


def _feature(entry: Mapping[str, Any]) -> Feature:
    shape = tuple(int(n) for n in entry["shape"])
    if not shape or min(shape) < 1:
        raise ValueError(f"shape {list(shape)}")
    return Feature(str(entry["dtype"]), shape, _names(entry.get("names"), shape))


def _names(names: object, shape: tuple[int, ...]) -> tuple[str, ...]:
    """A list, or lists by what they are of: {"motors": [...]}, {"axes": [...]}."""
    if isinstance(names, dict):
        parts = [n for part in names.values() for n in (part if isinstance(part, list) else [part])]
        names = list(names) if all(isinstance(n, int) for n in parts) else parts
    if not isinstance(names, list) or len(names) != shape[-1 if len(shape) == 1 else 0]:
        return tuple(map(str, names)) if isinstance(names, list) and len(shape) == 3 else ()
    return tuple(map(str, names))


def image_size(feature: Feature) -> tuple[int, int]:
    """Height and width [px]: the channels come last, or first."""
    shape = feature.shape
    if len(shape) != 3:
        raise WamError(f"a camera's shape is {list(shape)}, expected height, width and channels")
    channels_first = feature.names[:1] in (("channels",), ("channel",), ("c",))
    if channels_first or (shape[0] == 3 and shape[2] != 3):
        return shape[1], shape[2]
    return shape[0], shape[1]


def file_of(folder: Path, template: str, values: Mapping[str, int | str], where: Path) -> Path:
    """The path that a template of info.json names, inside of the folder.

    Raises:
        WamError: it asks for what is not known, or leads out of the folder.
    """

    def filled(found: re.Match[str]) -> str:
        name, width = found.groups()
        if name not in values:
            raise WamError(f"'{where}': '{template}' asks for {name}, not {', '.join(values)}")
        value = values[name]
        return f"{value:0{width}d}" if width and isinstance(value, int) else str(value)

    name = TEMPLATE.sub(filled, template)
    parts = PurePosixPath(name)
    if not name or parts.is_absolute() or ".." in parts.parts or set(name) & set("{}\0"):
        raise WamError(f"'{where}': '{template}' names no file of the data set")
    return folder / name

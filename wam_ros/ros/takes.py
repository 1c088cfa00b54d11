"""Takes: recordings that grow while the loop runs.

A take is a rosbag2 folder (MCAP) below a folder of takes. While it grows its name ends in `.part`;
what it holds is closed in chunks, each whole by itself, so whoever kills the process loses what was
not closed yet and nothing else: `mend` makes a recording of the rest. Messages are written as they
travelled (CDR).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mcap.records import Channel, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader
from mcap.writer import CompressionType, Writer

from wam_ros.core.errors import WamError
from wam_ros.core.files import write_whole
from wam_ros.ros.recording import METADATA, PART

_MENDED = ".mended"  # ends the name of one that is being mended
_QOS = "offered_qos_profiles"  # rosbag2's names, in the metadata of a channel
_HASH = "topic_type_hash"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Topic:
    """What a recording says of a topic."""

    name: str
    kind: str  # package/msg/Name
    definition: str  # of the message and of those in its fields, as in .msg files
    digest: str  # REP 2011
    offered: str = "[]"  # qualities of service of its publishers, YAML as rosbag2 writes it


class _Growing:
    """A file for mcap's writer, which could not go on after a write that failed: this one takes
    everything, and `push` brings it to the disk as far as that takes it, always in order.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self._waiting: deque[memoryview] = deque()
        self._told = 0
        self.written = 0

    def write(self, data: bytes) -> int:
        if data:
            self._waiting.append(memoryview(bytes(data)))
            self._told += len(data)
        return len(data)

    def tell(self) -> int:
        return self._told

    def flush(self) -> None:
        """Nothing: `push` may fail, and mcap's writer may not."""

    def push(self) -> None:
        while self._waiting:
            n = self._file.write(self._waiting[0]) or 0
            self.written += n
            rest = self._waiting[0][n:]
            if len(rest):
                self._waiting[0] = rest
            else:
                self._waiting.popleft()

    def sync(self) -> None:
        self.push()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class Take:
    """One take; every method that raises `OSError` may be called again until it does not.

    Args:
        path: of the folder that it becomes.
        ending: of its name until then.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, path: Path, ending: str = PART) -> None:
        self.path = path
        self.part = path.with_name(path.name + ending)
        self.messages = 0
        self._counts: Counter[str] = Counter()
        self._topics: dict[str, Topic] = {}
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self._span_ns: tuple[int, int] | None = None
        self._finished = False
        self._made = self.part / f"{path.name}.mcap"
        self.part.mkdir(parents=True, exist_ok=True)
        self._file = _Growing(self._made)
        # lz4: a third of the processor time of zstd, and camera images hardly shrink by either
        self._mcap = Writer(
            self._file,  # type: ignore[arg-type]
            chunk_size=_CHUNK_BYTES,
            compression=CompressionType.LZ4,
        )
        self._mcap.start(profile="ros2", library="wam_ros")

    @property
    def written(self) -> int:
        """Bytes that the disk has."""
        return self._file.written

    def add(self, topic: Topic, log_ns: int, sent_ns: int, data: bytes) -> None:
        """Take a message; `push` and `close_chunk` write it.

        Args:
            topic: that it came on.
            log_ns: when it was heard; readers order messages by it.
            sent_ns: when it was published.
            data: as it travelled.
        """
        channel = self._channels.get(topic.name)
        if channel is None:
            channel = self._register(topic)
        self._mcap.add_message(channel, log_ns, data, sent_ns, self._counts[topic.name])
        self._counts[topic.name] += 1
        self.messages += 1
        begin, end = self._span_ns or (log_ns, log_ns)
        self._span_ns = min(begin, log_ns), max(end, log_ns)

    def _register(self, topic: Topic) -> int:
        if topic.kind not in self._schemas:
            self._schemas[topic.kind] = self._mcap.register_schema(
                topic.kind, "ros2msg", topic.definition.encode()
            )
        self._topics[topic.name] = topic
        self._channels[topic.name] = self._mcap.register_channel(
            topic.name,
            "cdr",
            self._schemas[topic.kind],
            {_QOS: topic.offered, _HASH: topic.digest},
        )
        return self._channels[topic.name]

    def push(self) -> None:
        """Write the chunks that are full; raises `OSError` while the disk takes nothing."""
        self._file.push()

    def close_chunk(self) -> None:
        """Close the chunk that is not full and write it; raises `OSError` as `push` does."""
        self._mcap.flush()
        self._file.push()

    def finish(self, notes: Mapping[str, str]) -> None:
        """Write the index and the metadata, with notes, and give the folder its name.

        Raises:
            OSError, WamError: not all of it could be written; the rest can be, later.
        """
        if not self._finished:
            self._mcap.finish()
            self._finished = True
        self._file.sync()
        write_whole(self.part / METADATA, yaml.safe_dump(self._metadata(notes), sort_keys=False))
        self.part.rename(self.path)
        self._file.close()

    def discard(self) -> None:
        """Remove it; raises `OSError` when that cannot be done."""
        self._file.close()
        shutil.rmtree(self.part)

    def leave(self) -> None:
        """Leave it as it is, to be mended."""
        self._file.close()

    def _metadata(self, notes: Mapping[str, str]) -> dict[str, Any]:
        """What rosbag2 (version 9) keeps beside the messages."""
        begin, end = self._span_ns or (0, 0)
        facts = {
            "starting_time": {"nanoseconds_since_epoch": begin},
            "duration": {"nanoseconds": end - begin},
            "message_count": self.messages,
        }
        topics = [
            {
                "topic_metadata": {
                    "name": topic.name,
                    "type": topic.kind,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": yaml.safe_load(topic.offered),
                    "type_description_hash": topic.digest,
                },
                "message_count": self._counts[topic.name],
            }
            for topic in self._topics.values()
        ]
        return {
            "rosbag2_bagfile_information": {
                "version": 9,
                "storage_identifier": "mcap",
                **facts,
                "relative_file_paths": [self._made.name],
                "topics_with_message_count": topics,
                "compression_format": "",
                "compression_mode": "",
                "files": [{"path": self._made.name, **facts}],
                "custom_data": dict(notes) or None,
                "ros_distro": os.environ.get("ROS_DISTRO", "unknown"),
            }
        }


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Whoever records into a folder of takes, or mends them, has it for itself.

    Raises:
        WamError: another process has it, or it cannot be opened.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise WamError(f"'{folder}' cannot be opened: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WamError(f"another process records into '{folder}': name another one") from error
        yield
    finally:
        os.close(handle)


def mend(folder: Path) -> list[str]:
    """Make recordings of takes that were interrupted; whoever calls holds the folder.

    Returns:
        What was done, a sentence for each.

    Raises:
        WamError: what is kept cannot be written. What was interrupted stays as it is.
    """
    return [_mended(part) for part in sorted(folder.glob(f"take_*{PART}"))]


def _mended(part: Path) -> str:
    path = part.with_name(part.name.removesuffix(PART))
    (found, *_) = [*part.glob("*.mcap"), None]
    kept = 0
    try:
        if found is not None and not path.exists():
            shutil.rmtree(path.with_name(path.name + _MENDED), ignore_errors=True)
            kept = _copy(found, path)
        if kept or path.exists() or found is None or not found.stat().st_size:
            shutil.rmtree(part)
    except OSError as error:
        raise WamError(f"'{part}' cannot be mended: {error.strerror or error}") from error
    if path.exists():
        return f"{path.name} was interrupted: {kept} messages were closed and are kept"
    return f"{path.name} was interrupted before anything was closed"


def _copy(found: Path, path: Path) -> int:
    """Write the closed chunks of a file as a take; how many messages there were, 0 for no take."""
    take: Take | None = None
    schemas: dict[int, Schema] = {}
    topics: dict[int, Topic] = {}
    with found.open("rb") as file:
        for record in _closed(file):
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                schema = schemas[record.schema_id]
                topics[record.id] = Topic(
                    name=record.topic,
                    kind=schema.name,
                    definition=schema.data.decode(),
                    digest=record.metadata[_HASH],
                    offered=record.metadata[_QOS],
                )
            elif isinstance(record, Message):
                take = take or Take(path, _MENDED)
                take.add(
                    topics[record.channel_id], record.log_time, record.publish_time, record.data
                )
                take.push()
    if take is None:
        return 0
    take.finish({"interrupted": "what had not been closed in a chunk is missing"})
    return take.messages


def _closed(file: Any) -> Iterator[McapRecord]:
    records = iter(StreamReader(file, validate_crcs=True).records)
    while True:
        try:
            record = next(records)
        except Exception:  # cut off anywhere, the libraries below raise of many kinds
            return
        yield record

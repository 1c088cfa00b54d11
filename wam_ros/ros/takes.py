"""Takes: recordings that grow while the loop runs, written by a thread of their own.

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
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
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
_AGAIN_S = 0.2  # from one try to write to the next, while the disk takes nothing
_ENDING_S = 10.0  # longest wait for the last take


@dataclass(frozen=True)
class Topic:
    """What a recording says of a topic."""

    name: str
    kind: str  # package/msg/Name
    definition: str  # of the message and of those in its fields, as in .msg files
    digest: str  # REP 2011
    offered: str = "[]"  # qualities of service of its publishers, YAML as rosbag2 writes it


@dataclass(frozen=True)
class TakeStatus:
    """What a recorder does at the moment."""

    take: str = ""  # name of the one that grows; '' for none
    seconds: float = 0.0  # since it began
    messages: int = 0  # written
    written: int = 0  # bytes
    waiting: int = 0  # bytes that wait to be written
    dropped: Mapping[str, int] = field(default_factory=dict)  # messages left out, by topic
    trouble: str = ""  # why nothing can be written now; '' when it can
    last: str = ""  # what became of the take before


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


class TakeRecorder:
    """Takes below a folder, one after the other. A thread writes; what waits for it is bounded.

    Every method belongs to one other thread and never waits for the disk, `close` excepted.

    Args:
        folder: of the takes.
        most_waiting: bytes; messages that come beyond them are left out, and counted.
        chunk_s: what was heard is closed in a chunk after this time.
    """

    def __init__(self, folder: Path, most_waiting: int, chunk_s: float) -> None:
        self._folder = folder
        self._most = most_waiting
        self._chunk_s = chunk_s
        self._number = 1 + max((_number(path) for path in folder.glob("take_*")), default=-1)
        # of both threads, under the lock
        self._wake = threading.Condition()
        self._queue: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._waiting = 0
        self._dropped: Counter[str] = Counter()
        self._trouble = ""
        self._last = ""
        self._abandoned = False  # what is being tried: its take is to be discarded
        self._closing = False
        self._end_s = float("inf")
        # of the caller
        self._name = ""
        self._began_s = 0.0
        # of the thread
        self._take: Take | None = None
        self._closed_s = 0.0
        self._figures = 0, 0
        self._thread = threading.Thread(target=self._run, name="takes", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """Of the take that grows; '' for none."""
        return self._name

    @property
    def status(self) -> TakeStatus:
        """What is done at the moment."""
        with self._wake:
            messages, written = self._figures
            return TakeStatus(
                take=self._name,
                seconds=time.monotonic() - self._began_s if self._name else 0.0,
                messages=messages,
                written=written,
                waiting=self._waiting,
                dropped=dict(self._dropped),
                trouble=self._trouble,
                last=self._last,
            )

    def start(self) -> str:
        """Begin a take; returns its name."""
        assert not self._name
        self._name = f"take_{self._number:06d}"
        self._number += 1
        self._began_s = time.monotonic()
        with self._wake:
            self._dropped = Counter()
        self._ask(self._begin, self._folder / self._name)
        return self._name

    def put(self, topic: Topic, log_ns: int, sent_ns: int, data: bytes) -> None:
        """Take a message, as `Take.add` does; without a take nothing happens."""
        if not self._name:
            return
        with self._wake:
            if self._waiting + len(data) > self._most:
                self._dropped[topic.name] += 1
                return
            self._waiting += len(data)
            self._queue.append((self._add, (topic, log_ns, sent_ns, data)))
            self._wake.notify()

    def keep(self, notes: Mapping[str, str]) -> None:
        """End the take and keep it, with notes beside it and what had to be left out."""
        with self._wake:
            left_out = ", ".join(f"{n} of {topic}" for topic, n in self._dropped.items())
        found = {**notes, "left out": left_out} if left_out else dict(notes)
        self._name = ""
        self._ask(self._finish, found)

    def discard(self) -> None:
        """End the take and remove it, also where it cannot be written."""
        self._name = ""
        with self._wake:
            self._abandoned = True
            self._queue.append((self._remove, ()))
            self._wake.notify()

    def close(self) -> bool:
        """End the thread when what waits is written, or cannot be; whether all of it was. What
        could not be finished can be mended.
        """
        with self._wake:
            self._closing = True
            self._end_s = time.monotonic() + _ENDING_S
            self._wake.notify()
        self._thread.join()
        return not self._trouble

    def _ask(self, task: Callable[..., None], *values: Any) -> None:
        with self._wake:
            self._queue.append((task, values))
            self._wake.notify()

    # What follows is of the thread.

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except Exception as error:
            # it must be told: nothing else ends when this thread does
            with self._wake:
                self._trouble = f"the recorder has ended: {type(error).__name__}: {error}"
        finally:
            if self._take is not None:
                self._take.leave()

    def _step(self) -> bool:
        """One thing that waits, or a chunk that is due; False when there is nothing more to do."""
        with self._wake:
            if not self._queue and not self._closing:
                self._wake.wait(self._chunk_s if self._take is not None else None)
            task, values = self._queue.popleft() if self._queue else (None, ())
            if task is None and self._closing:
                return False
        if task is not None:
            task(*values)
        take = self._take
        if take is not None:
            now_s = time.monotonic()
            if now_s - self._closed_s >= self._chunk_s:
                self._closed_s = now_s
                self._patiently(take.close_chunk)
            with self._wake:
                self._figures = take.messages, take.written
        return True

    def _begin(self, path: Path) -> None:
        def make() -> None:
            self._take = Take(path)

        self._closed_s = time.monotonic()
        with self._wake:
            self._figures = 0, 0
        self._patiently(make)

    def _add(self, topic: Topic, log_ns: int, sent_ns: int, data: bytes) -> None:
        if self._take is not None:
            self._take.add(topic, log_ns, sent_ns, data)
            self._patiently(self._take.push)
        with self._wake:
            self._waiting -= len(data)

    def _finish(self, notes: Mapping[str, str]) -> None:
        take = self._take
        if take is None:
            return
        done = self._patiently(lambda: take.finish(notes))
        if not done:
            take.leave()
        self._take = None
        with self._wake:
            state = "saved" if done else "was not finished: `wam data mend` does it"
            self._last = f"{take.path.name} {state}"

    def _remove(self) -> None:
        take = self._take
        with self._wake:
            self._abandoned = False
            self._last = "" if take is None else f"{take.path.name} discarded"
        self._take = None
        if take is not None:
            self._patiently(take.discard)

    def _patiently(self, task: Callable[[], None]) -> bool:
        """Do it, again and again while the disk does not take it; False when it was given up."""
        while True:
            try:
                task()
            except (OSError, WamError) as error:
                strerror = error.strerror if isinstance(error, OSError) else ""
                with self._wake:
                    self._trouble = f"nothing can be written: {strerror or error}"
                    if self._abandoned:
                        return False
                    if self._closing and time.monotonic() > self._end_s:
                        return False
                    self._wake.wait(_AGAIN_S)
            else:
                with self._wake:
                    self._trouble = ""
                return True


def _number(path: Path) -> int:
    digits = path.name.removeprefix("take_").partition(".")[0]
    return int(digits) if digits.isdigit() else -1


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

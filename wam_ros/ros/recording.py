"""A recorded loop: a rosbag2 folder, as `recorder_node` and `ros2 bag record` write it, read
message by message.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.rosbag2 import ReaderError

from wam_ros.core.errors import WamError, require_known

METADATA = "metadata.yaml"  # that the folder of a recording has
PART = ".part"  # ends the name of a take that is not whole yet
# what only a loop has, by which its namespace is found
_OWN = ("observation", "action_chunk", "wam_status", "safety_report", "safe_trajectory")


@dataclass(frozen=True)
class Recorded:
    """One message of a recording."""

    topic: str  # without namespace
    recorded_ns: int  # of the system clock of whoever recorded
    data: bytes  # as it travelled
    _kind: str
    _recording: Recording

    @property
    def message(self) -> Any:
        """The message, with the fields that its type had when it was recorded.

        Raises:
            WamError: it does not hold what its type says.
        """
        return self._recording.deserialize(self.data, self._kind)


class Recording:
    """An open recording of one loop, to be used in a `with`.

    Args:
        path: folder of the bag, or a folder of takes with one in it.
        namespace: of the loop in it; None takes the only one.

    Raises:
        WamError: there is no recording, it cannot be read, or there are several, or several loops
            in it, which are listed.
    """

    def __init__(self, path: Path, namespace: str | None = None) -> None:
        if not path.exists():
            raise WamError(f"recording '{path}' does not exist")
        path = _only_one(path)
        self.path = path
        self._opened = contextlib.ExitStack()
        with self._reading():
            self._reader = self._opened.enter_context(AnyReader([path]))
        self.topics = {c.topic: c.msgtype for c in self._reader.connections}
        self.namespace = self._chosen(namespace)

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _chosen(self, namespace: str | None) -> str:
        """The namespace of the loop, with a slash at both ends."""
        found = sorted(
            {t[: -len(own)] for t in self.topics for own in _OWN if t.endswith(f"/{own}")}
        )
        if namespace is not None:
            wanted = f"/{namespace.strip('/')}/".replace("//", "/")
            return require_known(f"namespace in '{self.path}'", wanted, found)
        if len(found) > 1:
            raise WamError(
                f"recording '{self.path}' has several loops: choose one by --namespace "
                f"{' or '.join(found)}"
            )
        return found[0] if found else "/"

    def messages(
        self,
        topics: Collection[str],
        needed: Collection[str] = (),
        start_ns: int | None = None,
        stop_ns: int | None = None,
    ) -> Iterator[Recorded]:
        """Those of some topics, named without namespace, in the order of recording.

        Args:
            topics: that are wanted.
            needed: of these one at least must be in the recording; none: one of `topics`.
            start_ns: those recorded from here on; None: from the beginning.
            stop_ns: those recorded before; None: to the end.

        Raises:
            WamError: none of those is there, or the recording ends in the middle of a message.
        """
        names = {self.namespace + topic: topic for topic in topics}
        chosen = [c for c in self._reader.connections if c.topic in names]
        if not {self.namespace + topic for topic in needed or topics} & set(self.topics):
            there = ", ".join(sorted(self.topics)[:12])
            raise WamError(
                f"recording '{self.path}' is not of this loop: it has {there or 'nothing'}; wanted "
                f"are {', '.join(sorted(needed or topics))}, in any namespace"
            )
        if not chosen:  # to the reader, no connections mean all
            return
        with self._reading():
            found = self._reader.messages(connections=chosen, start=start_ns, stop=stop_ns)
            for connection, recorded_ns, data in found:
                yield Recorded(names[connection.topic], recorded_ns, data, connection.msgtype, self)

    def deserialize(self, data: bytes, kind: str) -> Any:
        """The message in `data`; raises `WamError` as `Recorded.message` does."""
        with self._reading():
            return self._reader.deserialize(data, kind)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (AnyReaderError, ReaderError, OSError) as error:
            raise WamError(
                f"recording '{self.path}' cannot be read: {' '.join(str(error).split())}"
            ) from error


def _only_one(path: Path) -> Path:
    """The recording in a folder of takes; what is none is left as it is."""
    if path.is_file() or (path / METADATA).is_file():
        return path
    takes = takes_in(path)
    if len(takes) > 1:
        raise WamError(
            f"'{path}' has {len(takes)} recordings: name one, '{takes[0]}' to '{takes[-1]}'"
        )
    if not takes:
        require_finished(path)
    return takes[0] if takes else path


def require_finished(folder: Path) -> None:
    """Raise `WamError` for a folder of takes that grow or were interrupted."""
    if [*folder.glob(f"*{PART}")]:
        raise WamError(
            f"what is recorded in '{folder}' is not finished; when nobody records into it any "
            f"more, `wam data mend {folder}` makes recordings of what was interrupted"
        )


def takes_in(folder: Path) -> list[Path]:
    """The recordings in a folder, by their names."""
    found = [path.parent for path in sorted(folder.glob(f"*/{METADATA}"))]
    return [path for path in found if path.suffix != PART]


@contextlib.contextmanager
def expecting(recorded: Recorded) -> Iterator[None]:
    """What reads a message that has other fields than ours says so by name.

    Raises:
        WamError: the message is of another type, or of another version of it.
    """
    try:
        yield
    except AttributeError as error:
        raise WamError(
            f"recording: '{recorded.topic}' holds messages of another type: {error}"
        ) from error

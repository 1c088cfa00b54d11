"""One take after the other below a folder, written by a thread of its own."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wam_ros.core.errors import WamError
from wam_ros.ros.takes import Take, Topic

_AGAIN_S = 0.2  # from one try to write to the next, while the disk takes nothing
_ENDING_S = 10.0  # longest wait for the last take


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

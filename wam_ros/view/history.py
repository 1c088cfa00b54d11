"""The last minute: figures of the loop for the timeline, and the frames of each moment."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

SPAN_S = 60.0
MOST_BYTES = 48_000_000  # of the frames that are kept


@dataclass(frozen=True)
class Moment:
    """One entry; the clock is the caller's."""

    number: int
    t_s: float
    figures: Mapping[str, Any]
    frames: bytes


class Past(Protocol):
    """What the page's server needs of what is over."""

    def moments(self, now_s: float) -> list[Moment]:
        """Those that are shown at `now_s`, the oldest first."""

    def frames(self, number: int) -> bytes | None:
        """The frames of one moment, None when it is gone."""


class History:
    """Moments of the last minute, the oldest first. Two threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moments: deque[Moment] = deque()
        self._bytes = 0
        self._number = 0

    @property
    def next_number(self) -> int:
        """Of the moment that is added next."""
        return self._number

    def add(self, t_s: float, figures: Mapping[str, Any], frames: bytes) -> Moment:
        """Keep a moment; what is older than a minute, or more than there is room for, leaves."""
        with self._lock:
            moment = Moment(self._number, t_s, figures, frames)
            self._number += 1
            self._moments.append(moment)
            self._bytes += len(frames)
            while (
                self._bytes > MOST_BYTES
                or not t_s - SPAN_S <= self._moments[0].t_s <= t_s  # or the clock was set back
            ):
                self._bytes -= len(self._moments.popleft().frames)
                if not self._moments:
                    break
            return moment

    def moments(self, now_s: float) -> list[Moment]:
        """Those of the last minute before `now_s`."""
        with self._lock:
            return [m for m in self._moments if now_s - SPAN_S <= m.t_s <= now_s]

    def frames(self, number: int) -> bytes | None:
        """The frames of one moment, None when it is gone."""
        with self._lock:
            if not self._moments:
                return None
            index = number - self._moments[0].number
            return self._moments[index].frames if 0 <= index < len(self._moments) else None

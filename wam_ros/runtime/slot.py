"""A place for one value, where a newer one replaces the older: the opposite of a queue."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestSlot(Generic[T]):
    """Holds at most one value. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: T | None = None
        self._replaced = 0

    def put(self, value: T) -> bool:
        """Store `value`; True when it replaced one that nobody took."""
        with self._lock:
            lost = self._value is not None
            self._replaced += lost
            self._value = value
            return lost

    def take(self) -> T | None:
        """Remove and return the value, None when there is none."""
        with self._lock:
            value = self._value
            self._value = None
            return value

    @property
    def replaced(self) -> int:
        """Values replaced before anybody took them, since construction."""
        with self._lock:
            return self._replaced

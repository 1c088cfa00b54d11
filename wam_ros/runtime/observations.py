"""Observations on their way to the thread that runs the policy."""

from __future__ import annotations

from collections import deque

from wam_ros.core.policy import Request
from wam_ros.core.types import Observation
from wam_ros.runtime.slot import LatestSlot

NOTES = 16  # frames to remember that may wait


class ObservationQueue:
    """The newest observation to predict from, and frames that are only to be remembered.

    One thread puts, another takes. An observation that waits to be predicted from is replaced by
    the next one, so that no chunk is made from what was seen long ago. Of the frames to remember
    the newest `NOTES` wait, whatever else comes.
    """

    def __init__(self) -> None:
        self._looks: LatestSlot[tuple[Observation, Request]] = LatestSlot()
        self._notes: deque[tuple[Observation, Request]] = deque(maxlen=NOTES)

    def put(self, observation: Observation, request: Request) -> None:
        """Let one wait, with what is wanted from it."""
        keep = self._looks.put if request.predict else self._notes.append
        keep((observation, request))

    def take(self) -> list[tuple[Observation, Request]]:
        """All that wait, the oldest first."""
        look = self._looks.take()
        notes = [self._notes.popleft() for _ in range(len(self._notes))]
        return sorted([*notes, *([look] if look else [])], key=lambda x: x[0].stamp_ns)

    @property
    def replaced(self) -> int:
        """Observations that were never predicted from."""
        return self._looks.replaced

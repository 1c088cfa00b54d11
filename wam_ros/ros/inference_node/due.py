"""Chunks of a loop in lock-step: each leaves when it is due, and the world waits for it."""

from __future__ import annotations

from collections.abc import Callable

from wam_ros.core.types import NS
from wam_ros.msg import Pace
from wam_ros.ros import convert, qos
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.progress import ProgressTeller
from wam_ros.runtime.results import EngineResult


class DueChunks:
    """Holds results back until the simulated world has come to the instant at which they are due
    and everybody has heard what came before it.

    Without lock-step a result is let go at once.

    Args:
        node: that hears how the world keeps time.
        progress: tells the world how far it may go.
        latency_s: from an observation until its chunk is due.
        now_ns: ROS time.
        let_go: publishes a result as of an instant [ns].
    """

    def __init__(
        self,
        node: WamNode,
        progress: ProgressTeller,
        latency_s: float,
        now_ns: Callable[[], int],
        let_go: Callable[[EngineResult, int], None],
    ) -> None:
        self._progress = progress
        self._latency_ns = round(latency_s * NS)
        self._now_ns = now_ns
        self._let_go = let_go
        self._asked: list[int] = []  # stamps of the observations that a chunk is awaited from
        self._ready: EngineResult | None = None
        self._settled_ns = 0  # up to then everybody has heard all
        if progress.enabled:
            node.create_subscription(Pace, "pace", self._on_pace, qos.STATUS)

    def observed(self, stamp_ns: int, asked: bool) -> None:
        """An observation came, and was handed to the model if it was `asked` for a chunk."""
        self._progress.heard = stamp_ns
        if asked:
            self.ask(stamp_ns)
        else:
            self._progress.tell()

    def ask(self, stamp_ns: int) -> None:
        """A chunk is awaited from the observation of `stamp_ns`."""
        self._asked.append(stamp_ns)
        self._tell()

    def forget(self) -> None:
        """What was asked for is not wanted any more."""
        self._asked.clear()
        self._ready = None
        self._tell()

    def take(self, result: EngineResult) -> None:
        """Let go of a result now, or once it is due."""
        if not self._progress.enabled:
            return self._let_go(result, self._now_ns())
        self._ready = result
        return self._look()

    def said(self, number: int) -> None:
        """A chunk was published."""
        self._progress.said = number

    def _on_pace(self, msg: Pace) -> None:
        pace = convert.pace_from_msg(msg)
        if pace.settled:
            self._settled_ns = pace.now_ns
            self._look()

    def _look(self) -> None:
        result = self._ready
        if result is None:
            return
        stamp_ns = result.observation.stamp_ns
        if self._settled_ns < stamp_ns + self._latency_ns:
            return
        self._ready = None
        self._asked = [ns for ns in self._asked if ns > stamp_ns]
        self._let_go(result, self._settled_ns)
        self._tell()

    def _tell(self) -> None:
        self._progress.until_ns = self._asked[0] + self._latency_ns if self._asked else 0
        self._progress.tell()

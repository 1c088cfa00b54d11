"""A second thread that decodes what was imagined, so that the next chunk need not wait for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from wam_ros.core.errors import WamError
from wam_ros.runtime.prediction import decoded, describe
from wam_ros.runtime.results import EngineResult
from wam_ros.runtime.slot import LatestSlot

_LOG = logging.getLogger(__name__)


class LateFrames:
    """Gives results the frames that were left out of them. Where chunks come faster than their
    frames can be decoded, frames of the newest chunk are decoded next, and those between are never
    seen.

    Args:
        tell: is given each result with its frames, or None where `error` says why there are none,
            on the thread that decodes.
    """

    def __init__(self, tell: Callable[[EngineResult | None], None]) -> None:
        self._tell = tell
        self._next: LatestSlot[EngineResult] = LatestSlot()
        self._wake = threading.Event()
        self._closing = False
        self.error = ""  # of the newest result; empty when its frames could be decoded
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)
        self._thread.start()

    def decode(self, result: EngineResult) -> None:
        """Any thread: decode the frames of a result next, instead of any that still waits."""
        self._next.put(result)
        self._wake.set()

    def close(self, timeout_s: float) -> bool:
        """End the thread after what it is doing; False when that took longer than `timeout_s`."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait()
            self._wake.clear()
            if not self._closing and (result := self._next.take()) is not None:
                self._decode(result)

    def _decode(self, result: EngineResult) -> None:
        assert result.output is not None, "only what has a chunk has frames"
        try:
            output = decoded(result.output, result.observation)
        except Exception as caught:  # whatever a model raises must not end the thread
            error = describe(caught)
            if error != self.error:
                is_refusal = isinstance(caught, WamError)
                _LOG.error("no imagined frames: %s", error, exc_info=not is_refusal)
            self.error = error
            self._tell(None)
            return
        self.error = ""
        self._tell(replace(result, output=output))

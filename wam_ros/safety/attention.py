"""Who may stop the arm is heard in the middle of long work: neither a chunk nor an obstacle makes a
stop wait.

One thread judges chunks and hears the stop. A chunk of many steps among many bodies would take
seconds to judge, and the model is asked thousands of small questions meanwhile; between two of them
the thread looks up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wam_ros.core.types import Reason
from wam_ros.robot.model import SafetyModel
from wam_ros.safety.finding import Finding

EVERY_S = 0.002  # between two looks


class InterruptedWorkError(Exception):
    """Work was ended in the middle; `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.words)
        self.finding = finding


class Attention:
    """Looks up from work with one model. Belongs to the thread that owns the model.

    Args:
        model: calls back between two computations.
        clock: s.
    """

    def __init__(self, model: SafetyModel, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        # hears and carries out what does not wait; whether the work is void for it
        self.hear: Callable[[], bool] = _nobody
        self._model = model
        self._idle = model.between

    def look_up(self) -> None:
        """Hear who may stop the arm, before something that takes a while and cannot be ended."""
        self.hear()

    @contextmanager
    def during(self, patience_s: float = math.inf, void: bool = True) -> Iterator[None]:
        """Hear who may stop the arm while what follows is done.

        Args:
            patience_s: longest that it may take.
            void: whether it may be ended in the middle.

        Raises:
            InterruptedWorkError: the arm was stopped, or it took longer; only where `void`.
        """
        began_s = self.clock()
        next_s = began_s + EVERY_S

        def look() -> None:
            nonlocal next_s
            now_s = self.clock()
            if void and now_s - began_s > patience_s:
                words = f"checking takes longer than the {patience_s:g} s that there are"
                raise InterruptedWorkError(
                    Finding(
                        Reason.OVERRUN,
                        words,
                        measured=now_s - began_s,
                        allowed=patience_s,
                        unit="s",
                    )
                )
            if now_s < next_s:
                return
            # what is done for who is heard is short, and nobody else is heard in it
            placed = self._model.placed
            self._model.between = self._idle
            try:
                heard = self.hear()
            finally:
                self._model.between = look
                # the work goes on where it was
                if placed is not None and placed is not self._model.placed:
                    self._model.place(placed)
            next_s = self.clock() + EVERY_S
            if heard and void:
                raise InterruptedWorkError(
                    Finding(Reason.WATCHDOG, "the arm was stopped meanwhile")
                )

        self._model.between = look
        try:
            yield
        finally:
            self._model.between = self._idle


def _nobody() -> bool:
    return False

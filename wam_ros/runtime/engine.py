"""One thread that runs a policy on the newest observation, so that nobody else waits for the network.

Which thread calls what: the *owner* (the executor thread of a node) calls `submit`, `take`, `reset`, `status` and
`close`. The *engine thread* is the only one that touches the policy, and calls `on_event`. Failures cross between
them as text, never as exceptions.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.core.policy import Policy, PolicyOutput
from wam_ros.core.types import Observation
from wam_ros.runtime.slot import LatestSlot

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineResult:
    """One prediction, or why there is none; neither output nor error: the policy wants the chunk before to go on."""

    observation: Observation
    instruction: str
    epoch: int
    output: PolicyOutput | None = None
    inference_s: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class ResetOutcome:
    """Answer to `reset`: when refused, what was being executed goes on in the old epoch."""

    ok: bool
    message: str
    epoch: int


@dataclass(frozen=True)
class EngineStatus:
    """Snapshot of the engine."""

    epoch: int
    instruction: str  # empty until one is accepted
    error: str  # of the newest prediction; empty when it succeeded
    predictions: int
    dropped: int  # observations never predicted from, and results nobody took or that came too late
    busy_s: float  # how long the running prediction or reset has taken so far, 0 when idle
    alive: bool


class InferenceEngine:
    """Runs `policy` on its own thread, newest observation first.

    Args:
        policy: owned by the engine from now on. A refused `policy.reset` must leave it as it was.
        max_gap_ns: the memory of the policy is dropped when observations are further apart than this.
        example: predicted from `warmups` times before the first instruction runs, so that no real chunk pays for
            lazy initialisation; None for no warm-up.
        warmups: how often.
        on_event: called on the engine thread after a result or the answer to a reset is there; must not block.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        max_gap_ns: int,
        example: Observation | None = None,
        warmups: int = 2,
        on_event: Callable[[], None] = lambda: None,
    ) -> None:
        self._policy, self._max_gap_ns, self._on_event = policy, max_gap_ns, on_event
        self._example, self._warmups = example, warmups
        self._observations: LatestSlot[Observation] = LatestSlot()
        self._results: LatestSlot[EngineResult] = LatestSlot()
        self._resets: queue.SimpleQueue[tuple[str | None, Future[ResetOutcome]]] = queue.SimpleQueue()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._lock = threading.Lock()  # guards the six below, written by the engine thread
        self._epoch = 0
        self._instruction = ""
        self._error = ""
        self._predictions = 0
        self._late = 0
        self._busy_since: float | None = None
        self._last_stamp_ns: int | None = None  # engine thread only; None when the memory is empty
        self._memory_broken = False  # engine thread only: a failure may have left it half written
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def submit(self, observation: Observation) -> None:
        """Owner: predict from `observation` next, instead of any that still waits."""
        self._observations.put(observation)
        self._wake.set()

    def take(self) -> EngineResult | None:
        """Owner: the newest result not taken yet; None if there is none of the current epoch."""
        result = self._results.take()
        with self._lock:
            if result is not None and result.epoch != self._epoch:
                self._late += 1
                return None
        return result

    def reset(self, instruction: str | None) -> Future[ResetOutcome]:
        """Owner: forget the memory and take a new instruction, or keep the present one (None).

        The epoch rises when the instruction is accepted; from then on `take` returns nothing older. The future is
        resolved on the engine thread, always with an outcome; cancelled before its turn, it has no effect.
        """
        future: Future[ResetOutcome] = Future()
        if self._closing.is_set():
            future.set_result(ResetOutcome(False, "the inference engine is closed", self._epoch))
            return future
        self._resets.put((instruction, future))
        self._wake.set()
        return future

    def reset_within(self, instruction: str | None, timeout_s: float) -> ResetOutcome:
        """Owner: `reset` and wait; after `timeout_s` a reset whose turn has not come is given up, without effect."""
        asked = self.reset(instruction)
        try:
            return asked.result(timeout_s)
        except FutureTimeoutError:
            if asked.cancel():
                return ResetOutcome(False, "the model is busy and did not answer", self.status().epoch)
            return asked.result()  # its turn has come: only the model itself can still be slow

    def status(self) -> EngineStatus:
        """Any thread: how the engine is doing."""
        with self._lock:
            busy = 0.0 if self._busy_since is None else time.perf_counter() - self._busy_since
            dropped = self._late + self._observations.replaced + self._results.replaced
            alive = self._thread.is_alive()
            return EngineStatus(self._epoch, self._instruction, self._error, self._predictions, dropped, busy, alive)

    def close(self, timeout_s: float = 5.0) -> bool:
        """Owner: end the thread after what it is doing; False when that took longer than `timeout_s`."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            while not self._closing.is_set() and not self._resets.empty():
                self._answer(*self._resets.get())
            observation = self._observations.take()
            if observation is not None and self._instruction and not self._closing.is_set():
                self._predict(observation)
        while not self._resets.empty():
            future = self._resets.get()[1]
            if future.set_running_or_notify_cancel():
                future.set_result(ResetOutcome(False, "the inference engine is closed", self._epoch))

    def _answer(self, instruction: str | None, future: Future[ResetOutcome]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        self._set_busy(True)
        message = self._try_reset(instruction)
        with self._lock:
            if not message:
                self._epoch += 1
                self._instruction = self._instruction if instruction is None else instruction
                self._error = ""
            self._busy_since = None
            outcome = ResetOutcome(not message, message, self._epoch)
        future.set_result(outcome)
        self._notify()

    def _try_reset(self, wanted: str | None) -> str:
        """Reset the policy, warming it up the first time; the error text, empty when it worked."""
        instruction = self._instruction if wanted is None else wanted
        if not instruction:
            return "" if wanted is None else "the instruction is empty"
        try:
            if self._example is None:
                self._policy.reset(instruction)
            else:
                warm_up(self._policy, instruction, self._example, self._warmups)
                self._example = None
        except Exception as error:  # whatever a model raises must not end the thread
            if not isinstance(error, WamError):
                self._memory_broken = True  # not a refusal: the policy may be half reset
            return describe(error)
        self._last_stamp_ns, self._memory_broken = None, False
        return ""

    def _predict(self, observation: Observation) -> None:
        self._set_busy(True)
        started = time.perf_counter()
        output, error = None, ""
        try:
            if self._refresh_memory(observation.stamp_ns):
                output = self._policy.predict(observation)
            check_output(output, observation)
        except Exception as caught:  # whatever a model raises must not end the thread
            output, error = None, describe(caught)
            if error != self._error:
                _LOG.error("prediction failed: %s", error, exc_info=not isinstance(caught, WamError))
            self._memory_broken = True
        took = time.perf_counter() - started
        with self._lock:
            self._error, self._busy_since = error, None
            self._predictions += output is not None
            result = EngineResult(observation, self._instruction, self._epoch, output, took, error)
        self._results.put(result)
        self._notify()

    def _refresh_memory(self, stamp_ns: int) -> bool:
        """Drop the memory when it does not lead up to `stamp_ns`; False for an instant already predicted from."""
        last, self._last_stamp_ns = self._last_stamp_ns, stamp_ns
        if stamp_ns == last:
            return False
        in_step = last is None or 0 < stamp_ns - last <= self._max_gap_ns
        if in_step and not self._memory_broken:
            return True
        self._policy.reset(self._instruction)
        self._memory_broken = False
        if last is not None and stamp_ns < last:
            # The clock was set back: whatever was predicted before lies in another time.
            with self._lock:
                self._epoch += 1
        return True

    def _notify(self) -> None:
        try:
            self._on_event()
        except Exception:  # an owner that is going away must not end the thread
            _LOG.exception("on_event failed")

    def _set_busy(self, busy: bool) -> None:
        with self._lock:
            self._busy_since = time.perf_counter() if busy else None


def warm_up(policy: Policy, instruction: str, example: Observation, times: int) -> None:
    """Predict from `example` `times` times; before and after, the memory is as `policy.reset(instruction)` leaves it.

    Raises:
        WamError: the instruction was refused, or a prediction does not fit.
    """
    policy.reset(instruction)
    for _ in range(times):
        check_output(policy.predict(example), example)
        policy.reset(instruction)


def check_output(output: PolicyOutput | None, observation: Observation) -> None:
    """Refuse a prediction that does not fit the observation it was made from.

    Raises:
        WamError: positions are not (T, A) for the observed joints, or frames not (F, V, H, W, 3) like the observed.
    """
    if output is None:
        return
    joints = len(observation.joints.joint_names)
    if output.positions.ndim != 2 or output.positions.shape[0] < 1 or output.positions.shape[1] != joints:
        raise WamError(f"the policy returned positions {output.positions.shape}, expected (T, {joints})")
    wanted = (len(output.frame_offsets_ns), *observation.frames.shape)
    if output.frames.shape != wanted or output.frames.dtype != np.uint8:
        found = f"{output.frames.dtype} {output.frames.shape}"
        raise WamError(f"the policy returned frames {found}, expected uint8 {wanted}")


def describe(error: Exception) -> str:
    """One line for a human: our own errors speak for themselves, others are named."""
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, WamError) else f"{type(error).__name__}: {text}"

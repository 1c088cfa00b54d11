"""One thread that runs a policy on the newest observation, so that nobody else waits for the
network.

The *owner* (the executor thread of a node) calls the public methods. The *engine thread* is the
only one that touches the policy; a policy to follow it is made ready on a thread of its own, and
what was imagined may be decoded on another (`LateFrames`). Failures cross as text.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import replace

from wam_ros.core.errors import WamError
from wam_ros.core.policy import Policy, Request
from wam_ros.core.types import Observation
from wam_ros.runtime.continuity import Continuity, Follows
from wam_ros.runtime.late_frames import LateFrames
from wam_ros.runtime.observations import ObservationQueue
from wam_ros.runtime.prediction import (
    best,
    describe,
    predict,
    warm_up,
    why_not_good_enough,
)
from wam_ros.runtime.results import EngineResult, EngineStatus, Outcome, Results
from wam_ros.runtime.values import Value

_LOG = logging.getLogger(__name__)
CLOSED = "the inference engine is closed"
PLAIN = Request()


class InferenceEngine:
    """Runs `policy` on its own thread, newest observation first.

    Args:
        policy: owned by the engine from now on. A refused `policy.reset` must leave it as it was.
        max_gap_ns: the memory of the policy is dropped when observations are further apart than
            this; where requests count executed steps, standing still is no gap.
        step_period_ns: control step of such requests.
        example: predicted from `warmups` times, so that no real chunk pays for lazy initialisation:
            by `warm_up`, else before the first instruction runs, and in a policy that is swapped
            in; None for no warm-up.
        warmups: how often.
        value: chooses among candidates; None takes the first.
        least_value: that the best one must have to be told at all.
        apart: whether a chunk is told before the frames that were imagined with it are there; they
            are then decoded while the next chunk is predicted.
        on_event: called on a thread of the engine after a result, its frames or the answer to a
            reset is there; must not block.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        max_gap_ns: int,
        step_period_ns: int = 0,
        example: Observation | None = None,
        warmups: int = 2,
        value: Value | None = None,
        least_value: float = -math.inf,
        apart: bool = True,
        on_event: Callable[[], None] = lambda: None,
    ) -> None:
        self._policy = policy
        self._value = value
        self._least_value = least_value
        self._apart = apart and value is None  # a value may look at the frames
        self._on_event = on_event
        self._example = example
        self._warmups = warmups
        self._warm = example is None
        self._observations = ObservationQueue()
        self._results = Results()
        self._frames = LateFrames(self._tell_imagined)
        self._jobs: queue.SimpleQueue[tuple[Callable[[], str], Future[Outcome]]] = (
            queue.SimpleQueue()
        )
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._loading = threading.Lock()
        self._lock = threading.Lock()  # guards the five below, written by the engine thread
        self._epoch = 0
        self._instruction = ""
        self._error = ""
        self._busy_since: float | None = None
        self._memory = Continuity(step_period_ns, max_gap_ns)  # engine thread only
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def submit(self, observation: Observation, request: Request = PLAIN) -> None:
        """Owner: predict from `observation` next, instead of any that still waits, or only remember
        it.
        """
        self._observations.put(observation, request)
        self._wake.set()

    def take(self) -> EngineResult | None:
        """Owner: the newest result not taken yet; None if there is none of the current epoch."""
        with self._lock:
            return self._results.take(self._epoch)

    def take_imagined(self) -> EngineResult | None:
        """Owner: the same for what was imagined with a result that was told before its frames were
        there.
        """
        with self._lock:
            return self._results.take_imagined(self._epoch)

    def reset(self, instruction: str | None) -> Future[Outcome]:
        """Owner: forget the memory and take a new instruction, or keep the present one (None).

        The epoch rises when the instruction is accepted; from then on `take` returns nothing older.
        The future is resolved on the engine thread, always with an outcome; cancelled before its
        turn, it has no effect.
        """
        return self._queue(lambda: self._try_reset(instruction))

    def reset_within(self, instruction: str | None, timeout_s: float) -> Outcome:
        """Owner: `reset` and wait; after `timeout_s` a reset whose turn has not come is given up,
        without effect.
        """
        asked = self.reset(instruction)
        try:
            return asked.result(timeout_s)
        except FutureTimeoutError:
            if asked.cancel():
                return Outcome(False, "the model is busy and did not answer", self.status().epoch)
            return asked.result()  # its turn has come: only the model itself can still be slow

    def stand_by(self) -> Future[Outcome]:
        """Owner: follow no instruction any more; the epoch rises, and until the next instruction
        nothing is predicted.
        """
        return self._queue(self._try_stand_by)

    def warm_up(self) -> Future[Outcome]:
        """Owner: warm the policy up now, before an instruction is given, if it names one that it
        accepts.
        """
        return self._queue(self._try_warm_up)

    def swap(self, load: Callable[[], Policy]) -> Future[Outcome]:
        """Owner: replace the policy by what `load` returns, between two predictions.

        It is loaded and warmed up while the present one goes on; whatever goes wrong, the present
        one stays. It begins with the instruction of the moment and an empty memory. The epoch
        stays: the plan under way is still good.
        """
        future: Future[Outcome] = Future()
        if not self._loading.acquire(blocking=False):
            future.set_result(Outcome(False, "another model is being loaded", self.status().epoch))
            return future
        threading.Thread(target=self._load, args=(load, future), name="load", daemon=True).start()
        return future

    def status(self) -> EngineStatus:
        """Any thread: how the engine is doing."""
        with self._lock:
            busy = 0.0 if self._busy_since is None else time.perf_counter() - self._busy_since
            return EngineStatus(
                epoch=self._epoch,
                instruction=self._instruction,
                error=self._error or self._frames.error,
                dropped=self._observations.replaced + self._results.lost,
                busy_s=busy,
                alive=self._thread.is_alive(),
                policy=self._policy,
            )

    def close(self, timeout_s: float = 5.0) -> bool:
        """Owner: end the threads after what they are doing; False when that took longer than
        `timeout_s`.
        """
        with self._lock:
            self._closing.set()
        self._wake.set()
        until = time.monotonic() + timeout_s
        self._thread.join(timeout_s)
        frames_ended = self._frames.close(max(0.0, until - time.monotonic()))
        return frames_ended and not self._thread.is_alive()

    def _queue(
        self, job: Callable[[], str], future: Future[Outcome] | None = None
    ) -> Future[Outcome]:
        future = future or Future()
        with self._lock:  # nothing is put once the thread may have given its last answer
            closed = self._closing.is_set()
            epoch = self._epoch
            if not closed:
                self._jobs.put((job, future))
        if closed:
            future.set_result(Outcome(False, CLOSED, epoch))
        self._wake.set()
        return future

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            while not self._closing.is_set() and not self._jobs.empty():
                self._answer(*self._jobs.get())
            for observation, request in self._observations.take():
                if self._instruction and not self._closing.is_set():
                    self._predict(observation, request)
        while not self._jobs.empty():
            future = self._jobs.get()[1]
            if future.set_running_or_notify_cancel():
                future.set_result(Outcome(False, CLOSED, self._epoch))

    def _answer(self, job: Callable[[], str], future: Future[Outcome]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        self._set_busy()
        message = job()
        with self._lock:
            self._busy_since = None
            outcome = Outcome(not message, message, self._epoch)
        future.set_result(outcome)
        self._notify()

    def _try_reset(self, wanted: str | None) -> str:
        """Reset the policy, warming it up the first time; the error text, empty when it worked."""
        instruction = self._instruction if wanted is None else wanted
        if wanted is not None and not wanted:
            return "the instruction is empty"
        if instruction:
            message = self._begin(instruction)
            if message:
                return message
            self._memory.clear()
        with self._lock:
            self._epoch += 1
            self._instruction = instruction
            self._error = ""
        return ""

    def _try_stand_by(self) -> str:
        with self._lock:
            self._epoch += 1
            self._instruction = ""
            self._error = ""
        return ""

    def _try_warm_up(self) -> str:
        instruction = getattr(self._policy, "example_instruction", "")
        return self._begin(instruction) if instruction and not self._instruction else ""

    def _begin(self, instruction: str) -> str:
        """Reset the policy, warming it up if it is cold; the error text, empty when it worked."""
        try:
            if self._warm or self._example is None:
                self._policy.reset(instruction)
            else:
                warm_up(self._policy, instruction, self._example, self._warmups)
            self._warm = True
        except Exception as error:  # whatever a model raises must not end the thread
            if not isinstance(error, WamError):
                self._memory.broken = True  # not a refusal: the policy may be half reset
            return describe(error)
        return ""

    def _load(self, load: Callable[[], Policy], future: Future[Outcome]) -> None:
        """On a thread of its own: make a policy ready, then ask the engine thread to take it."""
        try:
            policy = load()
            instruction = self.status().instruction or getattr(policy, "example_instruction", "")
            if instruction and self._example is not None:
                warm_up(policy, instruction, self._example, self._warmups)
        except Exception as error:
            self._loading.release()
            future.set_result(Outcome(False, describe(error), self.status().epoch))
            return
        future.add_done_callback(lambda _: self._loading.release())
        self._queue(lambda: self._adopt(policy), future)

    def _adopt(self, policy: Policy) -> str:
        """Let `policy` go on from here, if it takes the instruction of the moment."""
        try:
            if self._instruction:
                policy.reset(self._instruction)
        except Exception as error:
            return describe(error)
        with self._lock:
            self._policy = policy
            self._error = ""
        self._memory.clear()
        self._warm = True
        return ""

    def _predict(self, observation: Observation, request: Request) -> None:
        self._set_busy()
        began = time.perf_counter()
        output = None
        value = math.nan
        error = ""
        try:
            if self._refresh_memory(observation.stamp_ns, request.step):
                asked = replace(request, apart=self._apart)
                predicted = predict(self._policy, observation, asked)
                output, value = best(predicted, self._value)
                error = why_not_good_enough(predicted, value, self._least_value)
                output = None if error else output
        except Exception as caught:  # whatever a model raises must not end the thread
            error = describe(caught)
            if error != self._error:
                _LOG.error(
                    "prediction failed: %s", error, exc_info=not isinstance(caught, WamError)
                )
            self._memory.broken = True
        with self._lock:
            self._busy_since = None
            if not request.predict and not error:
                return
            self._error = error
        result = EngineResult(
            observation=observation,
            instruction=self._instruction,
            epoch=self._epoch,
            output=output,
            inference_s=time.perf_counter() - began,
            error=error,
            request=request,
            value=value,
            model=self._policy.name,
            checkpoint_hash=self._policy.checkpoint_hash,
        )
        self._results.put(result)
        self._notify()
        if output is not None and output.decode is not None:
            self._frames.decode(result)

    def _tell_imagined(self, result: EngineResult | None) -> None:
        if result is not None:
            self._results.put_imagined(result)
        self._notify()

    def _refresh_memory(self, stamp_ns: int, step: int | None) -> bool:
        """Drop the memory when it does not lead up to this instant; False for one already seen."""
        follows = self._memory.follow(stamp_ns, step)
        if follows in (Follows.ON, Follows.SEEN):
            return follows is Follows.ON
        self._policy.reset(self._instruction)
        self._memory.broken = False
        if follows is Follows.BACK:  # whatever was predicted before lies in another time
            with self._lock:
                self._epoch += 1
        return True

    def _notify(self) -> None:
        try:
            self._on_event()
        except Exception:  # an owner that is going away must not end the thread
            _LOG.exception("on_event failed")

    def _set_busy(self) -> None:
        with self._lock:
            self._busy_since = time.perf_counter()

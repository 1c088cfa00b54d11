"""Several robots on one model, each with a memory of its own.

The thread of the model calls `answer` and `reset`; `release` and `status` are of any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wam_ros.core.errors import WamError
from wam_ros.core.policy import Policy, PolicyOutput, Request, abilities_of
from wam_ros.core.types import Observation
from wam_ros.runtime.prediction import check_output, describe, predict, require_instruction
from wam_ros.serve.together import sizes

MOST_CHARACTERS = 200  # of an instruction, as the inference node reads


@dataclass
class Session:
    """One robot: its policy remembers what it saw."""

    policy: Policy
    owner: str  # the connection that asks; '' while there is none
    used_s: float
    instruction: str = ""
    step: int | None = None  # executed control steps at its newest frame
    answers: int = 0


@dataclass(frozen=True)
class Asked:
    """One question of one robot."""

    name: str  # of the session
    owner: str  # connection that asks
    instruction: str
    seen: list[Observation]  # the oldest first
    request: Request  # what is wanted of the newest
    # control steps of each from the newest on; None: the model's stride
    offsets: tuple[int, ...] | None = None
    begins: bool = False  # whether nothing of before is remembered


class Sessions:
    """The memories of one model.

    Args:
        policy: the model; one that has no `another()` has a single memory, and one session.
        most: sessions at a time.
        idle_s: one that asked nothing for so long gives way to a new one.
        clock: seconds that only go forward.
        most_together: robots that are answered at once, a power of two; 1: each by itself.
    """

    def __init__(
        self,
        policy: Policy,
        most: int,
        idle_s: float,
        clock: Callable[[], float],
        most_together: int = 1,
    ) -> None:
        self.most_together = most_together
        self._policy = policy
        self._another = getattr(policy, "another", None)
        self._most = most if self._another is not None else 1
        self._idle_s = idle_s
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._evicted: list[str] = []

    def answer(self, asked: Sequence[Asked]) -> list[PolicyOutput | WamError | None]:
        """Predict from the newest frame of each, after remembering those before it.

        A new instruction begins with an empty memory. Frames without a count of steps follow each
        other, and those of the call before, at the model's own stride.

        Args:
            asked: each of another session.

        Returns:
            For each its prediction, None where only a frame was remembered, or an error: another
            connection asks for this session, no room for one more, an instruction that the model
            does not take, or a prediction that failed; the session is then forgotten.
        """
        answers: list[PolicyOutput | WamError | None] = [None] * len(asked)
        ready: list[tuple[int, Session, Request]] = []
        for k, one in enumerate(asked):
            try:
                session = self._session(one.name, one.owner)
                if any(session is other for _, other, _ in ready):
                    raise WamError(f"{one.name} was asked twice at once")
            except WamError as error:
                answers[k] = error
                continue
            try:
                ready.append((k, session, self._caught_up(session, one)))
            except Exception as error:
                answers[k] = self._failed(one.name, error)
        for size in sizes(len(ready), self.most_together):
            part = ready[:size]
            del ready[:size]
            outputs = self._predict([(s, asked[k].seen[-1], r) for k, s, r in part])
            for (k, session, request), output in zip(part, outputs, strict=True):
                if isinstance(output, Exception):
                    answers[k] = self._failed(asked[k].name, output)
                    continue
                session.step = request.step
                session.answers += request.predict
                answers[k] = output
        return answers

    def reset(self, name: str, owner: str, instruction: str) -> None:
        """Empty a session's memory, and take an instruction if there is one.

        Raises:
            WamError: another connection asks for this session, or the model does not take the
                instruction.
        """
        words = require_instruction(instruction, MOST_CHARACTERS) if instruction else ""
        session = self._session(name, owner)
        try:
            if words:
                session.policy.reset(words)
        except WamError:
            self._forget(name)
            raise
        if not words:
            self._forget(name)
        session.instruction = words
        session.step = None

    def release(self, owner: str) -> None:
        """Any thread: a connection is gone. A session that has a name waits for its return."""
        with self._lock:
            self._sessions.pop(owner, None)
            for session in self._sessions.values():
                if session.owner == owner:
                    session.owner = ""

    def status(self) -> dict[str, Any]:
        """Any thread: the sessions by name, and the newest ones that had to give way."""
        now_s = self._clock()
        with self._lock:
            return {
                "sessions": {
                    name: {"answers": s.answers, "idle_s": round(now_s - s.used_s, 3)}
                    for name, s in self._sessions.items()
                },
                "most": self._most,
                "evicted": list(self._evicted),
            }

    def _session(self, name: str, owner: str) -> Session:
        now_s = self._clock()
        with self._lock:
            found = self._sessions.get(name)
            if found is not None and found.owner not in ("", owner):
                raise WamError(f"{name} is in use on another connection; two would share a memory")
            if found is None:
                if len(self._sessions) >= self._most:
                    self._make_room(now_s)
                policy = self._policy if self._another is None else self._another()
                found = Session(policy, owner, now_s)
                self._sessions[name] = found
            found.owner = owner
            found.used_s = now_s
            return found

    def _forget(self, name: str) -> None:
        with self._lock:
            self._sessions.pop(name, None)

    def _make_room(self, now_s: float) -> None:
        """Let the one that has been idle for longest give way."""
        oldest = min(self._sessions, key=lambda name: self._sessions[name].used_s)
        idle_s = now_s - self._sessions[oldest].used_s
        if idle_s < self._idle_s:
            raise WamError(
                f"{len(self._sessions)} of {self._most} sessions are in use; one that asks nothing "
                f"for {self._idle_s:g} s gives way"
            )
        del self._sessions[oldest]
        self._evicted = [*self._evicted[-15:], oldest]

    def _caught_up(self, session: Session, asked: Asked) -> Request:
        """Remember what was seen before the newest frame; what is wanted of that."""
        words = require_instruction(asked.instruction, MOST_CHARACTERS)
        if asked.begins or words != session.instruction:
            session.policy.reset(words)
            session.instruction = words
            session.step = None
        stride = abilities_of(session.policy).frame_stride
        offsets = asked.offsets
        seen = asked.seen
        step = asked.request.step
        if stride:
            after = stride if offsets is None else 1  # the first frame follows the newest of before
            if offsets is None:
                offsets = tuple(stride * (k + 1 - len(seen)) for k in range(len(seen)))
            if step is None:
                step = -offsets[0] + (0 if session.step is None else session.step + after)
            for offset, observation in zip(offsets[:-1], seen[:-1], strict=True):
                if step + offset >= 0:
                    note = Request(step + offset, predict=False)
                    predict(session.policy, observation, note)
        return replace(asked.request, step=step)

    def _predict(
        self, asked: list[tuple[Session, Observation, Request]]
    ) -> list[PolicyOutput | Exception | None]:
        """One at a time, or all in fewer passes."""
        if len(asked) == 1:
            ((session, observation, request),) = asked
            try:
                return [predict(session.policy, observation, request)]
            except Exception as error:
                return [error]
        outputs = self._policy.together([(s.policy, o, r) for s, o, r in asked])  # type: ignore[attr-defined]
        for k, (_, observation, _) in enumerate(asked):
            try:
                if isinstance(outputs[k], PolicyOutput):
                    check_output(outputs[k], observation)
            except WamError as error:
                outputs[k] = error
        return list(outputs)

    def _failed(self, name: str, error: Exception) -> WamError:
        """What is told; the memory may hold half of what it should and is forgotten."""
        self._forget(name)
        if isinstance(error, WamError):
            return error
        found = WamError(f"the model failed: {describe(error)}")
        found.__cause__ = error
        return found

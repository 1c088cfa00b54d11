"""What a policy server answers to one message, without a network: contracts, sessions and
deadlines.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.latency import LatencyWindow
from wam_ros.core.policy import Policy, PolicyOutput, abilities_of, runs_on
from wam_ros.core.types import JointState, Observation
from wam_ros.models.limits import reach, require_between
from wam_ros.serve.sessions import Asked, Sessions
from wam_ros.wire.contract import (
    WireContract,
    actions_of,
    describe_robot,
    frames_of,
    joints_of,
    native,
)
from wam_ros.wire.exchange import RESET_DONE, Wanted, answer_keys, describe_abilities, read_asked
from wam_ros.wire.packing import WireError

MOST_FRAMES = 16  # of one view in one request
MOST_NAME = 128  # characters of a session's name


@dataclass(frozen=True)
class Query:
    """One message, read."""

    contract: WireContract
    connection: str
    session: str  # the connection, where the message names none
    prompt: str
    reset: bool
    message: Mapping[str, Any]
    begins: bool = False  # whether an episode begins, before which there is nothing to remember


class PolicyService:
    """A model and whoever asks it.

    `read` and `why_not_in_time` are of the server's thread, `answer` of the model's.

    Args:
        policy: the model.
        robot: that it is for.
        contracts: of foreign clients, beside our own.
        most_sessions: at a time.
        idle_s: after which a session gives way.
        clock: seconds that only go forward.
        most_together: robots that are answered at once, a power of two; 1: each by itself.
    """

    def __init__(
        self,
        policy: Policy,
        robot: Embodiment,
        contracts: Sequence[WireContract],
        most_sessions: int,
        idle_s: float,
        clock: Callable[[], float],
        most_together: int = 1,
    ) -> None:
        self._policy = policy
        self.robot = robot
        self.native = native(robot)
        self._reach = reach(robot)
        self._contracts = [self.native, *contracts]
        self._clock = clock
        self.sessions = Sessions(policy, most_sessions, idle_s, clock, most_together)
        self._lock = threading.Lock()  # guards the latencies
        self._took = LatencyWindow(100, 0, span_s=60.0)

    @property
    def frame_stride(self) -> int:
        """Control steps between the frames that the model remembers; 0: it remembers none."""
        return abilities_of(self._policy).frame_stride

    @property
    def metadata(self) -> dict[str, Any]:
        """What a client of ours is told first: model, robot, and the keys that it may use."""
        return {
            "server": "wam",
            "model": self._policy.name,
            "checkpoint_hash": self._policy.checkpoint_hash,
            "runs_on": runs_on(self._policy),
            "example_instruction": getattr(self._policy, "example_instruction", ""),
            "abilities": describe_abilities(abilities_of(self._policy)),
            "keys": {
                c.name: [*c.images, *c.state, c.prompt, *([c.session] if c.session else [])]
                for c in self._contracts
            },
            **describe_robot(self.robot),
        }

    @property
    def greeting(self) -> dict[str, Any]:
        """What any other client is told first. RoboArena's make a configuration of it, which takes
        these keys and no other.
        """
        found = next((c for c in self._contracts if c.endpoint), None)
        if found is None:
            return self.metadata
        return {
            "image_resolution": [
                found.image_height or self.robot.image_height,
                found.image_width or self.robot.image_width,
            ],
            "needs_wrist_camera": any("wrist" in key for key in found.images),
            "n_external_cameras": sum("exterior" in key for key in found.images),
            "needs_stereo_camera": any(key.endswith("_right") for key in found.images),
            "needs_session_id": bool(found.session),
            "action_space": "joint_position",
        }

    def read(self, message: Any, connection: str) -> Query:
        """What is asked.

        Args:
            message: unpacked.
            connection: who asks; also the session's name where the message has none.

        Raises:
            WireError: no map, or keys of no contract of this server.
        """
        if not isinstance(message, dict):
            raise WireError("a message is a map")
        endpoint = message.get("endpoint", "infer")
        if not isinstance(endpoint, str) or endpoint not in ("infer", "reset"):
            raise WireError("'endpoint' is infer or reset")
        contract = self._contract_of(message, endpoint == "reset")
        prompt = message.get(contract.prompt, "")
        if not isinstance(prompt, str):
            raise WireError(f"'{contract.prompt}' is text")
        name = message.get(contract.session or "session_id", "")
        if not isinstance(name, str) or len(name) > MOST_NAME or not (name or "x").isprintable():
            raise WireError(f"a session's name is at most {MOST_NAME} printable characters")
        return Query(
            contract=contract,
            connection=connection,
            session=f"session {name}" if name else connection,
            prompt=prompt,
            reset=endpoint == "reset",
            message=message,
        )

    def why_not_in_time(self, query: Query, waiting: int) -> str:
        """Why an answer would come too late behind `waiting` others; '' where it would not, or
        where the client waits.

        One that is alone is always answered: how slow the model is, it learns from the answers, and
        stands while it waits.

        Raises:
            WireError: a deadline that is none.
        """
        if query.reset or not waiting:
            return ""
        asked = read_asked(query.message, len(self.robot.joint_names))
        with self._lock:
            takes_s = self._took.percentile(50)
        expected_s = (waiting + 1) * takes_s
        in_time = asked.deadline_s is None or expected_s <= asked.deadline_s
        if in_time or not asked.request.predict:  # a frame is remembered late, too
            return ""
        return (
            f"busy: an answer would take {expected_s:.2f} s, which is more than the "
            f"{asked.deadline_s:.2f} s that it is of use"
        )

    def answer(self, waiting: Sequence[tuple[Query, float]]) -> list[Any]:
        """What is sent back for each: a map, an array where the contract says so, text, or an
        error, which a `WamError` tells in words.

        Args:
            waiting: queries of `read`, each of another session, and when they came, by the clock.
        """
        answers: list[Any] = [None] * len(waiting)
        asked: list[tuple[int, Asked, Wanted]] = []
        began_s = self._clock()
        for k, (query, arrived_s) in enumerate(waiting):
            try:
                if query.reset:
                    self.sessions.reset(query.session, query.connection, query.prompt)
                    answers[k] = RESET_DONE
                    continue
                wanted = read_asked(query.message, len(self.robot.joint_names))
                if wanted.request.predict and (
                    why := self._why_not_any_more(
                        wanted.deadline_s, began_s - arrived_s, len(waiting)
                    )
                ):
                    raise WamError(why)
                asked.append((k, self._asked(query, wanted), wanted))
            except Exception as error:  # of one, which is not that of the others
                answers[k] = error
        outputs = self.sessions.answer([one for _, one, _ in asked])
        took_s = self._clock() - began_s
        chunks = sum(isinstance(output, PolicyOutput) for output in outputs)
        for (k, one, wanted), output in zip(asked, outputs, strict=True):
            if isinstance(output, WamError):
                answers[k] = output
                continue
            query, arrived_s = waiting[k]
            timing = {"infer_ms": 1e3 * took_s, "queue_ms": 1e3 * (began_s - arrived_s)}
            if output is None:
                answers[k] = {"remembered": True, "server_timing": timing}
                continue
            with self._lock:
                self._took.add(took_s / chunks, self._clock())
            actions = actions_of(query.contract, output.positions, one.seen[-1])
            if not np.isfinite(actions).all():  # not every client looks
                answers[k] = WamError("the model's actions are not finite")
                continue
            if not query.contract.actions:
                answers[k] = actions.astype(np.float32)
                continue
            answers[k] = {
                query.contract.actions: actions,
                "server_timing": timing,
                **answer_keys(output, wanted.imagined),
            }
        return answers

    def _asked(self, query: Query, wanted: Wanted) -> Asked:
        """What the sessions are asked; raises `WamError`."""
        contract = query.contract
        seen = self._observations(contract, query.message, wanted.request.step)
        fits = len(contract.frame_offsets) == len(seen)
        return Asked(
            name=query.session,
            owner=query.connection,
            instruction=query.prompt,
            seen=seen,
            request=wanted.request,
            offsets=contract.frame_offsets if fits else None,
            begins=query.begins,
        )

    def _why_not_any_more(self, deadline_s: float | None, waited_s: float, together: int) -> str:
        """Why an answer is not computed any more; '' where it is.

        What waited behind others waited longer than was expected when one of them took longer. One
        that did not wait is answered, as in `why_not_in_time`.
        """
        with self._lock:
            takes_s = self._took.percentile(50)
        if (
            deadline_s is None
            or waited_s < takes_s / 2
            or waited_s + together * takes_s <= deadline_s
        ):
            return ""
        return (
            f"busy: the answer waited {waited_s:.2f} s and would come after the {deadline_s:.2f} s "
            "that it is of use"
        )

    def _contract_of(self, message: Mapping[str, Any], is_reset: bool) -> WireContract:
        """The contract of whose keys a message has all; the first one of those with most."""
        fitting = [c for c in self._contracts if {*c.images, *c.state} <= message.keys()]
        said = [c for c in fitting if c.endpoint == ("endpoint" in message)] or fitting
        if said:
            return max(said, key=lambda c: len(c.images))
        if is_reset:
            return self._contracts[0]
        known = "; ".join(
            f"{c.name}: {', '.join([*c.images, *c.state, c.prompt])}" for c in self._contracts
        )
        raise WireError(f"the keys are of no contract of this server ({known})")

    def _observations(
        self, contract: WireContract, message: Mapping[str, Any], step: int | None
    ) -> list[Observation]:
        """What was seen, the oldest first."""
        robot = self.robot
        frames = frames_of(contract, message, robot)
        if len(frames) > MOST_FRAMES:
            raise WireError(f"{len(frames)} frames of a view; at most {MOST_FRAMES} are read")
        n = len(robot.joint_names)
        # the wire has no clock: the count of steps says when
        positions = joints_of(contract, message, robot)
        # a model would answer something to numbers that the robot cannot have
        require_between("the state", robot, np.stack([positions, positions]), self._reach)
        joints = JointState(0, robot.joint_names, positions, np.zeros(n), np.zeros(n))
        stamps = (0,) * len(robot.view_names)
        return [Observation(0, robot.view_names, f, stamps, joints) for f in frames]

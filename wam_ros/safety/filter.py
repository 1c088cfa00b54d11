"""The filter: a chunk comes in, a trajectory that ends at rest and was checked at every instant
goes out, or none.

Start reading here. The method is `SafetyFilter._judge`, five steps:

1. read the message: is it a chunk for this robot and for now? (`checks/`, those of the message)
2. look at the seam: does it begin where the robot is commanded to be? (`motion/waypoints.py`)
3. plan: how slow must it be, and how far can it go? (`motion/retime.py`, `motion/path.py`)
4. prove the stops: from where on that way can the arm stop? (`motion/stops.py`)
5. decide: what is executed of it, and why not the rest? (`verdict.py`)

What is allowed in steps 2 to 4 is worked out once, from where the robot stands
(`motion/bounds.py`).
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

import numpy as np

from wam_ros.core.types import (
    NS,
    ActionChunk,
    KinematicState,
    MotionTable,
    Reason,
    SafeTrajectory,
)
from wam_ros.robot.model import SafetyModel
from wam_ros.safety.attention import Attention, InterruptedWorkError
from wam_ros.safety.checks import CHECKS, first_refusal, load_checks
from wam_ros.safety.finding import Finding
from wam_ros.safety.message import Message, Stream
from wam_ros.safety.motion.bounds import Floor, make_bounds
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.motion.retime import make_plan
from wam_ros.safety.motion.stops import ProvenStops
from wam_ros.safety.motion.waypoints import make_seam
from wam_ros.safety.params import SafetyParams
from wam_ros.safety.verdict import Verdict, as_trajectory, decide, rejected

LOOK_SHARE = 0.25  # of the lead, that one look at all bodies may take before it is told
NOT_FINITE = Finding(Reason.DISCONTINUITY, "the commanded state is not finite")


class SafetyFilter:
    """Checks chunks against one robot and its world. It keeps nothing between chunks. Not
    thread-safe.

    Args:
        checks: names in `CHECKS`; all of them unless a test leaves some out.
        stopwatch: seconds, for the time a chunk took; it decides nothing here.
    """

    def __init__(
        self,
        model: SafetyModel,
        params: SafetyParams | None = None,
        checks: tuple[str, ...] = tuple(CHECKS),
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.stopwatch = stopwatch
        self.attention = Attention(model)
        self.model = model
        self.params = params or SafetyParams()
        self._checks = load_checks(checks)
        self.second_opinion: Callable[[SafeTrajectory], str] | None = None  # why not to move, or ''
        self._motion_checks = list(self._checks.motion.values())
        self._stops = ProvenStops(len(model.joint_names), self._motion_checks)
        self._require_whole_checks()

    def _require_whole_checks(self) -> None:
        """Let every check look at an arm that stands at home, before a robot depends on it."""
        home = np.array(self.model.embodiment.home)
        at_home = KinematicState.at_rest(home)
        standing = Motion(*MotionTable.of([at_home] * 2).arrays, dt=self.params.sample_s)
        with self.model.untraced():
            self._checks.require_answers(standing, make_bounds(self.model, self.params, at_home))

    def filter(
        self,
        chunk: ActionChunk,
        commanded: KinematicState,
        start_ns: int,
        *,
        now_ns: int | None = None,
        stream: Stream | None = None,
        still_since_ns: int | None = None,
        floor: Floor | None = None,
        least_scale: float = 1.0,
        patience_s: float = math.inf,
    ) -> Verdict:
        """Judge one chunk.

        Args:
            chunk: as it came, nothing about it is believed.
            commanded: what the robot is commanded to do at `start_ns`.
            start_ns: when the answer's trajectory begins.
            now_ns: the present; `start_ns` less the lead if not given.
            stream: the newest chunk taken before.
            still_since_ns: since when the arm stands, commanded and measured; None while it moves.
            floor: `Verdict.floor` of the answer before.
            least_scale: time scale to begin with, 1 or more.
            patience_s: a chunk that takes longer to check is refused then.
        """
        began = self.stopwatch()
        message = Message(
            chunk,
            now_ns=start_ns - round(self.params.lead_s * NS) if now_ns is None else now_ns,
            start_ns=start_ns,
            embodiment=self.model.embodiment,
            params=self.params,
            stream=stream,
            still_since_ns=still_since_ns,
        )
        try:
            with self.attention.during(patience_s):
                verdict = self._judge(message, commanded, floor, least_scale)
        except InterruptedWorkError as error:
            verdict = rejected(error.finding, message.n_steps)
        # a fault in here must leave the arm on its way to rest, not end the process
        except Exception as error:
            words = f"the filter failed: {type(error).__name__} {str(error)[:120]}"
            verdict = rejected(Finding(Reason.WATCHDOG, words), message.n_steps)
        return dataclasses.replace(verdict, compute_s=self.stopwatch() - began)

    def _judge(
        self, message: Message, commanded: KinematicState, floor: Floor | None, least_scale: float
    ) -> Verdict:
        """The method, one step after the other; each is one file, or a folder of one file each."""
        refusal = self._checks.read(message)
        if refusal is None and not commanded.finite:
            refusal = NOT_FINITE
        if refusal is not None:
            return rejected(refusal, message.n_steps)
        bounds = make_bounds(self.model, self.params, commanded, floor)
        seam = make_seam(message.chunk, message.start_ns, commanded, bounds)
        refusal = first_refusal(self._checks.seam, seam)
        if refusal is not None:
            return rejected(refusal, message.n_steps)
        plan = make_plan(seam, bounds, self._motion_checks, least_scale)
        proven = self._stops.prove_plan(plan, bounds, floor)
        return decide(message, plan, proven, self.second_opinion)

    def why_not_in_time(self) -> str:
        """Why chunks may take too long to check among the bodies there are now; empty while one
        look at all of them is a small part of the lead.
        """
        began = self.stopwatch()
        self.model.distances(np.array(self.model.embodiment.home))
        took = self.stopwatch() - began
        if took <= LOOK_SHARE * self.params.lead_s:
            return ""
        return (
            f"one look at all {len(self.model.pairs.names)} pairs of bodies takes "
            f"{1e3 * took:.0f} ms of the {1e3 * self.params.lead_s:.0f} ms of lead_s: chunks may "
            "be refused for it; fewer or simpler obstacles, or a longer lead"
        )

    def stop(
        self,
        commanded: KinematicState,
        start_ns: int,
        floor: Floor | None = None,
        chunk_seq: int = 0,
        spared: np.ndarray | None = None,
        overloaded: bool = False,
    ) -> SafeTrajectory | None:
        """The proven stop from a state, or None when no stop can be proven from it.

        Args:
            commanded: the state.
            start_ns: when it is.
            floor: `Verdict.floor` of the answer before.
            chunk_seq: for the record.
            spared: (P,) bool, pairs of bodies that the stop need not keep apart, when nothing can.
            overloaded: efforts may pass their limits, when the arm cannot bear what it holds.
        """
        if not commanded.finite:
            return None
        bounds = make_bounds(self.model, self.params, commanded, floor, exact=False)
        if spared is not None:
            bounds = bounds.sparing(spared)
        if overloaded:
            bounds = bounds.overloaded()
        found, _ = self._stops.prove_one(commanded, bounds, floor)
        if isinstance(found, Finding):
            return None
        return as_trajectory(
            found.motion,
            joint_names=self.model.joint_names,
            sample_s=self.params.sample_s,
            start_ns=start_ns,
            chunk_seq=chunk_seq,
        )

    def conflict(self, pieces: list[MotionTable], floor: Floor | None = None) -> Finding | None:
        """What has come into the way of motion that was proven before; None when all of it is still
        free.

        Args:
            pieces: of `Playback.ahead`.
            floor: `Verdict.floor` of the newest answer.
        """
        if not pieces:
            return None
        motion = Motion(
            *MotionTable.joined(pieces).arrays,
            dt=self.params.sample_s,
            starts=tuple(int(s) for s in np.cumsum([0, *(len(p) for p in pieces[:-1])])),
        )
        with self.attention.during():
            bounds = make_bounds(self.model, self.params, motion[0], floor, exact=False)
            found = [m for m in (c.look(motion, bounds) for c in self._checks.again) if m.bad.any()]
        if not found:
            return None
        worst = min(found, key=lambda m: int(m.bad.argmax()))
        sample = int(worst.bad.argmax())
        return worst.describe(sample, f"in {sample * self.params.sample_s:.2f} s")

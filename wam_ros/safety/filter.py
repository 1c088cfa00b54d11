"""The filter: a chunk comes in, a trajectory that ends at rest and was checked at every instant
goes out, or none.
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
    Decision,
    KinematicState,
    MotionTable,
    Reason,
    SafeTrajectory,
)
from wam_ros.robot.model import SafetyModel
from wam_ros.safety.attention import Attention, InterruptedWorkError
from wam_ros.safety.checks import CHECKS, load_checks
from wam_ros.safety.checks.base import MotionCheck
from wam_ros.safety.finding import Finding
from wam_ros.safety.message import Message, Stream
from wam_ros.safety.motion.bounds import Bounds, Floor, make_bounds
from wam_ros.safety.motion.clearance import Nearest, proof_of
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.motion.path import Waypoints
from wam_ros.safety.motion.retime import Plan, make_plan
from wam_ros.safety.motion.stops import ProvenStops
from wam_ros.safety.motion.waypoints import make_seam
from wam_ros.safety.params import SafetyParams
from wam_ros.safety.verdict import Verdict, in_words, rejected

# along a path a proven stop begins at least this often, however far apart its steps are
STOP_WITHIN_S = 0.25
LOOK_SHARE = 0.25  # of the lead, that one look at all bodies may take before it is told


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
        self.model, self.params = model, params or SafetyParams()
        self._checks = load_checks(checks)
        self.second_opinion: Callable[[SafeTrajectory], str] | None = None  # why not to move, or ''
        self._stops = ProvenStops(
            len(model.joint_names), [*self._checks.scalable, *self._checks.fixed]
        )

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
            floor: `Verdict.floor` of the answer before.
            least_scale: time scale to begin with, 1 or more.
            patience_s: a chunk that takes longer to check is refused then.
        """
        began = self.stopwatch()
        now_ns = start_ns - round(self.params.lead_s * NS) if now_ns is None else now_ns
        finding = self._checks.read(
            Message(
                chunk,
                now_ns=now_ns,
                start_ns=start_ns,
                embodiment=self.model.embodiment,
                params=self.params,
                stream=stream,
            )
        )
        finding = finding or _unusable(commanded)
        if finding is None:
            try:
                with self.attention.during(patience_s):
                    verdict = self._judge(chunk, commanded, start_ns, floor, least_scale)
                verdict = self._vetoed(verdict)
            except InterruptedWorkError as error:
                verdict = rejected(error.finding, _rows(chunk))
            # a fault in here must leave the arm on its way to rest, not end the process
            except Exception as error:
                words = f"the filter failed: {type(error).__name__} {str(error)[:120]}"
                verdict = rejected(Finding(Reason.WATCHDOG, words), _rows(chunk))
        else:
            verdict = rejected(finding, _rows(chunk))
        took = self.stopwatch() - began
        return dataclasses.replace(
            verdict, compute_s=took, sentence=verdict.sentence or in_words(verdict)
        )

    def burden(self) -> str:
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
        if _unusable(commanded):
            return None
        bounds = make_bounds(self.model, self.params, commanded, floor)
        if spared is not None:
            bounds = bounds.sparing(spared)
        if overloaded:
            bounds = bounds.overloaded()
        found, _ = self._stops.prove_one(commanded, bounds, floor)
        return (
            None
            if isinstance(found, Finding)
            else self._trajectory(found.motion, start_ns, chunk_seq)
        )

    def recheck(
        self, trajectory: SafeTrajectory, commanded: KinematicState, floor: Floor | None = None
    ) -> Finding | None:
        """What is wrong with a trajectory from `commanded` as a whole; None when it may leave as it
        is.

        Filtering is a projection: what was emitted from a state and a floor passes here with the
        same two.
        """
        bounds = make_bounds(self.model, self.params, commanded, floor)
        return self._stops.recheck(trajectory, commanded, bounds, floor)

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
            bounds = make_bounds(self.model, self.params, motion[0], floor)
            found = [m for m in (c.look(motion, bounds) for c in self._checks.again) if m.bad.any()]
        if not found:
            return None
        worst = min(found, key=lambda m: int(m.bad.argmax()))
        sample = int(worst.bad.argmax())
        return worst.describe(sample, f"in {sample * self.params.sample_s:.2f} s")

    def _vetoed(self, verdict: Verdict) -> Verdict:
        """Motion that a second opinion does not want is refused; a stop is nobody's to veto."""
        if (
            self.second_opinion is None
            or verdict.trajectory is None
            or verdict.decision == Decision.BRAKE
        ):
            return verdict
        words = self.second_opinion(verdict.trajectory)
        return (
            rejected(Finding(Reason.ENV_COLLISION, words), verdict.steps_total)
            if words
            else verdict
        )

    def _judge(
        self,
        chunk: ActionChunk,
        start: KinematicState,
        start_ns: int,
        floor: Floor | None,
        least_scale: float,
    ) -> Verdict:
        bounds = make_bounds(self.model, self.params, start, floor)
        seam = make_seam(chunk, start_ns, start.q, bounds)
        finding = self._checks.look_at(seam)
        if finding is not None:
            return rejected(finding, len(seam.way.q))
        way = seam.way
        first_due = seam.first_due
        plan = make_plan(
            way=way,
            first_due=first_due,
            start=start,
            bounds=bounds,
            checks=self._checks.scalable,
            least_scale=max(1.0, least_scale),
        )
        accepted, motion, nearest = self._accept(plan, first_due, bounds)
        if motion is None:
            found, bounds = self._stops.prove_one(start, bounds, floor)
            if isinstance(found, Finding):
                plan.reasons |= Reason.NO_BRAKE
                plan.cut = plan.cut or Finding(
                    Reason.NO_BRAKE, f"no stop from here is proven: {found.words}"
                )
            else:
                motion = found.motion
                nearest = found.nearest
        trajectory = None if motion is None else self._trajectory(motion, start_ns, chunk.seq)
        return _verdict(
            plan=plan,
            due=(way, first_due),
            accepted=accepted,
            trajectory=trajectory,
            nearest=nearest,
            clamped=seam.clamped,
            bounds=bounds,
        )

    def _accept(
        self, plan: Plan, first_due: int, bounds: Bounds
    ) -> tuple[int, MotionTable | None, Nearest]:
        """How many steps are accepted, the motion through them and their stop, and what is nearest
        to it.
        """
        if plan.motion is None:
            return 0, None, Nearest()
        end = self._first_bad(plan, self._checks.fixed, bounds)
        steps = [k for k in range(first_due, plan.n_steps) if plan.samples[k] < end]
        spacing, most = (
            s / self.params.sample_s for s in (self.params.stop_spacing_s, STOP_WITHIN_S)
        )
        # steps, some several times: what leads to a step far away needs stops too
        chosen: list[int] = []
        rows = np.zeros(0, int)
        for k in steps:
            before = rows[-1] if chosen else 0
            here = plan.samples[k]
            if not chosen or here - before >= spacing or k == steps[-1]:
                parts = max(1, int(np.ceil((here - before) / most)))
                chosen += [k] * parts
                rows = np.append(rows, np.linspace(before, here, parts + 1)[1:].astype(int))
        stops = self._stops.prove(plan.motion[rows], bounds, rows)
        proven = 0
        stop = None
        for k, row, found in zip(chosen, rows, stops, strict=True):
            there = row == plan.samples[k]
            if isinstance(found, Finding):
                where = "from" if there else "before"
                plan.drop(
                    Finding(
                        Reason.NO_BRAKE, f"no proven stop {where} step {k}: {found.words}", step=k
                    )
                )
                plan.reasons |= found.reason
                break
            proven, stop = (k + 1, found) if there else (proven, stop)
        if stop is None:
            return 0, None, Nearest()
        end = int(plan.samples[proven - 1])
        proof = proof_of(plan.motion, bounds.distances)
        nearest = stop.nearest.or_nearer(proof.nearest(0, end) if proof else Nearest())
        return proven, MotionTable.joined([plan.motion[:end], stop.motion]), nearest

    def _first_bad(self, plan: Plan, checks: list[MotionCheck], bounds: Bounds) -> int:
        """First sample of the plan that a check refuses, noted; the number of samples if none."""
        assert plan.motion is not None
        end = len(plan.motion)
        found: list[tuple[int, Finding]] = []
        for check in checks:
            measure = check.look(plan.motion, bounds)
            if measure.bad.any():
                sample = int(measure.bad.argmax())
                found.append((sample, measure.describe_step(sample, plan.samples)))
        for sample, finding in sorted(found, key=lambda f: f[0], reverse=True):
            plan.drop(finding)
            end = sample
        return end

    def _trajectory(self, motion: MotionTable, start_ns: int, seq: int) -> SafeTrajectory:
        return SafeTrajectory(
            *motion.arrays,
            start_ns=start_ns,
            joint_names=self.model.joint_names,
            t=np.arange(len(motion)) * self.params.sample_s,
            chunk_seq=seq,
        )


def _verdict(
    plan: Plan,
    due: tuple[Waypoints, int],
    accepted: int,
    trajectory: SafeTrajectory | None,
    nearest: Nearest,
    clamped: Finding | None,
    bounds: Bounds,
) -> Verdict:
    way, first_due = due
    total = len(way.q)
    if accepted == 0:
        decision = Decision.BRAKE
    elif accepted < total:
        decision = Decision.TRUNCATED
    else:
        decision = Decision.SCALED if plan.scale > 1.0 + 1e-9 else Decision.PASS
    decisive = plan.slowed if accepted == total else plan.cut or plan.slowed
    return Verdict(
        decision=decision,
        reasons=plan.reasons | (clamped.reason if clamped else Reason.NONE),
        trajectory=trajectory,
        scale=plan.scale if accepted else 1.0,
        steps_accepted=accepted,
        steps_total=total,
        first=decisive or clamped,
        slowed=plan.slowed if accepted else None,
        nearest_pair=nearest.pair,
        nearest_distance=nearest.distance,
        accepted_s=float(plan.samples[accepted - 1]) * bounds.params.sample_s if accepted else 0.0,
        refused=way.q[max(accepted, first_due) :],
        floor=bounds.floor,
    )


def _unusable(state: KinematicState) -> Finding | None:
    if state.finite:
        return None
    return Finding(Reason.DISCONTINUITY, "the commanded state is not finite")


def _rows(chunk: ActionChunk) -> int:
    shape = getattr(chunk.positions, "shape", ())
    return int(shape[0]) if shape else 0

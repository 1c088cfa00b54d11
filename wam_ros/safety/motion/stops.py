"""Motion that ends at rest and was checked from its first instant to its last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wam_ros.core.types import KinematicState, MotionTable, Reason
from wam_ros.safety.finding import Finding
from wam_ros.safety.motion.bounds import Bounds, Checker, Floor, give_way
from wam_ros.safety.motion.clearance import Nearest, Proof, proof_of
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.motion.retime import Plan
from wam_ros.safety.motion.stopper import Stopper

# along a path a proven stop begins at least this often, however far apart its steps are
STOP_WITHIN_S = 0.25


@dataclass(frozen=True)
class Stop:
    """A proven stop and the proof that its bodies stay apart, of which it is a part."""

    motion: MotionTable
    proof: Proof
    first: int  # its first sample in the proof
    last: int

    @property
    def nearest(self) -> Nearest:
        """How near bodies come in it."""
        return self.proof.nearest(self.first, self.last)


@dataclass(frozen=True)
class Proven:
    """The part of a plan from which stops are proven: a motion that ends at rest."""

    steps: int  # of the plan, from the first; 0: no step, but a stop from the commanded state
    motion: MotionTable | None  # None where not even that is proven
    nearest: Nearest  # along the motion
    floor: Floor  # of the bounds that it keeps


# states whose stops are looked at together: many at once are fast, all of a long chunk would leave
# no moment to look up
BLOCK = 32

ENDLESS = Finding(Reason.NO_BRAKE, "no stop can be planned from this state")


class ProvenStops:
    """Plans stops and checks them. Not thread-safe.

    Args:
        n_joints: A.
        checks: motion checks that a stop must pass.
    """

    def __init__(self, n_joints: int, checks: Sequence[Checker]) -> None:
        self._stopper = Stopper(n_joints)
        self._checks = checks

    def prove_plan(self, plan: Plan, bounds: Bounds, floor: Floor | None = None) -> Proven:
        """As many steps of a plan as have proven stops, or else the stop from where it begins.

        What is not proven is noted in the plan.

        Args:
            plan: what may be executed.
            bounds: what is allowed.
            floor: what the motion under way was allowed, if any.
        """
        proven = self._prove_steps(plan, bounds)
        if proven is not None:
            return proven
        found, kept = self.prove_one(plan.seam.start, bounds, floor)
        if not isinstance(found, Finding):
            return Proven(0, found.motion, found.nearest, kept.floor)
        plan.reasons |= Reason.NO_BRAKE
        plan.cut = plan.cut or Finding(
            Reason.NO_BRAKE, f"no stop from here is proven: {found.words}"
        )
        return Proven(0, None, Nearest(), bounds.floor)

    def _prove_steps(self, plan: Plan, bounds: Bounds) -> Proven | None:
        """The steps up to the last one from which, and on the way to which, stops are proven.

        A stop is not proven from every sample: from the steps, and where they lie far apart on the
        way there, so that whoever must stop sooner has one to begin with.
        """
        if plan.motion is None:
            return None
        chosen, samples = _where_to_stop(plan, bounds)
        stops = self.prove(plan.motion[samples], bounds, samples)
        proven = 0
        stop = None
        for k, sample, found in zip(chosen, samples, stops, strict=True):
            there = sample == plan.samples[k]
            if isinstance(found, Finding):
                where = "from" if there else "before"
                words = f"no proven stop {where} step {k}: {found.words}"
                plan.drop(Finding(Reason.NO_BRAKE, words, step=k))
                plan.reasons |= found.reason
                break
            if there:
                proven = k + 1
                stop = found
        if stop is None:
            return None
        end = int(plan.samples[proven - 1])
        on_the_way = proof_of(plan.motion, bounds.distances).nearest(0, end)
        nearest = stop.nearest.or_nearer(on_the_way)
        motion = MotionTable.joined([plan.motion[:end], stop.motion])
        return Proven(proven, motion, nearest, bounds.floor)

    def prove_one(
        self, state: KinematicState, bounds: Bounds, floor: Floor | None = None
    ) -> tuple[Stop | Finding, Bounds]:
        """A proven stop from one state, or why there is none, and the bounds that it keeps.

        Args:
            state: where the stop begins.
            bounds: what is allowed.
            floor: what the motion under way was allowed, if any; where nothing else does, its stop
                is.
        """
        states = MotionTable.of([state])
        found = self.prove(states, bounds)[0]
        if isinstance(found, Finding) and floor is not None:
            again = give_way(bounds, floor)
            second = self.prove(states, again)[0]
            if not isinstance(second, Finding):
                return second, again
        return found, bounds

    def prove(
        self, states: MotionTable, bounds: Bounds, parents: np.ndarray | None = None
    ) -> list[Stop | Finding]:
        """For each state a proven stop, or why there is none. Joints stop together where that is
        proven.

        Args:
            states: L rows, where the stops begin.
            bounds: what is allowed.
            parents: (L,) samples of the newest path that the states are, if they are.
        """
        answers: list[Stop | Finding] = []
        for first in range(0, len(states), BLOCK):
            rows = slice(first, first + BLOCK)
            answers += self._prove_block(
                states[rows], bounds, None if parents is None else parents[rows]
            )
        return answers

    def _prove_block(
        self, states: MotionTable, bounds: Bounds, parents: np.ndarray | None
    ) -> list[Stop | Finding]:
        answers = self._try(states, bounds, True, parents)
        again = [k for k, a in enumerate(answers) if isinstance(a, Finding)]
        if again:
            retry = self._try(
                states[np.array(again)], bounds, False, None if parents is None else parents[again]
            )
            for k, answer in zip(again, retry, strict=True):
                answers[k] = answer
        return answers

    def _try(
        self, states: MotionTable, bounds: Bounds, synchronised: bool, parents: np.ndarray | None
    ) -> list[Stop | Finding]:
        stops, counts = self._stopper.stops(states, bounds, synchronised)
        ends = counts.cumsum()
        starts = ends - counts
        planned = counts > 0
        dt = bounds.params.sample_s
        if not planned.any():
            return [ENDLESS] * len(states)
        leaves = () if parents is None else tuple(parents[planned].tolist())
        motion = Motion(
            *stops.arrays,
            dt=dt,
            starts=tuple(starts[planned].tolist()),
            stopping=True,
            parents=leaves,
        )
        measures = [m for m in (c.look(motion, bounds) for c in self._checks) if m.bad.any()]
        answers: list[Stop | Finding] = []
        proof = proof_of(motion, bounds.distances)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            answer: Stop | Finding = (
                Stop(stops[start:end], proof, start, end - 1) if end > start else ENDLESS
            )
            for measure in measures:
                bad = measure.bad[start:end]
                if bad.any():
                    k = int(bad.argmax())
                    answer = measure.describe(start + k, f"{k * dt:.2f} s after it begins")
                    break
            answers.append(answer)
        return answers


def _where_to_stop(plan: Plan, bounds: Bounds) -> tuple[list[int], np.ndarray]:
    """Steps, some several times, and the samples (L,) at and before them from which stops must be
    proven.

    Steps closer together than `stop_spacing_s` share one, but for the last.
    """
    spacing = bounds.params.stop_spacing_s / bounds.params.sample_s
    most = STOP_WITHIN_S / bounds.params.sample_s
    steps = [k for k in range(plan.seam.first_due, plan.n_steps) if plan.samples[k] < plan.end]
    chosen: list[int] = []
    samples: list[int] = []
    for k in steps:
        before = samples[-1] if chosen else 0
        here = int(plan.samples[k])
        if not chosen or here - before >= spacing or k == steps[-1]:
            # what leads to a step far away needs stops too
            parts = max(1, math.ceil((here - before) / most))
            chosen += [k] * parts
            samples += np.linspace(before, here, parts + 1)[1:].astype(int).tolist()
    return chosen, np.array(samples, dtype=int)

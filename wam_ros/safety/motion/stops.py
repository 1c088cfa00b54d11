"""Motion that ends at rest and was checked from its first instant to its last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wam_ros.core.types import KinematicState, MotionTable, Reason, SafeTrajectory
from wam_ros.safety.finding import Finding
from wam_ros.safety.motion.bounds import Bounds, Checker, Floor, give_way
from wam_ros.safety.motion.clearance import Nearest, Proof, proof_of
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.motion.stopper import Stopper


@dataclass(frozen=True)
class Stop:
    """A proven stop and the proof that its bodies stay apart, of which it is a part."""

    motion: MotionTable
    proof: Proof | None  # None where no check looks at distances
    first: int  # its first sample in the proof

    @property
    def nearest(self) -> Nearest:
        """The smallest distance that was computed along it."""
        return (
            self.proof.nearest(self.first, self.first + len(self.motion) - 1)
            if self.proof
            else Nearest()
        )


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

    def recheck(
        self,
        t: SafeTrajectory,
        commanded: KinematicState,
        bounds: Bounds,
        floor: Floor | None = None,
    ) -> Finding | None:
        """What is wrong with a whole trajectory from `commanded`; None where it may leave as
        it is.
        """
        names = bounds.joints.names
        dt = bounds.params.sample_s
        if t.joint_names != names or t.q.shape != (len(t.t), len(names)) or not t.finite:
            return Finding(Reason.SCHEMA, "not a trajectory of this robot")
        if len(t.t) < 2 or not np.allclose(t.t, np.arange(len(t.t)) * dt, rtol=0, atol=1e-9):
            return Finding(Reason.SCHEMA, f"not sampled every {dt} s")
        if not np.array_equal(t[0].arrays, commanded.arrays):
            return Finding(Reason.DISCONTINUITY, "does not begin in the commanded state")
        if t.dq[-1].any() or t.ddq[-1].any():
            return Finding(Reason.NO_BRAKE, "does not end at rest")
        motion = Motion(*t.arrays, dt=dt, stopping=True)
        found = self._refute(motion, bounds)
        return (
            found
            if floor is None or found is None
            else self._refute(motion, give_way(bounds, floor))
        )

    def _refute(self, motion: Motion, bounds: Bounds) -> Finding | None:
        for check in self._checks:
            measure = check.look(motion, bounds)
            if measure.bad.any():
                sample = int(measure.bad.argmax())
                return measure.describe(sample, f"after {sample * motion.dt:.2f} s")
        return None

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
                Stop(stops[start:end], proof, start) if end > start else ENDLESS
            )
            for measure in measures:
                bad = measure.bad[start:end]
                if bad.any():
                    k = int(bad.argmax())
                    answer = measure.describe(start + k, f"{k * dt:.2f} s after it begins")
                    break
            answers.append(answer)
        return answers

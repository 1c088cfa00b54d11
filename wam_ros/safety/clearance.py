"""Proof that bodies stay apart, between samples too.

A pair at distance d stays farther apart than c until its joints have travelled enough to move any point of one body by
d - c relative to the other. The proof marches from one computed distance to the next one that is needed; how densely
the motion is sampled never enters it. All pairs march side by side, so that little is left but the distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.safety.bounds import Bounds
from wam_ros.safety.motion import Measure, Motion

DEPTH = 8  # halvings of one interval before it counts as not proven


@dataclass
class _March:
    """Proofs under way, M of them: a pair on a piece of motion, proven until `sample`."""

    row: np.ndarray  # (M,) index of the pair among those measured
    piece: np.ndarray  # (M,)
    sample: np.ndarray  # (M,)
    last: np.ndarray  # (M,) sample that ends the piece

    def keep(self, which: np.ndarray) -> _March:
        return _March(self.row[which], self.piece[which], self.sample[which], self.last[which])


class _Prover:
    """Distances of some pairs along one motion, computed when asked for."""

    def __init__(self, motion: Motion, bounds: Bounds, pairs: np.ndarray) -> None:
        self.motion, self.bounds, self.model, self.pairs = motion, bounds, bounds.model, pairs
        self.full = self.model.full_q(motion.q)
        self.clearance = bounds.clearance[pairs]
        self.at_end = bounds.rest[pairs] if motion.stopping else self.clearance
        self.known = np.full((len(pairs), len(motion)), np.nan)  # m
        self.moved = np.zeros((len(pairs), len(motion)))  # m, bound on the relative motion from the first sample on
        np.cumsum(self.model.pairs.reach[pairs] @ motion.travel.T, axis=1, out=self.moved[:, 1:])
        if np.array_equal(motion.q[0], bounds.start):
            self._note(np.arange(len(pairs)), 0, bounds.distance[pairs])

    def at(self, rows: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """(M,) distances of pairs at samples."""
        todo = np.flatnonzero(np.isnan(self.known[rows, samples]))
        placed = -1
        for k in todo[np.argsort(samples[todo], kind="stable")]:
            row, sample = int(rows[k]), int(samples[k])
            if sample != placed:
                self.model.place(self.full[sample])
                placed = sample
            self.known[row, sample] = self.model.distance(int(self.pairs[row]))
        found = self.known[rows, samples]
        if len(todo):
            self._note(rows, samples, found)
        return found

    def _note(self, rows: np.ndarray, samples: np.ndarray | int, found: np.ndarray) -> None:
        self.known[rows, samples] = found
        least = int(found.argmin())
        self.bounds.nearest.offer(float(found[least]), self.model.pairs.names[self.pairs[rows[least]]])

    def least_along(self) -> np.ndarray:
        """(K, N) m, lower bounds of the distances at every sample, from those that were computed."""
        table = np.where(np.isnan(self.known), -np.inf, self.known)
        forward = np.maximum.accumulate(table + self.moved, axis=1) - self.moved
        backward = np.maximum.accumulate((table - self.moved)[:, ::-1], axis=1)[:, ::-1] + self.moved
        return np.maximum(forward, backward)

    def prove(self, march: _March, found: Measure) -> None:
        """Carry every proof to the end of its piece, or note the first sample that is not proven."""
        end = np.full(int(march.piece.max(initial=-1)) + 1, len(self.motion))  # first unproven sample of each piece
        while len(march.row):
            march = march.keep(march.sample < end[march.piece])
            if len(march.row) == 0:
                return
            distance, row = self.at(march.row, march.sample), march.row
            need = np.where(march.sample == march.last, self.at_end[row], self.clearance[row])
            for k in np.flatnonzero(~(distance >= need)):
                self._refuse(march, int(k), int(march.sample[k]), float(distance[k]), end, found)
            here, free = self.moved[row, march.sample], distance - self.clearance[row]
            left = self.moved[row, march.last] - here
            whole = left <= distance - np.maximum(self.clearance[row], self.at_end[row])
            open_ = (distance >= need) & (march.sample < march.last) & ~whole
            march, here, free = march.keep(open_), here[open_], free[open_]
            reached = (self.moved[march.row] <= (here + free)[:, None]).sum(axis=1) - 1
            reached = np.minimum(reached, march.last)
            for k in np.flatnonzero(reached <= march.sample):
                reached[k] = self._step(march, int(k), end, found)
            march.sample = reached

    def _step(self, march: _March, k: int, end: np.ndarray, found: Measure) -> int:
        """The next sample, after the interval before it was proven by halving."""
        row, sample = int(march.row[k]), int(march.sample[k])
        d0 = self.known[row, sample]
        d1 = float(self.at(march.row[k : k + 1], march.sample[k : k + 1] + 1)[0])
        speed = self.moved[row, sample + 1] - self.moved[row, sample]
        if not self._interval(row, sample, speed, 0.0, 1.0, d0, d1, DEPTH):
            self._refuse(march, k, sample + 1, d1, end, found)
        return sample + 1

    def _refuse(self, march: _March, k: int, sample: int, distance: float, end: np.ndarray, found: Measure) -> None:
        piece, row = int(march.piece[k]), int(march.row[k])
        if sample < end[piece]:
            end[piece] = sample
            found.ratio[sample], found.measured[sample] = 2.0, distance
            found.allowed[sample] = (self.at_end if sample == march.last[k] else self.clearance)[row]
            found.subject[sample] = self.pairs[row]

    def _interval(
        self, row: int, interval: int, whole: float, u0: float, u1: float, d0: float, d1: float, depth: int
    ) -> bool:
        """Whether the pair stays apart on [u0, u1] of an interval, with distances d0 and d1 at its ends."""
        clearance = self.clearance[row]
        if d1 < clearance:
            return False
        if (d0 + d1 - self._motion(row, interval, whole, u1 - u0)) / 2 >= clearance:
            return True
        if depth == 0:
            return False
        middle = (u0 + u1) / 2
        d = self._between(row, interval, middle)
        return self._interval(row, interval, whole, u0, middle, d0, d, depth - 1) and self._interval(
            row, interval, whole, middle, u1, d, d1, depth - 1
        )

    def _between(self, row: int, interval: int, u: float) -> float:
        self.model.place(self.model.full_q(self.motion.at(interval, u)[None])[0])
        pair = int(self.pairs[row])
        distance = self.model.distance(pair)
        self.bounds.nearest.offer(distance, self.model.pairs.names[pair])
        return distance

    def _motion(self, row: int, interval: int, whole: float, share: float) -> float:
        """Bound on the relative motion in a share of an interval, from the highest speeds in it."""
        speeds = np.abs(np.diff(self.motion.bezier[:, interval], axis=0)).max(axis=0) * 5.0
        return min(whole, float(self.model.pairs.reach[self.pairs[row]] @ speeds) * share)


def measure_clearance(motion: Motion, bounds: Bounds, pairs: np.ndarray, reason: Reason) -> Measure:
    """Prove `pairs` (K,) apart along every piece of a motion; what follows an unproven sample is not looked at."""
    n = len(motion)
    found = Measure(reason, np.zeros(n), np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, int), ("m",), 0, True)
    if len(pairs) == 0:
        return found
    prover = _Prover(motion, bounds, pairs)
    first, last = np.array(motion.piece_ends()).T  # (L,) of every piece
    along = bounds.along.get(reason)
    if motion.parents and along is not None:
        least = along[:, list(motion.parents)]
    else:
        rows = np.tile(np.arange(len(pairs)), len(first))
        least = prover.at(rows, np.repeat(first, len(pairs))).reshape(len(first), -1).T
    moves = prover.moved[:, last] - prover.moved[:, first]
    row, piece = np.nonzero(~(least - prover.at_end[:, None] >= moves))
    prover.prove(_March(row, piece, first[piece], last[piece]), found)
    if not motion.stopping:
        bounds.along[reason] = prover.least_along()
    return found

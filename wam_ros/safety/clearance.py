"""Proof that bodies stay apart, between samples too.

A pair at distance d stays farther apart than c until its joints have travelled enough to move any point of one body by
d - c relative to the other. The proof marches from one computed distance to the next one that is needed; how densely
the motion is sampled never enters it.
"""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.safety.bounds import Bounds
from wam_ros.safety.motion import Measure, Motion

DEPTH = 8  # halvings of one interval before it counts as not proven


class _Prover:
    """Distances of one motion, computed when asked for."""

    def __init__(self, motion: Motion, bounds: Bounds) -> None:
        self.motion, self.bounds, self.model = motion, bounds, bounds.model
        self.full = self.model.full_q(motion.q)
        self.known: dict[tuple[int, int], float] = {}

    def at_sample(self, pair: int, sample: int) -> float:
        key = (pair, sample)
        if key not in self.known:
            self.model.place(self.full[sample])
            self.known[key] = self._distance(pair)
        return self.known[key]

    def all_at(self, pairs: np.ndarray, sample: int) -> np.ndarray:
        self.model.place(self.full[sample])
        values = [self._distance(int(p)) for p in pairs]
        self.known.update({(int(p), sample): d for p, d in zip(pairs, values, strict=True)})
        return np.array(values)

    def between(self, pair: int, interval: int, u: float) -> float:
        self.model.place(self.model.full_q(self.motion.at(interval, u)[None])[0])
        return self._distance(pair)

    def _distance(self, pair: int) -> float:
        distance = self.model.distance(pair)
        nearest = self.bounds.nearest
        if distance < nearest.distance:
            nearest.distance, nearest.pair = distance, self.model.pairs.names[pair]
        return distance

    def first_unproven(self, pair: int, first: int, last: int, moved: np.ndarray) -> tuple[int, float] | None:
        """First sample by which the pair is not proven apart, with its distance; None if it is throughout.

        Args:
            pair: which one.
            first: sample at which to begin.
            last: sample at which to end.
            moved: (N,) m, bound on the relative motion of the pair from the first sample of the array to each.
        """
        clearance = self.bounds.clearance[pair]
        at_end = self.bounds.rest[pair] if self.motion.stopping else clearance
        sample = first
        while sample < last:
            distance = self.at_sample(pair, sample)
            if distance < clearance:
                return sample, distance
            reached = int(np.searchsorted(moved, moved[sample] + (distance - clearance), side="right")) - 1
            if moved[last] - moved[sample] <= distance - max(clearance, at_end):
                return None
            reached = min(reached, last)
            if reached > sample:
                sample = reached
                continue
            speed = moved[sample + 1] - moved[sample]
            if not self._interval(pair, sample, speed, 0.0, 1.0, distance, self.at_sample(pair, sample + 1), DEPTH):
                return sample + 1, self.at_sample(pair, sample + 1)
            sample += 1
        distance = self.at_sample(pair, last)
        return None if distance >= at_end else (last, distance)

    def least_along(self, pairs: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """(K, N) m, lower bounds of the distances at every sample, from those that were computed."""
        table = np.full(moved.shape, -np.inf)
        rows = {int(p): k for k, p in enumerate(pairs)}
        for (pair, sample), distance in self.known.items():
            table[rows[pair], sample] = distance
        forward = np.maximum.accumulate(table + moved, axis=1) - moved
        backward = np.maximum.accumulate((table - moved)[:, ::-1], axis=1)[:, ::-1] + moved
        return np.maximum(forward, backward)

    def _interval(
        self, pair: int, interval: int, whole: float, u0: float, u1: float, d0: float, d1: float, depth: int
    ) -> bool:
        """Whether the pair stays apart on [u0, u1] of an interval, with distances d0 and d1 at its ends."""
        clearance = self.bounds.clearance[pair]
        if d1 < clearance:
            return False
        if (d0 + d1 - self._motion(pair, interval, whole, u1 - u0)) / 2 >= clearance:
            return True
        if depth == 0:
            return False
        middle = (u0 + u1) / 2
        d = self.between(pair, interval, middle)
        return self._interval(pair, interval, whole, u0, middle, d0, d, depth - 1) and self._interval(
            pair, interval, whole, middle, u1, d, d1, depth - 1
        )

    def _motion(self, pair: int, interval: int, whole: float, share: float) -> float:
        """Bound on the relative motion in a share of an interval, from the highest speeds in it."""
        speeds = np.abs(np.diff(self.motion.bezier[:, interval], axis=0)).max(axis=0) * 5.0
        return min(whole, float(self.model.pairs.reach[pair] @ speeds) * share)


def measure_clearance(motion: Motion, bounds: Bounds, pairs: np.ndarray, reason: Reason) -> Measure:
    """Prove `pairs` (K,) apart along every piece of a motion; what follows an unproven sample is not looked at."""
    n = len(motion)
    found = Measure(reason, np.zeros(n), np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, int), ("m",), 0, True)
    if len(pairs) == 0:
        return found
    prover = _Prover(motion, bounds)
    at_end = bounds.rest[pairs] if motion.stopping else bounds.clearance[pairs]
    moved = np.zeros((len(pairs), n))
    np.cumsum(bounds.model.pairs.reach[pairs] @ motion.travel.T, axis=1, out=moved[:, 1:])
    along = bounds.along.get(reason)
    for piece, (first, last) in enumerate(motion.piece_ends()):
        if motion.parents and along is not None:
            least = along[:, motion.parents[piece]]
        else:
            least = prover.all_at(pairs, first)
        end = last
        for row in np.flatnonzero(~(least - at_end >= moved[:, last] - moved[:, first])):
            refused = prover.first_unproven(int(pairs[row]), first, end, moved[row])
            if refused is not None:
                end, distance = refused
                found.ratio[end], found.measured[end], found.subject[end] = 2.0, distance, pairs[row]
                found.allowed[end] = bounds.clearance[pairs[row]]
    if not motion.stopping:
        bounds.along[reason] = prover.least_along(pairs, moved)
    return found

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
    ratio, measured, allowed = np.zeros(n), np.full(n, np.nan), np.full(n, np.nan)
    subject = np.zeros(n, dtype=int)
    prover = _Prover(motion, bounds)
    reach, at_end = bounds.model.pairs.reach[pairs], bounds.rest if motion.stopping else bounds.clearance
    moved = np.zeros((len(pairs), n))
    np.cumsum(reach @ motion.travel.T, axis=1, out=moved[:, 1:])
    for first, last in motion.piece_ends():
        if len(pairs) == 0:
            break
        distances = prover.all_at(pairs, first)
        slack = distances - bounds.clearance[pairs]
        for row in np.flatnonzero(distances - at_end[pairs] < moved[:, last] - moved[:, first]):
            pair = int(pairs[row])
            found = prover.first_unproven(pair, first, last, moved[row])
            if found is not None:
                sample, distance = found
                last = min(last, sample)
                ratio[sample], measured[sample], allowed[sample] = 2.0, distance, bounds.clearance[pair]
                subject[sample] = pair
        if (slack < 0).any():
            row = int(slack.argmin())
            ratio[first], measured[first] = 2.0, distances[row]
            allowed[first], subject[first] = bounds.clearance[pairs[row]], pairs[row]
    return Measure(reason, ratio, measured, allowed, subject, ("m",), 0, True)

"""Proof that bodies stay apart, between samples too.

A pair at distance d stays farther apart than c until its joints have travelled enough to move any
point of one body by d - c relative to the other. The proof marches from one computed distance to
the next one that is needed; how densely the motion is sampled never enters it. All pairs march side
by side, so that little is left but the distances.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.safety.finding import Measure
from wam_ros.safety.motion.bounds import DistanceBounds
from wam_ros.safety.motion.motion import Motion

BLOCK = 100_000  # numbers of a table that are computed at once
DEPTH = 8  # halvings of one interval before it counts as not proven


@dataclass
class _March:
    """Proofs under way, M of them: a pair on a piece of motion, proven until `sample`."""

    pair: np.ndarray  # (M,)
    piece: np.ndarray  # (M,)
    sample: np.ndarray  # (M,)
    last: np.ndarray  # (M,) sample that ends the piece

    def keep(self, which: np.ndarray) -> _March:
        return _March(self.pair[which], self.piece[which], self.sample[which], self.last[which])


@dataclass(frozen=True)
class Nearest:
    """Two bodies and how near they come."""

    distance: float = float("nan")  # m; NaN where none was computed
    pair: tuple[str, str] = ("", "")

    def or_nearer(self, other: Nearest) -> Nearest:
        """The smaller of two."""
        return other if other.distance < self.distance or np.isnan(self.distance) else self


@dataclass(frozen=True)
class Proof:
    """What was found out about the distances along one motion."""

    motion: Motion
    reach: np.ndarray  # (P, A) of the pairs
    known: np.ndarray  # (P, N) m, distances at samples; NaN where none was computed
    # m, the interval and the pair of distances computed between samples
    between: list[tuple[float, int, int]]
    names: tuple[tuple[str, str], ...]  # (P,) of the pairs
    # for pairs of links and for pairs with obstacles; none where no check asked for distances
    measures: dict[Reason, Measure]

    @classmethod
    def of_nothing(cls, motion: Motion) -> Proof:
        """No distance was computed along a motion."""
        return cls(
            motion=motion,
            reach=np.zeros((0, motion.q.shape[1])),
            known=np.zeros((0, len(motion))),
            between=[],
            names=(),
            measures={},
        )

    def least_at(self, samples: np.ndarray) -> np.ndarray:
        """(P, L) m, lower bounds of the distances at samples (L,), from those that were computed:
        one or more each.
        """
        pair, sample = np.divmod(np.flatnonzero(~np.isnan(self.known)), self.known.shape[1])
        travelled = self.motion.travelled
        here = (self.reach[pair] * travelled[sample]).sum(axis=1)
        least = self.known[pair, sample][:, None] - np.abs(
            self.reach[pair] @ travelled[samples].T - here[:, None]
        )
        return np.maximum.reduceat(least, np.flatnonzero(np.diff(pair, prepend=-1)), axis=0)

    def nearest(self, first: int, last: int) -> Nearest:
        """The smallest distance that was computed from one sample to another."""
        part = self.known[:, first : last + 1]
        least = float(np.fmin.reduce(part, axis=None, initial=np.inf))
        inside = [(d, pair) for d, interval, pair in self.between if first <= interval < last]
        d, pair = min(inside, default=(np.inf, -1))
        if least < d:
            d = least
            pair = int((part == least).any(axis=1).argmax())
        return Nearest(d, self.names[pair]) if pair >= 0 else Nearest()


def proof_of(motion: Motion, distances: DistanceBounds) -> Proof:
    """What is kept with the bounds about a motion; nothing where no check asked for distances."""
    kept = (p for p in distances.proofs if p.motion is motion)
    return next(kept, None) or Proof.of_nothing(motion)


def prove_clearance(motion: Motion, distances: DistanceBounds) -> dict[Reason, Measure]:
    """Prove all pairs apart along every piece of a motion; what follows an unproven sample is not
    looked at.

    It is done once for a motion and kept with the bounds. Stops begin with what is known of the
    path they leave.
    """
    known = proof_of(motion, distances)
    if known.measures:
        return known.measures
    proof = _Prover(motion, distances).prove()
    kept = [p for p in distances.proofs if motion.stopping and not p.motion.stopping]
    distances.proofs[:] = [*kept, proof]
    return proof.measures


class _Prover:
    """Distances of all pairs along one motion, computed when asked for."""

    def __init__(self, motion: Motion, bounds: DistanceBounds) -> None:
        self.motion = motion
        self.bounds = bounds
        self.model = bounds.model
        self.reach = bounds.model.pairs.reach
        self.clearance = bounds.clearance
        self.at_end = bounds.rest if motion.stopping else bounds.clearance
        self.full = self.model.full_q(motion.q)
        self.known = np.empty((len(self.clearance), len(motion)))  # m
        for rows in self._blocks(len(self.clearance)):
            self.model.between()
            self.known[rows] = np.nan
        self.between: list[tuple[float, int, int]] = []
        self.kind = bounds.model.pairs.world.astype(int)  # (P,) index of the measure
        self.found = (
            _nothing(motion, Reason.SELF_COLLISION, self.model.pairs.names),
            _nothing(motion, Reason.ENV_COLLISION, self.model.pairs.names),
        )
        # first unproven sample of each piece, by kind
        self.end = np.full((2, len(motion.starts)), len(motion))

    def prove(self) -> Proof:
        """Carry every proof to the end of its piece, or to its first sample that is not proven."""
        if len(self.clearance):
            if np.array_equal(self.motion.q[0], self.bounds.start):
                self.known[:, 0] = self.bounds.distance
            march = self._unproven()
            while len(march.pair):
                march = self._advance(march)
        measures = {m.reason: m for m in self.found}
        return Proof(
            motion=self.motion,
            reach=self.reach,
            known=self.known,
            between=self.between,
            names=self.model.pairs.names,
            measures=measures,
        )

    def _unproven(self) -> _March:
        """All pairs on all pieces, but for those that the distance at the first sample proves apart
        until the last.
        """
        first, last = np.array(self.motion.piece_ends()).T  # (L,) of every piece
        path = next((p for p in self.bounds.proofs if not p.motion.stopping), None)
        self.model.between()
        if self.motion.parents and path is not None:
            least = path.least_at(np.array(self.motion.parents))
        else:
            n = len(self.clearance)
            least = (
                self._at(np.tile(np.arange(n), len(first)), np.repeat(first, n)).reshape(-1, n).T
            )
        moves = self.reach @ (self.motion.travelled[last] - self.motion.travelled[first]).T
        self.model.between()
        pair, piece = np.nonzero(~(least - self.at_end[:, None] >= moves))
        return _March(pair, piece, first[piece], last[piece])

    def _advance(self, march: _March) -> _March:
        """The proofs that are left to do when each was carried as far as the distance at its sample
        reaches.
        """
        march = march.keep(march.sample < self.end[self.kind[march.pair], march.piece])
        distance = self._at(march.pair, march.sample)
        clearance = self.clearance[march.pair]
        at_end = self.at_end[march.pair]
        apart = distance >= np.where(march.sample == march.last, at_end, clearance)
        for k in np.flatnonzero(~apart):
            self._refuse(march, int(k), int(march.sample[k]), float(distance[k]))
        whole = np.zeros(len(march.pair), dtype=bool)
        reached = np.zeros(len(march.pair), dtype=int)
        for rows in self._blocks(len(march.pair)):
            self.model.between()
            moved = self.reach[march.pair[rows]] @ self.motion.travelled.T
            each = np.arange(len(moved))
            moved -= moved[each, march.sample[rows], None]
            room = distance[rows] - np.maximum(clearance[rows], at_end[rows])
            whole[rows] = moved[each, march.last[rows]] <= room
            room = distance[rows] - clearance[rows]
            reached[rows] = (moved <= room[:, None]).sum(axis=1) - 1
        left = apart & (march.sample < march.last) & ~whole
        march = march.keep(left)
        reached = np.minimum(reached[left], march.last)
        for k in np.flatnonzero(reached <= march.sample):
            reached[k] = self._step(march, int(k))
        march.sample = reached
        return march

    def _blocks(self, n: int) -> Iterator[slice]:
        """Rows of a table with a column for every sample, so many at once as take a millisecond."""
        rows = max(1, BLOCK // len(self.motion))
        return (slice(first, first + rows) for first in range(0, n, rows))

    def _at(self, pairs: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """(M,) distances of pairs at samples."""
        found = self.known[pairs, samples]
        todo = np.flatnonzero(np.isnan(found))
        if len(todo) == 0:
            return found
        placed = -1
        order = todo[np.argsort(samples[todo], kind="stable")]
        for k, pair, sample in zip(
            order.tolist(), pairs[order].tolist(), samples[order].tolist(), strict=True
        ):
            if sample != placed:
                self.model.place(self.full[sample])
                placed = sample
            found[k] = self.model.distance(pair)
        self.known[pairs, samples] = found
        return found

    def _step(self, march: _March, k: int) -> int:
        """The next sample, after the interval before it was proven by halving."""
        pair = int(march.pair[k])
        sample = int(march.sample[k])
        d0 = self.known[pair, sample]
        d1 = float(self._at(march.pair[k : k + 1], march.sample[k : k + 1] + 1)[0])
        whole = float(
            self.reach[pair] @ (self.motion.travelled[sample + 1] - self.motion.travelled[sample])
        )
        if not self._interval(
            pair=pair, interval=sample, whole=whole, u0=0.0, u1=1.0, d0=d0, d1=d1, depth=DEPTH
        ):
            self._refuse(march, k, sample + 1, d1)
        return sample + 1

    def _refuse(self, march: _March, k: int, sample: int, distance: float) -> None:
        piece = int(march.piece[k])
        pair = int(march.pair[k])
        kind = self.kind[pair]
        if sample < self.end[kind, piece]:
            self.end[kind, piece] = sample
            found = self.found[kind]
            found.ratio[sample] = 2.0
            found.measured[sample] = distance
            found.allowed[sample] = (self.at_end if sample == march.last[k] else self.clearance)[
                pair
            ]
            found.subject[sample] = pair

    def _interval(
        self,
        pair: int,
        interval: int,
        whole: float,
        u0: float,
        u1: float,
        d0: float,
        d1: float,
        depth: int,
    ) -> bool:
        """Whether the pair stays apart on [u0, u1] of an interval, with distances d0 and d1 at its
        ends.
        """
        clearance = self.clearance[pair]
        if d1 < clearance:
            return False
        if (d0 + d1 - self._motion(pair, interval, whole, u1 - u0)) / 2 >= clearance:
            return True
        if depth == 0:
            return False
        middle = (u0 + u1) / 2
        d = self._between(pair, interval, middle)
        return self._interval(
            pair=pair,
            interval=interval,
            whole=whole,
            u0=u0,
            u1=middle,
            d0=d0,
            d1=d,
            depth=depth - 1,
        ) and self._interval(
            pair=pair,
            interval=interval,
            whole=whole,
            u0=middle,
            u1=u1,
            d0=d,
            d1=d1,
            depth=depth - 1,
        )

    def _between(self, pair: int, interval: int, u: float) -> float:
        self.model.place(self.model.full_q(self.motion.at(interval, u)[None])[0])
        distance = self.model.distance(pair)
        self.between.append((distance, interval, pair))
        return distance

    def _motion(self, pair: int, interval: int, whole: float, share: float) -> float:
        """Bound on the relative motion in a share of an interval, from the highest speeds in it."""
        most = self.motion.peaks[0][interval] * self.motion.dt
        return min(whole, float(self.reach[pair] @ most) * share)


def _nothing(motion: Motion, reason: Reason, pairs: tuple[tuple[str, str], ...]) -> Measure:
    n = len(motion)
    return Measure(
        reason=reason,
        ratio=np.zeros(n),
        measured=np.full(n, np.nan),
        allowed=np.full(n, np.nan),
        subject=np.zeros(n, int),
        units=("m",),
        pairs=pairs,
    )

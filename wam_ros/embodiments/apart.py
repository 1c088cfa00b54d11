"""Links that stand near each other by construction, and the proof that they never meet."""

from __future__ import annotations

import math

import numpy as np
import pinocchio as pin

from wam_ros.robot.model import SafetyModel
from wam_ros.robot.shapes import place_bodies

NARROW = 0.02  # m; links that are nearer than this at home may be so by construction
JOINTS = 2  # between two links, at most
PROVEN = 5e-4  # m; nearer than this is as good as met: a distance is known to a tenth of it
SAMPLES = 300  # poses that show most of what meets before anything is proven
MOST = 300_000  # distances that a proof may take
SEED = 20240301


def never_meet(model: SafetyModel) -> dict[tuple[str, str], float]:
    """Links that two joints or one hold near each other and never bring together: m, which they are
    apart at least.

    Where the hulls of their meshes meet, the pieces of the meshes are looked at: what a hull fills
    is no body.
    """
    distances = model.distances(np.array(model.embodiment.home))
    near = {n for n, d in zip(model.pairs.names, distances, strict=True) if d < NARROW}
    found = {}
    for links in sorted(near):
        rows = [k for k, n in enumerate(model.pairs.names) if n == links]
        moving = np.flatnonzero(model.pairs.reach[rows].any(axis=0))
        others = model.pairs.world[rows].any() or model.pairs.sway[rows].any()
        if others or not 1 <= len(moving) <= JOINTS or not set(links) <= _shaped(model):
            continue
        least = _Range(model, links, moving, fine=False).least()
        found[links] = least or _Range(model, links, moving, fine=True).least()
    return {links: least for links, least in found.items() if least > 0}


def _shaped(model: SafetyModel) -> set[str]:
    """Links with bodies of their own, and not those of loads."""
    return {b.link for b in model.link_bodies}


class _Range:
    """The bodies of two links, wherever the joints between them may be.

    Args:
        model: the robot.
        links: two of it.
        moving: (M,) index of the joints that move one against the other.
        fine: look at the pieces of a mesh instead of its hull.
    """

    def __init__(
        self, model: SafetyModel, links: tuple[str, str], moving: np.ndarray, fine: bool
    ) -> None:
        self._model = model
        self._moving = moving
        self._home = np.array(model.embodiment.home)
        lower, upper = model.limits.lower[moving], model.limits.upper[moving]
        self._lower = np.where(np.isfinite(lower), lower, -math.pi)
        self._upper = np.where(np.isfinite(upper), upper, math.pi)
        first, second = (
            place_bodies(model.pin, [p for b in own for p in (b.pieces() if fine else [b])])
            for own in ([b for b in model.link_bodies if b.link == link] for link in links)
        )
        self._geometry = pin.GeometryModel()
        for body in (*first, *second):
            self._geometry.addGeometryObject(body)
        reach = []
        for i, a in enumerate(first):
            for j, b in enumerate(second):
                self._geometry.addCollisionPair(pin.CollisionPair(i, len(first) + j))
                reach.append(model.reach_between(a, b)[moving])
        self._reach = np.array(reach)  # (K, M)
        self._data = self._geometry.createData()
        self._asked = 0

    def least(self) -> float:
        """M which the links are apart at least wherever these joints are; 0 where that is not
        proven.

        A range of the joints is proven by the distance at its middle, of which no pose of it takes
        more than the reach of the joints, or cut in two.
        """
        every = np.arange(len(self._reach))
        rng = np.random.default_rng(SEED)
        seen = rng.uniform(self._lower, self._upper, (SAMPLES, len(self._moving)))
        nearest = math.inf
        for values in seen:
            nearest = min(nearest, self._distances(values, every).min())
            if nearest < PROVEN:
                return 0.0
        wanted = max(PROVEN, nearest / 2)
        least = math.inf
        left = [((self._lower + self._upper) / 2, (self._upper - self._lower) / 2, every)]
        while left:
            middle, half, pairs = left.pop()
            distances = self._distances(middle, pairs)
            bound = distances - self._reach[pairs] @ half
            if distances.min() < PROVEN or self._asked > MOST:
                return 0.0
            wanted = min(wanted, max(PROVEN, distances.min() / 2))
            open_ = bound < wanted
            least = min(least, bound[~open_].min(initial=math.inf))
            if open_.any():
                k = int((self._reach[pairs[open_]].max(axis=0) * half).argmax())
                half = np.where(np.arange(len(half)) == k, half / 2, half)
                step = np.where(np.arange(len(half)) == k, half, 0.0)
                left += [(middle + s * step, half, pairs[open_]) for s in (-1, 1)]
        return float(least)

    def _distances(self, values: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        """(K,) m of some pairs of bodies where the joints are at `values` (M,)."""
        q = self._home.copy()
        q[self._moving] = values
        full = self._model.full_q(q[None])[0]
        pin.updateGeometryPlacements(
            self._model.pin, self._model.data, self._geometry, self._data, full
        )
        self._asked += len(pairs)
        found = [
            pin.computeDistance(self._geometry, self._data, k).min_distance for k in pairs.tolist()
        ]
        return np.array(found)

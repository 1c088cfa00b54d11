"""The world as it is told at run time, in the model of the filter, and the motion under way kept
clear of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from wam_ros.core.embodiment import Load
from wam_ros.core.errors import WamError
from wam_ros.core.types import SafeTrajectory
from wam_ros.robot.obstacles import Obstacle
from wam_ros.safety.machine.braking import Brakes
from wam_ros.safety.machine.live import Change, LiveWorld
from wam_ros.safety.motion.bounds import ROUNDING, Floor, Gaps

LONGEST = 200  # characters of a name
GONE_NS = 2_000_000_000  # an obstacle of the same name within this is the one that was removed


class Gone(NamedTuple):
    """An obstacle that was removed while an arm had come nearer to it than its clearance."""

    obstacle: Obstacle
    floor: Gaps  # m, of the pairs with it
    since_ns: int


class Surroundings:
    """Takes words about obstacles and held objects; every change is checked against the motion
    under way.

    What is removed is gone at once: it may have been picked up. But what comes again by the same
    name within `GONE_NS` counts as moved from where it was: an arm that still stands as near to it
    as it was allowed to come is allowed no more than before, or a tracker that loses and finds its
    object could let it creep there. An arm that went nearer meanwhile, when that was free, is
    judged from where it stands and so is never locked in.
    """

    def __init__(self, brakes: Brakes) -> None:
        self.brakes = brakes
        self.model = brakes.filter.model
        self.live = LiveWorld(self.model, brakes.params)
        self._gone: dict[str, Gone] = {}

    def take(self, changes: Iterable[Change], now_ns: int) -> SafeTrajectory | None:
        """Note changes; what is returned is a stop that is needed because of them."""
        began_s = self.brakes.filter.stopwatch()
        before = self.live.obstacles()
        for change in changes:
            self.live.take(change, now_ns)
        return self._follow(before, now_ns, began_s)

    def forget(self, now_ns: int) -> tuple[list[str], SafeTrajectory | None]:
        """Forget every obstacle in doubt; their names, and a stop where one is needed."""
        began_s = self.brakes.filter.stopwatch()
        before = self.live.obstacles()
        names = self.live.forget(now_ns)
        return names, self._follow(before, now_ns, began_s)

    def _follow(
        self, before: dict[str, Obstacle], now_ns: int, began_s: float
    ) -> SafeTrajectory | None:
        """Bring what is known now, and was `before`, into the model."""
        after = self.live.obstacles()
        changed = frozenset(n for n in {**before, **after} if before.get(n) != after.get(n))
        if not changed:
            return None
        self._restore(before, changed - before.keys(), now_ns)
        self._remember({n: before[n] for n in changed - after.keys()}, now_ns)
        return self._renew(changed, now_ns, began_s)

    def _remember(self, removed: dict[str, Obstacle], now_ns: int) -> None:
        """Keep what the arm was allowed near obstacles that are about to leave the model."""
        self._gone = {n: g for n, g in self._gone.items() if 0 <= now_ns - g.since_ns <= GONE_NS}
        if self.brakes.floor is None:
            return
        known = zip(self.model.pairs.keys, self.brakes.floor.clearance.tolist(), strict=True)
        finite = {key: floor for key, floor in known if floor > -np.inf}
        for name, obstacle in removed.items():
            floor = {key: value for key, value in finite.items() if name in key}
            if floor:
                self._gone[name] = Gone(obstacle, floor, now_ns)

    def _restore(self, there: dict[str, Obstacle], come: frozenset[str], now_ns: int) -> None:
        """What has come and was here just now stands again where it did, with its floor."""
        again = {n: self._gone.pop(n) for n in come if n in self._gone}
        again = {n: g for n, g in again.items() if 0 <= now_ns - g.since_ns <= GONE_NS}
        if self.brakes.floor is None or not again:
            return
        known = dict(zip(self.model.pairs.keys, self.brakes.floor.clearance.tolist(), strict=True))
        with self.brakes.filter.attention.during(void=False):
            self.model.set_obstacles({**there, **{n: g.obstacle for n, g in again.items()}})
        gaps = self._gaps(frozenset(again), now_ns)
        for gone in again.values():
            known |= {k: f for k, f in gone.floor.items() if f <= gaps.get(k, -np.inf) + ROUNDING}
        floor = np.array([known.get(key, -np.inf) for key in self.model.pairs.keys])
        self.brakes.floor = Floor(floor, self.brakes.floor.outside)

    def hold(self, name: str, load: Load | None, now_ns: int) -> SafeTrajectory | None:
        """Hold an object, or let go of it with None.

        Raises:
            WamError: a name, shape, mass or frame that makes no sense; then nothing is changed.
        """
        began_s = self.brakes.filter.stopwatch()
        held = {k: v for k, v in self.model.held.items() if k != name}
        if load is not None:
            taken = {*self.model.links, *self.model.embodiment.loads}
            if not 0 < len(name) <= LONGEST or name.rsplit("#", 1)[0] in taken:
                raise WamError(
                    f"'{name[:40]}' cannot be its name: empty, too long, or that of a link or load"
                )
            held[name] = load
        return self._renew(frozenset({name}), now_ns, began_s, held)

    def sense(self, positions: np.ndarray, now_ns: int) -> SafeTrajectory | None:
        """Stand where the sensed joints (S,) are now [rad or m]; what is returned is a stop that is
        needed because of them.
        """
        began_s = self.brakes.filter.stopwatch()
        pairs = self.model.pairs
        moved = np.any(pairs.sway > 0, axis=1)
        with self.brakes.filter.attention.during(void=False):
            was = self._distances([pairs.keys[k] for k in np.flatnonzero(moved)], now_ns)
            self.model.sense(positions)
        # nobody is heard before the floor is one of these distances
        if (floor := self.brakes.floor) is not None:
            now = self._distances(floor.stood_on(pairs, was), now_ns)
            self.brakes.floor = floor.carried(pairs, pairs, was, now)
        return self.brakes.avoid(now_ns, moved, began_s)

    def _renew(
        self,
        changed: frozenset[str],
        now_ns: int,
        began_s: float,
        held: dict[str, Load] | None = None,
    ) -> SafeTrajectory | None:
        before = self.model.pairs
        told = self.live.told
        with self.brakes.filter.attention.during(void=False):
            was = self._gaps(changed, now_ns)
            self.model.set_obstacles(self.live.obstacles(), held)
        after = self.model.pairs
        # nobody is heard before the floor is one of these pairs
        if (floor := self.brakes.floor) is not None:
            now = self._gaps(changed, now_ns, floor.stood_on(before, was))
            self.brakes.floor = floor.carried(before, after, was, now)
        spared = after.world & np.array([b in told for _, b in after.keys], dtype=bool)
        return self.brakes.avoid(now_ns, spared, began_s)

    def _gaps(
        self, changed: frozenset[str], now_ns: int, only: set[tuple[str, str]] | None = None
    ) -> Gaps:
        """Distances [m] of the pairs with what has changed, or of some of them, where the arm is
        commanded to be.
        """
        wanted = (key for key in self.model.pairs.keys if changed.intersection(key))
        return self._distances((k for k in wanted if only is None or k in only), now_ns)

    def _distances(self, keys: Iterable[tuple[str, str]], now_ns: int) -> Gaps:
        if self.brakes.floor is None:
            return {}
        number = {key: k for k, key in enumerate(self.model.pairs.keys)}
        self.model.place(self.model.full_q(self.brakes.playback.at(now_ns).q[None])[0])
        return {key: self.model.distance(number[key]) for key in keys}

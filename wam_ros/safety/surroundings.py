"""The world as it is told at run time, in the model of the filter, and the motion under way kept clear of it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from wam_ros.core.embodiment import Load
from wam_ros.core.errors import WamError
from wam_ros.core.types import SafeTrajectory
from wam_ros.safety.bounds import Gaps
from wam_ros.safety.braking import Brakes
from wam_ros.safety.live import Change, LiveWorld

LONGEST = 200  # characters of a name


class Surroundings:
    """Takes words about obstacles and held objects; every change is checked against the motion under way."""

    def __init__(self, brakes: Brakes) -> None:
        self.brakes, self.model = brakes, brakes.filter.model
        self.live = LiveWorld(self.model, brakes.params)

    def take(self, changes: Iterable[Change], now_ns: int) -> SafeTrajectory | None:
        """Note changes; what is returned is a stop that is needed because of them."""
        began_s, before = self.brakes.filter.stopwatch(), self.live.obstacles()
        for change in changes:
            self.live.take(change, now_ns)
        after = self.live.obstacles()
        changed = frozenset(n for n in {**before, **after} if before.get(n) != after.get(n))
        return self._renew(changed, now_ns, began_s) if changed else None

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
                raise WamError(f"'{name[:40]}' cannot be its name: empty, too long, or that of a link or load")
            held[name] = load
        return self._renew(frozenset({name}), now_ns, began_s, held)

    def _renew(
        self, changed: frozenset[str], now_ns: int, began_s: float, held: dict[str, Load] | None = None
    ) -> SafeTrajectory | None:
        before, was, told = self.model.pairs, self._gaps(changed, now_ns), self.live.told
        self.model.set_obstacles(self.live.obstacles(), held)
        after = self.model.pairs
        if self.brakes.floor is not None:
            self.brakes.floor = self.brakes.floor.carried(before, after, was, self._gaps(changed, now_ns))
        spared = after.world & np.array([b in told for _, b in after.keys], dtype=bool)
        return self.brakes.avoid(now_ns, spared, began_s)

    def _gaps(self, changed: frozenset[str], now_ns: int) -> Gaps:
        """Distances [m] of the pairs with what has changed, where the arm is commanded to be."""
        if self.brakes.floor is None:
            return {}
        self.model.place(self.model.full_q(self.brakes.playback.at(now_ns).q[None])[0])
        keys = self.model.pairs.keys
        return {key: self.model.distance(k) for k, key in enumerate(keys) if changed.intersection(key)}

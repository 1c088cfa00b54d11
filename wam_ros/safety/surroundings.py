"""The world as it is told at run time, in the model of the filter, and the motion under way kept clear of it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from wam_ros.core.embodiment import Load
from wam_ros.core.types import SafeTrajectory
from wam_ros.safety.braking import Brakes
from wam_ros.safety.live import ALL, Change, LiveWorld

Held = dict[str, Load] | None


class Surroundings:
    """Takes words about obstacles and held objects; every change is checked against the motion under way."""

    def __init__(self, brakes: Brakes) -> None:
        self.brakes, self.model = brakes, brakes.filter.model
        self.live = LiveWorld(self.model, brakes.params)

    def take(self, changes: Iterable[Change], now_ns: int) -> SafeTrajectory | None:
        """Note changes; what is returned is a stop that is needed because of them."""
        changed = {c.name for c in changes if self.live.take(c, now_ns)}
        return self._renew(frozenset(changed), now_ns) if changed else None

    def hold(self, name: str, load: Load | None, now_ns: int) -> SafeTrajectory | None:
        """Hold an object, or let go of it with None.

        Raises:
            WamError: a shape, mass or frame that makes no sense; then nothing is changed.
        """
        held = {k: v for k, v in self.model.held.items() if k != name}
        if load is not None:
            held[name] = load
        return self._renew(frozenset({name}), now_ns, held)

    def _renew(
        self, changed: frozenset[str], now_ns: int, held: dict[str, Load] | None = None
    ) -> SafeTrajectory | None:
        before, told = self.model.pairs, self.live.told
        if ALL in changed:
            changed |= {name for key in before.keys for name in key}
        self.model.set_obstacles(self.live.obstacles(), held)
        after = self.model.pairs
        if self.brakes.floor is not None:
            self.brakes.floor = self.brakes.floor.carried(before, after, changed)
        return self.brakes.avoid(now_ns, np.array([b in told for _, b in after.keys], dtype=bool))

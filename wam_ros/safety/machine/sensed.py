"""The joints that joint states tell and nothing here commands: a lift, a waist, a neck. The arm is
judged where they stand, and moves only while they do.
"""

from __future__ import annotations

import math

import numpy as np

from wam_ros.core.angles import nearest_turn
from wam_ros.core.types import NS, JointState
from wam_ros.robot.model import SafetyModel
from wam_ros.safety.params import SafetyParams

STILL_NS = NS // 5  # a joint that moved this long ago stands
# between two looks at where the arm may go now: of a joint that moves each one is out of date
AGAIN_NS = NS // 10
# beyond its limits, where a joint cannot be: it is another unit, or another joint
BEYOND_RAD = 0.1
BEYOND_M = 0.02


class Sensed:
    """Where each sensed joint is, how old that is, and whether it stands.

    Args:
        model: it is told by `Surroundings.sense` where they are.
        params: what counts as standing, and as recent.
        since_ns: ages count from here, when the clock went back; None: infinite before the first.
    """

    def __init__(self, model: SafetyModel, params: SafetyParams, since_ns: int | None) -> None:
        self.model = model
        self.names = model.sensed_names
        n = len(self.names)
        self.positions = np.full(n, np.nan)  # (S,) rad or m, the newest
        self.refusal = ""  # of the newest that was not taken
        self._slack = params.sensed_slack(model.sensed_sliding)
        self._params = params
        self._since_ns = since_ns
        self._stamps: list[int | None] = [None] * n
        self._heard_ns: list[int | None] = [None] * n  # the same, or when it came if stamped later
        self._stood = np.full(n, np.nan)  # where each has stayed
        self._moved_ns = [0] * n  # stamp at which it was last elsewhere
        self._told_ns: int | None = None

    def take(self, state: JointState, now_ns: int) -> None:
        """Take what a joint state says about some of them; what makes no sense is no news."""
        if state.stamp_ns == 0 or (state.stamp_ns - now_ns) / NS > self._params.future_s:
            self.refusal = f"{state.joint_names[0]} refused: stamp 0 or of the future"
            return
        for name, q in zip(state.joint_names, state.positions.tolist(), strict=True):
            k = self.names.index(name)
            low, high = self.model.sensed_range[k]
            room = BEYOND_M if self.model.sensed_sliding[k] else BEYOND_RAD
            # what is not a number is nowhere
            endless = bool(self.model.sensed_endless[k])
            if not (math.isfinite(q) if endless else low - room <= q <= high + room):
                self.refusal = f"{name} refused: at {q:g} {self._unit(k)} it cannot be"
                continue
            before = self._stamps[k]
            if before is not None and state.stamp_ns <= before:
                continue
            self._note(k, q, state.stamp_ns, now_ns)

    def _note(self, k: int, q: float, stamp_ns: int, now_ns: int) -> None:
        if not np.isnan(self.positions[k]):
            endless = self.model.sensed_endless[k]
            q = float(nearest_turn(np.array(q), self.positions[k], endless))
        if not abs(q - self._stood[k]) <= self._slack[k]:
            self._stood[k] = q
            self._moved_ns[k] = stamp_ns
        self.positions[k] = q
        self._stamps[k] = stamp_ns
        self._heard_ns[k] = min(stamp_ns, now_ns)

    def why_not_known(self, now_ns: int) -> str:
        """Which joint nobody knows the place of; empty while all are known."""
        allowed = self._params.joint_timeout_s
        for k, name in enumerate(self.names):
            newest = self._heard_ns[k]
            heard = self._since_ns if newest is None else newest
            age_s = math.inf if heard is None else (now_ns - heard) / NS
            # after the clock went back it is not yet due, but nobody knows it either
            if age_s <= allowed and newest is not None:
                continue
            refused = f"; {self.refusal}" if self.refusal else ""
            if newest is None:
                return f"no joint state has told where {name} is{refused}"
            return f"{name} was sensed {age_s:.2f} s ago, allowed {allowed} s{refused}"
        return ""

    def why_not_still(self) -> str:
        """Which joint moves; empty while all stand where the model has them."""
        for k, name in enumerate(self.names):
            stamp = self._stamps[k]
            if stamp is not None and (self._off()[k] or stamp - self._moved_ns[k] < STILL_NS):
                q = f"{self.positions[k]:.3f} {self._unit(k)}"
                return f"{name} moves (now at {q}): the arm waits until it stands"
        return ""

    def due(self, now_ns: int) -> bool:
        """Whether the model must be told where they are now."""
        if not self._off().any() or np.isnan(self.positions).any():
            return False
        if self._told_ns is not None and 0 <= now_ns - self._told_ns < AGAIN_NS:
            return False
        self._told_ns = now_ns
        return True

    def _off(self) -> np.ndarray:
        """(S,) bool: it is elsewhere than the model has it."""
        at = nearest_turn(self.positions, self.model.sensed, self.model.sensed_endless)
        return ~(np.abs(at - self.model.sensed) <= self._slack)

    def _unit(self, k: int) -> str:
        return "m" if self.model.sensed_sliding[k] else "rad"

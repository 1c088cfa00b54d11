"""What the state machine knows of the outside: joints, observations, surprise, and how old each of
them is.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from wam_ros.core.angles import nearest_turn, whole_turns_inside
from wam_ros.core.errors import WamError
from wam_ros.core.types import NS, JointState, Reason
from wam_ros.robot.model import SafetyModel
from wam_ros.safety.finding import Finding
from wam_ros.safety.machine.one_arm import OneArm
from wam_ros.safety.machine.sensed import Sensed
from wam_ros.safety.params import SafetyParams

STILL_S = 0.1  # over which a joint must not have moved to count as still
PARTS = 8  # positions remembered in that time
OTHER_CLOCK_S = 3600.0  # so old is no joint state that was late


class Inputs:
    """Newest of every input; nothing that arrives is believed before it was looked at."""

    def __init__(self, model: SafetyModel, params: SafetyParams) -> None:
        self.model = model
        self.params = params
        # (A,) rad or m that a joint at rest may be beside where it should be
        self.slack = np.where(model.sliding, params.clamp_m, params.clamp_rad)
        self.clear(None)

    def clear(self, now_ns: int | None) -> None:
        """Forget everything; ages count from `now_ns`, when the clock went back, or are
        infinite.
        """
        watched = now_ns is not None and self.observation_ns is not None
        self._since_ns = now_ns
        self.q: np.ndarray | None = None
        self.dq: np.ndarray | None = None
        self.joints_ns: int | None = None  # stamp of the newest
        self._heard_ns: int | None = None  # the same, or when it came if it was stamped later
        self._lately: deque[tuple[int, np.ndarray]] = deque(maxlen=2 * PARTS)
        self.observation_ns: int | None = now_ns if watched else None
        self._surprise: tuple[float, int] | None = None
        self._stood: np.ndarray | None = None  # where the joints have stayed
        self.still_since_ns: int | None = None  # stamp since which they have
        self.refusal = ""  # of the newest joint state, since one was taken
        self.one_arm = OneArm(self.model)
        self.sensed = Sensed(self.model, self.params, now_ns)

    def take_joints(self, state: JointState, now_ns: int) -> bool:
        """Take a joint state if it is whole, finite and newer; say why not in `refusal`."""
        try:
            columns = self.model.order(tuple(state.joint_names))
            q = np.asarray(state.positions, dtype=float)[columns]
            dq = np.asarray(state.velocities, dtype=float)[columns]
        except (WamError, ValueError, TypeError, IndexError) as error:
            self.refusal = f"joint state refused: {str(error)[:120]}"
            return False
        if not np.isfinite(q).all():
            self.refusal = (
                "joint state refused: "
                f"{self.model.joint_names[int((~np.isfinite(q)).argmax())]} is not "
                "finite"
            )
            return False
        if state.stamp_ns == 0:
            self.refusal = "joint state refused: its stamp is 0, its driver does not set it"
            return False
        ahead_s = (state.stamp_ns - now_ns) / NS
        if ahead_s > self.params.future_s:
            self.refusal = (
                f"joint state refused: its stamp is {ahead_s:.3f} s in the future, allowed "
                f"{self.params.future_s} s; {_clocks(ahead_s)}"
            )
            return False
        # a driver may wrap what turns without end
        if self.q is not None:
            q = nearest_turn(q, self.q, self.model.endless)
        if self.q is not None and self.joints_ns is not None and state.stamp_ns != self.joints_ns:
            passed_s = abs(state.stamp_ns - self.joints_ns) / NS
            self.one_arm.compare(self.q, q, passed_s, self.slack)
        if self.joints_ns is not None and state.stamp_ns <= self.joints_ns:
            return False
        if not np.isfinite(dq).all():
            dq = self._differences(q, state.stamp_ns)
        self._note_stillness(q, state.stamp_ns)
        self.q = q
        self.dq = dq
        self.joints_ns = state.stamp_ns
        self.refusal = ""
        self._heard_ns = min(state.stamp_ns, now_ns)
        if not self._lately or state.stamp_ns - self._lately[-1][0] >= STILL_S * NS / PARTS:
            self._lately.append((state.stamp_ns, q))
        return True

    def refuse(self, why: str) -> str:
        """Note that a joint state could not be read, for who asks why there is none; in words."""
        self.refusal = f"joint state refused: {why[:300]}"
        return self.refusal

    def take_observation(self, stamp_ns: int, now_ns: int) -> None:
        """Note that the cameras saw something at `stamp_ns`; one of the future must be followed by
        one of now.
        """
        believed = stamp_ns <= now_ns + self.params.future_s * NS
        self.observation_ns = max(
            min(stamp_ns, now_ns) if believed else 0, self.observation_ns or 0
        )

    def take_surprise(self, value: float, now_ns: int) -> None:
        """Note how much the newest frame differs from what was imagined; NaN says nothing."""
        if not math.isnan(value):
            self._surprise = (float(value), now_ns)

    def joints_age_s(self, now_ns: int) -> float:
        """Age of the newest joint state; infinite before the first."""
        newest = self._since_ns if self._heard_ns is None else self._heard_ns
        return math.inf if newest is None else (now_ns - newest) / NS

    def why_not_fresh(self, now_ns: int) -> str:
        """Why the joint state may not be relied on; empty while it may, or was not yet due after
        the clock went back.
        """
        age_s = self.joints_age_s(now_ns)
        allowed = self.params.joint_timeout_s
        if age_s <= allowed:
            return ""
        if not math.isfinite(age_s):
            return self.refusal or "no joint state has come"
        refused = f"; {self.refusal}" if self.refusal else ""
        other = f"; {_clocks(age_s)}" if age_s > OTHER_CLOCK_S else ""
        return f"joint state is {age_s:.2f} s old, allowed {allowed} s{other}{refused}"

    def observation_stale(self, now_ns: int) -> bool:
        """Whether observations came once and no longer do."""
        if self.observation_ns is None:
            return False
        return (now_ns - self.observation_ns) / NS > self.params.observation_timeout_s

    def surprise(self, now_ns: int) -> float:
        """Newest surprise; 0 when there is none or it is old."""
        if (
            self._surprise is None
            or now_ns - self._surprise[1] > self.params.surprise_memory_s * NS
        ):
            return 0.0
        return self._surprise[0]

    def mistrust(self, now_ns: int) -> Finding | None:
        """Which input may not be relied on, if any; the gravest of what is found."""
        stale = self.why_not_fresh(now_ns)
        blind = self.observation_stale(now_ns)
        surprise = self.surprise(now_ns)
        if stale:
            return Finding(
                Reason.STATE_STALE,
                stale,
                measured=self.joints_age_s(now_ns),
                allowed=self.params.joint_timeout_s,
                unit="s",
            )
        if self.one_arm.why_not_one:
            return Finding(Reason.STATE_STALE, self.one_arm.why_not_one)
        if unknown := self.sensed.why_not_known(now_ns):
            return Finding(Reason.STATE_STALE, unknown)
        if moves := self.sensed.why_not_still():
            return Finding(Reason.WATCHDOG, moves)
        if blind:
            return Finding(Reason.CAMERA_STALE, "the newest observation is too old")
        allowed = self.params.surprise_stop
        if surprise > allowed:
            words = f"surprise {surprise:.4g}, allowed {allowed:.4g}"
            return Finding(
                Reason.SURPRISE,
                words,
                measured=surprise,
                allowed=allowed,
            )
        return None

    def moving(self) -> str:
        """Name of a joint that is not still, or ''."""
        if self.dq is None:
            return "every joint (none was measured)"
        slow = np.where(self.model.sliding, self.params.still_m_s, self.params.still_rad_s)
        fast = ~(np.maximum(np.abs(self.dq), self._drift()) <= slow)
        return self.model.joint_names[int(fast.argmax())] if fast.any() else ""

    def why_not_fit(self, now_ns: int) -> str:
        """Why nothing may begin now, or ''."""
        moving = self.moving()
        return self._why_not_known(now_ns) or (f"{moving} moves" if moving else "")

    def why_not_trusted(self, now_ns: int, settled: bool) -> str:
        """Why the joints of an arm that is not armed are not to be trusted, or ''.

        Args:
            now_ns: the present.
            settled: what was emitted is over, so an arm that still moves is moved by others.
        """
        moving = self.moving() if settled else ""
        words = f"{moving} moves though nothing was emitted" if moving else ""
        return self._why_not_known(now_ns) or words

    def _why_not_known(self, now_ns: int) -> str:
        return (
            self.why_not_fresh(now_ns)
            or self.one_arm.why_not_one
            or self.sensed.why_not_known(now_ns)
            or self.sensed.why_not_still()
        )

    def why_not_startable(self) -> str:
        """Why no motion could be proven from where the robot stands, or ''."""
        assert self.q is not None
        q = self.q
        limits = self.model.limits
        model = self.model
        off = (q < limits.lower - self.slack) | (q > limits.upper + self.slack)
        if off.any():
            k = int(off.argmax())
            where = f"{model.joint_names[k]} is at {q[k]:.3f} {model.units[k]}, outside its limits"
            inside = (limits.lower[k] - self.slack[k], limits.upper[k] + self.slack[k])
            turns = "" if model.sliding[k] else whole_turns_inside(float(q[k]), *inside)
            return f"{where}{turns or '; move it back'}"
        distances = model.distances(np.clip(q, limits.lower, limits.upper))
        if len(distances) and distances.min() <= 0:
            a, b = model.pairs.names[int(distances.argmin())]
            return (
                f"{a} overlaps {b} by {-distances.min():.3f} m; move it away or correct the world"
            )
        return ""

    def _drift(self) -> np.ndarray:
        """(A,) rad/s or m/s by which the joints came here lately: some drivers say 0 whatever the
        arm does.
        """
        assert self.q is not None
        assert self.joints_ns is not None
        since = [(ns, q) for ns, q in self._lately if self.joints_ns - ns <= 2 * STILL_S * NS]
        return np.max(
            [np.abs(self.q - q) / max((self.joints_ns - ns) / NS, STILL_S) for ns, q in since],
            axis=0,
        )

    def _note_stillness(self, q: np.ndarray, stamp_ns: int) -> None:
        """Joints are still as long as they stay where they were, not as long as they are slow; what
        they did while nothing was heard of them nobody knows.
        """
        silent = self.joints_ns is None or (
            stamp_ns - self.joints_ns > self.params.joint_timeout_s * NS
        )
        if silent or self._stood is None or (np.abs(q - self._stood) > self.slack).any():
            self._stood = q
            self.still_since_ns = stamp_ns

    def _differences(self, q: np.ndarray, stamp_ns: int) -> np.ndarray:
        if self.q is None or self.joints_ns is None:
            return np.full_like(q, np.nan)
        return (q - self.q) * (NS / (stamp_ns - self.joints_ns))


def _clocks(off_s: float) -> str:
    """What is wrong with stamps that are so far off."""
    if abs(off_s) > OTHER_CLOCK_S:
        return "it is of another clock: is use_sim_time the same everywhere?"
    return "synchronise the clocks of both machines"

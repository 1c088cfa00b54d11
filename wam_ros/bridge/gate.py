"""The last look at a trajectory before the controller, independent of the filter that proved it.

It knows only the joint limits and what it let through before: a fault of the filter, a late or
foreign message or a silent safety node must not reach the arm. It never makes motion; what it let
through ends at rest by itself.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from wam_ros.core.admission import SHIPPED, Admission
from wam_ros.core.angles import nearest_turn, turns_in_words
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.interpolation import Curve, evaluate, segment_coefficients
from wam_ros.core.types import NS, JointState, KinematicState, MotionTable, SafeTrajectory
from wam_ros.robot.joints import load_joints

SLACK = 1e-3  # share by which a limit may be passed by rounding
ROUNDING = 1e-5  # rad or m
REST_SPEED = 1e-4  # rad/s or m/s
# points closer than this, as the filter's are, leave no room to pass a limit in between
LOOK_S = 0.011
MAX_LOOKS = 10_000
MIN_SPACING_NS = 1_000_000  # knots closer than this are merged where two trajectories meet


@dataclass(frozen=True)
class GateLimits:
    """Limits of the commanded joints, each (A,), and how far a start may lie from the measured
    joints.
    """

    joint_names: tuple[str, ...]
    lower: np.ndarray  # rad or m
    upper: np.ndarray
    velocity: np.ndarray  # rad/s or m/s
    acceleration: np.ndarray  # rad/s^2 or m/s^2
    jerk: np.ndarray  # rad/s^3 or m/s^3
    start_tolerance: np.ndarray  # rad or m
    sliding: np.ndarray  # bool: in m instead of rad
    endless: np.ndarray  # bool: turns without end


def load_gate_limits(embodiment: Embodiment, start_rad: float, start_m: float) -> GateLimits:
    """Limits from the URDF, and of acceleration from the embodiment where the URDF has none.

    Raises:
        WamError: a joint is not in the URDF, lacks a limit, or has its home beyond it.
    """
    joints = load_joints(embodiment)
    limits = joints.limits
    described = [joints.urdf.joints[n] for n in embodiment.joint_names]
    sliding = np.array([joint.sliding for joint in described])
    return GateLimits(
        joint_names=embodiment.joint_names,
        lower=limits.lower,
        upper=limits.upper,
        velocity=limits.velocity,
        acceleration=limits.acceleration,
        jerk=limits.jerk,
        start_tolerance=np.where(sliding, start_m, start_rad),
        sliding=sliding,
        endless=np.array([joint.kind == "continuous" for joint in described]),
    )


class Gate:
    """Lets trajectories through or says why not. The clock comes by argument; not thread-safe.

    Args:
        limits: of the joints it lets move.
        admission: how late a trajectory may come (the arm is elsewhere already), how far it may
            leap (a controller leaps onto what it gets late, and to stop is worth a jolt), and how
            long the safety node may be silent.
    """

    def __init__(self, limits: GateLimits, admission: Admission = SHIPPED) -> None:
        self.limits = limits
        self.admission = admission
        self.why_not_open = ""  # why nothing passes at all
        self._curve: Curve | None = None
        self._measured: JointState | None = None
        self._heard_ns: int | None = None
        self._now_ns = 0

    def on_heartbeat(self, steady_ns: int) -> None:
        """The safety node lives; `steady_ns` is of a clock that never jumps."""
        self._heard_ns = steady_ns

    def on_joints(self, measured: JointState) -> None:
        """Take the measured joints, in the order of the limits; a driver may wrap those that turn
        without end, which are taken by the turn that is nearest to what is commanded.
        """
        if self._curve is not None and self.limits.endless.any():
            reference = self._curve.at(measured.stamp_ns).q
            q = nearest_turn(measured.positions, reference, self.limits.endless)
            measured = dataclasses.replace(measured, positions=q)
        self._measured = measured

    def why_not_heard(self, steady_ns: int) -> str:
        """Why nothing may pass for lack of the safety node; empty while it lives."""
        if self._heard_ns is None:
            return "the safety node has not been heard yet"
        silent_s = (steady_ns - self._heard_ns) / NS
        return (
            f"the safety node has been silent for {silent_s:.2f} s"
            if silent_s > self.admission.heartbeat_s
            else ""
        )

    def silent_s(self, steady_ns: int) -> float:
        """How long ago the safety node was heard; 0 before it was."""
        return 0.0 if self._heard_ns is None else (steady_ns - self._heard_ns) / NS

    def commanded(self, now_ns: int) -> KinematicState | None:
        """What the controller is commanded to do at `now_ns`; None before the first trajectory."""
        if now_ns < self._now_ns - self.admission.deadline_ns:
            # the clock was set back: stamps of before mean nothing now
            self._curve = None
        self._now_ns = now_ns
        return None if self._curve is None else self._curve.at(now_ns)

    @property
    def curve(self) -> Curve | None:
        """What the controller follows; None while nothing is commanded."""
        return self._curve

    @property
    def measured(self) -> np.ndarray | None:
        """(A,) newest measured joints, None before the first."""
        return None if self._measured is None else self._measured.positions

    def measured_near(self, curve: Curve) -> np.ndarray | None:
        """(A,) the same, by the turns that are nearest to the start of a curve."""
        if self._measured is None:
            return None
        return nearest_turn(self._measured.positions, curve.knots.q[0], self.limits.endless)

    def forget(self) -> None:
        """Nothing is commanded any more: the next trajectory must begin at rest where the arm is
        measured.
        """
        self._curve = None

    def rest_in_s(self, now_ns: int) -> float:
        """Time until the last trajectory let through is at rest."""
        return 0.0 if self._curve is None else max(0.0, (int(self._curve.t_ns[-1]) - now_ns) / NS)

    def admit(
        self, trajectory: SafeTrajectory, now_ns: int, steady_ns: int
    ) -> tuple[SafeTrajectory | None, str]:
        """What to send to the controller, or None and one sentence that says why not.

        What is sent begins now: the rest of the running trajectory up to the new start is put in
        front, so that a controller that replaces on every message still follows exactly what was
        proven.
        """
        # to notice a clock that was set back
        self.commanded(now_ns)
        if self.why_not_open:
            return None, self.why_not_open
        reason = self.why_not_heard(steady_ns) or self._why_not_whole(trajectory)
        if reason:
            return None, reason
        trajectory = self._in_order(trajectory)
        reason = self._why_not_inside(trajectory) or self._why_not_inside_between(trajectory)
        reason = (
            reason
            or self._why_not_in_time(trajectory, now_ns)
            or self._why_not_continuous(trajectory, now_ns)
        )
        if reason:
            return None, reason
        joined = self._join(trajectory, now_ns)
        self._curve = Curve.from_trajectory(joined)
        return joined, ""

    def _why_not_whole(self, trajectory: SafeTrajectory) -> str:
        """Why it is no trajectory of this arm, or ''."""
        names = self.limits.joint_names
        if sorted(trajectory.joint_names) != sorted(names):
            odd = sorted(set(names) ^ set(trajectory.joint_names)) or ["a name twice"]
            return f"the trajectory's joints are not the arm's: {', '.join(odd)}"
        n = len(trajectory.t)
        if n == 0 or trajectory.q.shape != (n, len(names)):
            return "the trajectory is empty or its arrays differ in length"
        if not (np.isfinite(trajectory.t).all() and trajectory.finite):
            return "the trajectory holds a value that is not finite"
        if trajectory.t[0] < 0 or (np.diff(trajectory.t) <= 0).any():
            return "the trajectory's times do not rise"
        return ""

    def _in_order(self, trajectory: SafeTrajectory) -> SafeTrajectory:
        pick = [trajectory.joint_names.index(n) for n in self.limits.joint_names]
        motion = trajectory.columns(pick)
        if np.abs(motion.dq[-1]).max() <= REST_SPEED:
            # controllers take only an exact rest
            motion.dq[-1] = 0.0
            motion.ddq[-1] = 0.0
        return SafeTrajectory(
            *motion.arrays,
            start_ns=trajectory.start_ns,
            joint_names=self.limits.joint_names,
            t=trajectory.t,
            chunk_seq=trajectory.chunk_seq,
        )

    def _why_not_inside(self, trajectory: SafeTrajectory) -> str:
        """Why it is not inside the limits at its points, or does not end at rest; or ''."""
        lim = self.limits
        names = self.limits.joint_names
        if trajectory.dq[-1].any():
            return (
                "the trajectory does not end at rest: joint "
                f"'{names[int(np.abs(trajectory.dq[-1]).argmax())]}' moves"
            )
        span = np.diff(trajectory.t)[:, None]
        excess = self._excess(trajectory.q, trajectory.dq)
        excess["acceleration"] = np.abs(trajectory.ddq) - lim.acceleration * (1 + SLACK)
        excess["slew"] = np.abs(np.diff(trajectory.q, axis=0)) - lim.velocity * span * (1 + SLACK)
        return self._passes(excess, trajectory.t)

    def _why_not_inside_between(self, trajectory: SafeTrajectory) -> str:
        """Why it is not inside them from point to point, where those lie far apart, or ''."""
        t = trajectory.t
        if np.diff(t).max(initial=0.0) <= LOOK_S:
            return ""
        at = np.linspace(t[0], t[-1], min(MAX_LOOKS, 2 + int((t[-1] - t[0]) / LOOK_S)))
        segment = np.clip(np.searchsorted(t, at, side="right") - 1, 0, len(t) - 2)
        c = segment_coefficients(t, trajectory, 5)
        q, dq, _ = evaluate(c[segment], at - t[segment])
        return self._passes(self._excess(q, dq), at)

    def _excess(self, q: np.ndarray, dq: np.ndarray) -> dict[str, np.ndarray]:
        lim = self.limits
        return {
            "position": np.maximum(q - lim.upper, lim.lower - q) - ROUNDING,
            "velocity": np.abs(dq) - lim.velocity * (1 + SLACK),
        }

    def _passes(self, excess: dict[str, np.ndarray], t: np.ndarray) -> str:
        """The first excess (N, A) above zero in words, at times (N,) s."""
        for name, beyond in excess.items():
            if beyond.size and beyond.max() > 0:
                step, joint = np.unravel_index(int(beyond.argmax()), beyond.shape)
                words = f"passes its limit by {beyond.max():.3g} at {t[step]:.2f} s"
                return f"{name} of joint '{self.limits.joint_names[joint]}' {words}"
        return ""

    def _why_not_in_time(self, trajectory: SafeTrajectory, now_ns: int) -> str:
        """Why it does not come near enough to its start, or ''."""
        late_s = (now_ns - trajectory.start_ns) / NS
        if late_s > self.admission.deadline_s:
            return (
                f"the trajectory arrived {late_s:.3f} s after its start; at most "
                f"{self.admission.deadline_s:.3f} s are allowed"
            )
        if late_s < -self.admission.ahead_s:
            return f"the trajectory starts {-late_s:.1f} s in the future"
        return ""

    def _why_not_continuous(self, new: SafeTrajectory, now_ns: int) -> str:
        """Why its start is not where the arm is commanded to be then, nor, from rest, where it is
        measured; or ''.
        """
        late = Curve.from_trajectory(new)
        resting = KinematicState.at_rest(new.q[0])
        at_ns = max(new.start_ns, now_ns)
        if self._curve is None:
            gap = "nothing is commanded yet"
        else:
            sooner = now_ns < int(late.t_ns[-1]) < int(self._curve.t_ns[-1])
            seam_s = self.admission.stop_seam_s if sooner else self.admission.seam_s
            gap = self._leap(late, self._curve.at(at_ns), at_ns, seam_s)
            if not gap:
                return ""
        start = self._why_not_from_rest(new, now_ns) or self._leap(
            late, resting, at_ns, self.admission.seam_s
        )
        return f"{gap}; {start}" if start else ""

    def _leap(self, to: Curve, state: KinematicState, at_ns: int, seam_s: float) -> str:
        """How a controller in `state` at `at_ns` would leap onto a curve; empty when by little."""
        reach_dq = self.limits.acceleration * seam_s
        there = to.at(at_ns)
        leap = there - state
        off = np.maximum(np.abs(leap.q) / (reach_dq * seam_s / 2), np.abs(leap.dq) / reach_dq)
        joint = int(off.argmax())
        if off[joint] <= 1:
            return ""
        name = self.limits.joint_names[joint]
        by = f"by {leap.dq[joint]:.3f} per s in speed"
        late = (
            f", {(at_ns - int(to.t_ns[0])) / NS:.3f} s after its start"
            if at_ns > to.t_ns[0]
            else ""
        )
        return (
            f"joint '{name}' is commanded {state.q[joint]:.4f} and would jump to "
            f"{there.q[joint]:.4f}, {by}{late}"
        )

    def _why_not_from_rest(self, new: SafeTrajectory, now_ns: int) -> str:
        """Why motion may not begin with it where the arm is measured, or ''."""
        if self._curve is not None and now_ns < self._curve.t_ns[-1]:
            return "the arm is in motion"
        if np.abs(new.dq[0]).max() > REST_SPEED:
            return "a first trajectory must start at rest"
        patience_ns = self.admission.heartbeat_s * NS
        if self._measured is None or abs(now_ns - self._measured.stamp_ns) > patience_ns:
            return "no recent joint state says where the arm is"
        q = nearest_turn(self._measured.positions, new.q[0], self.limits.endless)
        off = np.abs(new.q[0] - q)
        joint = int((off / self.limits.start_tolerance).argmax())
        if not off[joint] <= self.limits.start_tolerance[joint]:
            turning = not self.limits.sliding[joint]
            allowed = float(self.limits.start_tolerance[joint])
            turns = turns_in_words(float(off[joint]), allowed) if turning else ""
            return (
                f"joint '{self.limits.joint_names[joint]}' is measured {off[joint]:.3f} away "
                f"from the start{turns}"
            )
        return ""

    def _join(self, new: SafeTrajectory, now_ns: int) -> SafeTrajectory:
        if (
            self._curve is None
            or new.start_ns <= now_ns + MIN_SPACING_NS
            or now_ns >= self._curve.t_ns[-1]
        ):
            return new
        knots = self._curve.t_ns
        between = knots[(knots > now_ns + MIN_SPACING_NS) & (knots < new.start_ns - MIN_SPACING_NS)]
        head_ns = [now_ns, *map(int, between)]
        head = MotionTable.of([self._curve.at(ns) for ns in head_ns])
        t = np.concatenate(
            ([(ns - now_ns) / NS for ns in head_ns], new.t + (new.start_ns - now_ns) / NS)
        )
        return SafeTrajectory(
            *MotionTable.joined([head, new]).arrays,
            start_ns=now_ns,
            joint_names=new.joint_names,
            t=t,
            chunk_seq=new.chunk_seq,
        )

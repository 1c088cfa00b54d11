"""How slow, and how far: one time scale for all joints before anything is cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from wam_ros.core.types import KinematicState, Reason
from wam_ros.safety.finding import Finding, Measure
from wam_ros.safety.motion.bounds import Bounds, Checker
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.motion.path import Waypoints, make_motion

BUILDS = 12  # paths that are tried before the rest of a chunk is given up
STEP = 1.02  # least growth of the time scale


@dataclass
class Plan:
    """A path inside every limit that slowing can meet; None where not even the first step can
    be.
    """

    motion: Motion | None
    scale: float
    n_steps: int  # of the waypoints, from the first
    reasons: Reason = Reason.NONE
    slowed: Finding | None = None  # the first offence that was met by slowing
    # the last one by which steps were dropped: it decided how many are left
    cut: Finding | None = None
    # (n_steps,) sample at or after each step
    samples: np.ndarray = field(default_factory=lambda: np.zeros(0, int))

    def slow(self, finding: Finding) -> None:
        """Remember what is met by slowing."""
        self.reasons |= finding.reason
        self.slowed = self.slowed or finding

    def drop(self, finding: Finding) -> None:
        """Remember why the chunk ends before its last step."""
        self.reasons |= finding.reason
        self.cut = finding


def make_plan(
    way: Waypoints,
    first_due: int,
    start: KinematicState,
    bounds: Bounds,
    checks: Sequence[Checker],
    least_scale: float,
) -> Plan:
    """Slow the chunk as much as `checks` ask, up to the largest scale; beyond it drop steps from
    the end.

    Args:
        way: the steps.
        first_due: index of the first one that is not already due.
        start: state at time 0.
        bounds: what is allowed.
        checks: motion checks whose ratio falls with the time scale.
        least_scale: scale to begin with.
    """
    plan = Plan(None, least_scale, _possible(way, first_due, start, bounds))
    if plan.n_steps < len(way.q):
        plan.drop(_jump(way, plan.n_steps, start, bounds, first_due))
    for _ in range(BUILDS):
        if plan.n_steps <= first_due:
            break
        motion = make_motion(way.head(plan.n_steps), start, bounds, plan.scale)
        plan.samples = step_samples(way, plan.n_steps, plan.scale, bounds.params.sample_s)
        found = _worst(motion, bounds, checks)
        if found is None:
            plan.motion = motion
            return plan
        worst, power = found
        finding = worst.describe_step(int(worst.bad.argmax()), plan.samples)
        factor = max(float(worst.ratio.max()) ** (1.0 / power) * 1.01, STEP)
        if plan.scale * factor <= bounds.params.max_time_scale:
            plan.slow(finding)
            plan.scale *= factor
        elif plan.scale < bounds.params.max_time_scale and np.isfinite(factor):
            plan.slow(finding)
            plan.scale = bounds.params.max_time_scale
        else:
            plan.drop(finding)
            plan.slowed = None
            step = int(np.searchsorted(plan.samples, int(worst.bad.argmax())))
            plan.n_steps = min(step, plan.n_steps - 1)
            plan.scale = least_scale
    return plan


def step_samples(way: Waypoints, n: int, scale: float, dt: float) -> np.ndarray:
    """(n,) index of the sample at or after each step; 0 for steps already due."""
    return np.maximum(np.ceil(way.times()[:n] * scale / dt - 1e-6), 0).astype(int)


def _worst(motion: Motion, bounds: Bounds, checks: Sequence[Checker]) -> tuple[Measure, int] | None:
    """The first measure, in the order of the checks, that is violated, and the power of its
    check.
    """
    for check in checks:
        measure = check.look(motion, bounds)
        if measure.bad.any():
            return measure, check.power
    return None


def _possible(way: Waypoints, first_due: int, start: KinematicState, bounds: Bounds) -> int:
    """Steps before the first one that no allowed time scale could reach from the one before it."""
    q = np.vstack((start.q, way.q[first_due:]))
    reach = bounds.joints.velocity * way.period_s * bounds.params.max_time_scale
    ratio = (np.abs(np.diff(q, axis=0)) / reach).max(axis=1)
    ratio[0] = 0.0  # the seam has its own check
    over = ~(ratio <= 1.5)  # rounding a corner may halve a jump
    bend = (
        np.abs(np.diff(way.q[first_due:], n=2, axis=0))
        / (way.period_s * bounds.params.max_time_scale) ** 2
    )
    over[3:] |= ~((bend[1:] / bounds.joints.acceleration).max(axis=1, initial=0.0) <= 1.2)
    return first_due + int(over.argmax()) if over.any() else len(way.q)


def _jump(
    way: Waypoints, step: int, start: KinematicState, bounds: Bounds, first_due: int
) -> Finding:
    """Words for a step that cannot be reached: its speed, or the bend at it where the speed is
    allowed.
    """
    rows = np.vstack((start.q, way.q[first_due : step + 1]))
    joints = bounds.joints
    unit = "/s"
    reason = Reason.VELOCITY
    value = np.abs(rows[-1] - rows[-2]) / way.period_s
    allowed = joints.velocity
    if (value <= allowed * bounds.params.max_time_scale).all():
        unit = "/s^2"
        reason = Reason.ACCELERATION
        value = np.abs(rows[-1] - 2 * rows[-2] + rows[-3]) / way.period_s**2
        allowed = joints.acceleration
    k = int((value / allowed).argmax())
    name = joints.names[k]
    unit = joints.units[k] + unit
    measured = float(value[k])
    most = float(allowed[k])
    words = (
        f"{name} {reason.names()[0]} {measured:.4g} {unit} at step {step}, allowed "
        f"{most:.4g} {unit}"
    )
    return Finding(
        reason,
        words,
        joint=name,
        step=step,
        measured=measured,
        allowed=most,
        unit=unit,
    )

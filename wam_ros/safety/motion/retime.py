"""The plan: how slow, and how far. One time scale for all joints before anything is cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.core.words import REASONS
from wam_ros.safety.finding import Finding
from wam_ros.safety.motion.bounds import Bounds, Checker
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.motion.path import make_motion
from wam_ros.safety.motion.waypoints import Seam, Waypoints

BUILDS = 12  # paths that are tried before the rest of a chunk is given up
STEP = 1.02  # least growth of the time scale


@dataclass
class Plan:
    """What safety may execute of a chunk, if stops from it are proven: a path inside every limit,
    or None where not even its first step can be kept inside.
    """

    seam: Seam
    scale: float  # of time
    n_steps: int  # of the waypoints, from the first
    motion: Motion | None = None
    end: int = 0  # first sample of the motion that is refused; their number where none is
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
    seam: Seam, bounds: Bounds, checks: Sequence[Checker], least_scale: float = 1.0
) -> Plan:
    """Slow the chunk as much as is asked for, up to the largest scale, and end it before what
    slowing does not help.

    Args:
        seam: the steps, and where they begin.
        bounds: what is allowed.
        checks: of motion.
        least_scale: time scale to begin with, 1 or more.
    """
    plan = _slowed(seam, bounds, [c for c in checks if c.power > 0], max(1.0, least_scale))
    if plan.motion is None:
        return plan
    found: list[tuple[int, Finding]] = []
    for check in checks:
        if check.power == 0 and (measure := check.look(plan.motion, bounds)).bad.any():
            sample = int(measure.bad.argmax())
            found.append((sample, measure.describe_step(sample, plan.samples)))
    plan.end = len(plan.motion)
    # the first sample that is refused is noted last: it decided
    for sample, finding in sorted(found, key=lambda f: f[0], reverse=True):
        plan.drop(finding)
        plan.end = sample
    return plan


def _slowed(seam: Seam, bounds: Bounds, checks: Sequence[Checker], least_scale: float) -> Plan:
    """Slow until every check agrees; where that would be too slow, drop steps from the end and
    begin again.

    One time scale for all joints and the whole chunk keeps its path, and a policy is not surprised
    by another one. Slowing comes before dropping: a slow arm still does what was asked.
    """
    way = seam.way
    plan = Plan(seam, least_scale, _possible(seam, bounds))
    if plan.n_steps < len(way.q):
        plan.drop(_jump(seam, plan.n_steps, bounds))
    for _ in range(BUILDS):
        if plan.n_steps <= seam.first_due:
            break
        plan.samples = step_samples(way, plan.n_steps, plan.scale, bounds.params.sample_s)
        motion = make_motion(way.head(plan.n_steps), seam.start, bounds, plan.scale)
        # one check after the other: what the first refuses the others need not look at
        looked = ((check.look(motion, bounds), check.power) for check in checks)
        worst, power = next((found for found in looked if found[0].bad.any()), (None, 0))
        if worst is None:
            plan.motion = motion
            return plan
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


def _possible(seam: Seam, bounds: Bounds) -> int:
    """Steps before the first one that no allowed time scale could reach from the one before it."""
    way = seam.way
    q = np.vstack((seam.start.q, way.q[seam.first_due :]))
    reach = bounds.joints.velocity * way.period_s * bounds.params.max_time_scale
    ratio = (np.abs(np.diff(q, axis=0)) / reach).max(axis=1)
    # the seam has its own check
    ratio[0] = 0.0
    # rounding a corner may halve a jump
    over = ~(ratio <= 1.5)
    bend = (
        np.abs(np.diff(way.q[seam.first_due :], n=2, axis=0))
        / (way.period_s * bounds.params.max_time_scale) ** 2
    )
    over[3:] |= ~((bend[1:] / bounds.joints.acceleration).max(axis=1, initial=0.0) <= 1.2)
    return seam.first_due + int(over.argmax()) if over.any() else len(way.q)


def _jump(seam: Seam, step: int, bounds: Bounds) -> Finding:
    """Words for a step that cannot be reached: its speed, or the bend at it where the speed is
    allowed.
    """
    way = seam.way
    rows = np.vstack((seam.start.q, way.q[seam.first_due : step + 1]))
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
        f"{name} {REASONS[reason]} {measured:.4g} {unit} at step {step}, allowed {most:.4g} {unit}"
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

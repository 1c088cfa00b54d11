"""Every number of the safety filter and its state machine that a user may set, with units and
bounds.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from wam_ros.core.errors import WamError


def _p(default: Any, unit: str, low: float, high: float, doc: str) -> Any:
    return dataclasses.field(
        default=default, metadata={"unit": unit, "low": low, "high": high, "doc": doc}
    )


# What is noticed the later, and what is kept the farther, the larger it is; changed more than so
# many times it is told.
PATIENCE = (
    "joint_timeout_s observation_timeout_s clock_jump_s future_s stale_s think_s tracking_rad "
    "tracking_m tracking_window_s tracking_samples still_rad_s still_m_s sensed_rad sensed_m "
    "overruns max_chunk_s stop_lead_s seam_rad seam_m"
).split()
DISTANCE = "self_clearance_m obstacle_clearance_m distance_error_m position_margin_rad".split()
TIMES = 3.0


@dataclass(frozen=True)
class SafetyParams:
    """Margins, tolerances and times. Fractions are of the robot's own limits."""

    position_margin_rad: float = _p(
        0.02, "rad", 0.0, 1.0, "kept from the position limits of turning joints"
    )
    position_margin_m: float = _p(
        0.0, "m", 0.0, 0.1, "kept from the position limits of sliding joints"
    )
    clamp_rad: float = _p(
        0.01, "rad", 0.0, 0.1, "a step this far outside is moved to the limit instead of cut"
    )
    clamp_m: float = _p(0.003, "m", 0.0, 0.01, "the same for sliding joints")
    velocity_fraction: float = _p(0.9, "1", 0.05, 1.0, "share of the velocity limit that is used")
    acceleration_fraction: float = _p(
        0.9, "1", 0.05, 1.0, "share of the acceleration limit that is used"
    )
    jerk_fraction: float = _p(0.9, "1", 0.05, 1.0, "share of the jerk limit that is used")
    torque_fraction: float = _p(0.9, "1", 0.05, 1.0, "share of the effort limit that is used")
    self_clearance_m: float = _p(0.005, "m", 0.0, 0.2, "kept between links")
    distance_error_m: float = _p(
        1e-4, "m", 0.0, 0.01, "error of a computed distance, added to every clearance"
    )
    obstacle_clearance_m: float = _p(
        0.03, "m", 0.0, 1.0, "kept from obstacles that are told at run time"
    )
    obstacle_speed: float = _p(
        0.0, "m/s", 0.0, 10.0, "fastest obstacle with a lifetime; widens its clearance"
    )
    max_obstacles: int = _p(200, "1", 1, 10_000, "most obstacles told at run time")
    tcp_speed: float = _p(1.0, "m/s", 0.01, 10.0, "highest speed of the tool frame")
    workspace: tuple[float, ...] = _p(
        (), "m", -100.0, 100.0, "boxes for the tool frame: x0 y0 z0 x1 y1 z1 each"
    )
    planes: tuple[float, ...] = _p(
        (), "m", -100.0, 100.0, "walls: normal nx ny nz, d each; the tool stays at n.x >= d"
    )
    singularity: float = _p(
        0.0, "1", 0.0, 1.0, "smallest singular value of the tool Jacobian, length 1 m; 0 = off"
    )
    max_time_scale: float = _p(
        4.0, "1", 1.0, 100.0, "a chunk that must be slowed more than this is cut"
    )
    sample_s: float = _p(0.01, "s", 0.002, 0.05, "between points of an emitted trajectory")
    lead_s: float = _p(0.08, "s", 0.0, 0.5, "from taking a chunk to the start of its trajectory")
    stop_lead_s: float = _p(
        0.01, "s", 0.0, 0.5, "from a cause to stop to the start of the stop, at least"
    )
    overruns: int = _p(
        20,
        "1",
        1,
        1000,
        "chunks in a row that took longer to check than the lead before it is a fault",
    )
    blend_s: float = _p(
        0.2, "s", 0.05, 2.0, "in which the offset to the running motion fades; shortened or doubled"
    )
    seam_rad: float = _p(0.35, "rad", 0.0, 6.3, "farthest first due step from the commanded state")
    seam_m: float = _p(0.05, "m", 0.0, 1.0, "the same for sliding joints")
    stop_fraction: float = _p(
        0.9, "1", 0.1, 1.0, "share of the allowed acceleration that a stop uses"
    )
    stop_jerk_s: float = _p(0.03, "s", 0.01, 0.5, "in which a stop raises its deceleration")
    stop_spacing_s: float = _p(
        0.04, "s", 0.0, 1.0, "steps closer together than this share one proven stop"
    )
    max_steps: int = _p(512, "1", 1, 100_000, "longest chunk that is taken")
    min_step_s: float = _p(0.005, "s", 0.001, 1.0, "shortest step period that is taken")
    max_step_s: float = _p(1.0, "s", 0.01, 10.0, "longest step period that is taken")
    max_chunk_s: float = _p(
        12.0,
        "s",
        0.1,
        3600.0,
        "longest time a chunk may span",
    )
    future_s: float = _p(0.1, "s", 0.0, 10.0, "a chunk anchored farther in the future is refused")
    stale_s: float = _p(2.0, "s", 0.01, 60.0, "a chunk anchored longer ago is refused")
    think_s: float = _p(
        10.0,
        "s",
        0.0,
        60.0,
        "an observation this old may be used when the arm has stood still since; 0 = never",
    )
    joint_timeout_s: float = _p(0.3, "s", 0.01, 10.0, "joint state older than this stops the arm")
    observation_timeout_s: float = _p(
        1.0, "s", 0.05, 60.0, "observation older than this stops the arm"
    )
    clock_jump_s: float = _p(0.05, "s", 0.0, 10.0, "a clock that goes back farther stops the arm")
    idle_disarm_s: float = _p(
        120.0, "s", 0.0, 86400.0, "armed without a chunk for this long becomes held; 0 = never"
    )
    reset_cooldown_s: float = _p(0.5, "s", 0.0, 60.0, "between a fault and a reset")
    tracking_rad: float = _p(
        0.2, "rad", 0.001, 6.3, "farthest measured joint from the commanded path"
    )
    tracking_m: float = _p(0.03, "m", 0.001, 1.0, "the same for sliding joints")
    tracking_window_s: float = _p(0.2, "s", 0.0, 2.0, "lag of the servo that is forgiven")
    tracking_samples: int = _p(3, "1", 1, 100, "joint states in a row that must be off the path")
    still_rad_s: float = _p(0.05, "rad/s", 0.0, 1.0, "below it a turning joint counts as still")
    still_m_s: float = _p(0.01, "m/s", 0.0, 1.0, "the same for sliding joints")
    sensed_rad: float = _p(
        0.005, "rad", 1e-4, 0.1, "a sensed turning joint that turns farther moves: the arm rests"
    )
    sensed_m: float = _p(0.002, "m", 1e-5, 0.05, "the same for sliding joints")
    surprise_slow: float = _p(
        1e9, "1", 0.0, 1e9, "surprise above it slows the arm; 1 is the most that calm runs show"
    )
    surprise_stop: float = _p(1e9, "1", 0.0, 1e9, "surprise above it stops the arm")
    surprise_scale: float = _p(2.0, "1", 1.0, 100.0, "time scale while slowed by surprise")
    surprise_memory_s: float = _p(1.0, "s", 0.0, 60.0, "a surprise older than this is forgotten")

    def __post_init__(self) -> None:
        """Refuse values outside their bounds.

        Raises:
            WamError: names the parameter, its value, unit and bounds.
        """
        for f in dataclasses.fields(self):
            low = f.metadata["low"]
            high = f.metadata["high"]
            unit = f.metadata["unit"]
            value = getattr(self, f.name)
            for v in value if isinstance(value, tuple) else (value,):
                if not low <= v <= high:
                    raise WamError(
                        f"safety parameter {f.name} is {v} {unit}, must be within [{low}, {high}]"
                    )
        if len(self.workspace) % 6:
            raise WamError(
                "safety parameter workspace needs six numbers (x0 y0 z0 x1 y1 z1) for each box"
            )
        boxes = self.workspace
        planes = self.planes
        if any(boxes[k] >= boxes[k + 3] for i in range(0, len(boxes), 6) for k in range(i, i + 3)):
            raise WamError(
                "safety parameter workspace: x0 y0 z0 of a box must be below its x1 y1 z1"
            )
        if len(planes) % 4 or any(not any(planes[i : i + 3]) for i in range(0, len(planes), 4)):
            raise WamError(
                "safety parameter planes needs four numbers (nx ny nz d), the normal not zero, "
                "for each plane"
            )

    def weakened(self) -> list[str]:
        """In words, what guards much less than as shipped; none of it is refused, but nobody should
        wonder later.
        """
        shipped = SafetyParams()
        unit = {f.name: f.metadata["unit"] for f in dataclasses.fields(self)}
        late = [n for n in PATIENCE if getattr(self, n) > TIMES * getattr(shipped, n)]
        near = [n for n in DISTANCE if getattr(self, n) < getattr(shipped, n) / TIMES]
        return [
            f"{n} is {getattr(self, n):g} {unit[n]}, shipped with {getattr(shipped, n):g}"
            for n in (*late, *near)
        ]

    def sensed_slack(self, sliding: np.ndarray) -> np.ndarray:
        """(S,) rad or m by which sensed joints, `sliding` or not, may be off and count as still."""
        return np.where(sliding, self.sensed_m, self.sensed_rad)

    def margin(self, sliding: bool) -> float:
        """Position margin in the unit of the joint."""
        return self.position_margin_m if sliding else self.position_margin_rad

"""The way home, as a chunk like any other: the filter judges it before anything moves."""

from __future__ import annotations

import numpy as np

from wam_ros.bridge.gate import GateLimits
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.types import NS, ActionChunk

MAX_STEPS = 400
STEP_S = 0.05
# the anchor, so that the first step is still due when the chunk has been checked
AHEAD_NS = 50_000_000
# of velocity, acceleration and jerk of the smoothest quintic over unit time and way
PEAK = (15 / 8, 10 / 3**0.5, 60.0)


def make_home_chunk(
    embodiment: Embodiment,
    limits: GateLimits,
    q0: np.ndarray,
    speed: float,
    now_ns: int,
    session_id: bytes,
    seq: int,
) -> ActionChunk:
    """A straight way in joint space from rest at `q0` to rest at home, on the quintic of least
    jerk.

    Args:
        embodiment: names and home.
        limits: of velocity, acceleration and jerk.
        q0: (A,) rad or m, where the arm stands.
        speed: share of the limits that is used, in (0, 1].
        now_ns: the present.
        session_id: 16 bytes of its own: chunks of the model's session are refused meanwhile.
        seq: number of the chunk.
    """
    home = np.array(embodiment.home)
    way = home - q0
    allowed = (limits.velocity, limits.acceleration, limits.jerk)
    times = [
        float((peak * np.abs(way) / (speed * limit)).max()) ** (1 / (k + 1))
        for k, (peak, limit) in enumerate(zip(PEAK, allowed, strict=True))
    ]
    n = int(np.clip(np.ceil(max(times) / STEP_S), 4, MAX_STEPS))
    step_s = max(STEP_S, max(times) / n)
    s = np.arange(1, n + 1)[:, None] / n
    return ActionChunk(
        anchor_ns=now_ns + AHEAD_NS,
        step_period_ns=round(step_s * NS),
        joint_names=embodiment.joint_names,
        positions=q0 + (10 * s**3 - 15 * s**4 + 6 * s**5) * way,
        velocities=(30 * s**2 - 60 * s**3 + 30 * s**4) * way / (n * step_s),
        session_id=session_id,
        seq=seq,
        embodiment=embodiment.name,
        model="home",
    )

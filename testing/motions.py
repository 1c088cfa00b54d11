"""Motions that no filter has made, and what they are between their samples by another library."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import BPoly

from wam_ros.safety.motion.motion import Motion

DT = 0.01  # s between samples


def random_motion(seed: int, n: int = 6, joints: int = 3) -> Motion:
    """Joints at random places, speeds and accelerations; every 0.05 s."""
    rng = np.random.default_rng(seed)
    return Motion(*(rng.normal(size=(n, joints)) * s for s in (1.0, 5.0, 50.0)), dt=0.05)


def dense(motion: Motion, order: int) -> np.ndarray:
    """(N - 1, 50, A) values inside every interval, by another library."""
    t = np.arange(len(motion)) * motion.dt
    curve = BPoly.from_derivatives(t, np.stack((motion.q, motion.dq, motion.ddq), axis=1))
    inner = t[:-1, None] + np.linspace(1e-9, 1 - 1e-9, 50) * motion.dt
    return curve(inner, order) if order else curve(inner)

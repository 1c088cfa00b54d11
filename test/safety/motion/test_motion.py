"""Between its samples a motion stays inside its bounds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.motions import DT, dense, random_motion
from wam_ros.safety.motion.motion import Motion


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.integers(0, 3))
def test_no_instant_is_beyond_the_peak_of_its_interval(seed, order):
    motion = random_motion(seed)
    found = np.abs(dense(motion, order)).max(axis=1)
    most = motion.peaks[order - 1] if order else np.abs(motion.bezier).max(axis=0)
    assert (found <= most * (1 + 1e-6) + 1e-9).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_no_joint_travels_farther_than_its_bound(seed):
    motion = random_motion(seed)
    path = np.abs(np.diff(dense(motion, 0), axis=1)).sum(axis=1)
    assert (path <= np.diff(motion.travelled, axis=0) + 1e-9).all()


def test_a_position_inside_an_interval_is_the_quintic(model):
    motion = random_motion(3)
    assert np.allclose(motion.at(2, 0.5), dense(motion, 0)[2, 24:26].mean(axis=0), atol=1e-3)


def test_pieces_are_not_joined(model):
    motion = Motion(*np.zeros((3, 6, 2)), dt=DT, starts=(0, 4))
    assert list(motion.inside) == [True, True, True, False, True]
    assert motion.piece_ends() == [(0, 3), (4, 5)]

"""A chunk that begins elsewhere is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from wam_ros.core.types import Reason

from .conftest import judge


def test_a_jump_is_refused_with_joint_and_size(panda, home, good):
    q = good.positions + np.r_[0, 0, 0, 0, 1.2, 0, 0, 0]
    verdict = judge(panda, home, dataclasses.replace(good, positions=q))
    assert verdict.reasons == Reason.DISCONTINUITY
    assert verdict.first.joint == "panda_joint5"
    assert verdict.first.measured == pytest.approx(1.2)
    assert verdict.first.unit == "rad"

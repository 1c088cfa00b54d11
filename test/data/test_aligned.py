"""Rows of a robot whose driver speaks in numbers of its own."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from wam_ros.core.embodiment import Reading, load_embodiment
from wam_ros.core.types import NS
from wam_ros.data.aligned import AlignedRows

TOPICS = {"front/image_raw", "wrist/image_raw", "joint_states"}


def test_what_a_driver_says_in_degrees_becomes_rad_and_what_is_not_finite_nothing():
    panda = load_embodiment("panda")
    degrees = Reading(np.pi / 180, 0.1)
    rows = AlignedRows(replace(panda, driver={"panda_joint1": degrees}), TOPICS, Path("takes"))
    for k in range(10):
        stamp = NS + k * NS // 10
        for topic in ("front/image_raw", "wrist/image_raw"):
            rows.add_frame(topic, stamp)
        position = [90.0, *[0.5] * (len(panda.joint_names) - 1)]
        said = SimpleNamespace(name=panda.joint_names, position=position, velocity=[], effort=[])
        rows.add_joints("joint_states", stamp, said)
        said.position[2] = float("nan")
        rows.add_joints("joint_states", stamp + 1, said)
    assert len(rows.observations) == 10
    for o in rows.observations:
        np.testing.assert_allclose(o.joints.positions, [np.pi / 2 + 0.1, *[0.5] * 7])

"""What `wam embodiment check` says of many joints alike is one line, and nothing is said twice."""

from __future__ import annotations

from test.robot.chain import JOINTS, chain
from wam_ros.embodiments.review import review
from wam_ros.robot.model import build_safety_model


def test_joints_that_are_damped_and_said_to_be_fast_are_one_line_each_kind(tmp_path):
    damped = {
        name: text.replace("<limit", '<dynamics damping="1"/><limit').replace(
            'velocity="2"', 'velocity="100"'
        )
        for name, text in JOINTS.items()
    }
    rows = review(build_safety_model(chain(tmp_path, damped)))
    said = [f"{row.subject}: {row.words}" for row in rows]
    (drag,) = [words for words in said if "calm a simulation" in words]
    assert "j1 100 of 80 Nm, j2 100 of 80 Nm, j3 100 of 80 Nm" in drag
    for name in JOINTS:
        (fast,) = [words for words in said if name in words and "may turn at" in words]
        assert "are these degrees?" in fast

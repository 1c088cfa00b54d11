"""MuJoCo's word on a robot that `wam embodiment new` made of a description with meshes: it agrees
with the filter as it is, and finds what a filter with a fault lets pass.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mujoco")

from test.embodiments.body import arm, link, write_body
from test.robot.chain import boxes, mesh, write_obj
from testing.properties import START, Case, Robot
from testing.tools import at_rest, make_chunk
from wam_ros import cli
from wam_ros.safety.checks import CHECKS
from wam_ros.safety.filter import SafetyFilter

WEAK = 18  # Nm: of shoulders that need up to 25 to hold the arm out
SEEDS = range(12)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign")
    text = arm("left", 0.5, effort=WEAK)
    bar = write_obj(folder / "bar.obj", *boxes(((-0.03, -0.03, 0.03), (0.03, 0.03, 0.17))))
    for k in (2, 4):
        name = f"left_arm_{k}_link"
        text = text.replace(link(name), link(name, mesh(bar)))
    path = write_body(folder, text)
    out = folder / "foreign.yaml"
    assert cli.main(["embodiment", "new", str(path), "--out", str(out)]) == 0
    return Robot(str(out))


def found(robot: Robot, used: SafetyFilter) -> str:
    """Words of all faults that the judges find when `used` takes the place of the filter."""
    kept, robot.filters = robot.filters, (used, used)
    try:
        words = [
            w for seed in SEEDS for _, case in robot.chain(seed) for w in robot.faults(used, case)
        ]
    finally:
        robot.filters = kept
    return "\n".join(words)


def test_of_the_filter_as_it_is_nothing_is_found(foreign):
    assert found(foreign, foreign.filters[0]) == ""


def test_a_filter_that_looks_at_no_links_is_found_by_the_second_engine(foreign):
    """It lets the arm fold into itself; the filter as it is stops before."""
    model = foreign.model
    home = np.array(model.embodiment.home)
    folded = next(q for q in model.random_q(500, 3) if model.distances(q).min() < -0.01)
    way = np.linspace(home, folded, 400)
    meets = next(k for k, q in enumerate(way) if model.distances(q).min() < -0.005)
    last = next(k for k, q in enumerate(way) if model.distances(q).min() < 0.03)
    start = way[last - 1]
    u = np.arange(1, 9)[:, None] / 8
    path = start + (10 * u**3 - 15 * u**4 + 6 * u**5) * (way[meets] - start)
    chunk = make_chunk(model.joint_names, path, age=0)
    params = foreign.filters[0].params
    # as if its motors were strong enough to fold it
    kept = tuple(n for n in CHECKS if n != "torque")
    fewer = tuple(n for n in kept if n != "self_collision")
    words = {}
    for used in (SafetyFilter(model, params, kept), SafetyFilter(model, params, fewer)):
        verdict = used.filter(chunk, at_rest(start), START)
        case = Case(chunk, at_rest(start), START, None, verdict)
        words[used] = "\n".join(foreign.faults(used, case))
    whole, blind = words.values()
    assert "too near" not in whole
    assert "too near (second engine)" in blind


def test_a_filter_that_feels_half_of_gravity_is_found_by_the_second_engine(foreign, monkeypatch):
    model = foreign.model
    whole = model.free_torque

    def half(q: np.ndarray, dq: np.ndarray, ddq: np.ndarray) -> np.ndarray:
        return whole(q, dq, ddq) - 0.5 * whole(q, 0 * dq, 0 * ddq)

    monkeypatch.setattr(model, "free_torque", half)
    assert "effort (second engine)" in found(foreign, foreign.filters[0])

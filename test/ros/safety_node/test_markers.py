"""What a person sees of a verdict: accepted green or slowed yellow, cut red, the stop blue, the
nearest pair by name.
"""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("rclpy")
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from testing.markers import why_not_drawable
from testing.tools import START, at_rest, make_chunk
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import Decision
from wam_ros.robot.model import load_safety_model
from wam_ros.ros.safety_node.markers import safety_markers, tool_path
from wam_ros.safety.filter import SafetyFilter

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
STEPS = 8


@pytest.fixture(scope="module")
def safety():
    return SafetyFilter(load_safety_model(load_embodiment("panda")))


def drawn(safety, beyond):
    """A verdict on a path whose last `beyond` steps lie outside the limits of the first joint, and
    its markers.
    """
    start = np.array(safety.model.embodiment.home)
    start[0] = 2.68
    path = start + np.outer(np.arange(1, STEPS + 1), 0.02 * np.eye(len(start))[0])
    path[STEPS - beyond :, 0] = 2.91
    verdict = safety.filter(
        make_chunk(safety.model.joint_names, path, age=0), at_rest(start), START
    )
    message = safety_markers(safety.model, verdict, Header(frame_id="base"))
    assert why_not_drawable(message, {"base"}) == []
    return verdict, {m.ns: m for m in message.markers}


def points(marker):
    return np.array([(p.x, p.y, p.z) for p in marker.points])


def test_what_is_accepted_is_green_and_what_is_cut_is_red_even_a_single_step(safety):
    for beyond in (0, 1, 3):
        verdict, seen = drawn(safety, beyond)
        assert verdict.decision == (Decision.TRUNCATED if beyond else Decision.PASS)
        assert verdict.steps_accepted == STEPS - beyond
        for name, shown in (("accepted", True), ("stop", True), ("cut", beyond > 0)):
            assert seen[name].action == (Marker.ADD if shown else Marker.DELETE), name
        green, red, blue = (seen[name].color for name in ("accepted", "cut", "stop"))
        assert green.g > 2 * max(green.r, green.b)
        assert red.r > 2 * max(red.g, red.b)
        assert blue.b > 2 * max(blue.r, blue.g)
        assert np.allclose(points(seen["accepted"])[-1], points(seen["stop"])[0])
        if beyond:
            assert np.allclose(points(seen["cut"])[0], points(seen["accepted"])[-1])
            assert np.allclose(points(seen["cut"])[1:], tool_path(safety.model, verdict.refused))


def test_what_is_slowed_is_yellow(safety):
    verdict, _ = drawn(safety, 0)
    for scale, slowed in ((1.0, False), (1.3, True)):
        told = dataclasses.replace(verdict, scale=scale)
        seen = {m.ns: m for m in safety_markers(safety.model, told, Header()).markers}
        colour = seen["accepted"].color
        assert (colour.r > 0.8 and colour.g > 0.8) == slowed
        assert seen["stop"].color.b > 0.9


def test_the_nearest_pair_is_named_beside_its_distance_along_what_leaves(safety):
    verdict, seen = drawn(safety, 0)
    pair, q = verdict.nearest_pair, verdict.trajectory.q
    index = [tuple(names) for names in safety.model.pairs.names].index(pair)
    least = min(safety.model.distances(row)[index] for row in q)
    found = float(np.linalg.norm(np.diff(points(seen["nearest"]), axis=0)))
    assert found == pytest.approx(least, abs=1e-4)
    assert seen["distance"].text == f"{pair[0]} to {pair[1]} {1000 * found:.0f} mm"
    assert f"nearest {pair[0]} to {pair[1]} {found:.3f} m" in verdict.sentence


def test_of_two_arms_both_tools_paths_are_drawn():
    safety = SafetyFilter(load_safety_model(load_embodiment("bimanual")))
    home = np.array(safety.model.embodiment.home)
    path = home + np.outer(np.arange(1, STEPS + 1), np.full(len(home), 0.01))
    verdict = safety.filter(make_chunk(safety.model.joint_names, path), at_rest(home), START)
    message = safety_markers(safety.model, verdict, Header(frame_id="base"))
    assert why_not_drawable(message, {"base"}) == []
    seen = {(m.ns, m.id): m for m in message.markers}
    assert len(seen) == len(message.markers), "no marker takes another's place"
    accepted = verdict.trajectory.q[verdict.trajectory.t <= verdict.accepted_s + 1e-9]
    for tool in range(2):
        at = safety.model.tool_motion(accepted[-1:], 0 * accepted[-1:], tool)[0]
        assert np.allclose(points(seen["accepted", tool])[-1:], at)
        assert seen["stop", tool].action == Marker.ADD

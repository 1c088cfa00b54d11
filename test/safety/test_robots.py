"""The shipped robots, whole; two arms; what is fixed to a robot; what a damaged description
says.
"""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.proof import fine
from testing.tools import BODY, JOINT, LIMIT, START, at_rest, make_chunk, one_robot, pendulum
from wam_ros.core.embodiment import Load, load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.resources import config_names, urdf_path
from wam_ros.core.types import Commanded, Decision, Reason, SafeTrajectory
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.pairs import as_srdf
from wam_ros.safety.checks import torque
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.motion.stopper import Stopper
from wam_ros.safety.params import SafetyParams

ROBOTS = config_names("embodiments")


@pytest.fixture(scope="module")
def robots():
    made = {}
    return lambda name: made.setdefault(name, load_safety_model(load_embodiment(name)))


def steps(q: np.ndarray, joint: int, rate: float, n: int = 8) -> np.ndarray:
    return q + np.outer(np.arange(1, n + 1), np.eye(len(q))[joint] * rate)


@pytest.mark.parametrize("name", ROBOTS)
def test_a_shipped_robot_stands_and_moves_from_home(robots, name):
    model = robots(name)
    home = np.array(model.embodiment.home)
    safety = SafetyFilter(model)
    for path in (np.tile(home, (8, 1)), steps(home, 0, 0.02)):
        verdict = safety.filter(make_chunk(model.joint_names, path, age=0), at_rest(home), START)
        assert verdict.decision == Decision.PASS, verdict.sentence


@pytest.mark.parametrize("name", ROBOTS)
def test_a_shipped_robot_holds_its_own_weight_everywhere_it_may_be(robots, name):
    model = robots(name)
    q = model.random_q(300, 1)
    tau = model.torque(q, 0 * q, 0 * q)
    assert (np.abs(tau) < 0.9 * model.limits.effort).all()


@pytest.mark.parametrize("name", ROBOTS)
def test_the_pairs_written_out_are_those_that_are_read_back(robots, name, tmp_path):
    model = robots(name)
    (tmp_path / "robot.srdf").write_text(as_srdf(name, model.judged))
    again = load_safety_model(
        dataclasses.replace(model.embodiment, srdf=str(tmp_path / "robot.srdf"))
    )
    assert again.pairs.names == model.pairs.names


def test_a_pair_that_was_never_seen_near_stays_watched(model):
    """No sampling shows that links cannot meet; only what no joint can change is left out."""
    assert set(model.judged.reasons) == {"", "Adjacent"}
    watched = {frozenset(n) for n in model.pairs.names}
    far = [n for n, r in zip(model.judged.names, model.judged.reasons, strict=True) if not r]
    assert {frozenset(n) for n in far} <= watched


def test_links_that_always_overlap_and_those_at_one_distance_are_left_out(tmp_path):
    """Three links on one axis: the first and the third overlap whatever the joints do, or stay 0.3
    m apart.
    """
    joint = JOINT.format(
        name="{0}", kind="revolute", parent="{1}", child="{2}", more='<axis xyz="1 0 0"/>' + LIMIT
    )

    def reasons(x: float) -> set[str]:
        urdf = (
            '<robot name="three">'
            + "".join(
                BODY.format(name=n, x=0.0 if n == "one" else x) for n in ("one", "two", "three")
            )
            + joint.format("a", "one", "two")
            + joint.format("b", "two", "three")
            + "</robot>"
        )
        model = load_safety_model(one_robot(tmp_path, urdf, ("a", "b"), "one", "three"))
        assert model.pairs.names == ()
        return set(model.judged.reasons)

    assert reasons(0.01) == {"Adjacent", "Always"}
    assert reasons(0.4) == {"Adjacent", "Never"}


def test_an_srdf_forgives_no_overlap_that_it_does_not_name(tmp_path):
    joint = JOINT.format(
        name="{0}", kind="revolute", parent="{1}", child="{2}", more='<axis xyz="1 0 0"/>' + LIMIT
    )
    urdf = (
        '<robot name="three">'
        + "".join(BODY.format(name=n, x=0.0) for n in ("one", "two", "three"))
        + joint.format("a", "one", "two")
        + joint.format("b", "two", "three")
        + "</robot>"
    )
    (tmp_path / "three.srdf").write_text('<robot name="three"/>')
    with pytest.raises(WamError, match="one and three overlap at home"):
        load_safety_model(
            one_robot(tmp_path, urdf, ("a", "b"), "one", "three", srdf=str(tmp_path / "three.srdf"))
        )


def test_joints_whose_stops_end_within_rounding_stop_one_by_one_where_they_cannot_together(robots):
    """Ruckig cannot synchronise the 8th and 9th joints here: their shortest stops differ by 1e-14
    s.
    """
    model = robots("bimanual")
    q = np.array(model.embodiment.home) - 0.01 * model.gripper
    dq = [
        -0.013975672316044005,
        0.016405343234929683,
        -0.01695056415690299,
        0.0224577234691416,
        -0.017394405440302657,
    ]
    dq += [
        -0.022583333170897283,
        -0.0020366168393778222,
        0.017052238478246613,
        0.017052238478225824,
    ]
    dq += [-0.016812263952081945, -0.025578357717373736, -0.025578357717338723]
    dq += [0.01586618572582109, 0.00772934352646233]
    ddq = [
        1.5488834163570446,
        -2.2611018759987096,
        2.5357260189400734,
        -2.67889504883156,
        1.7264689052047681,
    ]
    ddq += [
        2.7128084810304745,
        0.17099604972686505,
        -2.7141420417148265,
        -2.714142041730028,
        2.45462739796564,
    ]
    ddq += [4.071213062569419, 4.071213062595041, -1.5475915098882602, -0.8017170940226042]
    start = Commanded(q, np.array(dq), np.array(ddq))
    assert Stopper(14).stop(start, make_bounds(model, SafetyParams(), start)) is None
    stop = SafetyFilter(model).stop(start, START)
    assert stop is not None
    assert not stop.dq[-1].any()


def test_the_speed_of_every_tool_counts(robots):
    model = robots("bimanual")
    home = np.array(model.embodiment.home)
    slow = SafetyFilter(model, SafetyParams(tcp_speed=0.2))
    for joint in (0, 7):
        chunk = make_chunk(model.joint_names, steps(home, joint, 0.08), age=0)
        verdict = slow.filter(chunk, at_rest(home), START)
        assert verdict.reasons & Reason.TCP_SPEED
        t = verdict.trajectory
        for tool in (0, 1):
            assert np.linalg.norm(model.tool_motion(t.q, t.dq, tool)[1], axis=1).max() <= 0.2


@pytest.mark.parametrize("arm", [0, 1])
def test_a_wall_holds_for_every_tool(robots, arm):
    """The wall y >= -1 and y <= 1 as planes; each arm turns towards the one on its own side."""
    model = robots("bimanual")
    home = np.array(model.embodiment.home)
    places = [model.tool_motion(home[None], 0 * home[None], k)[0][0] for k in (0, 1)]
    side = 1 if arm == 0 else -1
    edge = side * places[arm][1] + 0.05
    walled = SafetyFilter(model, SafetyParams(planes=(0.0, -2.0 * side, 0.0, -2.0 * edge)))
    rate = 0.03 * side
    verdict = walled.filter(
        make_chunk(model.joint_names, steps(home, 7 * arm, rate), age=0), at_rest(home), START
    )
    assert verdict.decision == Decision.TRUNCATED
    assert verdict.reasons & Reason.WORKSPACE
    t = verdict.trajectory
    assert (side * model.tool_motion(t.q, t.dq, arm)[0][:, 1]).max() <= edge + 1e-9
    away = make_chunk(model.joint_names, steps(home, 7 * arm, -rate), age=0)
    assert walled.filter(away, at_rest(home), START).decision == Decision.PASS


def test_each_tool_may_be_as_far_outside_as_itself_was(robots):
    model = robots("bimanual")
    home = np.array(model.embodiment.home)
    places = [model.tool_motion(home[None], 0 * home[None], k)[0][0] for k in (0, 1)]
    params = SafetyParams(planes=(0.0, 0.0, 1.0, float(places[0][2]) + 0.1))
    turned = home + np.eye(14)[8] * -0.3  # lifts the right tool
    outside = make_bounds(model, params, at_rest(turned)).outside
    assert outside[0] == pytest.approx(0.1, abs=1e-3)
    assert outside[1] < 0.05


def test_a_tool_outside_opens_no_way_out_for_the_other(robots):
    model = robots("bimanual")
    home = np.array(model.embodiment.home)
    height = float(model.tool_motion(home[None], 0 * home[None])[0][0, 2])
    walled = SafetyFilter(model, SafetyParams(planes=(0.0, 0.0, 1.0, height + 0.1)))
    turned = home + np.eye(14)[8] * -0.5
    assert model.tool_motion(turned[None], 0 * home[None], 1)[0][0, 2] > height + 0.12
    chunk = make_chunk(model.joint_names, steps(turned, 8, 0.05), age=0)
    verdict = walled.filter(chunk, at_rest(turned), START)
    assert verdict.reasons & Reason.WORKSPACE
    t = verdict.trajectory
    assert model.tool_motion(t.q, t.dq, 1)[0][:, 2].min() > height + 0.1 - 1e-6


def test_an_effort_between_samples_counts(tmp_path):
    """At both samples the arm hardly accelerates; on the way from one to the other it must."""
    model = load_safety_model(pendulum(tmp_path))
    bounds = make_bounds(model, SafetyParams(), at_rest(np.zeros(1)))
    q, zero = np.array([[0.0], [0.002]]), np.zeros((2, 1))
    assert (np.abs(model.torque(q, zero, zero)) < 10).all()
    measure = torque.check(Motion(0.01, q, zero, zero), bounds)
    assert measure.bad[1]
    inside = [model.torque(*(x[None] for x in rows)) for rows in zip(*_between(q), strict=True)]
    assert measure.measured[1] >= np.abs(inside).max() > bounds.torque[0]
    assert measure.measured[1] < 1.5 * np.abs(inside).max(), "and not much more than it is"


def _between(q: np.ndarray) -> list[np.ndarray]:
    t = SafeTrajectory(
        start_ns=0, joint_names=("hinge",), t=np.array([0.0, 0.01]), q=q, dq=0 * q, ddq=0 * q
    )
    return list(fine(t)[:3])


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"workspace": (0.0, 0.0, 0.0, 1.0, 1.0)}, "six numbers"),
        ({"workspace": (0.0, 0.0, 1.0, 1.0, 1.0, 1.0)}, "below"),
        ({"planes": (1.0, 0.0, 0.0)}, "four numbers"),
        ({"planes": (0.0, 0.0, 0.0, 1.0)}, "not zero"),
        ({"planes": (np.nan, 0.0, 1.0, 1.0)}, "planes"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(bad, word):
    with pytest.raises(WamError, match=word):
        SafetyParams(**bad)


def test_a_tool_as_data_is_kept_apart_and_weighs(model, home):
    stick = Load(
        frame="panda_hand_tcp",
        mass=0.5,
        centre=(0.0, 0.0, 0.1),
        shape="capsule",
        size=(0.01, 0.3),
        position=(0.0, 0.0, 0.16),
    )
    tooled = load_safety_model(dataclasses.replace(model.embodiment, loads={"stick": stick}))
    names = [n for n in tooled.pairs.names if "stick" in n]
    assert ("stick", "table") in names
    assert ("panda_hand", "stick") not in names
    bare = model.distances(home)[model.pairs.names.index(("panda_leftfinger", "table"))]
    with_it = tooled.distances(home)[tooled.pairs.names.index(("stick", "table"))]
    assert with_it == pytest.approx(bare - 0.3, abs=0.03)
    zero = np.zeros((1, 8))
    more = tooled.torque(home[None], zero, zero) - model.torque(home[None], zero, zero)
    assert abs(more[0, 1]) == pytest.approx(0.5 * 9.81 * 0.4634, rel=0.01)


@pytest.mark.parametrize(
    ("load", "word"),
    [
        (Load("no_such_link", 1.0), "unknown frame 'no_such_link'"),
        (Load("arm", -1.0), "load 'tool': mass -1"),
        (Load("arm", float("inf")), "load 'tool': mass inf"),
        (Load("arm", 1.0, shape="ball", size=(1.0,)), "load 'tool'"),
        (Load("arm", 1.0, shape="box", size=(1.0,)), "3 positive sizes"),
    ],
)
def test_a_tool_that_makes_no_sense_is_refused(tmp_path, load, word):
    with pytest.raises(WamError, match=word):
        load_safety_model(dataclasses.replace(pendulum(tmp_path), loads={"tool": load}))


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('<parent link="base"/>', "", "joint 'hinge': its parent link 'None' does not exist"),
        (
            '<child link="arm"/>',
            '<child link="leg"/>',
            "joint 'hinge': its child link 'leg' does not exist",
        ),
        ('<axis xyz="0 1 0"/>', '<axis xyz="0 0 0"/>', "joint 'hinge': its axis is zero"),
        ('<axis xyz="0 1 0"/>', '<axis xyz="0 nan 0"/>', "joint 'hinge': xyz=.* 3 finite numbers"),
        ('<origin xyz="0.5 0 0"/>', '<origin xyz="0.5 0"/>', "link 'arm': xyz=.* 3 finite numbers"),
        ('radius="0.05"', 'radius="-0.05"', "link 'arm': radius=.* must be positive"),
        ('radius="0.05"', 'radius="inf"', "link 'arm': radius=.* 1 finite number$"),
        ('ixy="0"', 'ixy="1"', "link 'arm': its inertia is that of no body"),
        (
            '<link name="base"/>',
            '<link name="base"/><link name="base"/>',
            "link 'base' has no name of its own",
        ),
        ("<robot", "<machine", "expected a <robot>"),
    ],
)
def test_a_damaged_description_says_where(tmp_path, old, new, word):
    toy = pendulum(tmp_path)
    text = toy.urdf_path.read_text()
    assert old in text
    text = text.replace(old, new)
    text = text.replace("</robot>", "</machine>") if "machine" in new else text
    toy.urdf_path.write_text(text)
    with pytest.raises(WamError, match=word):
        load_safety_model(toy)


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_whatever_is_missing_from_a_description_it_loads_or_is_refused_in_words(
    tmp_path_factory, seed
):
    rng = np.random.default_rng(seed)
    tree = ElementTree.parse(urdf_path("so101.urdf"))
    parents = [(p, c) for p in tree.getroot().iter() for c in p]
    parent, child = parents[int(rng.integers(len(parents)))]
    if rng.uniform() < 0.5 or not child.attrib:
        parent.remove(child)
    else:
        key = list(child.attrib)[int(rng.integers(len(child.attrib)))]
        value = str(rng.choice(["", "nan", "-1", "x", "0 0", "1e999"]))
        child.attrib.pop(key) if rng.uniform() < 0.4 else child.set(key, value)
    path = tmp_path_factory.mktemp("damaged") / "robot.urdf"
    tree.write(path)
    robot = dataclasses.replace(load_embodiment("so101"), urdf=str(path))
    words = ""
    try:
        load_safety_model(robot)
    except WamError as error:
        words = str(error)
    assert "\n" not in words

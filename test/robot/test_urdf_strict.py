"""A description is read strictly: what is missing, damaged or unknown is refused by name."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.tools import BODY, LIMIT, load_urdf, pendulum
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.resources import urdf_path
from wam_ros.robot.model import load_safety_model


@pytest.mark.parametrize("loss", ["damping", "friction"])
def test_a_negative_loss_that_would_hide_effort_is_refused_by_joint(tmp_path, loss):
    with pytest.raises(
        WamError, match=f"'hinge': {loss}=\"-3\" in <dynamics> must not be negative"
    ):
        load_safety_model(pendulum(tmp_path, joint=LIMIT + f'<dynamics {loss}="-3"/>'))


@pytest.mark.parametrize(
    ("limit", "word"),
    [
        ("", "no <limit>"),
        ('<limit lower="-1" upper="1" effort="5"/>', "no velocity limit"),
        ('<limit lower="-1" upper="1" velocity="5"/>', "no effort limit"),
        ('<limit upper="1" effort="5" velocity="5"/>', "no lower limit"),
        ('<limit lower="-1" upper="1" effort="0" velocity="5"/>', "effort"),
        ('<limit lower="-1" upper="1" effort="5" velocity="nan"/>', "velocity"),
        ('<limit lower="-1" upper="inf" effort="5" velocity="1"/>', "upper"),
        ('<limit lower="1" upper="-1" effort="5" velocity="1"/>', "not below"),
        ('<limit lower="one" upper="2" effort="5" velocity="1"/>', "not a number"),
    ],
)
def test_a_joint_without_a_limit_is_refused_by_name(tmp_path, limit, word):
    embodiment = pendulum(tmp_path, joint=limit or " ")
    with pytest.raises(WamError, match="hinge.*" + word):
        load_safety_model(embodiment)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("<inertial>", "<unknown>", "no inertia"),
        ('mass value="2"', 'mass value="0"', "moves but has no inertia"),
        ('mass value="2"', 'mass value="-1"', "its mass -1 kg must not be negative"),
        ('mass value="2"', 'mass value="two"', 'mass value "two" must be a finite number'),
        ('ixx="0.01"', 'ixx="nan"', "ixx"),
        ('izz="0.01"', "", "izz"),
    ],
)
def test_a_link_without_inertia_is_refused_by_name(tmp_path, old, new, word):
    body = (
        BODY.format(name="arm", x=0.5)
        .replace(old, new)
        .replace("</inertial>", "</" + (new if "<" in new else "<inertial>")[1:])
    )
    with pytest.raises(WamError, match="'arm'.*" + word):
        load_safety_model(pendulum(tmp_path, body=body))


def test_a_joint_of_unknown_kind_is_refused(tmp_path):
    with pytest.raises(WamError, match=r"hinge.*floating"):
        load_safety_model(pendulum(tmp_path, kind="floating"))


def test_a_moving_joint_that_nobody_commands_is_refused(tmp_path):
    embodiment = dataclasses.replace(pendulum(tmp_path), joint_names=("other",))
    with pytest.raises(WamError, match="other"):
        load_safety_model(embodiment)


@pytest.mark.parametrize(
    "geometry", ['<torus radius="0.05" length="0.2"/>', '<spere radius="0.05"/>']
)
def test_a_collision_body_that_a_parser_drops_is_refused_by_link_and_kind(tmp_path, geometry):
    more = f"<collision><geometry>{geometry}</geometry></collision></link>"
    body = BODY.format(name="arm", x=0.5).replace("</link>", more)
    with pytest.raises(WamError, match=rf"'arm'.*<{geometry[1:6]}.*use one of box"):
        load_safety_model(pendulum(tmp_path, body=body))


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
    head, *listed = words.split("\n")
    assert all(line.startswith("  - ") and len(line) < 400 for line in listed)
    assert not listed or head.endswith(f": {len(listed)} problems:")


@pytest.mark.parametrize("text", ["", "<robot", "\0"])
def test_a_file_that_is_no_xml_is_refused_by_name(tmp_path, text):
    (tmp_path / "arm.urdf").write_text(text)
    with pytest.raises(WamError, match=r"arm\.urdf"):
        load_urdf(tmp_path / "arm.urdf")

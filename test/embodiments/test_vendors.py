"""Robots whose description is their maker's: found in its package, refused in words without it."""

from __future__ import annotations

import importlib.util

import pytest

from testing.shipped import shipped, vendors
from wam_ros import cli
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.resources import config_path
from wam_ros.core.yamlfile import load_yaml
from wam_ros.robot.joints import load_joints
from wam_ros.robot.model import load_safety_model

from .body import joint, link

TURN = '<limit lower="-3.2" upper="3.2" velocity="2" effort="90"/>'


@pytest.fixture(params=vendors())
def name(request):
    urdf = load_yaml(config_path("embodiments", request.param))["urdf"]
    if urdf.endswith(".xacro") and importlib.util.find_spec("xacro") is None:
        pytest.skip("xacro is not installed")
    return request.param


def write_stand_in(folder, name):
    """A chain with the links and joints that an embodiment names, where its maker's file would
    be.
    """
    data = load_yaml(config_path("embodiments", name))
    names = data["joint_names"]
    links = [data["base_frame"], *(f"after_{n}" for n in names)]
    text = link(links[0])
    for n, above, below in zip(names, links, links[1:], strict=False):
        text += link(below) + joint(n, above, below, more=TURN)
    text += f'<link name="{data["tool_frame"]}"/>'
    text += joint("to_tool", links[-1], data["tool_frame"], kind="fixed", more="")
    path = folder / data["urdf"].removeprefix("package://")
    path.parent.mkdir(parents=True)
    asked = "".join(f'<xacro:arg name="{a}" default=""/>' for a in data.get("xacro_arguments", {}))
    space = 'xmlns:xacro="http://www.ros.org/wiki/xacro"' if asked else ""
    path.write_text(f'<robot name="{name}" {space}>{asked}{text}</robot>')


def test_without_the_package_it_says_which_and_where_to_put_it(name, monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    monkeypatch.setenv("ROS_PACKAGE_PATH", "")
    with pytest.raises(WamError, match="package '.*' is not found: source its workspace"):
        load_embodiment(name)


def test_with_the_package_its_joints_and_frames_are_those_of_the_description(
    name, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    monkeypatch.setenv("ROS_PACKAGE_PATH", str(tmp_path))
    write_stand_in(tmp_path, name)
    e = load_embodiment(name)
    assert load_joints(e).commanded == e.joint_names


def test_where_the_makers_own_package_is_sourced_the_robot_can_rest_at_home(name):
    try:
        e = load_embodiment(name)
    except WamError as error:
        pytest.skip(str(error))
    load_safety_model(e)


def test_the_list_of_robots_says_which_package_is_missing(monkeypatch, capsys):
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    monkeypatch.setenv("ROS_PACKAGE_PATH", "")
    monkeypatch.setenv("COLUMNS", "300")
    assert cli.main(["embodiment", "list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in (*vendors(), *shipped()))
    assert "package 'xarm_description' is not found" in said

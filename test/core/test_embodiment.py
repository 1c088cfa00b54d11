"""Shipped robots are whole; a damaged description is refused by name."""

import xml.etree.ElementTree as ElementTree

import pytest
import yaml

from testing.shipped import shipped
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.resources import config_names, config_path


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_embodiment_fits_its_description(name):
    e = load_embodiment(name)
    robot = ElementTree.parse(e.urdf_path).getroot()
    joints = {j.get("name"): j for j in robot.iter("joint")}
    links = {link.get("name") for link in robot.iter("link")}
    assert {e.base_frame, e.tool_frame} <= links
    for joint, home in zip(e.joint_names, e.home, strict=True):
        limit = joints[joint].find("limit")
        assert float(limit.get("lower")) <= home <= float(limit.get("upper")), joint
        assert float(limit.get("velocity")) > 0
        assert float(limit.get("effort")) > 0
    assert e.world in config_names("worlds")
    assert all(camera.image_topic for camera in e.cameras)


CAMERA = {"name": "c", "image_topic": "c/image_raw"}
LENS = {"size": [640, 480], "focal": [500, 500], "centre": [320, 240]}
MOUNT = {"parent": "panda_hand", "xyz": [0, 0, 0.1], "rpy": [0, 0, 0]}


def changed(tmp_path, **changes):
    data = yaml.safe_load(config_path("embodiments", "panda").read_text())
    data.update(changes)
    path = tmp_path / "robot.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in data.items() if v is not ...}))
    return str(path)


def test_a_path_is_taken_as_well_as_a_name(tmp_path):
    assert load_embodiment(changed(tmp_path)) == load_embodiment("panda")


def test_what_lies_beside_the_file_of_a_robot_belongs_to_it(tmp_path, monkeypatch):
    path = changed(tmp_path, urdf="mine.urdf", srdf="mine.srdf", world="mine.yaml")
    for name in ("mine.urdf", "mine.srdf", "mine.yaml"):
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    mine = load_embodiment("robot.yaml")
    assert (mine.urdf, mine.srdf, mine.world) == tuple(
        str(tmp_path / f"mine.{kind}") for kind in ("urdf", "srdf", "yaml")
    )
    assert load_embodiment(path).urdf_path == tmp_path / "mine.urdf"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"home": [0.0]}, "home has 1 values for 8 joints$"),
        ({"max_jerk": [1.0] * 7}, "max_jerk has 7 values for 8 joints$"),
        ({"max_acceleration": [1.0] * 7 + [0.0]}, "max_acceleration must be positive$"),
        ({"joint_names": ["a"] * 8}, "(?m)joint_names must be non-empty and distinct$"),
        ({"driver": {"z": {"factor": 1, "zero": 0}}}, "driver tells of 'z', which is not in"),
        ({"driver": {"a": {"factor": 0, "zero": 0}}}, "driver of 'a': factor must not be 0"),
        (
            {"controllers": {"c": {"kind": "servo", "joints": ["a"], "joint_states": "left arm"}}},
            "joint_states of controller 'c' is 'left arm', no name of a topic",
        ),
        ({"cameras": [CAMERA | {"rotation": 45}]}, "rotation of camera 'c' is 45, not 0, 90"),
        ({"cameras": [CAMERA | {"crop": [0, 0, 9]}]}, "crop of camera 'c' must be left, top"),
        ({"cameras": [CAMERA | {"crop": [0, -1, 9, 9]}]}, "crop of camera 'c' must be left, top"),
        ({"cameras": [CAMERA | {"mount": MOUNT | {"fov": 180}}]}, "fov of camera 'c' is 180, not"),
        ({"cameras": [CAMERA | {"calibration": LENS | {"focal": [0, 9]}}]}, "must be positive"),
        ({"cameras": [CAMERA | {"calibration": LENS | {"distortion": [0.1]}}]}, "not 0, 4, 5 or 8"),
        ({"cameras": [CAMERA | {"mount": MOUNT | {"size": [9, 9]}}]}, "size of camera 'c' must be"),
        ({"cameras": [CAMERA | {"mount": {"xyz": [0, 0, 0]}}]}, "missing key 'parent'$"),
        ({"gripper_joints": ["thumb"]}, "gripper joint 'thumb' is not in joint_names$"),
        ({"cameras": []}, "cameras must be non-empty and distinctly named$"),
        ({"action_horizon": 0}, "action_horizon must be positive$"),
        ({"step_period_s": -0.1}, "step_period_s must be positive$"),
        ({"frame_rate_hz": float("nan")}, "frame_rate_hz: nan is not finite$"),
        ({"tool": "x"}, "unknown key 'tool'"),
        ({"base_frame": ...}, "missing key 'base_frame'$"),
    ],
)
def test_a_contradiction_is_named(tmp_path, changes, error):
    with pytest.raises(WamError, match=error):
        load_embodiment(changed(tmp_path, **changes))


def test_an_unknown_robot_is_answered_with_the_choices():
    with pytest.raises(
        WamError, match=r"^unknown embodiment 'pandda'. Did you mean 'panda'\? Choices: .*panda"
    ):
        load_embodiment("pandda")


def test_a_missing_description_is_named(tmp_path):
    e = load_embodiment(changed(tmp_path, urdf="none.urdf"))
    with pytest.raises(
        WamError, match="^robot description 'none.urdf' is neither in .* nor a file$"
    ):
        _ = e.urdf_path

"""Nodes find their packages and camera images arrive without anybody exporting anything."""

import importlib.metadata

import pytest

from wam_ros.ros.environment import (
    DISCOVERY,
    PROFILE_VARIABLES,
    discovery_environment,
    profile_variable,
    ros_environment,
)


@pytest.fixture
def prefix(tmp_path):
    (tmp_path / "share" / "ament_index").mkdir(parents=True)
    return str(tmp_path)


def test_the_environments_own_index_comes_first(prefix):
    assert ros_environment({}, prefix)["AMENT_PREFIX_PATH"] == prefix
    assert (
        ros_environment({"AMENT_PREFIX_PATH": "/opt/ros/x"}, prefix)["AMENT_PREFIX_PATH"]
        == f"{prefix}:/opt/ros/x"
    )
    assert "AMENT_PREFIX_PATH" not in ros_environment(
        {"AMENT_PREFIX_PATH": f"/ws:{prefix}"}, prefix
    )


def test_an_environment_without_an_index_changes_nothing(tmp_path):
    assert "AMENT_PREFIX_PATH" not in ros_environment(
        {"AMENT_PREFIX_PATH": "/opt/ros/x"}, str(tmp_path)
    )


@pytest.mark.parametrize("chosen", [*PROFILE_VARIABLES, "FASTDDS_BUILTIN_TRANSPORTS"])
def test_a_transport_is_set_unless_one_was_chosen(prefix, chosen):
    assert ros_environment({}, prefix)[profile_variable()].endswith("config/fastdds.xml")
    assert not {*ros_environment({chosen: "mine"}, prefix)} & {*PROFILE_VARIABLES}


@pytest.mark.parametrize(
    ("version", "index"), [("7.1.5", 0), ("9.1.2", 1), ("10.0.0", 1), (None, 0)]
)
def test_the_variable_is_the_one_of_the_distribution(version, index, monkeypatch):
    def installed(name):
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", installed)
    assert profile_variable() == PROFILE_VARIABLES[index]


def test_nodes_look_for_each_other_on_this_machine_only_unless_that_was_chosen():
    assert discovery_environment({}, "auto") == {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    for chosen in ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY", "ROS_DISCOVERY_SERVER"):
        assert discovery_environment({chosen: "mine"}, "auto") == {}


@pytest.mark.parametrize("wanted", DISCOVERY[1:])
def test_what_is_said_about_discovery_replaces_what_the_environment_says(wanted):
    found = discovery_environment({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}, wanted)
    assert found == {"ROS_AUTOMATIC_DISCOVERY_RANGE": wanted.upper()}
    assert discovery_environment({"ROS_LOCALHOST_ONLY": "1"}, wanted)["ROS_LOCALHOST_ONLY"] == ""

"""Numbers of a robot's drivers become rad and m, or are named; they are never taken for those."""

import dataclasses
import json

import numpy as np
import pytest
import yaml

pytest.importorskip("av")
pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")

from testing.recordings import SMALL, episode, write
from wam_ros import cli
from wam_ros.core.drivers import numbers_of
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.resources import config_path
from wam_ros.data.folder import open_episodes
from wam_ros.data.units import in_rad
from wam_ros.robot.joints import load_joints

ROWS = 30
SO101 = load_embodiment("so101")
NAMES = SO101.joint_names
# as LeRobot's drivers speak: degrees, and per cent of the gripper's range
GRIP = 1.9 / 100
DRIVER = {n: {"factor": np.pi / 180, "zero": 0.05} for n in NAMES[:5]}
DRIVER["shoulder_lift"] = {"factor": -np.pi / 180, "zero": -0.3}
DRIVER["gripper"] = {"factor": GRIP, "zero": -0.1}


@pytest.fixture
def robot(tmp_path):
    data = yaml.safe_load(config_path("embodiments", "so101").read_text())
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data | {"name": "mine", "driver": DRIVER}))
    return str(path)


def motion():
    """(T, A) rad through half of each joint's range."""
    limits = load_joints(SO101).limits
    swing = np.sin(np.arange(ROWS)[:, None] / 4 + np.arange(len(NAMES)))
    return (limits.lower + limits.upper) / 2 + 0.3 * (limits.upper - limits.lower) * swing


def data_set(folder, values, suffix=".pos", robot="so101_follower"):
    names = tuple(n + suffix for n in NAMES)
    told = dataclasses.replace(SMALL, robot=robot, joint_names=names, action_names=names)
    values = values.astype(np.float32)
    swing = episode(0, ROWS, states=values[:-1], actions=values[1:], instructions=("push",) * ROWS)
    rows = dataclasses.replace(swing, stamps_s=np.arange(ROWS - 1) / 10, instructions=("x",) * 29)
    return write(folder, [rows], told)


def run(*words):
    return cli.main(["data", *map(str, words)])


def test_what_drivers_said_is_brought_in_as_rad_and_m_by_the_names_of_the_joints(
    robot, tmp_path, capsys
):
    q = motion()
    said = numbers_of(load_embodiment(robot), NAMES).positions(q)
    folder = data_set(tmp_path / "set", said)
    assert run("import", folder, "--out", tmp_path / "out", "--robot", robot) == 0
    assert "read as rad and m by `driver` of mine" in capsys.readouterr().out
    found = open_episodes(tmp_path / "out")
    assert (found.robot, found.joint_names, found.action_names) == ("mine", NAMES, NAMES)
    np.testing.assert_allclose(found[0].states, q[:-1], atol=1e-4)
    np.testing.assert_allclose(found[0].actions, q[1:], atol=1e-4)
    # once more: what is rad stays
    assert run("import", tmp_path / "out", "--out", tmp_path / "again", "--robot", robot) == 0
    assert "numbers: rad and m of mine" in capsys.readouterr().out
    np.testing.assert_array_equal(open_episodes(tmp_path / "again")[0].states, found[0].states)


def test_numbers_of_drivers_are_wrong_to_learn_from_and_are_shown_as_rad(robot, tmp_path, capsys):
    q = motion()
    folder = data_set(
        tmp_path / "set", numbers_of(load_embodiment(robot), NAMES).positions(q), suffix=""
    )
    assert run("check", folder, "--no-pictures", "--robot", robot) == 1
    assert "`wam data import --robot` writes them so" in " ".join(capsys.readouterr().out.split())
    numbers = tmp_path / "s.json"
    assert run("stats", folder, "--json", numbers, "--horizon", 0, "--robot", robot) == 0
    told = json.loads(numbers.read_text())
    assert "by `driver` of mine" in told["numbers"]
    low = {c["name"]: c["low"] for c in told["columns"] if c["group"] == "states"}
    np.testing.assert_allclose([low[n] for n in NAMES], q[:-1].min(0), atol=1e-4)


def test_numbers_that_are_neither_are_named_by_column_and_stay(robot, tmp_path, capsys):
    q = motion()
    q[:, 2] += 900.0  # of another driver
    folder = data_set(tmp_path / "set", q)
    assert run("check", folder, "--no-pictures", "--robot", robot) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "'elbow_flex.pos' is 89" in said and "neither fits" in said
    assert run("check", folder, "--no-pictures", "--robot", "so101") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "`wam calibrate joints` finds `driver`" in said and "shoulder" not in said
    inner, units = in_rad(open_episodes(folder), load_embodiment(robot))
    np.testing.assert_allclose(inner[0].states, q[:-1], rtol=1e-6)
    assert len(units.wrong) == 1 and not units.drivers


def test_a_robot_that_is_not_known_or_has_other_columns_is_said_to_be_so(robot, tmp_path, capsys):
    folder = data_set(tmp_path / "set", motion())
    assert run("check", folder, "--no-pictures") == 0
    assert "numbers: as they are: --robot NAME or YAML" in capsys.readouterr().out
    assert run("check", folder, "--no-pictures", "--robot", "panda") == 0
    assert "no column is called like a joint of panda" in capsys.readouterr().out
    assert run("check", folder, "--no-pictures", "--robot", "/nowhere.yaml") == 2
    assert "'/nowhere.yaml' does not exist" in capsys.readouterr().err

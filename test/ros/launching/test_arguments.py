"""Every argument of the launch files is judged before anything starts; without the launch tool."""

import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest

pytest.importorskip("rclpy")

from testing.ros_prefix import install
from testing.wrong_arguments import REAL, WRONG, each
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.resources import share_dir
from wam_ros.ros.launching.arguments import (
    ARGUMENTS,
    ROBOT,
    RVIZ,
    described,
    model_of,
    require_bringup,
    require_names,
    require_robot,
    require_rviz,
)

DEFAULTS = {name: argument.default for name, argument in ARGUMENTS.items()}


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    """A ROS prefix that holds this package and nothing else, and a screen."""
    install(tmp_path, "wam_ros")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":0")
    return tmp_path


def test_every_argument_there_is_has_a_wrong_value_here():
    assert set(WRONG) == set(ARGUMENTS)


@pytest.mark.parametrize(("name", "wrong"), each(), ids=lambda v: str(getattr(v, "value", v))[:30])
def test_a_wrong_value_of_every_argument_is_refused_by_its_name(prefix, name, wrong):
    for package in wrong.packages:
        install(prefix, package)
    with pytest.raises(WamError, match=wrong.words) as refusal:
        require_bringup({**DEFAULTS, **wrong.others, name: wrong.value})
    said = str(refusal.value)
    assert "\n" not in said
    assert any(f"{n}:=" in said or f"unknown {n} " in said for n in {name, "sim", *wrong.others})


@pytest.mark.parametrize(("names", "judge"), [(ROBOT, require_robot), (RVIZ, require_rviz)])
def test_a_launch_file_that_is_included_judges_its_own_when_it_is_launched_alone(
    prefix, names, judge
):
    judge({name: DEFAULTS[name] for name in names})
    install(prefix, "rviz2")
    for name in {*names} - {"robot_state_publisher", "sim"}:
        refused = 0
        for wrong in WRONG[name]:
            values = {**DEFAULTS, **wrong.others, name: wrong.value}
            try:
                judge({n: values[n] for n in names})
            except WamError:
                refused += 1
        assert refused, name


def test_the_defaults_and_what_the_pages_show_are_taken(prefix, tmp_path):
    install(prefix, "rviz2")
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "/**/safety_node: {ros__parameters: {tcp_speed: 0.1}}\n"
        "left: {bridge_node: {ros__parameters: {rate_hz: 50.0}}}\n"
    )
    good = [
        {},
        {"record": str(tmp_path / "bags" / "one"), "namespace": "/cell/left", "tf_prefix": "left/"},
        {"params_file": str(mine), "robot_ip": "fe80::1%eth0", "log_level": "debug"},
        {"controllers_file": str(share_dir() / "config" / "ros2_controllers.yaml")},
        {**REAL, "controller": "servo", "use_sim_time": "true"},
        {**REAL, "embodiment": "droid", "model": "dreamzero-14b", "checkpoint": str(tmp_path)},
    ]
    for given in good:
        require_bringup({**DEFAULTS, **given})


@pytest.mark.parametrize("parent", ["tool0", "nowhere"])
def test_what_a_launch_says_of_a_simulated_robot_is_what_the_simulator_says(parent):
    pytest.importorskip("mujoco")
    from wam_ros.core.embodiment import Camera, Mount
    from wam_ros.sim.robots import require_simulated
    from wam_ros.sim.world import World

    cameras = (Camera("front", "front", mount=Mount(parent, (0, 0, 0), (0, 0, 0))),)
    robot = replace(load_embodiment("ur5e"), cameras=cameras)
    make = partial(World, robot, "reach", (16, 16), 0.002, render=False)
    assert refusal(make) == refusal(partial(require_simulated, robot))
    assert bool(refusal(make)) == (parent == "nowhere")


def test_a_simulated_robot_without_a_model_is_moved_by_a_script_and_a_real_one_only_when_told(
    prefix,
):
    said = {
        ("panda", "true", ""): "",
        ("ur5e", "true", ""): "reach",
        ("ur5e", "true", "mine.yaml"): "mine.yaml",
        ("ur5e", "false", ""): "",
        ("ur5e", "false", "reach"): "reach",
    }
    for (name, sim, model), chosen in said.items():
        values = {**DEFAULTS, "embodiment": name, "sim": sim, "model": model}
        assert model_of(values, load_embodiment(name)) == chosen
    assert model_of({**DEFAULTS, "params_file": "p.yaml"}, load_embodiment("ur5e")) == ""
    require_bringup({**DEFAULTS, "embodiment": "ur5e"})
    require_bringup({**DEFAULTS, **REAL, "embodiment": "ur5e", "model": "reach"})
    with pytest.raises(WamError, match="trained for 'panda', not for 'ur5e'"):
        require_bringup({**DEFAULTS, **REAL, "embodiment": "ur5e"})


def test_a_description_stands_for_a_robot_and_a_real_one_only_just_guessed_stays_still(
    prefix, tmp_path
):
    (tmp_path / "mine").mkdir()
    urdf = str(shutil.copy(share_dir() / "urdf" / "ur5e.urdf", tmp_path / "mine" / "arm.urdf"))
    wanted = {**DEFAULTS, **REAL, "embodiment": urdf, "dry_run": "false", "model": "reach"}
    values, words = described(wanted)
    assert values["embodiment"].endswith("arm.wam.yaml") and values["dry_run"] == "true"
    assert "this once nothing moves" in words
    require_bringup(values)
    again, words = described(wanted)
    assert again == {**wanted, "embodiment": values["embodiment"]} and "arm.wam.yaml" in words
    assert described({**DEFAULTS, "embodiment": "so101"}) == (
        {**DEFAULTS, "embodiment": "so101"},
        "",
    )
    with pytest.raises(WamError, match=r"embodiment:=/nowhere/arm.urdf: .* does not exist"):
        described({**DEFAULTS, "embodiment": "/nowhere/arm.urdf"})


def test_a_simulated_robot_moves_at_once(prefix, tmp_path):
    (tmp_path / "mine").mkdir()
    urdf = str(shutil.copy(share_dir() / "urdf" / "ur5e.urdf", tmp_path / "mine" / "arm.urdf"))
    values, words = described({**DEFAULTS, "embodiment": urdf})
    assert values["dry_run"] == "auto" and "look at it" in words
    require_bringup(values)
    assert model_of(values, load_embodiment(values["embodiment"])) == "reach"


def refusal(attempt):
    """What is said of a refused attempt, '' of another."""
    try:
        attempt()
    except WamError as error:
        return str(error)
    return ""


def test_a_name_that_is_no_argument_is_not_left_out_in_silence():
    require_names(["sim:=false", "launch-prefix:=gdb"])
    with pytest.raises(WamError, match="launch argument 'dryrun'. Did you mean 'dry_run'"):
        require_names(["sim:=false", "dryrun:=true"])


def test_who_launches_needs_no_library_of_the_nodes():
    blocked = "".join(
        f"sys.modules[{name!r}] = None\n" for name in ("torch", "mujoco", "pinocchio", "aiohttp")
    )
    code = f"import sys\n{blocked}import wam_ros.ros.launching.arguments"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr

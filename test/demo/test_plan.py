import os
import subprocess
import sys

import pytest

from wam_ros.demo.args import DemoArgs
from wam_ros.demo.plan import commands, environment, format_parameter, node_command

LOOP = ["sim_node", "camera_node", "inference_node", "safety_node", "bridge_node"]


def parameters(command):
    words = iter(command.argv)
    return dict(next(words).split(":=", 1) for w in words if w == "-p")


def by_name(**given):
    return {c.name: parameters(c) for c in commands(DemoArgs(**given))}


def test_every_process_of_the_loop_is_started_and_tasks_and_the_page_only_for_a_person():
    assert list(by_name(headless=True)) == LOOP
    assert list(by_name(port=9000)) == [*LOOP, "task_node", "view_node"]
    assert by_name(port=9000)["view_node"]["port"] == "9000"


def test_every_node_brings_itself_up_for_one_robot():
    for own in by_name(embodiment="panda").values():
        assert own["autostart"] == "true"
        assert own["embodiment"] == '"panda"'


def test_the_model_is_the_inference_nodes_affair(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = by_name(model="tiny", checkpoint="w.safetensors", steps=2, memory="imagined")
    assert plan["inference_node"]["checkpoint"] == f'"{tmp_path}/w.safetensors"'
    assert plan["inference_node"]["steps"] == "2"
    assert plan["inference_node"]["memory"] == '"imagined"'
    assert not any("model" in own for name, own in plan.items() if name != "inference_node")


def test_a_robot_without_a_model_of_its_own_is_moved_by_the_script():
    assert by_name()["inference_node"]["model"] == '"tiny"'
    assert by_name(embodiment="so101")["inference_node"]["model"] == '"reach"'
    assert by_name(embodiment="droid")["sim_node"]["task"] == '"reach"'
    assert "task" not in by_name()["sim_node"]
    # what is asked for is simulated, whoever moves the robot
    assert by_name(task="reach")["sim_node"]["task"] == '"reach"'
    libero = by_name(embodiment="libero_panda", task="libero_object/3")
    assert libero["sim_node"]["task"] == '"libero_object/3"'
    assert libero["inference_node"]["model"] == '"reach"'
    assert libero["safety_node"]["world"] == '"floor"'
    table = by_name(embodiment="libero_panda", task="libero_spatial/3", port=9000)
    assert table["safety_node"]["world"] == table["view_node"]["world"] == '"libero_table"'
    assert "world" not in by_name()["safety_node"]
    assert by_name(embodiment="so101", model="m.yaml")["inference_node"]["model"] == '"m.yaml"'


def test_everyone_but_the_clock_lives_by_it_and_the_world_waits_for_the_loop():
    plan = by_name(rate=2.0)
    assert plan["sim_node"]["rate"] == "2.0"
    assert plan["sim_node"]["use_sim_time"] == "false"
    assert {plan[n]["use_sim_time"] for n in (*LOOP[1:], "task_node", "view_node")} == {"true"}
    assert {plan[n]["lockstep"] for n in LOOP} == {"true"}
    # what bridge and safety node take each other to admit is the same
    assert plan["safety_node"]["heartbeat_s"] == plan["bridge_node"]["heartbeat_s"]


def test_in_real_time_nobody_waits_and_nobody_has_another_clock():
    for own in by_name(real_time=True).values():
        assert "lockstep" not in own
        assert "use_sim_time" not in own


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (3, "3"), (1.0, "1.0"), ("8", '"8"'), ('a "b" \\', '"a \\"b\\" \\\\"')],
)
def test_parameters_keep_their_type(value, text):
    assert format_parameter(value) == text
    assert node_command("n", {"p": value}).argv[-1] == f"p:={text}"


def test_processes_reach_no_other_machine_and_no_other_robot(tmp_path):
    env = environment(
        42, tmp_path, {"ROS_DOMAIN_ID": "0", "ROS_LOCALHOST_ONLY": "0", "ROS_STATIC_PEERS": "robot"}
    )
    assert env["ROS_DOMAIN_ID"] == "42"
    assert env["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert "ROS_STATIC_PEERS" not in env
    assert "ROS_LOCALHOST_ONLY" not in env


def test_what_the_person_chose_for_transport_and_threads_stays(tmp_path):
    env = environment(1, tmp_path, {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4", "OMP_NUM_THREADS": "3"})
    assert (env["FASTDDS_BUILTIN_TRANSPORTS"], env["OMP_NUM_THREADS"]) == ("UDPv4", "3")


@pytest.mark.ros
def test_neither_the_home_nor_the_current_folder_matters_to_the_processes(tmp_path):
    pytest.importorskip("rclpy")
    env = environment(1, tmp_path, os.environ | {"HOME": "/proc", "ROS_LOG_DIR": "/proc/log"})
    if sys.version_info >= (3, 11):
        (tmp_path / "types.py").write_text("raise RuntimeError('this shadows a module of Python')")
    code = (
        "import rclpy; rclpy.init(); rclpy.create_node('n').get_logger().info('here'); "
        "rclpy.shutdown()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*.log"))

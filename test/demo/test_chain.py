"""From a running loop to a model of its takes that runs in the loop: one command each."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("torch")
pytest.importorskip("mujoco")
pytest.importorskip("mcap")

from wam_ros import cli
from wam_ros.core.resources import share_dir
from wam_ros.data.folder import open_episodes
from wam_ros.demo.plan import environment

SHIPPED = share_dir() / "weights" / "tiny.safetensors"
DOMAIN = int(os.environ["ROS_DOMAIN_ID"])  # of this session alone
PATIENCE_S = 300.0


def demo(folder, *words):
    """A run without a page; the results of its episodes."""
    results = folder / "demo.json"
    asked = ["--headless", "--domain-id", str(DOMAIN), "--seed", "1000", "--json", str(results)]
    command = [sys.executable, "-m", "wam_ros.cli", "demo", *asked, *map(str, words)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(command, check=True, timeout=PATIENCE_S, env=env)
    return json.loads(results.read_text())["episodes"]


def recorder(folder):
    """A recorder in the domain of the demo, by its clock, with a take that has begun."""
    given = {"folder": f'"{folder}"', "use_sim_time": "true"}
    words = [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]
    process = subprocess.Popen(
        [sys.executable, "-m", "wam_ros.nodes.recorder_node", "--ros-args", *words],
        env=environment(DOMAIN, folder.parent),
    )
    end = time.monotonic() + 30
    while not [*Path(folder).glob("take_*.part")]:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    return process


@pytest.mark.long
@pytest.mark.ros
def test_a_take_becomes_a_data_set_a_model_of_it_and_that_a_run(tmp_path):
    takes = tmp_path / "takes"
    process = recorder(takes)
    assert [e["outcome"] for e in demo(tmp_path, "--episodes", 1)] == ["success"]
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    mine = tmp_path / "mine"
    assert cli.main(["data", "import", str(takes), "--out", str(mine), "--codec", "lossless"]) == 0
    episodes = open_episodes(mine)
    assert episodes.robot == "panda" and episodes.rate_hz == 10.0
    assert [e.success for e in episodes].count(True) == 1
    assert all("red" in e.instructions[-1] for e in episodes if e.success)
    assert all(e.labelled.mean() > 0.5 for e in episodes if e.success)
    run = tmp_path / "run"
    words = ["--data", mine, "--out", run, "--start", SHIPPED, "--minutes", 0.05, "--batch", 4]
    assert not cli.main(["train", *map(str, words)])
    weights = run / "tiny.safetensors"
    assert weights.read_bytes() != SHIPPED.read_bytes()
    (episode,) = demo(tmp_path, "--episodes", 1, "--checkpoint", weights)
    assert episode["chunks"] > 10, "the loop runs by what was learned"

"""Policies of LeRobot 0.4.4, unmodified, behind `tools/lerobot_server.py` in LeRobot's environment:
random weights, as there is nothing to download. One drives the simulated arm through every node.
"""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from testing.foreign import ROOT, program, until_answers
from testing.peers import free_port
from testing.policies import PANDA, observation
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Request
from wam_ros.models import load_policy

pytestmark = pytest.mark.foreign
HERE = Path(__file__).parent
ALONE = {"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1"}


def make(folder, kind):
    """A policy with random weights in `folder`."""
    robot = {"home": PANDA.home, "views": PANDA.view_names}
    robot |= {"height": PANDA.image_height, "width": PANDA.image_width}
    argv = [program("lerobot"), str(HERE / "lerobot_makes.py"), kind, str(folder)]
    subprocess.run([*argv, json.dumps(robot)], check=True, timeout=300, env=ALONE)


@contextlib.contextmanager
def lerobot_server(folder, kind):
    """A policy with random weights in `folder`, and the port of its server."""
    make(folder, kind)
    port = free_port()
    script = str(ROOT / "tools" / "lerobot_server.py")
    argv = [program("lerobot"), script, "--policy", str(folder), "--port", str(port)]
    process = subprocess.Popen(argv, env=ALONE)
    try:
        until_answers(process, port)
        yield f"lerobot_panda@ws://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def test_an_act_answers_what_it_answers_in_lerobot_and_drives_the_arm_through_every_node(tmp_path):
    with lerobot_server(tmp_path / "act", "act") as model:
        policy = load_policy(model, "", PANDA)
        assert policy.name == "lerobot act"
        policy.reset("go")
        with np.load(tmp_path / "act" / "asked.npz") as found:
            views = [found[f"observation.images.{view}"] for view in PANDA.view_names]
            seen = observation()
            joints = replace(seen.joints, positions=found["observation.state"].astype(float))
            seen = replace(seen, frames=np.stack(views), joints=joints)
            got = policy.predict(seen, Request()).positions
            assert (got == found["actions"].astype(float)).all()

        told = tmp_path / "told.json"
        argv = [sys.executable, "-m", "wam_ros.cli", "demo", "--headless", "--episodes", "1"]
        argv += ["--time-limit", "4", "--model", model, "--json", str(told)]
        argv += ["--logs", str(tmp_path)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(argv, cwd=ROOT, env=env, timeout=300, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        found = json.loads(told.read_text())
        (episode,) = found["episodes"]
        assert found["settings"]["running_model"] == "lerobot act"
        # what it says is random, and near home: some of each chunk may always be executed
        assert episode["chunks"] > 20
        assert sum(episode["decisions"].get(d, 0) for d in ("pass", "truncated")) > 20
        assert episode["stops"] == {}


def test_a_policy_that_looks_at_several_steps_answers_and_a_request_without_a_key_is_told(tmp_path):
    with lerobot_server(tmp_path / "diffusion", "diffusion") as model:
        policy = load_policy(model, "", PANDA)
        policy.reset("go")
        chunks = [policy.predict(observation(k), Request()).positions for k in range(2)]
        assert chunks[0].shape == (PANDA.action_horizon, len(PANDA.joint_names))
        assert np.abs(chunks[1] - PANDA.home).max() < 0.1
        wrong = tmp_path / "wrong.yaml"
        contract = (ROOT / "config" / "wires" / "lerobot_panda.yaml").read_text()
        wrong.write_text(contract.replace("observation.images.front:", "observation.images.top:"))
        policy = load_policy(model.replace("lerobot_panda", str(wrong)), "", PANDA)
        policy.reset("go")
        with pytest.raises(WamError, match="'observation.images.front' is nothing, expected"):
            policy.predict(observation(), Request())


def test_lerobot_s_own_asynchronous_inference_drives_the_same_arm_beside_ours(tmp_path):
    make(tmp_path / "act", "act")
    told = tmp_path / "told.json"
    argv = [sys.executable, "-m", "benchmark.lerobot_async", "--policy", str(tmp_path / "act")]
    argv += ["--episodes", "1", "--seconds", "3", "--json", str(told)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(argv, cwd=ROOT, env=env, timeout=600, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(told.read_text())
    for name in ("ours", "LeRobot's"):
        figures = found[name]["figures"]
        assert figures["episodes"] == 1
        assert figures["chunks/s"] > 0
        # before it is back; what random weights say barely moves again
        assert found[name]["stopped for 2 s"]["at rest after [s]"] < 2.0
    assert found["LeRobot's"]["figures"]["image to action, p50 [ms]"] > 0
    # where chunks come too late for a busy machine, none may be executed; none may do harm
    assert found["ours"]["figures"]["steps of physics beyond a limit"] == {}

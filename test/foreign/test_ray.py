"""Ray Serve, as it is, routes robots to copies of the shipped model (tools/ray_serve.py)."""

import os
import subprocess

import pytest

pytest.importorskip("torch")

from testing.foreign import ROOT, program
from testing.peers import free_port
from testing.policies import PANDA, observation
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Request
from wam_ros.models import load_policy

pytestmark = pytest.mark.foreign
WORDS = ("pick up the red block", "take the blue cube", "pick up the green block")


def test_robots_on_two_copies_each_keep_their_memory_and_get_the_bits_of_their_own_model(tmp_path):
    port = free_port()
    argv = [program("ray"), str(ROOT / "tools" / "ray_serve.py"), "--port", str(port)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert "2 x 'tiny' answer" in next(line for line in process.stdout if "ws://" in line)
        local = load_policy("tiny", "", PANDA)
        robots = [load_policy(f"ws://127.0.0.1:{port}", "", PANDA) for _ in WORDS]
        for words, robot in zip(WORDS, robots, strict=True):
            robot.reset(words)
        for step in range(3):
            for k, robot in enumerate(robots):
                got = robot.predict(observation(10 * k + step), Request(step=4 * step))
                if step == 2:
                    local.reset(WORDS[k])
                    alone = [
                        local.predict(observation(10 * k + s), Request(step=4 * s))
                        for s in range(3)
                    ]
                    assert got.positions.tobytes() == alone[2].positions.tobytes()
        with pytest.raises(WamError, match="never learned 'fly'"):
            robots[0].reset("fly")
    finally:
        process.terminate()
        process.wait(60)

"""`vla-eval` 0.8.0 from PyPI, unmodified, evaluates the shipped model behind `wam serve`."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from testing.foreign import program, wam_serve
from testing.policies import PANDA, observation
from wam_ros.core.policy import Request
from wam_ros.models import load_policy

pytestmark = pytest.mark.foreign
STEPS = 21


def test_vla_eval_runs_its_episodes_and_executes_the_model_s_own_actions(tmp_path):
    with wam_serve() as port:
        config = {
            "server": {"url": f"ws://127.0.0.1:{port}/vla-eval"},
            "output_dir": str(tmp_path / "results"),
            "benchmarks": [
                {
                    "benchmark": "vla_eval_task:Arm",
                    "episodes_per_task": 2,
                    "max_steps": STEPS,
                    "params": {
                        "folder": str(tmp_path),
                        "views": list(PANDA.view_names),
                        "height": PANDA.image_height,
                        "width": PANDA.image_width,
                        "home": list(PANDA.home),
                    },
                }
            ],
        }
        file = tmp_path / "eval.yaml"
        file.write_text(json.dumps(config))
        argv = [program("vla-eval", "vla-eval"), "run", "--no-docker", "--config", str(file)]
        here = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent)}
        ended = subprocess.run(
            argv, capture_output=True, text=True, timeout=300, env=here, cwd=tmp_path
        )
    assert ended.returncode == 0, ended.stderr
    assert "Arm: 100.0%" in ended.stdout
    assert "errored" not in ended.stdout
    assert "Spec validation passed" in ended.stderr

    policy = load_policy("tiny", "", PANDA)
    stride = policy.abilities.frame_stride
    for words in ("pick up the red block", "take the blue cube"):
        for episode in range(2):
            policy.reset(words)
            with np.load(tmp_path / f"{words} {episode}.npz") as found:
                assert len(found["actions"]) == STEPS
                for k, action in enumerate(found["actions"]):
                    row = k % PANDA.action_horizon
                    if row == 0 or k % stride == 0:
                        seen = observation()
                        joints = replace(seen.joints, positions=found["joints"][k])
                        seen = replace(seen, frames=found["frames"][k], joints=joints)
                        output = policy.predict(seen, Request(step=k, predict=row == 0))
                    if row == 0:
                        chunk = output.positions
                    assert action.tobytes() == chunk[row].astype(np.float32).tobytes()

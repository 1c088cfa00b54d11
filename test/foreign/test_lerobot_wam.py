"""World action models of LeRobot 0.6.1, unmodified, behind `tools/lerobot_server.py`: tiny and with
random weights, all that they would download likewise. The one that decodes what it imagines has it
arrive as imagined frames.
"""

import contextlib
import json
import os
import subprocess

import numpy as np
import pytest

pytest.importorskip("torch")

from testing.foreign import ROOT, program, until_answers
from testing.peers import free_port
from testing.policies import PANDA, observation
from wam_ros.core.policy import Request
from wam_ros.models import load_policy
from wam_ros.models.remote import policy as remote

pytestmark = pytest.mark.foreign
MAKES = ROOT / "test" / "foreign" / "lerobot_wam_makes.py"
IMAGINES = {"lingbot_va": 8, "fastwam": 0, "vla_jepa": 0}  # frames


@contextlib.contextmanager
def served_by_lerobot(folder, kind):
    """A model in `folder`, and the address of its server."""
    alone = {"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1", "HOME": str(folder)}
    robot = {"home": PANDA.home, "views": PANDA.view_names}
    robot |= {"height": PANDA.image_height, "width": PANDA.image_width}
    python = program("lerobot-wam")
    argv = [python, str(MAKES), kind, str(folder / "policy"), json.dumps(robot)]
    subprocess.run(argv, check=True, timeout=300, env=alone, cwd=folder)
    port = free_port()
    argv = [python, str(ROOT / "tools" / "lerobot_server.py"), "--policy", str(folder / "policy")]
    argv += ["--port", str(port), "--fps", str(round(1 / PANDA.step_period_s))]
    process = subprocess.Popen(argv, env=alone, cwd=folder)
    try:
        until_answers(process, port)
        yield f"lerobot_panda@ws://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("kind", IMAGINES)
def test_a_world_action_model_of_lerobot_answers_from_what_is_seen_now(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "ANSWER_S", 120.0)  # on a busy machine
    with served_by_lerobot(tmp_path, kind) as model:
        policy = load_policy(model, "", PANDA)
        assert policy.name == f"lerobot {kind}"
        policy.reset("pick up the red block")
        outputs = [policy.predict(observation(k), Request()) for k in range(3)]
    for output in outputs:
        assert output.positions.shape == (8, len(PANDA.joint_names))
        assert np.abs(output.positions - PANDA.home).max() < 1.0
        frames = output.frames
        assert frames.shape == (IMAGINES[kind], 2, PANDA.image_height, PANDA.image_width, 3)
        assert output.frame_offsets_ns == tuple(10**8 * (k + 1) for k in range(len(frames)))
    if IMAGINES[kind]:  # each view has its own, and each time another
        assert (outputs[0].frames[:, 0] != outputs[0].frames[:, 1]).any()
        assert (outputs[0].frames != outputs[2].frames).any()

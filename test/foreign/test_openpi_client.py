"""`openpi-client` 0.1.2 from PyPI, unmodified, asks `wam serve` as a process: the shipped model
answers what it would have answered here.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from testing.foreign import program, wam_serve
from testing.policies import PANDA, observation
from wam_ros.core.policy import Request
from wam_ros.models import load_policy

pytestmark = pytest.mark.foreign
TALKS = Path(__file__).with_name("openpi_client_talks.py")
TOKEN = "secret-of-at-least-22-characters"


@pytest.fixture(params=["", TOKEN], ids=["this machine", "with a token"])
def server(request, tmp_path):
    """Port and token of `wam serve` with the shipped model."""
    options = []
    if request.param:
        file = tmp_path / "token"
        file.write_text(request.param)
        file.chmod(0o600)
        options = ["--token-file", str(file)]
    with wam_serve(*options) as port:
        yield port, request.param


def test_openpi_s_own_client_gets_the_model_s_chunks_bit_for_bit_and_errors_in_words(
    server, tmp_path
):
    port, token = server
    seen = [observation(k) for k in range(3)]
    looks = {
        f"observation/{v}": np.stack([s.frames[i] for s in seen])
        for i, v in enumerate(PANDA.view_names)
    }
    looks["observation/joint_position"] = np.stack([s.joints.positions for s in seen])
    np.savez(tmp_path / "looks.npz", k=np.arange(3), **looks)
    out = tmp_path / "out.npz"
    argv = [program("openpi"), str(TALKS), str(port), token, str(tmp_path / "looks.npz"), str(out)]
    subprocess.run(argv, check=True, timeout=120, env={"PATH": os.environ["PATH"]})

    local = load_policy("tiny", "", PANDA)
    local.reset("pick up the red block")
    stride = local.abilities.frame_stride
    expected = [local.predict(s, Request(step=k * stride)).positions for k, s in enumerate(seen)]
    with np.load(out) as got:
        assert got["actions"].tobytes() == np.stack(expected).tobytes()
        assert (got["infer_ms"] > 0).all()
        assert got["rows"].shape == (3, 8)
        assert "keys are of no contract" in got["errors"][0]
        assert "never learned" in got["errors"][1]
        assert json.loads(str(got["metadata"]))["joint_names"] == list(PANDA.joint_names)

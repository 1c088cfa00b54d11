"""`openpi-client` 0.1.2 from PyPI, unmodified, asks `wam serve` as a process: the shipped model
answers what it would have answered here.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from testing.peers import free_port
from testing.policies import PANDA, observation
from wam_ros.core.policy import Request
from wam_ros.models import load_policy

pytestmark = pytest.mark.foreign
ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / os.environ.get("FOREIGN", ".venv-foreign") / "bin" / "python"
TALKS = Path(__file__).with_name("openpi_client_talks.py")
TOKEN = "secret-of-at-least-22-characters"


@pytest.fixture(params=["", TOKEN], ids=["this machine", "with a token"])
def server(request, tmp_path):
    """Port and token of `wam serve` with the shipped model."""
    port = free_port()
    argv = [sys.executable, "-m", "wam_ros.cli", "serve", "--port", str(port)]
    if request.param:
        file = tmp_path / "token"
        file.write_text(request.param)
        file.chmod(0o600)
        argv += ["--token-file", str(file)]
    process = subprocess.Popen(argv, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    until = time.monotonic() + 60
    while True:
        assert process.poll() is None
        assert time.monotonic() < until
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
            break
        except (urllib.error.URLError, OSError):
            continue
    yield port, request.param
    process.terminate()
    assert process.wait(30) == 0


def test_openpi_s_own_client_gets_the_model_s_chunks_bit_for_bit_and_errors_in_words(
    server, tmp_path
):
    assert PYTHON.exists(), "run `make foreign` first"
    port, token = server
    seen = [observation(k) for k in range(3)]
    looks = {
        f"observation/{v}": np.stack([s.frames[i] for s in seen])
        for i, v in enumerate(PANDA.view_names)
    }
    looks["observation/joint_position"] = np.stack([s.joints.positions for s in seen])
    np.savez(tmp_path / "looks.npz", k=np.arange(3), **looks)
    out = tmp_path / "out.npz"
    argv = [str(PYTHON), str(TALKS), str(port), token, str(tmp_path / "looks.npz"), str(out)]
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

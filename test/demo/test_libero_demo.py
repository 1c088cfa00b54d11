"""`wam demo` on LIBERO's tasks; test/foreign/test_libero.py runs it where LIBERO is installed."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("libero")
pytest.importorskip("torch")

from testing.libero import untrained

pytestmark = [pytest.mark.foreign, pytest.mark.ros]


@pytest.mark.parametrize("task", ["libero_object/3", "libero_spatial/0"])
def test_the_model_moves_libero_s_arm_through_all_nodes_and_nothing_is_exceeded(tmp_path, task):
    """On the floor and at a table, of which the filter knows each."""
    file = tmp_path / "demo.json"
    argv = [sys.executable, "-m", "wam_ros.cli", "demo", "--headless", "--json", str(file)]
    argv += ["--embodiment", "libero_panda", "--task", task, "--seed", "900000"]
    argv += ["--model", "libero", "--checkpoint", str(untrained(tmp_path))]
    argv += ["--episodes", "1", "--time-limit", "1.5", "--logs", str(tmp_path / "logs")]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    found = json.loads(file.read_text())
    (episode,) = found["episodes"]
    assert found["completed"]
    assert found["settings"]["running_model"] == "libero"
    assert (episode["outcome"], episode["stops"], episode["violations"]) == ("no grasp", {}, {})
    assert set(episode["decisions"]) == {"pass"}
    assert episode["chunks"] >= 3

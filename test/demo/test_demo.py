"""`wam demo` with its real processes: what it writes, says and returns."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("torch")
pytest.importorskip("mujoco")
psutil = pytest.importorskip("psutil")

from wam_ros.core.resources import share_dir  # noqa: E402
from wam_ros.demo.domain import hold_domain  # noqa: E402
from wam_ros.ros.link import Link  # noqa: E402

pytestmark = pytest.mark.ros
PATIENCE_S = 240.0
# of the simulated servo behind its command, and of a report behind the trajectory that it tells of
LAG_S = 0.3


@pytest.fixture
def start(tmp_path):
    """Starts `wam demo` in a folder of its own, and ends whatever is left of it."""
    started = []

    def run(*words):
        argv = [
            sys.executable,
            "-m",
            "wam_ros.cli",
            "demo",
            "--headless",
            "--logs",
            str(tmp_path / "logs"),
            *words,
        ]
        env = os.environ | {"PYTHONPATH": str(share_dir())}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(argv, cwd=tmp_path, env=env, **pipes))
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_a_run_that_completes_returns_0_and_writes_all_that_it_promised(start, tmp_path):
    files = {"--json": "run.json", "--strip": "run.png", "--record": "run.mp4"}
    demo = start(
        "--episodes",
        "1",
        "--seed",
        "1003",
        "--time-limit",
        "3",
        *(word for pair in files.items() for word in pair),
    )
    out, err = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 0, err
    result = json.loads((tmp_path / "run.json").read_text())
    assert result["completed"]
    (episode,) = result["episodes"]
    assert episode["seed"] == 1003
    assert episode["instruction"] in out
    assert {"success", "wrong", "steps", "stops", "violations"} <= set(episode)
    assert episode["chunks"] > 0
    assert result["summary"]["chunk_rate_hz"] > 0
    assert all((tmp_path / name).stat().st_size > 1000 for name in files.values())


@pytest.mark.long
def test_what_comes_of_a_seed_is_the_same_beside_four_busy_loops(start, tmp_path):
    found = []
    busy = []
    try:
        for name in ("quiet.json", "busy.json"):
            demo = start("--episodes", "3", "--json", name)
            _, err = demo.communicate(timeout=2 * PATIENCE_S)
            assert demo.returncode == 0, err
            found.append(json.loads((tmp_path / name).read_text()))
            busy += [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    finally:
        for loop in busy:
            loop.kill()
            loop.wait()
    # The demo listens beside the loop: a chunk that is under way at the end is counted or not.
    outcomes = [
        [{k: v for k, v in e.items() if k not in ("chunks", "decisions")} for e in run["episodes"]]
        for run in found
    ]
    assert outcomes[0] == outcomes[1]
    assert found[0]["imagination"] == found[1]["imagination"], "not the last pixel differs"


def test_a_truncated_checkpoint_ends_it_with_one_line_before_anything_moves(start, tmp_path):
    whole = (share_dir() / "weights" / "tiny.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    demo = start("--checkpoint", "cut.safetensors")
    _, said = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 2
    assert re.fullmatch(
        r"wam: inference_node: checkpoint '.*cut\.safetensors' is not a whole safetensors file.*\n",
        said,
    )
    assert "armed" not in (tmp_path / "logs" / "safety_node.log").read_text()


def wait_for_motion(demo, domain_id):
    """Return while the arm follows the model: it is fast, and safety has promised a time to
    rest.
    """
    promises, deadline = [0.0], time.monotonic() + PATIENCE_S
    watch = Link(
        "watch", {"safety_report": lambda report, _: promises.append(report.stop_time_s)}, domain_id
    )
    try:
        while (watch.joint_speed() or 0.0) < 0.2 or promises[-1] < 0.2:
            watch.spin(0.05)
            assert demo.poll() is None
            assert time.monotonic() < deadline
    finally:
        watch.close()


@pytest.mark.parametrize(
    "killed",
    [
        pytest.param("camera_node", marks=pytest.mark.long),
        pytest.param("inference_node", marks=pytest.mark.long),
        "safety_node",
        pytest.param("bridge_node", marks=pytest.mark.long),
        "",
    ],
    ids=lambda name: name or "Ctrl-C",
)
def test_ended_in_motion_the_arm_comes_to_rest_and_no_process_is_left(start, tmp_path, killed):
    code, told = 130, "^$"
    if killed:
        code, told = (
            1,
            rf"^wam demo: {killed} was killed by SIGKILL; last lines of .*{killed}\.log:\n",
        )
    domain_id = hold_domain()
    demo = start("--episodes", "9", "--json", "run.json", "--domain-id", str(domain_id))
    wait_for_motion(demo, domain_id)
    processes = psutil.Process(demo.pid).children()
    children = {
        next(w for w in p.cmdline() if w.startswith("wam_ros.nodes.")): p for p in processes
    }
    if killed:
        children[f"wam_ros.nodes.{killed}"].kill()
    else:
        demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == code
    assert re.search(told, err)
    rest = re.search(r"arm at rest after ([\d.]+) s \(safety reported ([\d.]+) s\)", out)
    took_s, promised_s = map(float, rest.groups())
    assert 0 < took_s < promised_s + LAG_S
    assert not any(c.is_running() for c in children.values())
    result = json.loads((tmp_path / "run.json").read_text())
    assert not result["completed"]
    assert result["failure"]


@pytest.mark.long
@pytest.mark.parametrize("robot", ["so101", "ur5e", "bimanual", "bimanual_yam", "agibot_g1"])
def test_a_robot_without_a_model_reaches_its_markers_by_the_script(start, tmp_path, robot):
    words = ("--embodiment", robot, "--episodes", "2", "--json", "run.json")
    demo = start(*words, "--rate", "0.5", "--time-limit", "8")
    out, err = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 0, err
    assert f"no model is shipped for '{robot}'" in out
    result = json.loads((tmp_path / "run.json").read_text())
    assert result["settings"]["running_model"] == "reach: a script, no model"
    for episode in result["episodes"]:
        assert episode["outcome"] == "success" and episode["violations"] == {}

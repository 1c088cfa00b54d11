"""How the workers of `make test` share the machine, seen in a small suite with our conftest."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("xdist")
pytest.importorskip("rclpy")

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = """
[pytest]
addopts = --import-mode=importlib
markers =
    ros:
    untimed:
    gpu:
    flaky:
"""
# Every test leaves a word while it runs, and one for good that it began.
SHARED = """
import contextlib, pathlib, time, pytest
WORDS = pathlib.Path(__file__).parent / "words"

@contextlib.contextmanager
def running(name):
    for word in ("began", "runs"):
        (WORDS / f"{word} {name}").touch()
    try:
        yield
    finally:
        (WORDS / f"runs {name}").unlink()

def others(*own):
    return {path.name for path in WORDS.glob("runs *")} - {f"runs {name}" for name in own}

def comes(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        pass
    return condition()
"""
BESIDE = """
def test_runs_beside_the_other():
    with running("{name}"):
        assert comes(lambda: (WORDS / "began {other}").exists(), 30.0)

def test_nothing_that_needs_the_machine_runs_meanwhile():
    with running("{name}"):
        assert not comes(lambda: [*WORDS.glob("runs alone*")], {seconds})
"""
UNTIMED = "pytestmark = [pytest.mark.ros, pytest.mark.untimed]"
ALONE = """
@pytest.fixture(scope="module")
def node():
    with running("node {name}"):
        yield

@pytest.mark.{name}
@pytest.mark.parametrize("k", range(2))
def test_runs_alone(node, k):
    with running("alone {name}"):
        assert not comes(lambda: others("node {name}", "alone {name}"), 0.1)
"""
FILES = {
    "test_a_gpu.py": ALONE.format(name="gpu"),
    "test_b_ros.py": ALONE.format(name="ros"),
    "test_c.py": UNTIMED + BESIDE.format(name="c", other="d", seconds=0.3),
    "test_d.py": BESIDE.format(name="d", other="c", seconds=0.0),
}


def test_ordinary_files_run_beside_each_other_and_what_needs_the_machine_after_them_and_alone(
    tmp_path,
):
    (tmp_path / "words").mkdir()
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    shutil.copy(ROOT / "test" / "conftest.py", tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(SHARED + text)
    asked = re.search(r"^PYTEST = \S+python (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    path = os.pathsep.join((str(ROOT), *sys.path))
    done = subprocess.run(
        [sys.executable, *asked[1].split(), "-p", "xdist", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "8 passed" in done.stdout

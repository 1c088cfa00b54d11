"""LIBERO, unmodified, is a robot of ours: the tests of its world are run where it is installed."""

import os
import subprocess

import pytest

from testing.foreign import ROOT, program

pytestmark = pytest.mark.foreign
TESTS = (
    "test/sim/test_libero_world.py",
    "test/train/test_libero_eval.py",
    "test/ros/sim_node/test_libero.py",
    "test/demo/test_libero_demo.py",
)


def test_what_holds_of_libero_s_world_holds():
    argv = [program("libero"), "-m", "pytest", "-q", "-m", "foreign", *TESTS]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=1500)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]

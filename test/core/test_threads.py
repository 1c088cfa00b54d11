import os
import subprocess
import sys

import pytest

NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
COUNT = """
import contextlib, os
with contextlib.suppress(SystemExit):
    {first}
import numpy as np
np.ones((600, 600)) @ np.ones((600, 600))
print(len(os.listdir("/proc/self/task")), *(os.environ[n] for n in {names}))
"""


def threads_after(first, **chosen):
    env = {k: v for k, v in os.environ.items() if k not in NAMES} | chosen
    script = COUNT.format(first=first, names=NAMES)
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1].split()


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="threads are counted as Linux tells them"
)
@pytest.mark.parametrize(
    "first", ["import wam_ros.nodes", "import wam_ros.cli as c; c.main(['safety', '--help'])"]
)
def test_numpy_multiplies_in_the_thread_of_the_node_or_of_the_command(first):
    assert threads_after(first) == ["1", "1", "1", "1"]


def test_what_the_person_chose_stays():
    assert threads_after("import wam_ros.nodes", OMP_NUM_THREADS="3")[1:] == ["3", "1", "1"]

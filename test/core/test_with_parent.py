import os
import signal
import subprocess
import sys
import time

import pytest

from wam_ros.core.with_parent import prefix

WAIT_S = 20.0
UP = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")


def running(pid):
    """Alive and not a zombie: an orphan may have nobody to collect it in a container."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_command_ends_with_the_process_that_started_it_however_that_one_ends(end):
    code = (
        "import os, signal, subprocess, sys\n"
        # a shell starts what it puts into the background with this one ignored
        "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "from wam_ros.core.with_parent import prefix\n"
        f"subprocess.Popen([*prefix(os.getpid()), sys.executable, '-c', {UP!r}])\n"
        "signal.pause()"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env) as parent:
        pid = int(parent.stdout.readline())
        assert running(pid)
        parent.send_signal(end)
        parent.wait()
    deadline = time.monotonic() + WAIT_S
    while running(pid):
        assert time.monotonic() < deadline, "the command goes on"


def test_a_command_whose_parent_is_gone_before_it_begins_does_not_begin():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    done = subprocess.run(
        [*prefix(gone.pid), sys.executable, "-c", "print('begun')"],
        stdout=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == -signal.SIGTERM
    assert done.stdout == b""


def test_what_the_command_is_told_and_how_it_ends_is_its_own():
    code = "import sys; print(*sys.argv[1:]); sys.exit(3)"
    done = subprocess.run(
        [*prefix(os.getpid()), sys.executable, "-c", code, "a b", "--ros-args"],
        stdout=subprocess.PIPE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, b"a b --ros-args\n")

import os
import signal
import subprocess
import sys
import time

import pytest

from wam_ros.demo.supervisor import Command, Death, Supervisor

WAIT_S = 20.0
FOREVER = "import signal, sys; print('up', flush=True); signal.pause()"
DEAF = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', "
    "flush=True)\nwhile True: signal.pause()"
)


def python(name, code):
    return Command(name, (sys.executable, "-c", code))


@pytest.fixture
def supervise(tmp_path):
    started = []

    def start(*commands):
        supervisor = Supervisor(commands, tmp_path, os.environ)
        started.append(supervisor)
        supervisor.start()
        return supervisor

    yield start
    for supervisor in started:
        supervisor.stop(0.0)


def poll(condition):
    """Busy polling with a deadline: the events are other processes' doings."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if value := condition():
            return value
    raise AssertionError("it did not happen")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_all_run_until_stopped_and_none_is_left(supervise):
    s = supervise(python("a", FOREVER), python("b", FOREVER))
    poll(lambda: s.tail("a") == ("up",) and s.tail("b") == ("up",))
    assert s.deaths() == []
    pids = [s.pid("a"), s.pid("b")]
    assert s.stop() == []
    assert not any(map(alive, pids))
    assert s.deaths() == []  # asked to end: nobody died


def test_one_that_exits_is_named_with_its_code_and_last_words(supervise):
    s = supervise(
        python("good", FOREVER),
        python("bad", "import sys; print('first'); print('why'); sys.exit(3)"),
    )
    (death,) = poll(s.deaths)
    assert (death.name, death.returncode, death.tail) == ("bad", 3, ("first", "why"))
    assert "bad" in death.cause
    assert "3" in death.cause
    assert death.error == "why"


def test_one_that_is_killed_is_named_with_the_signal_before_those_that_exited(supervise):
    s = supervise(python("quits", "import sys; sys.exit(1)"), python("victim", FOREVER))
    poll(lambda: s.tail("victim") == ("up",))
    poll(s.deaths)
    os.kill(s.pid("victim"), signal.SIGKILL)
    poll(lambda: len(s.deaths()) == 2)
    assert s.deaths()[0].cause == "victim was killed by SIGKILL"


def test_a_bus_error_hints_at_the_memory_that_processes_share():
    assert (
        Death("safety_node", -signal.SIGBUS, ()).cause
        == "safety_node was killed by SIGBUS (is /dev/shm full?)"
    )
    assert "shm" not in Death("safety_node", -signal.SIGSEGV, ()).cause


def test_one_that_ignores_the_request_is_killed(supervise):
    s = supervise(python("deaf", DEAF), python("polite", FOREVER))
    poll(lambda: s.tail("deaf") == ("up",) and s.tail("polite") == ("up",))
    pid = s.pid("deaf")
    assert s.stop(timeout_s=0.5) == ["deaf"]
    assert not alive(pid)


def test_the_tail_is_the_end_of_the_log(supervise):
    s = supervise(python("talker", "for k in range(100): print(k)"))
    poll(s.deaths)
    assert s.tail("talker", 3) == ("97", "98", "99")


def test_ctrl_c_in_the_terminal_does_not_reach_the_processes(supervise):
    s = supervise(python("a", FOREVER))
    assert os.getpgid(s.pid("a")) != os.getpgid(0)


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_processes_end_when_their_supervisor_is_killed(tmp_path):
    code = (
        "import os, pathlib, signal, sys\n"
        "from wam_ros.demo.supervisor import Command, Supervisor\n"
        f"command = Command('a', (sys.executable, '-c', {FOREVER!r}))\n"
        f"s = Supervisor([command], pathlib.Path({str(tmp_path)!r}), os.environ)\n"
        "s.start(); print(s.pid('a'), flush=True); signal.pause()"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env) as parent:
        pid = int(parent.stdout.readline())
        poll(lambda: (tmp_path / "a.log").read_text() == "up\n")
        parent.kill()
    poll(lambda: not running(pid))


def running(pid):
    """Alive and not a zombie: an orphan may have nobody to collect it in a container."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        (
            ("[INFO] [1.0] [inference_node]: loading", "[ERROR] [17.25] [x]: no such file", ""),
            "no such file",
        ),
        (
            (
                "[ERROR] [17.25] [x]: no such file",
                "[WARN] [18.0] [x]: bye",
                "a library says goodbye",
            ),
            "no such file",
        ),
        (("[FATAL] [view_node]: port 8080 cannot be used",), "port 8080 cannot be used"),
        (
            ("Traceback (most recent call last):", "ImportError: no module"),
            "ImportError: no module",
        ),
        ((), "x exited with code 1"),
    ],
)
def test_the_error_is_what_was_logged_last_as_one(tail, error):
    assert Death("x", 1, tail).error == error


def test_two_processes_of_one_name_are_refused(tmp_path):
    with pytest.raises(ValueError, match="differ"):
        Supervisor([python("a", ""), python("a", "")], tmp_path, {})

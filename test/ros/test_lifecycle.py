"""Nodes over real DDS: hooks fail loudly, clean-up leaves nothing behind, processes end cleanly."""

import ctypes
import os
import platform
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass

import pytest

pytest.importorskip("rclpy")

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Int32
from std_srvs.srv import Trigger

from wam_ros.core.errors import WamError
from wam_ros.ros import qos
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.params import param

from .conftest import DOMAIN

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)


@dataclass(frozen=True)
class CounterParams:
    fail: str = param(
        "", doc="hook that fails", choices=("", "configure", "activate", "deactivate", "cleanup")
    )
    user: bool = param(True, doc="whether the failure is the user's")


class Counter(WamNode):
    """Publishes 1, 2, 3 ... while active; fails where it is told to."""

    def __init__(self, **options):
        self.calls = []
        super().__init__("counter", CounterParams, **options)

    def _hook(self, name):
        self.calls.append(name)
        if self.params.fail == name:
            raise WamError(f"no {name} today") if self.params.user else ZeroDivisionError("a bug")

    def configure(self):
        self.count_pub = self.create_lifecycle_publisher(Int32, "count", qos.STATUS)
        self.plain_pub = self.create_publisher(Int32, "plain", qos.STATUS)
        self.create_subscription(Int32, "in", lambda m: None, qos.STATUS)
        self.create_service(Trigger, "~/ping", lambda q, r: r)
        self.create_timer(0.01, self._tick)
        self.n = 0
        self._hook("configure")

    def activate(self):
        self._hook("activate")

    def deactivate(self):
        self._hook("deactivate")

    def cleanup(self):
        self._hook("cleanup")

    def _tick(self):
        self.n += 1
        self.count_pub.publish(Int32(data=self.n))


def counted(node):
    return [
        len(list(getattr(node, k)))
        for k in ("publishers", "subscriptions", "services", "timers", "clients")
    ]


def state_of(arena):
    return arena.call(GetState, "counter/get_state").current_state.id


def change(arena, transition):
    return arena.call(
        ChangeState, "counter/change_state", transition=Transition(id=transition)
    ).success


def test_a_full_round_over_the_services_leaves_nothing_behind(arena):
    node = arena.make(Counter)
    heard = arena.listen(Int32, "count", qos.STATUS)
    before = counted(node)
    for _ in range(2):
        assert change(arena, Transition.TRANSITION_CONFIGURE)
        arena.until(lambda: node.n > 3)
        assert not node.active
        assert not heard  # an inactive node is silent
        assert change(arena, Transition.TRANSITION_ACTIVATE)
        assert node.active
        arena.until(lambda: len(heard) > 3)
        assert change(arena, Transition.TRANSITION_DEACTIVATE)
        assert not node.active
        heard.clear()
        assert change(arena, Transition.TRANSITION_CLEANUP)
        assert counted(node) == before
    assert node.calls == ["configure", "activate", "deactivate", "cleanup"] * 2
    assert state_of(arena) == State.PRIMARY_STATE_UNCONFIGURED


@pytest.mark.parametrize(("user", "result"), [(True, FAILURE), (False, ERROR)])
def test_a_failed_configure_says_why_cleans_up_and_can_be_repeated(arena, capfd, user, result):
    node = arena.make(Counter, fail="configure", user=user)
    before = counted(node)
    assert node.trigger_configure() == result
    said = capfd.readouterr().err
    assert (
        "no configure today" if user else "configure: ZeroDivisionError: a bug (test_lifecycle.py:"
    ) in said
    assert sum("[counter]" in line for line in said.splitlines()) == 1
    assert node.calls == ["configure", "cleanup"]
    assert counted(node) == before
    assert state_of(arena) == State.PRIMARY_STATE_UNCONFIGURED
    node.set_parameters([Parameter("fail", value="")])
    assert node.trigger_configure() == SUCCESS


@pytest.mark.parametrize(
    ("user", "result", "state"),
    [
        (True, FAILURE, State.PRIMARY_STATE_INACTIVE),
        (False, ERROR, State.PRIMARY_STATE_UNCONFIGURED),
    ],
)
def test_a_failed_activate_leaves_a_silent_node(arena, user, result, state):
    node = arena.make(Counter, fail="activate", user=user)
    heard = arena.listen(Int32, "count", qos.STATUS)
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == result
    assert not node.active
    assert state_of(arena) == state
    arena.spin(0.1)
    assert not heard


def test_shutdown_from_active_goes_through_every_hook(arena):
    node = arena.add(Counter)
    assert node.trigger_shutdown() == SUCCESS
    assert node.calls == ["configure", "activate", "deactivate", "cleanup"]


def test_rclpys_own_lists_cannot_be_overwritten(arena):
    node = arena.make(Counter)
    with pytest.raises(AttributeError, match="'_services' is rclpy's list"):
        node._services = {}


def test_parameters_are_locked_while_configured(arena):
    node = arena.add(Counter)
    assert not node.set_parameters([Parameter("fail", value="activate")])[0].successful


def test_an_incompatible_profile_is_reported_with_both_ends(arena, capfd):
    arena.add(Counter)
    arena.observer.create_publisher(
        Int32, "in", QoSProfile(depth=3, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    said = []

    def spoken():
        said.append(capfd.readouterr().err)
        return "no data will flow" in "".join(said)

    arena.until(spoken)
    line = next(line for line in "".join(said).splitlines() if "no data will flow" in line)
    assert "/in: observer offers 'best_effort volatile" in line
    assert "counter asks for 'reliable volatile" in line


PROGRAM = textwrap.dedent(
    """
    import os
    import signal
    import sys
    import threading
    from dataclasses import dataclass
    from pathlib import Path
    from std_msgs.msg import Int32
    from wam_ros.core.errors import WamError
    from wam_ros.ros import qos
    from wam_ros.ros.lifecycle import WamNode
    from wam_ros.ros.params import param
    from wam_ros.ros.running import run_node

    @dataclass(frozen=True)
    class Params:
        fail: str = param("", doc="where to fail")
        realtime_priority: int = param(0, doc="of its callbacks")

    class Talker(WamNode):
        def __init__(self):
            super().__init__("talker", Params)
        def configure(self):
            if self.params.fail == "configure":
                raise WamError("checkpoint 'x' does not exist")
            self.pub = self.create_publisher(Int32, "words", qos.STATUS)
            self.begin, self.went = threading.Event(), threading.Event()
            threading.Thread(target=self.say_and_go, daemon=True).start()
            self.create_timer(0.01, self.tick)
        def activate(self):
            print("active", flush=True)
        def tick(self):
            if self.params.fail == "tick":
                raise KeyError("lost")
            self.pub.publish(Int32(data=1))
            if self.params.realtime_priority and self.first:
                self.first = False
                self.say_scheduler()
                if self.params.fail == "deaf":
                    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGXCPU])
                    while True:
                        pass
                while self.params.fail == "pause" and os.sched_getparam(0).sched_priority:
                    pass
                threads = Path("/proc/self/task").iterdir()
                names = {int(t.name): (t / "comm").read_text() for t in threads}
                dds = {t: name for t, name in names.items() if name.startswith("dds.")}
                sends = [t for t, name in dds.items() if name.startswith("dds.asyn")]
                assert sends
                for some in (set(dds) - set(sends), sends):
                    print(*{os.sched_getparam(t).sched_priority for t in some}, flush=True)
                self.begin.set()
                self.went.wait()
                threading.Thread(target=self.say_scheduler).start()
        first = True
        def say_scheduler(self):
            policy, priority = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
            print(policy & ~os.SCHED_RESET_ON_FORK, priority, flush=True)
        def say_and_go(self):
            self.begin.wait()
            self.say_scheduler()
            self.went.set()
        def deactivate(self):
            self.pub.publish(Int32(data=99))

    run_node(Talker, sys.argv)
    # one that comes while Python ends does no harm
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    """
)


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--ros-args", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "ROS_DOMAIN_ID": str(DOMAIN)},
        **options,
    )


def drop_the_right_to_a_priority():
    # PR_CAPBSET_DROP of CAP_SYS_NICE: root without it, as in a container
    ctypes.CDLL(None).prctl(24, 23)


def may_have_a_priority():
    command = [
        sys.executable,
        "-c",
        "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
    ]
    return (
        sys.platform == "linux"
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )


@pytest.mark.parametrize("may", [True, False])
def test_a_node_gets_the_priority_it_asks_for_or_says_once_why_not(may):
    if may and not may_have_a_priority():
        pytest.skip("this user may not have real-time priorities")
    process = start(
        "-p", "realtime_priority:=7", preexec_fn=None if may else drop_the_right_to_a_priority
    )
    said = [process.stdout.readline() for _ in range(6)]
    process.terminate()
    _, err = process.communicate(timeout=10)
    ordinary = f"{os.SCHED_OTHER} 0\n"
    its_own = f"{os.SCHED_FIFO} 7\n" if may else ordinary
    # those of DDS go before, and the one that sends behind; a thread of its own has the same,
    # unless it is started later
    of_dds = ["8\n", "6\n"] if may else ["0\n", "0\n"]
    assert said == ["active\n", its_own, *of_dds, its_own, ordinary]
    assert err.count("no real-time priority") == (not may), err
    assert process.returncode == 0


def test_a_node_that_does_not_pause_loses_its_priority():
    if not may_have_a_priority():
        pytest.skip("this user may not have real-time priorities")
    process = start("-p", "realtime_priority:=7", "-p", "fail:=pause")
    said = [process.stdout.readline() for _ in range(6)]
    process.terminate()
    _, err = process.communicate(timeout=10)
    ordinary = f"{os.SCHED_OTHER} 0\n"
    assert said == ["active\n", f"{os.SCHED_FIFO} 7\n", "0\n", "0\n", ordinary, ordinary]
    assert "no pause for 0.5 s: the real-time priority is given up" in err
    assert process.returncode == 0


def test_a_node_that_does_not_even_hear_that_is_ended_by_the_system():
    if not may_have_a_priority():
        pytest.skip("this user may not have real-time priorities")
    process = start("-p", "realtime_priority:=7", "-p", "fail:=deaf")
    assert process.wait(timeout=60) == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_node_say_its_last_word_and_exits_with_0(arena, number):
    heard = arena.listen(Int32, "words", qos.STATUS)
    process = start()
    assert process.stdout.readline() == "active\n"
    arena.until(lambda: heard)
    process.send_signal(number)
    process.send_signal(signal.SIGINT)  # a terminal and `ros2 launch` both send one
    arena.until(lambda: heard[-1].data == 99)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 0, err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-p", "fail:=configure"], "checkpoint 'x' does not exist"),
        (["-p", "fial:=x"], "unknown parameter 'fial'. Did you mean 'fail'?"),
        (["-p", "fail:=tick"], "KeyError: 'lost'"),
    ],
)
def test_a_node_that_cannot_run_exits_with_1_and_one_line(arguments, line):
    process = start(*arguments)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert line in err
    assert len(err.strip().splitlines()) == 1, err
    assert "Traceback" not in err


def test_arguments_that_ros_cannot_read_are_named():
    process = start("-p", "broken")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "'-p broken'" in err.splitlines()[-1]


def test_a_node_that_hangs_ends_at_a_later_signal():
    program = textwrap.dedent(
        """
        import os, signal, time
        from wam_ros.ros import running
        stop = running.StopRequest()
        stop.PATIENCE_S = 0.05
        assert not stop.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
        end = time.monotonic() + 0.1
        while time.monotonic() < end:
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        """
    )
    assert (
        subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode
        == 128 + signal.SIGTERM
    )


def test_without_autostart_the_node_waits_for_its_transitions(arena):
    process = start("-p", "autostart:=false")
    try:
        assert (
            arena.call(GetState, "talker/get_state").current_state.id
            == State.PRIMARY_STATE_UNCONFIGURED
        )
        impossible = Transition(id=Transition.TRANSITION_ACTIVATE)
        client = arena.observer.create_client(ChangeState, "talker/change_state")
        arena.until(client.service_is_ready)
        client.call_async(ChangeState.Request(transition=impossible))
        configure = Transition(id=Transition.TRANSITION_CONFIGURE)
        assert arena.call(ChangeState, "talker/change_state", transition=configure).success
        assert (
            arena.call(GetState, "talker/get_state").current_state.id
            == State.PRIMARY_STATE_INACTIVE
        )
        assert process.poll() is None
    finally:
        process.terminate()
        process.communicate(timeout=10)
    assert process.returncode == 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_memory_in_which_images_came_is_used_again():
    program = textwrap.dedent(
        """
        import resource
        from wam_ros.ros.running import keep_memory

        def faults(rounds):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(rounds):
                # freed together, as a message and what became of it
                images = [bytearray(8 << 20) for _ in range(3)]
                del images
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        keep_memory()
        faults(2)
        print(faults(20))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) < 20 * 8 * 256 // 10  # pages

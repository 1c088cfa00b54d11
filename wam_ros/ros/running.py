"""How the process of a node runs: a priority where it asks for one, one executor, a clean end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.signals import SignalHandlerOptions

from wam_ros.ros.environment import ensure
from wam_ros.ros.lifecycle import SUCCESS, NodeParams, WamNode, one_line


class StopRequest:
    """Set by SIGINT or SIGTERM; one more, when the node had time to end and has not, ends the
    process at once.

    rclpy's own handlers invalidate the context first, and a node could not say its last words: here
    it can. The wait is because Ctrl-C in a terminal arrives twice, from the terminal and from `ros2
    launch`.
    """

    PATIENCE_S = 2.0

    def __init__(self) -> None:
        self._asked_s: float | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    @property
    def asked(self) -> bool:
        """Whether the process was told to end."""
        return self._asked_s is not None

    def _on_signal(self, number: int, frame: Any) -> None:
        now_s = time.monotonic()
        if self._asked_s is None:
            self._asked_s = now_s
        elif now_s - self._asked_s > self.PATIENCE_S:
            os._exit(128 + number)

    def close(self) -> None:
        """The work is done: a late Ctrl-C must not turn a clean end into a death while the
        interpreter winds up.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def run_node(cls: Callable[[], WamNode], args: list[str] | None = None) -> None:
    """Main function of a node: one node, one process, one single-threaded executor.

    Exits with code 1 and one line when the node cannot be made or started, or when a callback
    raises.
    """
    ensure()
    stop = StopRequest()
    name = getattr(cls, "__name__", "node")
    node: WamNode | None = None
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = cls()
        _start(node)
        _spin(node, stop)
    except ExternalShutdownException:
        pass
    except Exception as error:
        _fail(name if node is None else node.get_name(), error)
    finally:
        if node is not None and rclpy.ok():
            node.on_shutdown(None)
            node.destroy_node()
        rclpy.try_shutdown()
        stop.close()


def keep_memory() -> None:
    """Let the C library keep what is freed, for a process that takes in images.

    To give an image back to the kernel and to ask for the next one is 400 page faults for each of
    VGA size, a third of what the camera node does. Only glibc has this switch; another library does
    as it does.
    """
    # of malloc.h
    trim_threshold = -1
    mmap_threshold = -3
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, 32 << 20)
        libc.mallopt(trim_threshold, 256 << 20)


def _start(node: WamNode) -> None:
    if not node.params_of(NodeParams).autostart:
        return
    for what, trigger in (
        ("configure", node.trigger_configure),
        ("activate", node.trigger_activate),
    ):
        if trigger() != SUCCESS:
            raise SystemExit(1)  # the hook has said why
        node.get_logger().debug(f"{what}d")


class Priority:
    """The real-time priority of the thread of the callbacks, held while the node is active, where
    it asks for one. What that thread waits for must not wait behind what is ordinary, which can
    take a tenth of a second for a processor. So the other threads of Python hold the same one, for
    they hold the interpreter at times; they must pause often. Those of DDS by which everything
    comes hold the next higher one. The ones by which DDS sends in the background hold the next
    lower one: what they hold meanwhile all who send wait for, and while another thread holds it
    they ask again without a pause, behind which that thread would never come to its end.

    Threads that are started later stay ordinary. A node of which one of these threads does not
    pause for `GREED_S` loses it, also where a flood of messages is why: nothing else would run any
    more. One that cannot even hear that is killed after `DEADLOCK_S`: its silence stops the arm.
    """

    GREED_S = 0.5
    DEADLOCK_S = 3.0

    def __init__(self, node: WamNode) -> None:
        self._wanted = getattr(node.params, "realtime_priority", 0)
        self._logger = node.get_logger()
        self._held = False

    def hold(self, active: bool) -> None:
        """Take it or give it back; without the right to it, say so once."""
        if not self._wanted or active == self._held:
            return
        self._held = active
        try:
            signal.signal(signal.SIGXCPU, self._on_greed)
            _, most = resource.getrlimit(resource.RLIMIT_RTTIME)
            deadlock = round(self.DEADLOCK_S * 1e6)
            if most != resource.RLIM_INFINITY:
                deadlock = min(deadlock, most)
            greed = min(round(self.GREED_S * 1e6), deadlock)
            resource.setrlimit(resource.RLIMIT_RTTIME, (greed, deadlock))
            wanted = self._wanted if active else 0
            threads = {t.native_id: wanted for t in threading.enumerate() if t.native_id}
            if active:
                threads |= {t: wanted + step for t, step in _threads_of_dds().items()}
            else:
                threads |= dict.fromkeys(_threads_of_dds(), 0)
            for thread, priority in threads.items():
                with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                    _schedule(thread, priority)
        except (AttributeError, OSError, ValueError) as error:  # another system, or no right to it
            self._wanted = 0
            self._logger.warning(
                f"no real-time priority, callbacks may come late on a busy machine: {error}; "
                "allow rtprio in"
                " /etc/security/limits.conf, give the container CAP_SYS_NICE, or set "
                "realtime_priority to 0"
            )

    def _on_greed(self, number: int, frame: Any) -> None:
        self.hold(False)
        self._wanted = 0
        self._logger.error(f"no pause for {self.GREED_S:g} s: the real-time priority is given up")


def _schedule(thread: int, priority: int) -> None:
    """SCHED_FIFO with this priority for a thread of this process; ordinary with priority 0."""
    policy = os.SCHED_FIFO if priority else os.SCHED_OTHER
    os.sched_setscheduler(thread, policy | os.SCHED_RESET_ON_FORK, os.sched_param(priority))


def _threads_of_dds() -> dict[int, int]:
    """Those of this process that Fast DDS has started, by the names that it gives them, and whether
    they go before the callbacks, +1, or behind them, -1.
    """
    found = {}
    for folder in Path("/proc/self/task").glob("*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            name = (folder / "comm").read_text()
            if name.startswith("dds."):
                found[int(folder.name)] = -1 if name.startswith("dds.asyn") else 1
    return found


def _spin(node: WamNode, stop: StopRequest) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    priority = Priority(node)
    while not stop.asked and rclpy.ok():
        priority.hold(node.active)
        try:
            # a Python signal handler runs only between two waits
            executor.spin_once(timeout_sec=0.1)
        except rclpy_implementation.RCLError as error:
            # A request for a transition that is impossible in this state raises; it must not end
            # the node.
            if "transition" not in str(error):
                raise
            node.get_logger().error(one_line(error))


def _fail(name: str, error: BaseException) -> NoReturn:
    print(f"[FATAL] [{name}]: {one_line(error)}", file=sys.stderr, flush=True)
    raise SystemExit(1) from None

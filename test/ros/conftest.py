"""Nodes under test and an observer in one DDS domain of their own, spun without sleeping."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.resources import share_dir
from wam_ros.core.types import NS
from wam_ros.demo.domain import hold_domain

DEADLINE_S = 30.0
DOMAIN = hold_domain()  # another than the session's


class Arena:
    """One process's nodes in one executor, processes beside it, and everything the topics said.

    As a context it closes itself: for a fixture of a whole file, where to start the nodes takes
    longer than the tests. No test of that file may have one more: their nodes would meet.
    """

    def __init__(self, folder):
        import rclpy
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node

        self._rclpy, self._folder = rclpy, folder
        self.context = Context()
        rclpy.init(args=[], context=self.context, domain_id=DOMAIN)
        self.observer = Node("observer", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.observer)
        self.nodes, self.processes, self.heard = [], {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self.close()

    def add(self, cls, **parameters):
        """Start a node in this process; it must configure and activate."""
        from rclpy.lifecycle import TransitionCallbackReturn

        node = self.make(cls, **parameters)
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        return node

    def make(self, cls, **parameters):
        """A node in this process, unconfigured."""
        from rclpy.parameter import Parameter

        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = cls(context=self.context, parameter_overrides=overrides)
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def spawn(self, name, file=None, before=(), environment=None, **parameters):
        """Start a node in a process of its own, with its shipped parameter file; `file` runs
        instead of its module, `before` stands before the command, `environment` is added.
        """
        program = [str(file)] if file else ["-m", f"wam_ros.nodes.{name}"]
        argv = [*before, sys.executable, *program, "--ros-args", "--params-file"]
        argv.append(str(share_dir() / "config" / f"{name.removesuffix('_node')}.yaml"))
        for key, value in parameters.items():
            argv += ["-p", f"{key}:={str(value).lower() if isinstance(value, bool) else value}"]
        if (before := self.processes.get(name)) is not None:  # of a test that is run again
            before.kill()
            before.wait()
        log = (self._folder / f"{name}.log").open("w")
        environment = {
            **os.environ,
            "ROS_DOMAIN_ID": str(DOMAIN),
            "PYTHONPATH": os.pathsep.join(sys.path),
            **(environment or {}),
        }
        self.processes[name] = subprocess.Popen(
            argv, stdout=log, stderr=subprocess.STDOUT, env=environment
        )
        return self.processes[name]

    def log(self, name):
        """What a process has printed."""
        return (self._folder / f"{name}.log").read_text()

    def listen(self, kind, topic, qos):
        """Keep every message of a topic; returns the list that grows."""
        heard = self.heard[topic] = []
        self.observer.create_subscription(kind, topic, heard.append, qos)
        return heard

    def overhear(self, kind, topic, qos):
        """The same of what is sent to a controller, by a node that is not taken for one."""
        from rclpy.node import Node

        onlooker = Node("wam_onlooker", context=self.context)
        self.nodes.append(onlooker)
        self.executor.add_node(onlooker)
        heard = []
        onlooker.create_subscription(kind, topic, heard.append, qos)
        return heard

    def until(self, condition, each=lambda: None, seconds=DEADLINE_S):
        """Spin until the condition holds; fail when it does not in time."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "the condition did not come true in time"
            each()
            self.executor.spin_once(timeout_sec=0.01)

    def until_forwarding(self):
        """Spin until the bridge says that it forwards: that all others found each other does not
        mean that it has found the arm's controller.
        """
        from diagnostic_msgs.msg import DiagnosticStatus

        from wam_ros.ros import qos

        told = self.listen(DiagnosticStatus, "bridge_state", qos.LATCHED)
        self.until(lambda: told and told[-1].level == DiagnosticStatus.OK)

    def spin(self, seconds, each=lambda: None):
        """Spin for a while: to see that something does not happen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            each()
            self.executor.spin_once(timeout_sec=0.01)

    def call(self, kind, service, **fields):
        """Call a service and return its answer."""
        client = self.observer.create_client(kind, service)
        self.until(client.service_is_ready)
        future = client.call_async(kind.Request(**fields))
        self.until(future.done)
        self.observer.destroy_client(client)
        return future.result()

    def now_ns(self):
        """ROS time."""
        return self.observer.get_clock().now().nanoseconds

    def close(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
        self.executor.shutdown()
        for node in (*self.nodes, self.observer):
            node.destroy_node()
        self._rclpy.shutdown(context=self.context)


@pytest.fixture
def arena(tmp_path):
    """Nodes over real DDS; see `Arena`."""
    pytest.importorskip("rclpy")
    with Arena(tmp_path) as a:
        yield a


@pytest.fixture
def contract(tmp_path):
    """Path of a contract of a foreign policy: all joints of the Panda in one key, one camera."""
    file = tmp_path / "arm.yaml"
    joints = list(load_embodiment("panda").joint_names)
    data = {"name": "arm", "embodiment": "panda", "images": {"image": "front"}}
    data |= {"state": {"state": joints}, "action_joints": joints}
    file.write_text(yaml.safe_dump(data))
    return file


class Arm:
    """The simulated arm as the topics show it, and chunks for it."""

    def __init__(self, arena, joint_names):
        from rclpy.qos import QoSProfile
        from sensor_msgs.msg import JointState

        from wam_ros.ros import convert
        from wam_ros.ros.latest import Latest

        self.arena, self.joint_names, self._convert = arena, joint_names, convert
        self._states = arena.listen(JointState, "joint_states", QoSProfile(depth=500))
        self._latest, self._newest = Latest(arena.observer, JointState, "joint_states"), None
        self._seq = 0

    @property
    def state(self):
        """Newest measured joints, None before the first; on a busy machine older ones still wait to
        be listed.
        """
        self._newest = self._latest.take() or self._newest
        return (
            self._convert.joint_state_from_msg(self._newest, self.joint_names)
            if self._newest
            else None
        )

    def path(self):
        """(N, A) every measured position so far, and (N,) stamps in s."""
        newest = self.state.stamp_ns
        stamp = lambda m: self._convert.time_to_ns(m.header.stamp)  # noqa: E731
        self.arena.until(lambda: self._states and stamp(self._states[-1]) >= newest)
        states = [self._convert.joint_state_from_msg(m, self.joint_names) for m in self._states]
        return np.array([s.positions for s in states]), np.array([s.stamp_ns for s in states]) / 1e9

    def at_rest(self):
        """Whether the newest joint state shows no motion."""
        return self.state is not None and bool(np.abs(self.state.velocities).max() < 5e-3)

    def until_rest(self, seconds=DEADLINE_S):
        """Spin until the arm has stood for 0.3 s: `at_rest` is also the turn of a swing."""
        since_ns = None

        def stands():
            nonlocal since_ns
            if not self.at_rest():
                since_ns = None
                return False
            since_ns = since_ns or self.state.stamp_ns
            return self.state.stamp_ns - since_ns > 0.3 * NS

        self.arena.until(stands, seconds=seconds)

    def moving(self):
        """Whether a joint clearly moves."""
        return self.state is not None and bool(np.abs(self.state.velocities).max() > 0.05)

    def chunk(self, step, n_steps=8, **fields):
        """A chunk that moves every arm joint by `step` rad per 0.1 s from where it is measured,
        from now on.
        """
        from wam_ros.core.types import ActionChunk

        self._seq += 1
        towards = np.array([step] * 7 + [0.0])
        rows = self.state.positions + np.outer(np.arange(1, n_steps + 1), towards)
        values = {
            "anchor_ns": self.arena.now_ns(),
            "step_period_ns": 100_000_000,
            "joint_names": self.joint_names,
            "positions": rows,
            "session_id": bytes(range(16)),
            "seq": self._seq,
            "embodiment": "panda",
            "observation_ns": self.arena.now_ns(),
        }
        return ActionChunk(**{**values, **fields})


@pytest.fixture
def arm(arena):
    """The simulated Panda of the arena."""
    return Arm(arena, load_embodiment("panda").joint_names)

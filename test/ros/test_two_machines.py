"""The robot here, the model there: two network namespaces with a cable between them that is counted
and cut, once with DDS over it and once with the policy wire.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from testing.peers import free_port
from testing.second_machine import second_machine, why_no_second_machine

from .conftest import Arena
from .test_processes import OWN, Loop
from .test_remote_policy import RemoteLoop

pytestmark = [pytest.mark.ros, pytest.mark.long]
SERVER = Path(__file__).with_name("swing_server.py")
COUNTED_S = 5.0
PICTURE = 2 * 64 * 64 * 3  # bytes of an observation: two views


@pytest.fixture
def machine():
    if why := why_no_second_machine():
        pytest.skip(why)
    with second_machine() as found:
        yield found


class FarLoop(Loop):
    """The inference node runs on the other machine, and names this one; nodes here name nobody."""

    def __init__(self, arena, machine):
        self._machine = machine
        super().__init__(arena)

    def start(self, name):
        if name != "inference_node":
            super().start(name)
            return
        far = {
            "ROS_STATIC_PEERS": self._machine.here,
            # what two machines have between them: no shared memory
            "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4",
        }
        self.arena.spawn(
            name,
            Path(__file__).with_name("swing_node.py"),
            before=self._machine.prefix,
            environment=far,
            **OWN[name],
        )


def count(loop, machine, record_property):
    """Bytes a second from here and from there while the arm swings."""
    loop.until_moving()
    before = machine.sent()
    loop.arena.spin(COUNTED_S)
    here, there = ((b - a) / COUNTED_S for a, b in zip(before, machine.sent(), strict=True))
    record_property("bytes a second to the model, from the model", (here, there))
    print(f"to the model {here / 1e3:.0f} kB/s, from the model {there / 1e3:.0f} kB/s")
    assert here > 4 * PICTURE  # several observations a second came, and nothing beyond them
    assert here < 40 * PICTURE
    return here, there


def test_a_model_elsewhere_over_dds_moves_the_arm_and_a_cut_cable_ends_at_rest(
    tmp_path, machine, record_property
):
    arena = Arena(tmp_path)
    try:
        loop = FarLoop(arena, machine)
        count(loop, machine, record_property)
        since = arena.now_ns()
        machine.plug(False)
        arena.until(loop.arm.at_rest, seconds=20.0)
        loop.until_said("no new chunk", since)
        machine.plug(True)
        loop.until_moving()
        loop.require_no_leap(since)
    finally:
        arena.close()


@contextlib.contextmanager
def swing_server(machine, port):
    """On the other machine."""
    argv = [*machine.prefix, sys.executable, str(SERVER), machine.there, str(port)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(argv, env=environment)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_a_model_elsewhere_over_the_wire_moves_the_arm_and_a_cut_cable_ends_at_rest(
    tmp_path,
    machine,
    contract,
    record_property,
):
    port = free_port()
    arena = Arena(tmp_path)
    try:
        with swing_server(machine, port):
            loop = RemoteLoop(arena, f"{contract}@ws://{machine.there}:{port}")
            count(loop, machine, record_property)
            since = arena.now_ns()
            machine.plug(False)
            loop.arm.until_rest()
            loop.until_told("has not answered for 5 s")
            machine.plug(True)
            loop.until_moving()
            loop.require_no_leap(since)
    finally:
        arena.close()

"""A policy of another process, of openpi's wire, moves the simulated arm through every node; what
it lies or leaves out ends at rest and in words.
"""

import threading
import time

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from testing.openpi import openpi_server
from testing.policies import RememberingPolicy, served
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import NS, Decision
from wam_ros.msg import ActionChunk, WamStatus
from wam_ros.ros import qos

from .conftest import Arena
from .test_processes import OWN, Loop

pytestmark = pytest.mark.ros
PANDA = load_embodiment("panda")
SWING = np.array([0.3, 0.1, 0.2, 0, 0, 0, 0.2, 0])  # rad
AHEAD_S = PANDA.step_period_s * np.arange(1, PANDA.action_horizon + 1)


def swing(message):
    """Swings about home by the wall clock."""
    path = np.array(PANDA.home) + np.outer(np.sin(time.time() + AHEAD_S), SWING)
    return {"actions": path.astype(np.float32)}


class RemoteLoop(Loop):
    """The loop of the other tests with a model that is a server."""

    def __init__(self, arena, model, **parameters):
        self._more = {"model": model, **parameters}
        self._statuses = arena.listen(WamStatus, "wam_status", qos.STATUS)
        self._chunks = arena.listen(ActionChunk, "action_chunk", qos.CHUNK)
        super().__init__(arena)

    def start(self, name):
        more = self._more if name == "inference_node" else {}
        self.arena.spawn(name, **{**OWN[name], **more})

    def mode(self):
        """How the newest chunk follows the one before."""
        return self._chunks[-1].chunking_mode if self._chunks else None

    def until_told(self, words):
        """The inference node says in its status what is wrong."""
        try:
            self.arena.until(lambda: self._statuses and words in self._statuses[-1].error)
        except AssertionError as error:
            told = list(dict.fromkeys(status.error for status in self._statuses[-200:]))
            raise AssertionError(f"not told {words!r}, but {told}") from error


def test_anybody_s_server_moves_the_arm_and_whatever_becomes_of_it_ends_at_rest_and_in_words(
    tmp_path, contract
):
    with openpi_server(swing) as (server, port):
        arena = Arena(tmp_path)
        try:
            loop = RemoteLoop(arena, f"{contract}@ws://127.0.0.1:{port}")
            loop.until_moving()
            server.act = lambda message: {"actions": np.full((8, 8), np.nan)}
            loop.arm.until_rest()
            loop.until_told("have a nan for 'panda_joint1'")

            server.act = swing
            loop.until_moving()
            server.act = lambda message: {"actions": np.zeros((8, 6))}
            loop.arm.until_rest()
            loop.until_told("are (8, 6), expected (T, 8)")

            server.act = swing
            loop.until_moving()
            since = arena.now_ns()
            server.act = lambda message: {"actions": message["state"] + np.full((8, 8), 0.9)}
            loop.arm.until_rest()
            judged = [r.decision for r in loop.reports if r.stamp_ns > since + NS]
            assert {Decision.BRAKE, Decision.REJECT, Decision.TRUNCATED} & set(judged)
            loop.require_no_leap(since)

            server.act = swing
            loop.until_moving()
            since = arena.now_ns()
            # the joints of another order: nothing in the message says so
            server.act = lambda message: {"actions": np.roll(swing(message)["actions"], 1, axis=1)}
            loop.arm.until_rest()
            arena.until(
                lambda: any(
                    r.decision in (Decision.BRAKE, Decision.REJECT, Decision.TRUNCATED)
                    for r in loop.reports
                    if r.stamp_ns > since + NS
                )
            )
            loop.require_no_leap(since)

            server.act = swing
            loop.until_moving()
            server.metadata = "\x00"  # started anew as something else
            server.drop()
            loop.arm.until_rest()
            loop.until_told(f"policy server ws://127.0.0.1:{port}")
            server.metadata = {}
            loop.until_moving()
        finally:
            arena.close()


@pytest.mark.long
def test_a_server_that_is_late_freezes_or_is_killed_has_the_arm_at_rest_until_it_is_back(
    tmp_path, contract
):
    gate = threading.Event()
    gate.set()

    def frozen(message):
        gate.wait(60)
        return swing(message)

    def late(message):
        time.sleep(3.0)
        return swing(message)

    arena = Arena(tmp_path)
    try:
        with openpi_server(swing) as (server, port):
            loop = RemoteLoop(arena, f"{contract}@ws://127.0.0.1:{port}")
            loop.until_moving()
            since = arena.now_ns()
            server.act = late
            loop.arm.until_rest()
            loop.until_moving()  # by the answer to where it rests
            loop.arm.until_rest()
            server.act = swing
            loop.until_moving()

            server.act = frozen
            gate.clear()
            loop.arm.until_rest()
            loop.until_told("has not answered for 5 s")
            gate.set()
            loop.until_moving()
        loop.arm.until_rest()
        loop.until_told("cannot be reached")
        with openpi_server(swing, port=port):
            loop.until_moving()
        loop.require_no_leap(since)
    finally:
        gate.set()
        arena.close()


@pytest.mark.long
def test_with_no_future_that_is_good_enough_the_arm_comes_to_rest_and_that_is_told(
    tmp_path, contract
):
    zigzag = 0.02 * (-1.0) ** np.arange(8)[:, None]
    arena = Arena(tmp_path)
    try:
        with openpi_server(swing) as (server, port), served(RememberingPolicy()) as (_, predictor):
            pair = tmp_path / "pair.yaml"
            proposer = f"{contract}@ws://127.0.0.1:{port}"
            told = {"family": "proposals", "name": "pair", "proposer": proposer}
            pair.write_text(yaml.safe_dump(told | {"predictor": f"ws://127.0.0.1:{predictor}"}))
            judging = {"value": "smoothness", "least_value": -1e-3, "instruction": "go"}
            loop = RemoteLoop(arena, str(pair), **judging)
            loop.until_moving()
            server.act = lambda message: {"actions": swing(message)["actions"] + zigzag}
            loop.arm.until_rest()
            loop.until_told("none of 1 imagined futures is good enough")
            server.act = swing
            loop.until_moving()
    finally:
        arena.close()


@pytest.mark.long
def test_a_foreign_server_that_continues_plans_is_joined_without_a_seam(tmp_path, contract):
    told = yaml.safe_load(contract.read_text()) | {"plan": "plan", "committed": "committed"}
    contract.write_text(yaml.safe_dump(told))

    def continues(message):
        rows = swing(message)["actions"]
        n = message.get("committed", 0)
        rows[:n] = message["plan"][:n] if n else rows[:0]
        return {"actions": rows}

    arena = Arena(tmp_path)
    try:
        with openpi_server(continues) as (server, port):
            loop = RemoteLoop(arena, f"{contract}@ws://127.0.0.1:{port}")
            loop.until_moving()
            since = arena.now_ns()
            arena.until(lambda: loop.mode() == ActionChunk.CHUNKING_MODE_GUIDED)
            arena.spin(3.0)
            assert loop.mode() == ActionChunk.CHUNKING_MODE_GUIDED
            loop.require_no_leap(since)
            server.act = swing  # it was told, and goes its own way
            arena.until(lambda: loop.mode() == ActionChunk.CHUNKING_MODE_REPLACE)
    finally:
        arena.close()

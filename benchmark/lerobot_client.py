"""Run in LeRobot's environment by `benchmark.lerobot_async`: LeRobot's own `RobotClient`, told of
an arm that is simulated elsewhere. What it does is its own; what it did is written down.

The arm is told in degrees, as LeRobot's own arms are: its server leaves out what it is shown when
that differs by less than 1 from what it saw before, in the sum of all joints.
"""

import argparse
import json
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgpack
import numpy as np
from lerobot.async_inference.configs import RobotClientConfig
from lerobot.async_inference.robot_client import RobotClient
from lerobot.robots import Robot, RobotConfig

if __name__ == "__main__":
    # LeRobot finds a robot's class in the module of its configuration, which this one is not
    sys.path.insert(0, str(Path(__file__).parent))
    import lerobot_client

    sys.exit(lerobot_client.main())

DEGREES = 180 / np.pi
READY_S = 60.0


class Line:
    """Questions to the world, one after the other: a size in four bytes, then MessagePack."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def ask(self, **what):
        data = msgpack.packb(what)
        self._socket.sendall(struct.pack(">I", len(data)) + data)
        (size,) = struct.unpack(">I", self._file.read(4))
        return msgpack.unpackb(self._file.read(size))

    def close(self):
        self._file.close()
        self._socket.close()


@RobotConfig.register_subclass("world")
@dataclass(kw_only=True)
class WorldArmConfig(RobotConfig):
    """The arm of the world that listens on `port`."""

    port: int = 0
    joints: list[str] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    height: int = 0
    width: int = 0


class WorldArm(Robot):
    """One of LeRobot's robots."""

    config_class = WorldArmConfig
    name = "world"

    def __init__(self, config):
        super().__init__(config)
        self.config = config
        self.line = None
        self.image_ns = 0  # of the newest observation, by the world's clock
        self.seen_ns = 0  # of the one that the next action comes from

    @property
    def action_features(self):
        return {f"{joint}.pos": float for joint in self.config.joints}

    @property
    def observation_features(self):
        size = (self.config.height, self.config.width, 3)
        return self.action_features | dict.fromkeys(self.config.views, size)

    @property
    def is_connected(self):
        return self.line is not None

    def connect(self, calibrate=True):
        self.line = Line(self.config.port)

    @property
    def is_calibrated(self):
        return True

    def calibrate(self):
        pass

    def configure(self):
        pass

    def get_observation(self):
        found = self.line.ask(do="look")
        self.image_ns = found["stamp_ns"]
        size = (len(self.config.views), self.config.height, self.config.width, 3)
        frames = np.frombuffer(found["frames"], np.uint8).reshape(size)
        joints = {
            name: DEGREES * q for name, q in zip(self.action_features, found["q"], strict=True)
        }
        return joints | dict(zip(self.config.views, frames, strict=True))

    def send_action(self, action):
        q = [action[name] / DEGREES for name in self.action_features]
        self.line.ask(do="act", q=q, seen_ns=self.seen_ns)
        return action

    def disconnect(self):
        self.line.close()
        self.line = None


class Watched(RobotClient):
    """Writes down which observation an action comes from, and how far a new chunk is from the old
    one at the step that follows.
    """

    def __init__(self, config, arms):
        super().__init__(config)
        self.image_ns = {}  # by time stamp of an observation
        self.source_ns = {}  # by time stamp and step of an action
        self.sent = None
        self.arms = arms  # columns
        self.chunks = []

    def send_observation(self, obs):
        self.image_ns[obs.get_timestamp()] = self.robot.image_ns
        return super().send_observation(obs)

    def _aggregate_action_queues(self, incoming_actions, aggregate_fn=None):
        now_ns = time.monotonic_ns()
        seen_ns = self.image_ns[incoming_actions[0].get_timestamp()]
        for action in incoming_actions:
            self.source_ns[action.get_timestamp(), action.get_timestep()] = seen_ns
        before = {a.get_timestep(): a.get_action() for a in list(self.action_queue.queue)}
        latest = self.latest_action
        new = [a for a in incoming_actions if a.get_timestep() > latest]
        jump = None
        starved = not before and self.sent is not None
        if new:
            old = before.get(new[0].get_timestep(), self.sent if starved else None)
            if old is not None:
                apart = (new[0].get_action() - old).abs()[self.arms]
                jump = float(apart.max()) / DEGREES
        self.chunks.append({"now_ns": now_ns, "seen_ns": seen_ns, "jump": jump, "starved": starved})
        super()._aggregate_action_queues(incoming_actions, aggregate_fn)

    def control_loop_action(self, verbose=False):
        first = self.action_queue.queue[0]
        key = first.get_timestamp(), first.get_timestep()
        self.robot.seen_ns = self.source_ns[key]
        self.sent = first.get_action()
        return super().control_loop_action(verbose)


def episode(line, told, seed, seconds, until_success):
    """One episode; when it began and ended and what came of it."""
    config = WorldArmConfig(id="world", **told["arm"])
    line.ask(do="reset", seed=seed)
    client = Watched(RobotClientConfig(robot=config, **told["client"]), told["arms"])
    if not client.start():
        raise SystemExit("LeRobot's server does not answer")
    threads = [
        threading.Thread(target=client.receive_actions, daemon=True),
        threading.Thread(target=client.control_loop, args=(told["client"]["task"],), daemon=True),
    ]
    for thread in threads:
        thread.start()
    asked = time.monotonic()
    while not client.chunks:
        if time.monotonic() > asked + READY_S:
            raise SystemExit("no chunk came from LeRobot's server")
        time.sleep(0.005)
    began = time.monotonic()
    line.ask(do="began")
    state = {}
    while time.monotonic() - began < seconds:
        state = line.ask(do="state")
        if until_success and (state["success"] or state["wrong"]):
            break
        time.sleep(0.02)
    client.shutdown_event.set()
    threads[1].join()
    client.stop()
    threads[0].join(5)
    return {"seed": seed, **state, "s": time.monotonic() - began, "chunks": client.chunks}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--told", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    told = json.loads(args.told)
    line = Line(told["arm"]["port"])
    found = [
        episode(line, told, seed, told["seconds"], told["until_success"]) for seed in told["seeds"]
    ]
    Path(args.out).write_text(json.dumps(found))
    line.ask(do="end")

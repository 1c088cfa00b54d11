"""Policies without a network, and a server for them."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Abilities, PolicyOutput, Request
from wam_ros.core.types import Conditioning, JointState, Observation
from wam_ros.serve.access import Access
from wam_ros.serve.server import PolicyServer
from wam_ros.serve.service import PolicyService
from wam_ros.wire.contract import WireContract

PANDA = load_embodiment("panda")
PLAIN = Request()


def observation(seed: int = 0, stamp_ns: int = 0, robot: Embodiment = PANDA) -> Observation:
    """Noise in every view, joints near home."""
    rng = np.random.default_rng(seed)
    n = len(robot.joint_names)
    shape = (len(robot.cameras), robot.image_height, robot.image_width, 3)
    q = np.array(robot.home) + rng.normal(size=n) * 0.01
    return Observation(
        stamp_ns=stamp_ns,
        view_names=robot.view_names,
        frames=rng.integers(0, 256, shape, dtype=np.uint8),
        frame_stamps_ns=(stamp_ns,) * len(robot.cameras),
        joints=JointState(stamp_ns, robot.joint_names, q, np.zeros(n), np.zeros(n)),
    )


class RememberingPolicy:
    """Its chunk depends on every frame since the reset, their steps, the words and the plan."""

    name = "remembering"
    checkpoint_hash = "ab" * 8
    example_instruction = "go"
    abilities = Abilities(
        frame_stride=4,
        guided=True,
        action_conditioned=True,
        prefix=True,
        vocabulary=("go", "stop"),
    )

    def __init__(self, robot: Embodiment = PANDA) -> None:
        self.robot = robot
        self.gate = threading.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.seen: list[tuple[int | None, bool]] = []
        self.digest = 0
        self.passes: list[int] = []  # robots of each pass of several

    def another(self) -> RememberingPolicy:
        """One with a memory of its own behind the same gate."""
        other = RememberingPolicy(self.robot)
        other.gate = self.gate
        other.failure = self.failure
        return other

    def together(
        self, asked: list[tuple[RememberingPolicy, Observation, Request]]
    ) -> list[PolicyOutput | Exception | None]:
        """Each as alone."""
        self.passes.append(len(asked))
        found: list[PolicyOutput | Exception | None] = []
        for policy, seen, request in asked:
            try:
                found.append(policy.predict(seen, request))
            except Exception as error:
                found.append(error)
        return found

    def reset(self, instruction: str) -> None:
        """Knows only some words."""
        if not instruction.startswith(("go", "stop")):
            raise WamError(f"the model never learned '{instruction}'; known words: go, stop")
        self.digest = zlib.crc32(instruction.encode())
        self.seen = []

    def predict(self, seen: Observation, request: Request = PLAIN) -> PolicyOutput | None:
        """A chunk that nobody could guess."""
        assert self.gate.wait(20.0)
        if self.failure:
            raise self.failure
        self.digest = zlib.crc32(
            seen.frames.tobytes() + bytes(str(request.step), "ascii"), self.digest
        )
        self.seen.append((request.step, request.predict))
        if not request.predict:
            return None
        plan = b"" if request.plan is None else request.plan.tobytes()
        rng = np.random.default_rng(zlib.crc32(plan, self.digest + request.committed))
        wander = rng.normal(size=(self.robot.action_horizon, len(self.robot.joint_names)))
        positions = seen.joints.positions + np.cumsum(wander, 0) * 1e-3
        return PolicyOutput(
            positions=positions,
            frames=np.stack([seen.frames, 255 - seen.frames]),
            frame_offsets_ns=(400_000_000, 800_000_000),
            conditioning=Conditioning.REAL,
            evaluations=3,
            timing_s={"denoise": 0.001},
            committed=request.committed,
            guided=plan != b"",
        )


def free_socket(port: int = 0) -> socket.socket:
    """A listening socket of this machine, on a free port where none is named."""
    return socket.create_server(("127.0.0.1", port))


@contextlib.contextmanager
def served(
    policy: object,
    contracts: list[WireContract] | None = None,
    token: str = "",
    most_sessions: int = 8,
    idle_s: float = 60.0,
    robot: Embodiment = PANDA,
    load: Callable[[], None] = lambda: None,
    most_together: int = 1,
    listening: socket.socket | None = None,
) -> Iterator[tuple[PolicyServer, int]]:
    """A server of `policy`, and its port."""
    listening = listening or free_socket()
    port = listening.getsockname()[1]

    def service(say: Callable[[str], None]) -> PolicyService:
        say("loading 'it'")
        load()
        return PolicyService(
            policy=policy,  # type: ignore[arg-type]
            robot=robot,
            contracts=contracts or [],
            most_sessions=most_sessions,
            idle_s=idle_s,
            clock=time.monotonic,
            most_together=most_together,
        )

    server = PolicyServer(Access("127.0.0.1", token), listening, service)
    try:
        yield server, port
    finally:
        server.close()

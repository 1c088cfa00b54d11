"""Sessions of a robot that stands at zero, what they see and what a model answers."""

import numpy as np

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.latency import LatencyWindow
from wam_ros.core.policy import Abilities, PolicyOutput
from wam_ros.core.types import Conditioning, JointState, Observation
from wam_ros.runtime.engine import EngineResult, EngineStatus
from wam_ros.runtime.scheduler import InferenceScheduler
from wam_ros.runtime.session import InferenceSession

MS = 1_000_000
T0 = 1_000_000 * MS
PANDA = load_embodiment("panda")
IDLE = EngineStatus(epoch=1, instruction="red", error="", dropped=0, busy_s=0.0, alive=True)
SIDE = 16  # px of a frame
ABLE = Abilities(guided=True, ahead=(4, 8), frame_stride=4)


def make_session(latency: LatencyWindow, **asked) -> InferenceSession:
    """A session whose scheduler is made with `asked`."""
    scheduler = InferenceScheduler(PANDA, latency, **asked)
    return InferenceSession(PANDA, "tiny", "ab" * 8, bytes(range(16)), scheduler)


def session(warmup: int = 0) -> InferenceSession:
    return make_session(LatencyWindow(20, warmup))


def observation(ms: int, value: int = 0, speed: float = 0.0) -> Observation:
    n = len(PANDA.joint_names)
    joints = JointState(
        T0 + ms * MS, PANDA.joint_names, np.zeros(n), np.full(n, speed), np.full(n, np.nan)
    )
    return Observation(
        T0 + ms * MS,
        ("front", "wrist"),
        np.full((2, SIDE, SIDE, 3), value, np.uint8),
        (0, 0),
        joints,
    )


def result(ms: int, epoch: int = 1, imagined: int = 0) -> EngineResult:
    frames = np.stack([np.full((2, SIDE, SIDE, 3), imagined + k, np.uint8) for k in range(2)])
    timing = {"denoise": 0.0321}
    output = PolicyOutput(
        positions=np.full((8, len(PANDA.joint_names)), 0.5),
        frames=frames,
        frame_offsets_ns=(400 * MS, 800 * MS),
        conditioning=Conditioning.REAL,
        evaluations=3,
        timing_s=timing,
    )
    return EngineResult(observation(ms), "red", epoch, output, 0.05)


def slow() -> InferenceSession:
    s = session()
    # d = 6 of 8: the next chunk would come when this one is used up
    s.chunk(result(0), T0 + 600 * MS)
    return s


def able(latency_ms, chunking="auto", **kwargs) -> InferenceSession:
    window = LatencyWindow(20, 0)
    window.add(latency_ms / 1e3)
    given = {"execute_steps": 4, "abilities": ABLE, "chunking": chunking} | kwargs
    return make_session(window, **given)

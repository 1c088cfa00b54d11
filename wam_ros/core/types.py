"""What flows through the loop, as plain numpy.

SI units, radians, metres; stamps are integer nanoseconds of ROS time. Arrays are row-major and never shared
between threads after construction. A: joints of the chunk, T: chunk steps, V: camera views, F: imagined frames.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

NS = 1_000_000_000


class Conditioning(enum.IntEnum):
    """What the model's memory held when it predicted."""

    UNKNOWN = 0
    REAL = 1
    IMAGINED = 2
    MIXED = 3


class ControlMode(enum.IntEnum):
    """Meaning of `ActionChunk.positions`."""

    UNKNOWN = 0
    JOINT_POSITION = 1


class ChunkingMode(enum.IntEnum):
    """How a chunk was joined to the one before it."""

    UNKNOWN = 0
    REPLACE = 1
    SYNCHRONOUS = 2
    PREFIX = 3
    GUIDED = 4
    LOOKAHEAD = 5


class Decision(enum.IntEnum):
    """What the safety filter did with a chunk, in rising severity."""

    UNKNOWN = 0
    PASS = 1
    SCALED = 2
    TRUNCATED = 3
    BRAKE = 4
    REJECT = 5


class SafetyState(enum.IntEnum):
    """State of the safety node. FAULT and ESTOP latch until reset."""

    UNKNOWN = 0
    DISABLED = 1
    SHADOW = 2
    HOLD = 3
    ARMED = 4
    BRAKING = 5
    FAULT = 6
    ESTOP = 7


class Reason(enum.IntFlag):
    """Why a chunk was changed or refused, or the arm stopped; distinct bits."""

    NONE = 0
    SCHEMA = 1 << 0
    SHAPE = 1 << 1
    NONFINITE = 1 << 2
    SESSION = 1 << 3
    STALE = 1 << 4
    FUTURE = 1 << 5
    REORDER = 1 << 6
    POSITION = 1 << 7
    VELOCITY = 1 << 8
    ACCELERATION = 1 << 9
    JERK = 1 << 10
    TORQUE = 1 << 11
    SELF_COLLISION = 1 << 12
    ENV_COLLISION = 1 << 13
    WORKSPACE = 1 << 14
    TCP_SPEED = 1 << 15
    SINGULARITY = 1 << 16
    DISCONTINUITY = 1 << 17
    NO_BRAKE = 1 << 18
    WATCHDOG = 1 << 19
    OVERRUN = 1 << 20
    STATE_STALE = 1 << 21
    CAMERA_STALE = 1 << 22
    SURPRISE = 1 << 23
    ESTOP = 1 << 24

    def names(self) -> list[str]:
        """Names of the set bits, lowest first."""
        return [r.name.lower() for r in Reason if r and r in self and r.name]


@dataclass(frozen=True)
class JointState:
    """Measured joints at `stamp_ns`; unknown velocities or efforts are NaN."""

    stamp_ns: int
    joint_names: tuple[str, ...]
    positions: np.ndarray  # (A,) rad or m
    velocities: np.ndarray  # (A,) rad/s or m/s
    efforts: np.ndarray  # (A,) Nm or N


@dataclass(frozen=True)
class Observation:
    """One model frame: all views and joints aligned to one instant."""

    stamp_ns: int
    view_names: tuple[str, ...]
    frames: np.ndarray  # (V, H, W, 3) uint8 RGB
    frame_stamps_ns: tuple[int, ...]  # one per view
    joints: JointState
    age_ns: int = 0  # age of the oldest stream at `stamp_ns`


@dataclass(frozen=True)
class ActionChunk:
    """A candidate plan: step k is due at `anchor_ns + (k + 1) * step_period_ns`."""

    anchor_ns: int
    step_period_ns: int
    joint_names: tuple[str, ...]
    positions: np.ndarray  # (T, A) float64, absolute
    session_id: bytes = bytes(16)
    seq: int = 0
    epoch: int = 0
    embodiment: str = ""
    model: str = ""
    checkpoint_hash: str = ""
    instruction: str = ""
    observation_ns: int = 0
    conditioning: Conditioning = Conditioning.REAL
    control_mode: ControlMode = ControlMode.JOINT_POSITION
    velocities: np.ndarray | None = None  # (T, A)
    efforts: np.ndarray | None = None  # (T, A)
    committed_steps: int = 0
    chunking_mode: ChunkingMode = ChunkingMode.REPLACE
    valid_until_ns: int = 0
    inference_s: float = 0.0
    denoise_evaluations: int = 0
    value: float = float("nan")
    trace_id: int = 0
    schema_version: int = 1

    @property
    def n_steps(self) -> int:
        """T, the number of steps."""
        return self.positions.shape[0]


@dataclass(frozen=True)
class ImaginedFuture:
    """Frames the model expects, each for an instant; `surprise` is filled once the instant has passed."""

    chunk_seq: int
    view_names: tuple[str, ...]
    frames: np.ndarray  # (F, V, H, W, 3) uint8 RGB
    instants_ns: tuple[int, ...]  # (F,)
    joint_names: tuple[str, ...]
    joint_path: np.ndarray  # (T, A) rad or m
    surprise: float = float("nan")  # mean squared error in [0, 1]^2 of the newest frame whose instant passed


@dataclass(frozen=True)
class SafeTrajectory:
    """A proven trajectory: every sample is checked and the last one is at rest."""

    start_ns: int
    joint_names: tuple[str, ...]
    t: np.ndarray  # (N,) s after start_ns, strictly rising, t[0] = 0
    q: np.ndarray  # (N, A) rad or m
    dq: np.ndarray  # (N, A)
    ddq: np.ndarray  # (N, A)
    chunk_seq: int = 0

    @property
    def duration_s(self) -> float:
        """Time from start to rest."""
        return float(self.t[-1])


@dataclass(frozen=True)
class SafetyReport:
    """What happened to one chunk, or why the arm stopped, with the first offender in words and units."""

    stamp_ns: int
    chunk_seq: int
    state: SafetyState
    decision: Decision
    reasons: Reason = Reason.NONE
    scale: float = 1.0  # time scale, >= 1 slows
    steps_accepted: int = 0
    steps_total: int = 0
    first_joint: str = ""
    first_step: int = -1
    measured: float = float("nan")
    allowed: float = float("nan")
    unit: str = ""
    nearest_pair: tuple[str, str] = ("", "")
    nearest_distance: float = float("nan")  # m
    stop_time_s: float = 0.0  # time from now to rest if nothing more arrives
    compute_s: float = 0.0
    sentence: str = ""


class Forwarding(enum.IntEnum):
    """Whether the bridge forwards; the values are the levels of diagnostics: OK, WARN, ERROR, STALE."""

    FORWARDING = 0
    PAUSED = 1  # a person wants it so
    HELD_BACK = 2
    UNHEARD = 3  # it does not hear the safety node


@dataclass(frozen=True)
class BridgeState:
    """What the bridge says of itself, at every change and a few times per second."""

    forwarding: Forwarding
    words: str  # the same in a sentence, with what ends it
    error: str = ""  # newest refusal or failure; empty after a trajectory that passed


@dataclass(frozen=True)
class WamStatus:
    """Health of the inference side, published at a few hertz."""

    stamp_ns: int
    session_id: bytes
    model: str
    instruction: str
    mode: ChunkingMode
    latency_last_s: float = 0.0
    latency_p50_s: float = 0.0
    latency_p95_s: float = 0.0
    delay_steps: int = 0
    execute_steps: int = 0
    horizon_steps: int = 0
    feasible: bool = False
    slack_s: float = 0.0
    underruns: int = 0
    chunks: int = 0
    dropped: int = 0
    error: str = ""

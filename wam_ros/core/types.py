"""What flows through the loop, as plain numpy.

SI units, radians, metres; stamps are integer nanoseconds of ROS time. Arrays are row-major and
never shared between threads after construction. A: joints of the chunk, T: chunk steps, V: camera
views, F: imagined frames.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import overload

import numpy as np

from wam_ros.core.errors import WamError

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
    JOINT_POSITION = 1  # absolute, rad or m


class ChunkingMode(enum.IntEnum):
    """How a chunk was joined to the one before it."""

    UNKNOWN = 0
    REPLACE = 1  # predicted as if there were none before
    SYNCHRONOUS = 2  # execute, stop, think
    PREFIX = 3  # continues committed steps, as the model was trained to
    GUIDED = 4  # drawn towards the running plan while it was denoised
    LOOKAHEAD = 5  # begins from a frame that was imagined


class Decision(enum.IntEnum):
    """What the safety filter did with a chunk, in rising severity."""

    UNKNOWN = 0
    PASS = 1  # executed as proposed
    SCALED = 2  # the same path, slower
    TRUNCATED = 3  # its first steps, then a proven stop
    BRAKE = 4  # none of its steps: a proven stop from where the arm is
    REJECT = 5  # ignored: what runs goes on to its end at rest


class SafetyState(enum.IntEnum):
    """State of the safety node. FAULT and ESTOP latch until reset."""

    UNKNOWN = 0
    DISABLED = 1  # the node is not active
    SHADOW = 2  # everything is computed, nothing moves: a dry run, or no joint state yet
    HOLD = 3  # stands still until a person arms
    ARMED = 4  # chunks move the arm
    BRAKING = 5  # a proven stop plays
    FAULT = 6
    ESTOP = 7


class Reason(enum.IntFlag):
    """Why a chunk was changed or refused, or the arm stopped; distinct bits."""

    NONE = 0
    SCHEMA = 1 << 0  # another version, robot, mode, joints or step period than this filter reads
    SHAPE = 1 << 1  # arrays of the wrong size or type
    NONFINITE = 1 << 2
    SESSION = 1 << 3  # of another session than the one that was armed
    STALE = 1 << 4  # anchored too long ago, or no step is left
    FUTURE = 1 << 5  # anchored in the future
    REORDER = 1 << 6  # not newer than the one before
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
    DISCONTINUITY = 1 << 17  # begins too far from what is commanded
    NO_BRAKE = 1 << 18  # no stop from there is proven
    WATCHDOG = 1 << 19  # something that must keep coming did not, or the arm left its path
    OVERRUN = 1 << 20  # the check took too long
    STATE_STALE = 1 << 21  # no recent joint state
    CAMERA_STALE = 1 << 22  # no recent observation
    SURPRISE = 1 << 23  # what came differs from what was imagined
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

    def only(self, names: Sequence[str]) -> JointState:
        """What it says of some of its joints, in their order."""
        columns = [self.joint_names.index(n) for n in names]
        arrays = (a[columns] for a in (self.positions, self.velocities, self.efforts))
        return JointState(self.stamp_ns, tuple(names), *arrays)

    def beside(self, standing: Mapping[str, float]) -> JointState:
        """The same, followed by joints that stand at a place [rad or m]."""
        n = len(standing)
        return JointState(
            self.stamp_ns,
            (*self.joint_names, *standing),
            np.append(self.positions, list(standing.values())),
            np.append(self.velocities, np.zeros(n)),
            np.append(self.efforts, np.full(n, np.nan)),
        )


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
    """What a policy proposes: step k is due at `anchor_ns + (k + 1) * step_period_ns`."""

    anchor_ns: int
    step_period_ns: int
    joint_names: tuple[str, ...]
    positions: np.ndarray  # (T, A) float64, absolute rad or m
    session_id: bytes = bytes(16)  # UUID of the inference session
    seq: int = 0  # counts the chunks of a session
    epoch: int = 0  # raised by a reset or a new instruction; chunks of older ones are void
    embodiment: str = ""  # the robot it is for; empty: not said
    model: str = ""
    checkpoint_hash: str = ""  # hex digest of the weights
    instruction: str = ""
    observation_ns: int = 0  # stamp of the newest observation used; 0: not said
    conditioning: Conditioning = Conditioning.REAL
    control_mode: ControlMode = ControlMode.JOINT_POSITION
    velocities: np.ndarray | None = None  # (T, A) rad/s or m/s
    efforts: np.ndarray | None = None  # (T, A) Nm or N
    committed_steps: int = 0  # leading steps that equal the chunk before
    chunking_mode: ChunkingMode = ChunkingMode.REPLACE
    valid_until_ns: int = 0  # lifetime in transport; it does not shorten execution; 0: none
    inference_s: float = 0.0  # from observation to chunk
    denoise_evaluations: int = 0  # passes of the network
    value: float = float("nan")  # score among candidates; NaN: not scored
    trace_id: int = 0  # ties the chunk to its observation in traces; 0: none
    schema_version: int = 1

    @property
    def n_steps(self) -> int:
        """T, the number of steps."""
        return self.positions.shape[0]


@dataclass(frozen=True)
class ImaginedFuture:
    """Frames the model expects, each for an instant."""

    chunk_seq: int
    view_names: tuple[str, ...]
    frames: np.ndarray  # (F, V, H, W, 3) uint8 RGB
    instants_ns: tuple[int, ...]  # (F,)
    joint_names: tuple[str, ...]
    joint_path: np.ndarray  # (T, A) rad or m
    # the largest of all observations since the chunk before; 1 is the most that calm runs show
    # (core/appraisal.py)
    surprise: float = float("nan")


@dataclass(frozen=True)
class Candidates:
    """Chunks that were predicted beside one and not chosen: to be looked at, never executed."""

    anchor_ns: int  # of the chunk that was chosen
    step_period_ns: int
    joint_names: tuple[str, ...]
    positions: tuple[np.ndarray, ...]  # each (T, A) absolute rad or m, as those of a chunk


@dataclass(frozen=True, eq=False)
class KinematicState:
    """Position, velocity and acceleration of all joints at one instant: a row of a `MotionTable`.

    Differences and sums are of all three.
    """

    q: np.ndarray  # (A,) rad or m
    dq: np.ndarray  # (A,) rad/s or m/s
    ddq: np.ndarray  # (A,) rad/s^2 or m/s^2

    @classmethod
    def at_rest(cls, q: np.ndarray) -> KinematicState:
        """Standing at q (A,)."""
        return cls(np.array(q, dtype=float), np.zeros(len(q)), np.zeros(len(q)))

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(q, dq, ddq)."""
        return self.q, self.dq, self.ddq

    @property
    def finite(self) -> bool:
        """Whether every number is."""
        return all(np.isfinite(a).all() for a in self.arrays)

    def copy(self) -> KinematicState:
        """The same in arrays of its own."""
        return KinematicState(self.q.copy(), self.dq.copy(), self.ddq.copy())

    def __add__(self, other: KinematicState) -> KinematicState:
        return KinematicState(self.q + other.q, self.dq + other.dq, self.ddq + other.ddq)

    def __sub__(self, other: KinematicState) -> KinematicState:
        return KinematicState(self.q - other.q, self.dq - other.dq, self.ddq - other.ddq)


@dataclass(frozen=True, eq=False)
class MotionTable:
    """Position, velocity and acceleration of all joints, one row for each of N instants.

    `table[k]` is the state in a row, `table[a:b]` and `table[rows]` are tables of some rows,
    whatever else the table knows of them.

    Raises:
        WamError: the three are not of one size.
    """

    q: np.ndarray  # (N, A) rad or m
    dq: np.ndarray  # (N, A) rad/s or m/s
    ddq: np.ndarray  # (N, A) rad/s^2 or m/s^2

    def __post_init__(self) -> None:
        if self.q.ndim != 2 or not self.q.shape == self.dq.shape == self.ddq.shape:
            sizes = ", ".join(f"{a.shape}" for a in self.arrays)
            raise WamError(f"q, dq and ddq of a motion must be of one size (N, A), found {sizes}")

    @classmethod
    def of(cls, states: Sequence[KinematicState]) -> MotionTable:
        """The table with these rows, one or more."""
        return MotionTable(
            np.stack([s.q for s in states]),
            np.stack([s.dq for s in states]),
            np.stack([s.ddq for s in states]),
        )

    @classmethod
    def joined(cls, tables: Sequence[MotionTable]) -> MotionTable:
        """The rows of all of these, one or more, one after another."""
        return MotionTable(
            np.concatenate([t.q for t in tables]),
            np.concatenate([t.dq for t in tables]),
            np.concatenate([t.ddq for t in tables]),
        )

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(q, dq, ddq)."""
        return self.q, self.dq, self.ddq

    @property
    def finite(self) -> bool:
        """Whether every number is."""
        return all(np.isfinite(a).all() for a in self.arrays)

    def __len__(self) -> int:
        return len(self.q)

    @overload
    def __getitem__(self, rows: int) -> KinematicState: ...

    @overload
    def __getitem__(self, rows: slice | np.ndarray) -> MotionTable: ...

    def __getitem__(self, rows: int | slice | np.ndarray) -> KinematicState | MotionTable:
        kind = MotionTable if isinstance(rows, slice | np.ndarray) else KinematicState
        return kind(self.q[rows], self.dq[rows], self.ddq[rows])

    def columns(self, joints: Sequence[int] | np.ndarray) -> MotionTable:
        """The same of some joints, or of all in another order."""
        return MotionTable(self.q[:, joints], self.dq[:, joints], self.ddq[:, joints])


@dataclass(frozen=True, eq=False)
class SafeTrajectory(MotionTable):
    """A proven motion: every sample is checked and the last one is at rest."""

    _: KW_ONLY
    start_ns: int
    joint_names: tuple[str, ...]
    t: np.ndarray  # (N,) s after start_ns, strictly rising, t[0] = 0
    chunk_seq: int = 0

    @property
    def duration_s(self) -> float:
        """Time from start to rest [s]."""
        return float(self.t[-1])


@dataclass(frozen=True)
class SafetyReport:
    """What happened to one chunk, or why the arm stopped, with the first offender in words and
    units.
    """

    stamp_ns: int
    chunk_seq: int
    state: SafetyState
    decision: Decision
    reasons: Reason = Reason.NONE
    _: KW_ONLY
    scale: float = 1.0  # time scale, >= 1 slows
    steps_accepted: int = 0
    steps_total: int = 0
    # of the offence that decided: what cut the chunk, else what slowed it; empty: none
    first_joint: str = ""
    first_step: int = -1  # from 0; -1: none
    measured: float = float("nan")  # there, in `unit`
    allowed: float = float("nan")
    unit: str = ""
    nearest_pair: tuple[str, str] = ("", "")
    nearest_distance: float = float("nan")  # m, smallest that was computed along what is executed
    stop_time_s: float = 0.0  # time from now to rest if nothing more arrives
    compute_s: float = 0.0  # time the check took
    sentence: str = ""


class Forwarding(enum.IntEnum):
    """Whether the bridge forwards; the values are the levels of diagnostics: OK, WARN, ERROR,
    STALE.
    """

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
    # it is paused or has no controller, and nothing is under way: others may move the arm
    released: bool = False


@dataclass(frozen=True, kw_only=True)
class StageLatency:
    """How long one stage of the loop took, over its newest samples."""

    n: int  # samples
    p50_s: float
    p95_s: float
    p99_s: float


@dataclass(frozen=True)
class WamStatus:
    """Health of the inference side, published at a few hertz."""

    stamp_ns: int
    session_id: bytes
    model: str
    instruction: str
    mode: ChunkingMode
    _: KW_ONLY
    latency_last_s: float = 0.0  # from observation to chunk
    latency_p50_s: float = 0.0
    latency_p95_s: float = 0.0
    delay_steps: int = 0  # d: steps executed until the chunk that answers an observation comes
    execute_steps: int = 0  # s: steps executed of each chunk
    horizon_steps: int = 0  # H: steps of a chunk
    feasible: bool = False  # d <= s <= H - d
    slack_s: float = 0.0  # until the plan is used up
    underruns: int = 0  # times that no new chunk came before the plan was used up
    chunks: int = 0
    dropped: int = 0  # observations never predicted from, and results that came too late
    error: str = ""  # why inference stands still; empty: it runs
    vocabulary: tuple[str, ...] = ()  # words that an instruction may have; empty: any
    choose_one: tuple[str, ...] = ()  # those of which it names exactly one; empty: no such rule
    # by name, as "camera to observation", in their order
    stages: dict[str, StageLatency] = field(default_factory=dict)

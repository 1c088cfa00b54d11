"""The safety filter without a robot: chunks from a file, answers to a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wam_ros.core.errors import UnknownNameError, WamError
from wam_ros.core.types import ActionChunk, KinematicState
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.verdict import Verdict

KEYS = ("positions", "step_period", "q0", "dq0", "joint_names")
START_NS = 10**18  # any instant does


@dataclass(frozen=True)
class Batch:
    """Chunks and the states they are to be executed from; columns in the order of `joint_names`,
    any order.

    Step k of a chunk is due (k + 1) step periods after its state. Values may be wrong in any way:
    the filter says so.
    """

    positions: np.ndarray  # (N, T, A) rad or m
    step_period: float  # s
    q0: np.ndarray  # (N, A)
    dq0: np.ndarray  # (N, A) rad/s or m/s
    joint_names: tuple[str, ...]

    def __len__(self) -> int:
        """N, the number of chunks."""
        return len(self.positions)


def read_batch(path: Path) -> Batch:
    """Read chunks from an .npz file with the arrays of `KEYS`; nothing in it is executed.

    Raises:
        WamError: unreadable file, a key missing or unknown, an array of another shape or type.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            unknown = [k for k in file.files if k not in KEYS]
            if unknown:
                raise UnknownNameError("array", unknown[0], KEYS)
            data = {k: file[k] for k in KEYS if k in file.files}
    except FileNotFoundError as error:
        raise WamError(f"{path} does not exist") from error
    except UnknownNameError as error:
        raise WamError(f"{path}: {error}") from error
    # numpy, zipfile and zlib have many words for a file that is damaged
    except Exception as error:
        raise WamError(
            f"{path}: not an .npz file of plain arrays: {' '.join(str(error).split())[:120]}"
        ) from error
    missing = [k for k in KEYS if k not in data]
    if missing:
        raise WamError(f"{path}: array '{missing[0]}' is missing; needed are {', '.join(KEYS)}")
    names = data["joint_names"]
    period = data["step_period"]
    if names.ndim != 1 or names.dtype.kind != "U":
        raise WamError(f"{path}: joint_names must be a list of strings")
    if (
        period.size != 1
        or period.dtype.kind not in "fiu"
        or not 0 < float(period.reshape(-1)[0]) < 1e6
    ):
        raise WamError(f"{path}: step_period must be one positive number of seconds")
    for key, ndim in (("positions", 3), ("q0", 2), ("dq0", 2)):
        if data[key].ndim != ndim or data[key].dtype.kind not in "fiu":
            raise WamError(
                f"{path}: {key} must be numbers of shape {'(N, T, A)' if ndim == 3 else '(N, A)'}"
            )
    q = data["positions"]
    if not (
        q.shape[2] == len(names) and data["q0"].shape == data["dq0"].shape == (len(q), len(names))
    ):
        found = (
            f"positions {q.shape}, q0 {data['q0'].shape}, dq0 {data['dq0'].shape}, "
            f"{len(names)} joint_names"
        )
        raise WamError(f"{path}: shapes differ: {found}")
    q, q0, dq0 = (data[k].astype(float) for k in ("positions", "q0", "dq0"))
    return Batch(q, float(period.reshape(-1)[0]), q0, dq0, tuple(str(n) for n in names))


def judge(safety: SafetyFilter, batch: Batch) -> Iterator[Verdict]:
    """The filter's answer to each chunk, each on its own.

    Raises:
        WamError: the joints are not those of the robot.
    """
    columns = safety.model.order(batch.joint_names)
    for q, q0, dq0 in zip(
        batch.positions, batch.q0[:, columns], batch.dq0[:, columns], strict=True
    ):
        chunk = ActionChunk(START_NS, round(batch.step_period * 1e9), batch.joint_names, q)
        yield safety.filter(
            chunk, KinematicState(q0, dq0, np.zeros_like(q0)), START_NS, now_ns=START_NS
        )


def answers(safety: SafetyFilter, batch: Batch, verdicts: list[Verdict]) -> dict[str, np.ndarray]:
    """Arrays for an .npz file: what was decided, and what would be executed.

    `t` (M,) s, `q`, `dq`, `ddq`, `tau` (N, M, A) in the column order of `joint_names`, as long as
    the longest answer: after its `samples` (N,) samples a robot stands. Where nothing is emitted
    `samples` is 0 and the rows are NaN.
    """
    model = safety.model
    n = len(batch)
    joints = len(batch.joint_names)
    columns = model.order(batch.joint_names)
    samples = np.array(
        [0 if v.trajectory is None else len(v.trajectory.t) for v in verdicts], dtype=np.int64
    )
    m = int(samples.max(initial=0))
    rows = {k: np.full((n, m, joints), np.nan) for k in ("q", "dq", "ddq", "tau")}
    for i, verdict in enumerate(verdicts):
        t = verdict.trajectory
        if t is None:
            continue
        motion = {"q": t.q, "dq": t.dq, "ddq": t.ddq, "tau": model.torque(t.q, t.dq, t.ddq)}
        for key, values in motion.items():
            padded = np.concatenate((values, np.repeat(values[-1:], m - len(values), axis=0)))
            rows[key][i][:, columns] = padded
    return {
        "decision": np.array([v.decision.name.lower() for v in verdicts], dtype=np.str_),
        "reasons": np.array([",".join(v.reasons.names()) for v in verdicts], dtype=np.str_),
        "scale": np.array([v.scale for v in verdicts], dtype=float),
        "steps_accepted": np.array([v.steps_accepted for v in verdicts], dtype=np.int64),
        "sentence": np.array([v.sentence for v in verdicts], dtype=np.str_),
        "samples": samples,
        "t": np.arange(m) * safety.params.sample_s,
        **rows,
        "joint_names": np.array(batch.joint_names, dtype=np.str_),
    }


def worst_first(verdicts: list[Verdict]) -> list[int]:
    """Indices of the chunks, the most severe answers first."""

    def severity(i: int) -> tuple[float, ...]:
        v = verdicts[i]
        return -v.decision, v.steps_accepted / max(1, v.steps_total), -v.scale

    return sorted(range(len(verdicts)), key=severity)

"""What a model would have done, at the instants of a recording."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Policy, Request
from wam_ros.core.types import NS, JointState, Observation
from wam_ros.rehearsal.take import Take
from wam_ros.runtime.prediction import predict

TOGETHER_S = 0.15  # pictures of all views and an instant lie so close


def first_steps(
    policy: Policy,
    embodiment: Embodiment,
    recording: Take,
    q_at: Callable[[float], np.ndarray],
    instruction: str,
) -> tuple[np.ndarray, np.ndarray]:
    """When the first step of each predicted chunk is due (N,) s, and that step (N, A) rad or m.

    Args:
        policy: that has the robot's joints and views.
        embodiment: the robot.
        recording: with pictures of all views.
        q_at: measured joints (A,) at a time [s].
        instruction: what it is told to do; empty: what was recorded, else its own example.

    Raises:
        WamError: a view was not recorded, an instruction it does not know, or no chunk.
    """
    missing = [n for n in embodiment.view_names if n not in recording.films]
    if missing:
        raise WamError(f"the recording has no pictures of '{missing[0]}': the model needs them")
    words = instruction or recording.instruction or getattr(policy, "example_instruction", "")
    policy.reset(words)
    due = []
    steps = []
    films = [recording.films[n] for n in embodiment.view_names]
    for t in np.arange(films[0].t[0], recording.length_s, 1 / embodiment.frame_rate_hz).tolist():
        near = [int(np.abs(film.t - t).argmin()) for film in films]
        if max(abs(film.t[k] - t) for film, k in zip(films, near, strict=True)) > TOGETHER_S:
            continue
        frames = np.stack([film.seen[k] for film, k in zip(films, near, strict=True)])
        stamp_ns = round(t * NS)
        unknown = np.full(len(embodiment.joint_names), np.nan)
        joints = JointState(stamp_ns, embodiment.joint_names, q_at(t), unknown, unknown)
        stamps = (stamp_ns,) * len(films)
        seen = Observation(stamp_ns, embodiment.view_names, frames, stamps, joints)
        output = predict(policy, seen, Request())
        if output is not None:
            due.append(t + embodiment.step_period_s)
            steps.append(output.positions[0])
    if len(steps) < 3:
        raise WamError(f"the model predicted {len(steps)} chunks of this recording: too few")
    return np.array(due), np.stack(steps)

"""One prediction: what it is made from, its check against the observation, and the choice among
candidates.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Policy, PolicyOutput, Request
from wam_ros.core.types import ImaginedFuture, JointState, Observation
from wam_ros.runtime.values import Value


def predict(policy: Policy, observation: Observation, request: Request) -> PolicyOutput | None:
    """Ask `policy`, with the request only where it says that it understands one.

    Raises:
        WamError: a prediction does not fit its observation.
    """
    output = (
        policy.predict(observation, request)
        if hasattr(policy, "abilities")
        else policy.predict(observation)
    )
    if output is not None:
        for one in (output, *output.others):
            check_output(one, observation)
    return output


def decoded(output: PolicyOutput, observation: Observation) -> PolicyOutput:
    """`output` with the frames that were left out of it, if any were.

    Raises:
        WamError: they do not fit the observation.
    """
    if output.decode is None:
        return output
    whole = output.decode()
    check_output(whole, observation)
    return whole


def best(output: PolicyOutput | None, value: Value | None) -> tuple[PolicyOutput | None, float]:
    """The candidate of the highest value, the first one among equals, with the others, and that
    value; NaN where nothing was scored.
    """
    if output is None or value is None:
        return output, math.nan
    candidates = [dataclasses.replace(output, others=()), *output.others]
    scores = np.nan_to_num(np.asarray(value(candidates), dtype=float), nan=-np.inf)
    k = int(scores.argmax())
    others = (*candidates[:k], *candidates[k + 1 :])
    return dataclasses.replace(candidates[k], others=others), float(scores[k])


def why_not_good_enough(predicted: PolicyOutput | None, value: float, least: float) -> str:
    """Why the best of what was predicted is not executed; '' where it is.

    Args:
        predicted: with its other candidates; None: nothing was, and nothing is refused.
        value: of the best one; NaN is not good enough.
        least: value that one must have.
    """
    if predicted is None or least == -math.inf or value >= least:
        return ""
    n = 1 + len(predicted.others)
    return (
        f"none of {n} imagined futures is good enough: the best has {value:.3g}, {least:.3g} is "
        "the least"
    )


def warm_up(policy: Policy, instruction: str, example: Observation, times: int) -> None:
    """Predict from `example` `times` times; before and after, the memory is as
    `policy.reset(instruction)` leaves it.

    Raises:
        WamError: the instruction was refused, or a prediction does not fit.
    """
    policy.reset(instruction)
    for _ in range(times):
        predict(policy, example, Request())
        policy.reset(instruction)


def example_observation(embodiment: Embodiment) -> Observation:
    """Grey views and the home position, to warm a model up with."""
    robot = embodiment
    n = len(embodiment.joint_names)
    joints = JointState(0, robot.joint_names, np.array(robot.home), np.zeros(n), np.zeros(n))
    frames = np.full((len(robot.cameras), robot.image_height, robot.image_width, 3), 128, np.uint8)
    return Observation(0, robot.view_names, frames, (0,) * len(robot.cameras), joints)


def check_output(output: PolicyOutput, observation: Observation) -> None:
    """Refuse a prediction that does not fit the observation it was made from.

    Raises:
        WamError: positions are not (T, A) for the observed joints, or frames not (F, V, H, W, 3)
            like the observed.
    """
    joints = len(observation.joints.joint_names)
    if (
        output.positions.ndim != 2
        or output.positions.shape[0] < 1
        or output.positions.shape[1] != joints
    ):
        raise WamError(
            f"the policy returned positions {output.positions.shape}, expected (T, {joints})"
        )
    wanted = (len(output.frame_offsets_ns), *observation.frames.shape)
    if output.frames.shape != wanted or output.frames.dtype != np.uint8:
        found = f"{output.frames.dtype} {output.frames.shape}"
        raise WamError(f"the policy returned frames {found}, expected uint8 {wanted}")


def describe(error: Exception) -> str:
    """One line for a human: our own errors speak for themselves, others are named."""
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, WamError) else f"{type(error).__name__}: {text}"


def require_instruction(text: str, max_characters: int) -> str:
    """The instruction with its white space put in order.

    Raises:
        WamError: empty, longer than `max_characters`, or with characters that cannot be shown.
    """
    if len(text) > max_characters:
        raise WamError(
            f"the instruction has {len(text)} characters, at most {max_characters} are read"
        )
    words = " ".join(text.split())
    if not words:
        raise WamError("the instruction is empty")
    if not words.isprintable():
        raise WamError("the instruction has characters that cannot be shown")
    return words


def keyframes(future: ImaginedFuture) -> ImaginedFuture:
    """The same future with only its farthest frame."""
    return dataclasses.replace(
        future, frames=future.frames[-1:], instants_ns=future.instants_ns[-1:]
    )

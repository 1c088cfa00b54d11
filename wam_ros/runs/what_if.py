"""What a model imagines: along what was recorded, or from one instant on for other words or other
actions than those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wam_ros.core.comparison import ImaginationMonitor
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Policy, PolicyOutput, Request, abilities_of
from wam_ros.core.types import NS, JointState, Observation
from wam_ros.runs.strips import Seen

RECORDED = "recorded"  # actions: those that were recorded
STILL = "still"  # the arm stays where it is


@dataclass(frozen=True)
class Variant:
    """One of the futures that are held against each other."""

    instruction: str
    actions: np.ndarray | None = None  # (K, A) rad or m, one a step; None: those of the model
    label: str = ""


def make_observation(
    robot: Embodiment, stamp_ns: int, frames: np.ndarray, q: np.ndarray
) -> Observation:
    """Frames (V, H, W, 3) uint8 RGB and joints (A,) rad or m of one instant; speeds are unknown."""
    unknown = np.full(len(q), np.nan)
    joints = JointState(stamp_ns, robot.joint_names, np.asarray(q, float), unknown, unknown)
    return Observation(stamp_ns, robot.view_names, frames, (stamp_ns,) * len(frames), joints)


def imagine_along(
    policy: Policy, observations: Iterable[Observation], instruction: str, period_ns: int
) -> Iterator[Seen]:
    """Each observation with what the model had imagined for it from the ones before.

    Args:
        policy: that imagines; it begins anew.
        observations: in their order.
        instruction: that it follows.
        period_ns: between two observations.

    Raises:
        WamError: the model cannot read the instruction, or is of another robot.
    """
    policy.reset(instruction)
    monitor = ImaginationMonitor(period_ns // 2)
    for observation in observations:
        found = monitor.observe(observation.stamp_ns, observation.frames)
        yield Seen(observation, sorted(found, key=lambda s: s.horizon_ns), instruction)
        output = policy.predict(observation)
        if output is not None:
            instants = [observation.stamp_ns + offset for offset in output.frame_offsets_ns]
            monitor.expect(observation.stamp_ns, observation.frames, instants, output.frames)


def imagine_on(
    policy: Policy, robot: Embodiment, start: Observation, variant: Variant, seconds: float
) -> list[tuple[int, np.ndarray]]:
    """What the model imagines from one instant on: (stamp [ns], frames (V, H, W, 3)), the first as
    observed. What it imagined is fed back as if it had been seen, with the joints that it wanted.

    Actions that are given are held while it denoises, as a plan that is committed whole.

    Raises:
        WamError: the model cannot read the instruction, imagines no frames, or takes no actions.
    """
    if variant.actions is not None and not abilities_of(policy).action_conditioned:
        raise WamError(f"'{policy.name}' cannot be told its actions: leave out --actions")
    policy.reset(variant.instruction)
    found = [(start.stamp_ns, start.frames)]
    observation = start
    step_ns = round(robot.step_period_s * NS)
    while observation.stamp_ns - start.stamp_ns < seconds * NS:
        step = round((observation.stamp_ns - start.stamp_ns) / step_ns)
        output = _predict(policy, observation, variant.actions, step, robot.action_horizon)
        if output is None or not len(output.frames):
            raise WamError(f"'{policy.name}' imagines no frames")
        offset_ns = output.frame_offsets_ns[0]
        row = min(len(output.positions), max(1, round(offset_ns / step_ns))) - 1
        observation = make_observation(
            robot, observation.stamp_ns + offset_ns, output.frames[0], output.positions[row]
        )
        found.append((observation.stamp_ns, observation.frames))
    return found


def _predict(
    policy: Policy, observation: Observation, actions: np.ndarray | None, step: int, horizon: int
) -> PolicyOutput | None:
    if actions is None:
        return policy.predict(observation)
    # behind its end a sequence stays where it ended
    plan = actions[np.minimum(np.arange(step, step + horizon), len(actions) - 1)]
    return policy.predict(observation, Request(step=step, plan=plan, committed=len(plan)))


def read_actions(
    name: str, robot: Embodiment, start: Observation, recorded: np.ndarray | None
) -> np.ndarray:
    """(K, A) rad or m, one row a step of the model: of a file, or `RECORDED` or `STILL`.

    Args:
        name: path of a .npy file, or one of the two words.
        robot: whose joints they are of.
        start: where they begin.
        recorded: what was commanded from there on; None where that is not known.

    Raises:
        WamError: it is none of these, or not of this robot.
    """
    if name == STILL:
        return start.joints.positions[None].copy()
    if name == RECORDED:
        if recorded is None or not len(recorded):
            raise WamError(f"--actions {RECORDED}: no action was recorded from there on")
        return recorded
    if not name.endswith(".npy"):
        raise WamError(f"--actions is '{RECORDED}', '{STILL}' or a .npy file, found '{name}'")
    try:
        rows = np.asarray(np.load(Path(name), allow_pickle=False), float)
    except (OSError, ValueError, EOFError) as error:
        raise WamError(f"--actions {name}: {' '.join(str(error).split())}") from error
    n = len(robot.joint_names)
    if rows.ndim != 2 or rows.shape[1] != n or not len(rows) or not np.isfinite(rows).all():
        raise WamError(
            f"--actions {name}: expected finite joint positions (steps, {n}), found {rows.shape}: "
            f"columns are {', '.join(robot.joint_names)}"
        )
    return rows

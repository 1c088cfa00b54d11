"""What is allowed from where the robot stands: limits with margins, never tighter than the state it
starts in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from wam_ros.core.types import KinematicState
from wam_ros.robot.model import SafetyModel
from wam_ros.robot.pairs import Pairs
from wam_ros.safety.finding import Measure
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.params import SafetyParams

if TYPE_CHECKING:
    from wam_ros.safety.motion.clearance import Proof

# m: a start inside a clearance may come nearer by this on its way out, so that leaving can be
# proven
ESCAPE = 1e-4
# m: rest is this much farther than the clearance; from the very edge no way out could be proven
REST = 1e-3
# m: a start this much below a clearance that was proven is the rounding of that proof
ROUNDING = 2e-6

# m: bodies this much farther apart than they must be need not be looked at closer
FAR = 0.05

Gaps = dict[tuple[str, str], float]  # m, by bodies


@dataclass(frozen=True)
class Floor:
    """What the bounds of one chunk gave way to; those of the next one do not give way further.

    Without it many chunks, each allowed to come a little nearer on its way out, could creep into a
    body.
    """

    clearance: np.ndarray  # (P,) m
    outside: np.ndarray  # (K,) m, of every tool

    def stood_on(self, pairs: Pairs, was: Gaps) -> set[tuple[str, str]]:
        """Of pairs at some distance [m], those by which the arm stands as near as it may."""
        known = dict(zip(pairs.keys, self.clearance.tolist(), strict=True))
        return {key for key, gap in was.items() if gap <= known.get(key, -np.inf) + ESCAPE}

    def carried(self, before: Pairs, after: Pairs, was: Gaps, now: Gaps) -> Floor:
        """The same for other pairs.

        Where an obstacle is another one now, the floor moves with it while the arm stands on it:
        else the noise of a tracker would let the arm creep. It is forgotten where the arm is
        farther away, or has none to stand on.

        Args:
            before: of this floor.
            after: of the answer.
            was: m, distances of pairs with what has changed, before.
            now: m, the same at the same pose, after; of those in `stood_on` at least.
        """
        known = dict(zip(before.keys, self.clearance.tolist(), strict=True))
        for key in was.keys() | now.keys():
            moved = known.get(key, -np.inf) + now.get(key, -np.inf) - was.get(key, np.inf)
            known[key] = moved if moved >= max(now.get(key, -np.inf) - ESCAPE, 0.0) else -np.inf
        return Floor(np.array([known.get(k, -np.inf) for k in after.keys]), self.outside)


@dataclass(frozen=True, kw_only=True)
class JointBounds:
    """What the joints may do; arrays (A,), in rad or m."""

    names: tuple[str, ...]
    units: tuple[str, ...]  # "rad" or "m"
    sliding: np.ndarray  # bool
    endless: np.ndarray  # bool: turns on and on
    gripper: np.ndarray  # bool
    lower: np.ndarray
    upper: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray
    jerk: np.ndarray


@dataclass(frozen=True, kw_only=True)
class ToolBounds:
    """Where the tool frames, K of them, may be and how fast, and how they move with the joints.

    Neither what stands around nor what is held changes anything here.
    """

    params: SafetyParams
    outside: np.ndarray  # (K,) m, how far outside the workspace each may be; below zero inside
    reach: np.ndarray  # (K, A) m per rad or m per m, farthest each moves per unit of joint travel
    turns: np.ndarray  # (A,) travel of all joints that one moves, per unit of its own
    gripper: np.ndarray  # (A,) bool
    motion: Callable[..., tuple[np.ndarray, np.ndarray]]  # `Dynamics.tool_motion`
    jacobian: Callable[..., np.ndarray]  # `Dynamics.tool_jacobian`


@dataclass(frozen=True, kw_only=True)
class EffortBounds:
    """What the joints may be asked to bear, and what motion asks of them: what is held weighs."""

    names: tuple[str, ...]
    units: tuple[str, ...]  # "Nm" or "N"
    limits: np.ndarray  # (A,)
    free_torque: Callable[..., np.ndarray]  # `Dynamics.free_torque`
    resisted: Callable[[np.ndarray, np.ndarray], np.ndarray]  # `Dynamics.resisted`
    inertia: Callable[[np.ndarray], np.ndarray]  # `Dynamics.inertia`
    most_inertia: np.ndarray  # (A, A) what no absolute entry of the mass matrix passes


@dataclass(frozen=True, kw_only=True)
class DistanceBounds:
    """How near bodies may come, and the model that measures it: P pairs of the bodies of the robot,
    of what it holds and of what stands around.
    """

    clearance: np.ndarray  # (P,) m, in motion
    rest: np.ndarray  # (P,) m, at the end of a stop
    start: np.ndarray  # (A,) where the motion begins
    distance: np.ndarray  # (P,) m, there
    model: SafetyModel
    proofs: list[Proof] = field(default_factory=list)  # of the newest path and the newest stops


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What is allowed for one chunk, each part for the checks that need it."""

    joints: JointBounds
    tools: ToolBounds
    efforts: EffortBounds
    distances: DistanceBounds
    floor: Floor  # for the bounds of the next chunk
    params: SafetyParams

    def sparing(self, pairs: np.ndarray) -> Bounds:
        """The same without keeping some pairs (P,) bool apart."""
        clearance = np.where(pairs, -np.inf, self.distances.clearance)
        rest = np.where(pairs, -np.inf, self.distances.rest)
        distances = dataclasses.replace(self.distances, clearance=clearance, rest=rest)
        return dataclasses.replace(self, distances=distances)

    def overloaded(self) -> Bounds:
        """The same without limits of the efforts."""
        efforts = dataclasses.replace(self.efforts, limits=1e9 * self.efforts.limits)
        return dataclasses.replace(self, efforts=efforts)


class Checker(Protocol):
    """What the path and its stops must pass: a check of motion, as `checks/base.py` makes them."""

    @property
    def power(self) -> int:
        """What it measures falls with the time scale to this power; 0: slowing does not help."""

    def look(self, motion: Motion, bounds: Bounds) -> Measure:
        """What it finds at every sample of a motion."""


def position_bounds(model: SafetyModel, params: SafetyParams) -> tuple[np.ndarray, np.ndarray]:
    """Position limits (A,) with their margins."""
    margin = np.where(model.sliding, params.position_margin_m, params.position_margin_rad)
    return model.limits.lower + margin, model.limits.upper - margin


def make_bounds(
    model: SafetyModel,
    params: SafetyParams,
    start: KinematicState,
    floor: Floor | None = None,
    exact: bool = True,
) -> Bounds:
    """Allowed values for motion from `start`.

    A start inside a margin, or nearer to a body than its clearance, must be free to leave: the
    bound gives way to the start, but never beyond the robot's own limit.

    Args:
        model: the robot.
        params: margins.
        start: where the motion begins.
        floor: of the answer before.
        exact: nobody asks which bodies are nearest and how near: then those that are far apart are
            only known to be, which takes a tenth of the time.
    """
    joints = _joint_bounds(model, params, start)
    wanted = (
        np.where(model.pairs.own_clearance, model.pairs.clearance, params.self_clearance_m)
        + params.distance_error_m
        # a sensed joint may be this far from where it was when the model was told
        + model.pairs.sway @ params.sensed_slack(model.sensed_sliding)
    )
    distance = model.distances(start.q, None if exact else wanted + FAR)
    kept = np.where(
        (distance < wanted) & (distance > 0), np.maximum(distance - ESCAPE, 0.0), wanted
    )
    if floor is not None and len(floor.clearance) == len(kept):
        kept = np.maximum(kept, np.minimum(floor.clearance, wanted))
    rounded = (distance < kept) & (distance > kept - ROUNDING)
    clearance = np.where(rounded, distance - ROUNDING, kept)
    rest = np.where(
        distance > 0,
        np.maximum(clearance, np.minimum(distance - ROUNDING, wanted + REST)),
        wanted + REST,
    )
    outside = _outside(model, params, start, floor)
    return Bounds(
        joints=joints,
        tools=ToolBounds(
            params=params,
            outside=outside,
            reach=model.tool_reach,
            turns=model.turns,
            gripper=model.gripper,
            motion=model.tool_motion,
            jacobian=model.tool_jacobian,
        ),
        efforts=EffortBounds(
            names=model.joint_names,
            units=tuple("N" if s else "Nm" for s in model.sliding),
            limits=model.limits.effort * params.torque_fraction,
            free_torque=model.free_torque,
            resisted=model.resisted,
            inertia=model.inertia,
            most_inertia=model.most_inertia,
        ),
        distances=DistanceBounds(
            clearance=clearance, rest=rest, start=start.q, distance=distance, model=model
        ),
        floor=Floor(kept, outside),
        params=params,
    )


def give_way(bounds: Bounds, floor: Floor) -> Bounds:
    """The same bounds, but where they are tighter than those of the motion under way, the latter.

    On its way out of a clearance or back into the workspace a robot earns tighter bounds as it
    goes. Its stop was proven inside those that it began with, and may need them.
    """
    before = bounds.distances
    clearance = before.clearance
    if len(floor.clearance) == len(clearance):
        # not those of obstacles that have come since
        known = np.isfinite(floor.clearance)
        clearance = np.where(known, np.minimum(clearance, floor.clearance), clearance)
    rest = np.where(clearance < before.clearance, clearance, before.rest)
    outside = np.maximum(bounds.tools.outside, floor.outside)
    return dataclasses.replace(
        bounds,
        tools=dataclasses.replace(bounds.tools, outside=outside),
        distances=dataclasses.replace(before, clearance=clearance, rest=rest, proofs=[]),
        floor=floor,
    )


def _joint_bounds(model: SafetyModel, params: SafetyParams, start: KinematicState) -> JointBounds:
    limits = model.limits
    lower, upper = position_bounds(model, params)
    return JointBounds(
        names=model.joint_names,
        units=model.units,
        sliding=model.sliding,
        endless=model.endless,
        gripper=model.gripper,
        lower=np.minimum(lower, np.clip(start.q, limits.lower, None)),
        upper=np.maximum(upper, np.clip(start.q, None, limits.upper)),
        velocity=limits.velocity * params.velocity_fraction,
        acceleration=limits.acceleration * params.acceleration_fraction,
        jerk=limits.jerk * params.jerk_fraction,
    )


def beyond_workspace(params: SafetyParams, points: np.ndarray) -> np.ndarray:
    """(B, N) m that points (N, 3) lie outside each allowed box, or behind a plane; negative inside.
    B is at least 1.
    """
    if params.workspace:
        boxes = np.reshape(params.workspace, (-1, 6))[:, None]
        beyond = np.maximum(boxes[..., :3] - points, points - boxes[..., 3:]).max(axis=2)
    else:
        beyond = np.full((1, len(points)), -np.inf)
    if params.planes:
        planes = np.reshape(params.planes, (-1, 4))
        length = np.linalg.norm(planes[:, :3], axis=1)
        behind = (planes[:, 3] / length)[:, None] - (planes[:, :3] / length[:, None]) @ points.T
        beyond = np.maximum(beyond, behind.max(axis=0))
    return beyond


def _outside(
    model: SafetyModel, params: SafetyParams, start: KinematicState, floor: Floor | None
) -> np.ndarray:
    """(K,) how far outside the workspace each tool may be."""
    if not params.workspace and not params.planes:
        return np.zeros(len(model.tools))
    tools = np.vstack(
        [model.tool_motion(start.q[None], start.dq[None], k)[0] for k in range(len(model.tools))]
    )
    beyond = beyond_workspace(params, tools).min(axis=0)
    allowed = np.maximum(-REST, beyond + ESCAPE)
    before = np.inf if floor is None else np.maximum(-REST, floor.outside)
    return np.where(beyond <= 0, np.minimum(allowed, 0.0), np.minimum(allowed, before))

"""What every movable joint of a robot does - commanded, following, standing or sensed - and the
limits of those that are commanded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wam_ros.core.angles import whole_turns_inside
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import Problems, UnknownNameError
from wam_ros.robot.urdf import Urdf, UrdfJoint, read_urdf

# rad, range of a joint that turns; more than four turns are degrees that were not converted
MOST_RANGE = 8 * math.pi
FASTEST_RAD_S = 60.0  # rad/s of an arm's joint; more is rather degrees per second
ROUNDING = 1e-6  # rad or m, of numbers that were written down by hand
TOLD_INSTEAD = ("velocity", "effort")  # limits that the embodiment may tell: <key>_limit


@dataclass(frozen=True)
class Limits:
    """The robot's own limits, without margins; every array (A,), in rad or m."""

    lower: np.ndarray
    upper: np.ndarray
    velocity: np.ndarray
    effort: np.ndarray
    acceleration: np.ndarray
    jerk: np.ndarray


@dataclass(frozen=True)
class Joints:
    """The joints of one embodiment."""

    urdf: Urdf
    commanded: tuple[str, ...]  # order of the limits
    # of every joint that moves: the commanded joint, factor and offset that give its position
    source: dict[str, tuple[str, float, float]]
    parked: dict[str, float]  # rad or m, where others stand
    # of every joint that is sensed or follows one that is: that one, factor and offset
    sensed: dict[str, tuple[str, float, float]]
    limits: Limits
    warnings: tuple[str, ...]  # what was taken although it may be wrong

    def standing(self, sensed: dict[str, float]) -> dict[str, float]:
        """Where every joint stands that none of the commanded moves, with the sensed ones at
        `sensed` [rad or m].
        """
        return self.parked | {n: f * sensed[lead] + o for n, (lead, f, o) in self.sensed.items()}


def load_joints(embodiment: Embodiment) -> Joints:
    """Read the joints of a robot.

    Raises:
        WamError: everything that is wrong with them.
    """
    problems = Problems(embodiment.urdf_path)
    joints = read_joints(embodiment, read_urdf(embodiment.urdf_path, problems), problems)
    problems.require_none()
    return joints


def read_joints(embodiment: Embodiment, urdf: Urdf, problems: Problems) -> Joints:
    """The joints of a description; of no use once something wrong went into `problems`."""
    source, parked, sensed = _roles(embodiment, urdf, problems)
    warnings: list[str] = []
    known = tuple(n for n in embodiment.joint_names if n in urdf.joints)
    chosen = [urdf.joints[n] for n in known]
    for joint in chosen:
        _judge_limits(joint, embodiment, problems, warnings)
    _judge_placeholders(chosen, embodiment, problems)
    limits = _limits(embodiment, urdf.joints, known, source, warnings)
    for key, name in (("acceleration", "max_acceleration"), ("jerk", "max_jerk")):
        values = getattr(limits, key)
        lacking = [n for n, v in zip(known, values, strict=True) if np.isnan(v)]
        if lacking:
            problems.add(
                f"the {key} limit of {', '.join(lacking)} is told neither here nor as {name} of "
                "the embodiment"
            )
    homes = dict(zip(embodiment.joint_names, embodiment.home, strict=True))
    for k, joint in enumerate(chosen):
        home = homes[joint.name]
        low = limits.lower[k]
        high = limits.upper[k]
        if home < low - ROUNDING or home > high + ROUNDING:
            turns = "" if joint.sliding else whole_turns_inside(home, low, high)
            problems.add(
                f"home of joint '{joint.name}' is {home:g} {joint.unit}, beyond its limits "
                f"{low:g} to {high:g}{turns}"
            )
    return Joints(
        urdf=urdf,
        commanded=known,
        source=source,
        parked=parked,
        sensed=sensed,
        limits=limits,
        warnings=tuple(warnings),
    )


def _roles(
    embodiment: Embodiment, urdf: Urdf, problems: Problems
) -> tuple[
    dict[str, tuple[str, float, float]], dict[str, float], dict[str, tuple[str, float, float]]
]:
    """What gives the position of each joint that moves, where others stand, and what gives the
    position of those that are sensed.
    """
    joints = urdf.joints
    commanded = embodiment.joint_names
    for name in commanded:
        if name not in joints:
            problems.add(UnknownNameError("joint", name, joints))
        elif joints[name].mimic:
            problems.add(
                f"joint '{name}' follows '{joints[name].mimic}' and cannot be commanded itself"
            )
    for kind, told in (("parked", embodiment.parked), ("sensed", embodiment.sensed)):
        for name, value in told.items():
            if name not in joints:
                problems.add(UnknownNameError(f"{kind} joint", name, joints))
            elif not _within(joints[name], value):
                joint = joints[name]
                problems.add(
                    f"{kind} joint '{name}' stands at {value:g} {joint.unit}, beyond its limits "
                    f"{joint.lower:g} to {joint.upper:g}"
                )
    for name in embodiment.sensed:
        if name in joints and joints[name].kind != "continuous":
            _judge_range(joints[name], problems)
    source = {}
    parked = {}
    sensed = {}
    idle = []
    for joint in joints.values():
        leader, factor, offset = _follow(joint, joints, embodiment, problems)
        if leader in embodiment.parked:
            parked[joint.name] = factor * embodiment.parked[leader] + offset
        elif leader in embodiment.sensed:
            sensed[joint.name] = (leader, factor, offset)
        elif leader in commanded:
            source[joint.name] = (leader, factor, offset)
        elif leader in joints and not joints[leader].mimic:
            idle.append(leader)
    idle = list(dict.fromkeys(idle))
    # what breaks the tree is a mistake already, and no joint to speak for
    if idle and urdf.tree:
        rests = ", ".join(f"{n}: {rest_of(joints[n]):g}" for n in idle)
        who = "joint {} moves but is" if len(idle) == 1 else "joints {} move but are"
        listed = ", ".join(f"'{n}'" for n in idle)
        problems.add(
            f"{who.format(listed)} not in joint_names; add what is commanded there, and tell the "
            f"embodiment where the others stand [rad or m]: `parked: {{{rests}}}`, or `sensed` "
            "where joint states tell it"
        )
    return source, parked, sensed


def _judge_range(joint: UrdfJoint, problems: Problems) -> None:
    """Note where it is not told how far a sensed joint may come."""
    if not joint.lower < joint.upper:
        problems.add(
            f"sensed joint '{joint.name}' needs a lower limit below an upper one in its <limit>"
        )


def rest_of(joint: UrdfJoint) -> float:
    """Where a joint may stand when nothing is told: at zero, or at the limit next to it."""
    low = -math.inf if math.isnan(joint.lower) else joint.lower
    high = math.inf if math.isnan(joint.upper) else joint.upper
    return float(min(max(0.0, low), high))


def _within(joint: UrdfJoint, value: float) -> bool:
    return not (value < joint.lower - ROUNDING or value > joint.upper + ROUNDING)


def _follow(
    joint: UrdfJoint, joints: dict[str, UrdfJoint], embodiment: Embodiment, problems: Problems
) -> tuple[str, float, float]:
    """The joint that decides where one is, factor and offset; itself where it follows none."""
    leader = joint
    factor = 1.0
    offset = 0.0
    for _ in range(len(joints)):
        if not leader.mimic or leader.name in (*embodiment.parked, *embodiment.sensed):
            return leader.name, factor, offset
        offset += factor * leader.offset
        factor *= leader.multiplier
        if leader.mimic not in joints:
            problems.add(
                f"joint '{leader.name}' follows '{leader.mimic}', which does not move or exist"
            )
            return leader.name, factor, offset
        leader = joints[leader.mimic]
    problems.add(f"joint '{joint.name}' is in a loop of mimic joints")
    return joint.name, factor, offset


def _judge_limits(
    joint: UrdfJoint, embodiment: Embodiment, problems: Problems, warnings: list[str]
) -> None:
    """Note which limits of a commanded joint are missing or make no sense."""
    where = f"joint '{joint.name}'"
    endless = joint.kind == "continuous"
    wanted = ("velocity", "effort") if endless else ("lower", "upper", "velocity", "effort")
    needed = [k for k in wanted if not _told_of(k, joint, embodiment)]
    missing = [k for k in needed if math.isnan(getattr(joint, k))]
    if missing == list(wanted):
        problems.add(f"{where} has no <limit>; add <limit {' '.join(wanted)}>")
    else:
        for key in missing:
            instead = f", or tell `{key}_limit: {{{joint.name}: ...}}`" * (key in TOLD_INSTEAD)
            problems.add(f'{where} has no {key} limit; add {key}="..." to its <limit>{instead}')
    for key in ("acceleration", "jerk"):
        if getattr(joint, key) <= 0:
            problems.add(f'{where}: {key}="{getattr(joint, key):g}" must be positive')
    if joint.lower >= joint.upper and not endless:
        problems.add(f"{where}: lower limit {joint.lower} is not below upper limit {joint.upper}")
    if joint.sliding or endless:
        return
    if joint.upper - joint.lower > MOST_RANGE:
        problems.add(
            f"{where} turns by {joint.upper - joint.lower:g} rad from limit to limit: are these "
            "degrees? Write rad; a joint that turns without end is of type continuous"
        )
    elif FASTEST_RAD_S < (fastest := _velocity(joint, embodiment)) < math.inf:
        warnings.append(f"{where} may turn at {fastest:g} rad/s: are these degrees?")


def _judge_placeholders(
    chosen: list[UrdfJoint], embodiment: Embodiment, problems: Problems
) -> None:
    """Note where a description has numbers that are no limits: exporters write a zero for what they
    do not know.
    """
    for key in TOLD_INSTEAD:
        lacking: dict[float, list[str]] = {}
        for joint in chosen:
            if getattr(joint, key) <= 0 and not _told_of(key, joint, embodiment):
                lacking.setdefault(getattr(joint, key), []).append(joint.name)
        for value, names in lacking.items():
            who = f"joint '{names[0]}'" if len(names) == 1 else f"joints {', '.join(names)}"
            instead = f"{key}_limit: {{{', '.join(f'{n}: ...' for n in names)}}}"
            problems.add(f'{who}: {key}="{value:g}" must be positive, or tell `{instead}`')


def _told_of(key: str, joint: UrdfJoint, embodiment: Embodiment) -> bool:
    """Whether the embodiment tells a limit of a joint itself."""
    return key in TOLD_INSTEAD and joint.name in getattr(embodiment, f"{key}_limit")


def _velocity(joint: UrdfJoint, embodiment: Embodiment) -> float:
    """rad/s or m/s, the smaller one of what the description and the embodiment tell; of the first
    only what is a limit.
    """
    told = embodiment.velocity_limit.get(joint.name, math.inf)
    return min(told, joint.velocity) if joint.velocity > 0 or math.isinf(told) else told


def _limits(
    e: Embodiment,
    joints: dict[str, UrdfJoint],
    known: tuple[str, ...],
    source: dict[str, tuple[str, float, float]],
    warnings: list[str],
) -> Limits:
    """Limits of the commanded joints `known`, tightened by those of the joints that follow them."""
    chosen = [joints[n] for n in known]
    lower = np.array([j.lower for j in chosen])
    upper = np.array([j.upper for j in chosen])
    velocity = np.array([_velocity(j, e) for j in chosen])
    for name, (leader, factor, offset) in source.items():
        if name == leader or factor == 0:
            continue
        k = known.index(leader)
        follower = joints[name]
        if follower.velocity > 0:
            velocity[k] = min(velocity[k], follower.velocity / abs(factor))
        low, high = sorted(((follower.lower - offset) / factor, (follower.upper - offset) / factor))
        if math.isnan(low) or math.isnan(high) or follower.lower >= follower.upper:
            continue
        if max(lower[k], low) >= min(upper[k], high):
            warnings.append(
                f"the limits of '{name}' ({follower.lower:g} to {follower.upper:g}) leave nothing "
                f"of those of '{leader}', which it follows times {factor:g}: they do not count"
            )
            continue
        lower[k] = max(lower[k], low)
        upper[k] = min(upper[k], high)
    acceleration = [j.acceleration for j in chosen]
    jerk = [j.jerk for j in chosen]
    return Limits(
        lower=lower,
        upper=upper,
        velocity=velocity,
        effort=np.array([e.effort_limit.get(j.name, j.effort) for j in chosen]),
        acceleration=_told(acceleration, known, e.joint_names, e.max_acceleration),
        jerk=_told(jerk, known, e.joint_names, e.max_jerk),
    )


def _told(
    by_urdf: list[float],
    known: tuple[str, ...],
    names: tuple[str, ...],
    by_embodiment: tuple[float, ...],
) -> np.ndarray:
    """Of joints `known` what the URDF says, else the embodiment of its `names`, else NaN."""
    second = dict(zip(names, by_embodiment, strict=False))
    return np.array(
        [
            second.get(name, math.nan) if math.isnan(first) else first
            for name, first in zip(known, by_urdf, strict=True)
        ]
    )

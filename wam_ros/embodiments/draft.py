"""A first embodiment of a robot from its description: what is guessed, and what a person should
look at.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wam_ros.core.embodiment import Camera, Embodiment
from wam_ros.core.errors import Problems, WamError
from wam_ros.core.xmlfile import read_xml
from wam_ros.embodiments.apart import never_meet
from wam_ros.embodiments.tree import (
    Arm,
    choose_arms,
    find_arms,
    find_base,
    find_tool,
    stuck_joints,
)
from wam_ros.robot.dynamics import LINK
from wam_ros.robot.joints import rest_of
from wam_ros.robot.model import HOLDING, SafetyModel, build_safety_model
from wam_ros.robot.pairs import as_srdf, path_joints
from wam_ros.robot.urdf import Urdf, UrdfJoint, read_urdf

# calm values, for what no maker tells: rad/s^2 and rad/s^3, m/s^2 and m/s^3
CALM = {"rad": (8.0, 2000.0), "m": (2.0, 500.0)}
ROOM_RAD = 0.2  # rad that a home keeps from the limits of a joint, or this share of its range
ROOM_SHARE = 0.1
AROUND = 0.15  # rad, and a tenth of it in m, that a policy may move about home at once
CLEAR = 0.007  # m that links keep there; the filter keeps 5 mm
SAMPLES = 12  # poses about a home that are looked at
TRIES = 60  # homes that are looked at when those with a name do not do
POSES = 100  # of the whole range, that tell which links overlap by construction
MOSTLY = 0.5  # of them
APART = 3  # joints between two links that may
SEED = 20240301


@dataclass(frozen=True)
class Wishes:
    """What is told about a robot; what is not is guessed."""

    urdf: Path
    name: str = ""
    arms: tuple[str, ...] = ()
    joints: tuple[str, ...] = ()
    further: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    base: str = ""
    home: tuple[float, ...] = ()
    parked: dict[str, float] = dataclasses.field(default_factory=dict)
    sensed: tuple[str, ...] = ()
    unguarded: tuple[str, ...] = ()
    clearance: dict[str, float] = dataclasses.field(default_factory=dict)
    effort_limit: dict[str, float] = dataclasses.field(default_factory=dict)
    velocity_limit: dict[str, float] = dataclasses.field(default_factory=dict)
    mass: dict[str, float] = dataclasses.field(default_factory=dict)
    supported_by_spring: tuple[str, ...] = ()
    packages: dict[str, str] = dataclasses.field(default_factory=dict)
    xacro_arguments: dict[str, str] = dataclasses.field(default_factory=dict)
    srdf: Path | None = None
    world: str = "empty"
    cameras: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """An embodiment, its model, and where its home comes from."""

    embodiment: Embodiment
    model: SafetyModel
    origin: str  # of home
    hands: tuple[str, ...]  # joints of hands, which stand
    # links that overlap in most poses, so that they are not watched, and how deep [m]
    built_together: dict[tuple[str, str], float]
    srdf: str  # the pairs of links that are not watched, for review


def make_draft(wishes: Wishes, path: Path) -> Draft:
    """Guess an embodiment.

    Args:
        wishes: what is told.
        path: of the description, as a URDF.

    Raises:
        WamError: what is wrong with the description, or a wish that it does not fit.
    """
    problems = Problems(path)
    urdf = read_urdf(path, problems)
    problems.require_none()
    found = find_arms(urdf)
    if not found and not wishes.joints and (stuck := stuck_joints(urdf)):
        raise WamError(
            f"{path}: no arm is found: the limits of {', '.join(stuck)} leave them no way to go; "
            "lower must be below upper"
        )
    arms = [] if wishes.joints else choose_arms(found, wishes.arms)
    joints, gripper = _commanded(urdf, arms, wishes)
    told = read_states(wishes.srdf or _srdf_beside(wishes.urdf), urdf)
    tools = wishes.tools or tuple(a.tool for a in arms)
    tools = tools or (find_tool(urdf, urdf.joints[joints[-1]].child),)
    first = next(iter(told.values()), {})
    standing = [j for j in urdf.joints.values() if not j.mimic and j.name not in joints]
    stands = {j.name: _inside(j, first.get(j.name, 0.0)) for j in standing}
    for name in wishes.sensed:
        if name not in stands:
            raise WamError(
                f"joint '{name}' cannot be sensed; those that are not commanded and follow none "
                f"are {', '.join(stands) or 'none'}"
            )
    stands |= wishes.parked
    parked = {n: value for n, value in stands.items() if n not in wishes.sensed}
    chosen = [urdf.joints[n] for n in joints]
    units = [j.unit for j in chosen]
    embodiment = Embodiment(
        name=wishes.name or path.stem,
        urdf=str(path),
        base_frame=wishes.base or find_base(urdf),
        tool_frame=tools[0],
        other_tool_frames=tools[1:],
        joint_names=joints,
        gripper_joints=gripper,
        home=wishes.home or tuple(_middle(j) for j in chosen),
        max_acceleration=tuple(CALM[u][0] for u in units),
        max_jerk=tuple(CALM[u][1] for u in units),
        cameras=tuple(
            Camera(n, t) for n, t in (wishes.cameras or {"front": "front/image_raw"}).items()
        ),
        image_height=64,
        image_width=64,
        frame_rate_hz=10.0,
        step_period_s=0.1,
        action_horizon=8,
        world=wishes.world,
        parked=parked,
        sensed={n: stands[n] for n in wishes.sensed},
        unguarded=wishes.unguarded,
        clearance=wishes.clearance,
        effort_limit=wishes.effort_limit,
        velocity_limit=wishes.velocity_limit,
        mass=wishes.mass,
        supported_by_spring=wishes.supported_by_spring,
        packages=wishes.packages,
    )
    hands = tuple(n for arm in arms for n in arm.hand if n in parked)
    states = {name: tuple(s.get(j.name, _middle(j)) for j in chosen) for name, s in told.items()}
    states = {n: q for n, q in states.items() if set(joints[:3]) & told[n].keys()}
    with tempfile.TemporaryDirectory() as folder:
        pairs = Path(folder) / "pairs.srdf"
        first_model = build_safety_model(embodiment)
        built = _built_together(first_model)
        text = _srdf(first_model, built, never_meet(first_model))
        pairs.write_text(text, encoding="utf-8")
        embodiment = dataclasses.replace(embodiment, srdf=str(pairs))
        if wishes.home:
            model = build_safety_model(embodiment)
            origin = "told"
        else:
            embodiment, model, origin = _settle(embodiment, chosen, states)
    return Draft(
        embodiment=dataclasses.replace(embodiment, srdf=""),
        model=model,
        origin=origin,
        hands=hands,
        built_together=built,
        srdf=text,
    )


def _built_together(model: SafetyModel) -> dict[tuple[str, str], float]:
    """Links near each other in the chain that overlap in most poses, and how deep at most [m]."""
    names = model.pairs.names
    near = [
        k
        for k, (a, b) in enumerate(names)
        if not model.pairs.world[k] and _joints_between(model, a, b) <= APART
    ]
    found: dict[tuple[str, str], float] = {}
    count: dict[tuple[str, str], int] = {}
    for q in model.random_full_q(POSES, SEED):
        model.place(q)
        deep: dict[tuple[str, str], float] = {}
        for k in near:
            deep[names[k]] = max(deep.get(names[k], -1.0), -model.distance(k))
        for pair, depth in deep.items():
            count[pair] = count.get(pair, 0) + (depth > 0)
            found[pair] = max(found.get(pair, -1.0), depth)
    return {pair: found[pair] for pair, n in count.items() if n >= MOSTLY * POSES}


def _joints_between(model: SafetyModel, a: str, b: str) -> int:
    """How many joints lie between two links; many for what is no link."""
    if not all(model.pin.existFrame(n, LINK) for n in (a, b)):
        return APART + 1
    first, second = (model.pin.frames[model.frame(n)].parentJoint for n in (a, b))
    only_a, only_b = path_joints(model.pin, first, second)
    return len(only_a) + len(only_b)


def _srdf(
    model: SafetyModel,
    built: dict[tuple[str, str], float],
    never: dict[tuple[str, str], float],
) -> str:
    """Pairs of links that are not watched: neighbours, those that are built together, those that
    never meet.
    """
    told = {n: f"Overlap in most poses, up to {d * 1e3:.1f} mm" for n, d in built.items()}
    told |= {n: f"Never nearer than {d * 1e3:.1f} mm" for n, d in never.items()}
    rows = "".join(
        f'  <disable_collisions link1="{a}" link2="{b}" reason="{why}"/>\n'
        for (a, b), why in told.items()
    )
    return as_srdf(model.embodiment.name, model.judged).replace("</robot>", f"{rows}</robot>")


def read_states(path: Path | None, urdf: Urdf) -> dict[str, dict[str, float]]:
    """Named poses of an SRDF: rad or m by joint.

    Raises:
        WamError: unreadable file.
    """
    if path is None:
        return {}
    root = read_xml(path)
    found: dict[str, dict[str, float]] = {}
    for state in root.iter("group_state"):
        for joint in state.iter("joint"):
            name = joint.get("name", "").rpartition("/")[2]
            try:
                value = float(joint.get("value", ""))
            except ValueError:
                continue  # of a joint with more than one number, as of a floating base
            if name in urdf.joints and math.isfinite(value):
                found.setdefault(state.get("name", ""), {})[name] = value
    return found


def _srdf_beside(urdf: Path) -> Path | None:
    """`x.srdf` beside `x.urdf`, or in a folder `srdf` next to its own."""
    stem = urdf.name.partition(".")[0]
    places = (urdf.parent, urdf.parent.parent / "srdf")
    return next((p / f"{stem}.srdf" for p in places if (p / f"{stem}.srdf").is_file()), None)


def _commanded(
    urdf: Urdf, arms: list[Arm], wishes: Wishes
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Joint names in the order of chunks, and those of grippers."""
    for name in (*wishes.joints, *wishes.further):
        if name not in urdf.joints:
            raise WamError(f"no joint '{name}' moves; found are {', '.join(urdf.joints)}")
    gripper = tuple(n for arm in arms for n in arm.gripper)
    ordered = [n for n in urdf.joints if n in wishes.further]
    ordered += [n for arm in arms for n in (*arm.joints, *arm.gripper)]
    return tuple(dict.fromkeys((*wishes.joints, *ordered))), gripper


def _inside(joint: UrdfJoint, value: float) -> float:
    """A value inside the limits of a joint that stands."""
    low = joint.lower if joint.lower == joint.lower else -math.inf
    high = joint.upper if joint.upper == joint.upper else math.inf
    return min(max(value, low), high) if low <= high else rest_of(joint)


def _middle(joint: UrdfJoint) -> float:
    """The middle of a joint's range; zero of one that turns without end."""
    middle = (joint.lower + joint.upper) / 2
    return round(middle, 4) if math.isfinite(middle) else 0.0


def _settle(
    embodiment: Embodiment, joints: list[UrdfJoint], states: dict[str, tuple[float, ...]]
) -> tuple[Embodiment, SafetyModel, str]:
    """A home at which nothing overlaps and every joint can hold its part, if there is one.

    Poses of the SRDF first, then the middle of every range, then zero, then poses near the middle.
    The hulls of a model are cut into pieces where bodies are close at its home: a pose that is
    better is tried with a model of its own.
    """
    model = build_safety_model(embodiment)
    lower = np.array([j.lower for j in joints])
    upper = np.array([j.upper for j in joints])
    room = np.minimum(ROOM_RAD, ROOM_SHARE * np.where(np.isfinite(upper - lower), upper - lower, 9))
    middle = np.array(embodiment.home)
    span = np.where(np.isfinite(upper - lower), (upper - lower) / 4, math.pi / 4)
    rng = np.random.default_rng(SEED)
    near = middle + span.clip(0, 1.2) * rng.uniform(-1, 1, (TRIES, len(joints)))
    near[:, model.gripper] = middle[model.gripper]
    named = {f"'{name}' of the SRDF": np.array(q) for name, q in states.items()}
    named |= {
        "the middle of the ranges": middle,
        "zero": np.clip(0 * middle, lower + room, upper - room),
    }
    named |= {f"a free pose near the middle (number {k})": q for k, q in enumerate(near)}
    best = embodiment, model, "the middle of the ranges"
    most = -math.inf
    for name, q in named.items():
        if not ((q >= lower + room) & (q <= upper - room)).all() or _score(model, q) <= most:
            continue
        tried = dataclasses.replace(embodiment, home=tuple(np.round(q, 4).tolist()))
        found = build_safety_model(tried)
        score = _score(found, np.array(tried.home))
        if score > most:
            most = score
            best = tried, found, name
        if score >= CLEAR:
            break
    return best


def _score(model: SafetyModel, q: np.ndarray) -> float:
    """How free a pose is [m]: the smallest distance about it, at most `CLEAR`, less a metre for
    each joint that cannot hold.
    """
    rng = np.random.default_rng(SEED)
    step = np.where(model.sliding, AROUND / 10, AROUND)
    about = q + step * rng.uniform(-1, 1, (SAMPLES, len(q)))
    about = np.clip(np.vstack((q, about)), model.limits.lower, model.limits.upper)
    effort = np.abs(model.torque(q[None], 0 * q[None], 0 * q[None])[0])
    least = CLEAR
    for pose in about:
        least = min(least, float(model.distances(pose).min(initial=CLEAR)))
        if least < 0:
            break
    return least - float((effort > HOLDING * model.limits.effort).sum())

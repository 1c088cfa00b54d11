"""What is right, doubtful and wrong about a robot, a line each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pinocchio as pin

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import UnknownNameError, WamError
from wam_ros.robot.joints import FASTEST_RAD_S
from wam_ros.robot.model import CLEARANCE, HOLDING, SafetyModel, build_safety_model, link_of

RIGHT = "right"
DOUBTFUL = "doubtful"
WRONG = "wrong"
MOST_TURNS = 4 * math.pi + 0.01  # rad; an arm's joint that turns farther is rare
STRONGEST = 1000.0  # Nm or N of one joint
TIGHT = 0.7  # of an effort limit, that home may need without a word
DRAG = 0.5  # of an effort limit, that damping and friction may take without a word
CLOSE = 0.01  # m between links at home
# m: what the filter keeps between links as it is set, and what more where a motion rests
KEPT_LINKS = 0.005
RESTING = 0.0011
SHARE = 3  # what is suggested to be kept of links that stand near is their gap by this number
POSES = 32  # that tell how often links are so near; the seed is fixed
SEED = 0
OFTEN = 0.5  # of these poses
LISTED = 5  # pairs that get a line of their own
LIGHT = 0.01  # kg
HEAVIEST = 500.0  # kg, of what moves
FARTHEST = 3.0  # m, from the base to a tool
# radius of gyration as a share of the size of a body: a solid one has 0.2 to 0.6
GYRATION = (0.05, 1.5)


@dataclass(frozen=True)
class Row:
    """One line."""

    level: str  # RIGHT, DOUBTFUL or WRONG
    subject: str
    words: str


def review_by_name(name: str) -> tuple[SafetyModel | None, list[Row]]:
    """An embodiment's model, if one can be built, and all that is to say about it."""
    try:
        model = build_safety_model(load_embodiment(name))
    except WamError as error:
        head, *listed = str(error).split("\n")
        lines = [line.removeprefix("  - ") for line in listed] or [head]
        return None, [Row(WRONG, "description", line) for line in lines]
    return model, review(model)


def review(model: SafetyModel) -> list[Row]:
    """All that is to say about a robot: what is right first."""
    rows = [*_joints(model), *_bodies(model), *_weights(model), *_home(model), *_cameras(model)]
    return sorted(rows, key=lambda row: (RIGHT, DOUBTFUL, WRONG).index(row.level))


def _joints(model: SafetyModel) -> list[Row]:
    e = model.embodiment
    limits = model.limits
    follow = len(model.joints.source) - len(e.joint_names)
    words = f"{len(e.joint_names)} commanded, {len(e.gripper_joints)} of them grippers'; {follow} "
    words += f"follow, {len(model.joints.parked)} stand"
    if e.sensed:
        words += f", sensed: {', '.join(e.sensed)}"
    rows = [Row(RIGHT, "joints", words)]
    dragged = []
    for k, name in enumerate(e.joint_names):
        unit = model.units[k]
        span = limits.upper[k] - limits.lower[k]
        if unit == "rad" and MOST_TURNS < span < math.inf:
            rows.append(Row(DOUBTFUL, name, f"turns by {span:.1f} rad from limit to limit"))
        told = any(f"'{name}' may turn" in words for words in model.warnings)
        if unit == "rad" and limits.velocity[k] > FASTEST_RAD_S / 6 and not told:
            rows.append(Row(DOUBTFUL, name, f"may turn at {limits.velocity[k]:g} rad/s"))
        if unit == "m" and span > 2.0:
            rows.append(Row(DOUBTFUL, name, f"slides by {span:g} m"))
        if limits.effort[k] > STRONGEST:
            words = f"may bear {limits.effort[k]:g} {_force(unit)}: then its effort is not watched"
            rows.append(Row(DOUBTFUL, name, words))
        drag = model.friction[k] + model.damping[k] * limits.velocity[k]
        if DRAG * limits.effort[k] < drag < math.inf:
            dragged.append(f"{name} {drag:.3g} of {limits.effort[k]:g} {_force(unit)}")
    if dragged:
        words = f"that the description tells takes at the highest speed of {', '.join(dragged)}: "
        words += "does it only calm a simulation? Chunks are slowed or cut for it"
        rows.append(Row(DOUBTFUL, "damping and friction", words))
    if len(set(limits.effort)) == 1 and len(limits.effort) > 2:
        words = f"all joints have the effort limit {limits.effort[0]:g}: is it a placeholder?"
        rows.append(Row(DOUBTFUL, "effort", words))
    for name in e.supported_by_spring:
        words = "a spring is said to carry the robot's weight here: that effort is not watched"
        rows.append(Row(DOUBTFUL, name, words))
    return rows


def _bodies(model: SafetyModel) -> list[Row]:
    own = [b for b in model.bodies if b.name not in model.obstacles]
    watched = {frozenset(n) for n in model.pairs.names}
    links = {link_of(b) for b in own}
    apart = len(links) * (len(links) - 1) // 2
    words = f"{len(own)} convex bodies of {len(links)} links; {len(watched)} pairs of links and "
    words += f"obstacles are watched, of {apart} pairs of links"
    rows = [Row(RIGHT, "bodies", words)]
    rows += [Row(DOUBTFUL, "reading", words) for words in model.warnings]
    for tool, name in zip(model.tools, model.embodiment.tool_frames, strict=True):
        pin.framesForwardKinematics(model.pin, model.data, _home_q(model))
        far = np.linalg.norm(model.data.oMf[tool].translation - model.base.translation)
        level = RIGHT if 0.01 < far < FARTHEST else DOUBTFUL
        rows.append(Row(level, name, f"{far:.2f} m from {model.embodiment.base_frame} at home"))
    return rows


def _weights(model: SafetyModel) -> list[Row]:
    moving = list(model.pin.inertias)[1:]
    total = sum(i.mass for i in moving)
    level = RIGHT if 0.05 < total < HEAVIEST else DOUBTFUL
    rows = [Row(level, "mass", f"{total:.2f} kg move")]
    if told := model.embodiment.mass:
        words = f"of {', '.join(told)} told, not by the description: where it lies is guessed from "
        rows.append(Row(DOUBTFUL, "mass", f"{words}their shapes"))
    for joint, inertia in enumerate(moving, start=1):
        bodies = [b for b in model.bodies if b.parentJoint == joint]
        if inertia.mass < LIGHT:
            continue
        if not bodies:
            words = f"what it moves weighs {inertia.mass:.2g} kg and has no shape: it is watched "
            words += "against nothing"
            rows.append(Row(DOUBTFUL, model.pin.names[joint], words))
            continue
        size = max(2 * float(b.geometry.aabb_radius) for b in bodies)
        moments = np.linalg.eigvalsh(inertia.inertia)
        name = link_of(bodies[0])
        share = math.sqrt(max(float(moments[-1]), 0.0) / inertia.mass) / size
        if not GYRATION[0] < share < GYRATION[1]:
            words = (
                f"its inertia is as if its mass lay {share:.2g} times its size from its centre: "
            )
            words += "another unit?"
            rows.append(Row(DOUBTFUL, name, words))
        if moments[-1] > 1.01 * (moments[0] + moments[1]):
            words = "no body has these moments: one is larger than the other two together"
            rows.append(Row(DOUBTFUL, name, words))
        lever = float(np.linalg.norm(inertia.lever))
        if lever > 2 * size + 0.1:
            words = f"its centre of mass is {lever:.2f} m away, and it is {size:.2f} m large"
            rows.append(Row(DOUBTFUL, name, words))
    return rows


def _home(model: SafetyModel) -> list[Row]:
    wrong = model.why_not_at_home()
    rows = [Row(WRONG, "home", words) for words in wrong]
    home = np.array(model.embodiment.home)
    distances = model.distances(home)
    if len(distances) and distances.min() > 0:
        k = int(distances.argmin())
        a, b = model.pairs.names[k]
        level = RIGHT if distances[k] > CLOSE else DOUBTFUL
        words = f"{a} and {b} are nearest at home, {distances[k] * 1e3:.1f} mm apart"
        rows.append(Row(level, "home", words))
    rows += _too_close(model, distances)
    effort = np.abs(model.torque(home[None], 0 * home[None], 0 * home[None])[0])
    share = effort / model.limits.effort
    k = int(share.argmax())
    name = model.joint_names[k]
    words = f"{name} bears {effort[k]:.1f} of {model.limits.effort[k]:g} {_force(model.units[k])}"
    if share[k] <= HOLDING:
        rows.append(Row(RIGHT if share[k] <= TIGHT else DOUBTFUL, "home", words))
    return rows


def _too_close(model: SafetyModel, at_home: np.ndarray) -> list[Row]:
    """Pairs of links that are nearer than what is kept between them, at home or in most poses:
    whatever moves one against the other will mostly be cut.

    Args:
        model: the robot.
        at_home: (P,) m.
    """
    poses = model.random_q(POSES, SEED)
    own = np.where(model.pairs.own_clearance, model.pairs.clearance, KEPT_LINKS)
    kept = own + RESTING
    often = np.mean([model.distances(q) < kept for q in poses], axis=0)
    # what overlaps at home is told as wrong
    near = (at_home > 0) & ((at_home < kept) | (often >= OFTEN)) & ~model.pairs.world
    found: dict[tuple[str, str], tuple[float, float, float]] = {}
    for k in np.flatnonzero(near):
        gap, share, _ = found.get(model.pairs.names[k], (math.inf, 0.0, 0.0))
        found[model.pairs.names[k]] = (
            min(gap, float(at_home[k])),
            max(share, float(often[k])),
            float(kept[k]),
        )
    order = sorted(found, key=lambda names: found[names])
    rows = [Row(DOUBTFUL, f"{a}, {b}", _near_words(a, b, *found[a, b])) for a, b in order[:LISTED]]
    if more := order[LISTED:]:
        words = f"and {len(more)} more pairs: {'; '.join(', '.join(names) for names in more)}"
        rows.append(Row(DOUBTFUL, "close", words))
    return rows


def _near_words(a: str, b: str, gap: float, share: float, kept: float) -> str:
    """Of links `gap` m apart at home, and nearer than the `kept` m in a share of poses; with the
    ways out, that which still keeps them apart first.
    """
    words = f"{gap * 1e3:.1f} mm apart at home, nearer than {kept * 1e3:.1f} mm or overlapping in "
    cut = "most" if gap < kept else "where they are so near, most"
    words += f"{share:.0%} of poses: the filter keeps that much, so {cut} chunks that move one "
    words += "against the other will be cut. "
    less = math.floor(gap / SHARE / CLEARANCE[0]) * CLEARANCE[0]
    if CLEARANCE[0] <= less < kept - RESTING - 1e-9:
        words += f'If they are built so near, `clearance: {{"{a}, {b}": {less:g}}}` in the YAML, '
        words += f'`--clearance "{a}, {b}" {less:g}` to `new`, keeps them {less * 1e3:g} mm apart '
        words += "instead. "
    words += "Only if their maker says that they cannot meet: "
    words += f'<disable_collisions link1="{a}" link2="{b}"/> in the SRDF. Nothing then keeps these '
    return words + "two apart"


def _cameras(model: SafetyModel) -> list[Row]:
    """Where each camera stands and what is known of its lens."""
    rows = []
    links = list(model.joints.urdf.links())
    for camera in model.embodiment.cameras:
        subject = f"camera {camera.name}"
        mount = camera.mount
        if mount is None:
            words = "no mount, so not drawn: a simulated arm finds a place for it"
            rows.append(Row(RIGHT, subject, words))
            continue
        if mount.parent not in links:
            rows.append(Row(WRONG, subject, str(UnknownNameError("parent", mount.parent, links))))
            continue
        far = float(np.linalg.norm(mount.xyz))
        words = f"{far:.2f} m from {mount.parent}, {mount.fov:g} degrees from top to bottom"
        words += "" if camera.calibration is None else ", its lens is calibrated"
        rows.append(Row(RIGHT if far < FARTHEST else DOUBTFUL, subject, words))
    return rows


def _home_q(model: SafetyModel) -> np.ndarray:
    return model.full_q(np.array(model.embodiment.home)[None])[0]


def _force(unit: str) -> str:
    return "N" if unit == "m" else "Nm"

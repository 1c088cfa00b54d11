"""Which bodies may meet, and how far a joint can move one of them relative to the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pinocchio as pin

from wam_ros.core.xmlfile import read_xml

SAMPLES = 2000  # configurations that decide which pairs can meet; the seed is fixed
# m; a distance that varies less than this is fixed by construction and computed with noise
CONSTANT = 2e-5


@dataclass(frozen=True)
class Pairs:
    """Pairs of bodies that are kept apart; P of them."""

    first: np.ndarray  # (P,) int, index of a body
    second: np.ndarray  # (P,)
    names: tuple[tuple[str, str], ...]  # links or obstacles
    keys: tuple[tuple[str, str], ...]  # bodies
    # (P,) m; of a pair of links 0 where it has none of its own, but that of all
    clearance: np.ndarray
    # (P, A) m per rad or m per m: relative motion of any two points per unit of joint travel
    reach: np.ndarray
    sway: np.ndarray  # (P, S) the same per unit of travel of the sensed joints
    world: np.ndarray  # (P,) bool: against an obstacle

    @property
    def own_clearance(self) -> np.ndarray:
        """(P,) bool: `clearance` counts, and not what is kept between all links."""
        return self.world | (self.clearance > 0)


@dataclass(frozen=True)
class Verdicts:
    """What was decided about every pair of the robot's own bodies."""

    watched: list[tuple[int, int]]  # body indices
    names: list[tuple[str, str]]  # links of every pair, watched or not
    reasons: list[str]  # '' where watched, else Adjacent, Always, Never or Told


def read_disabled(path: Path) -> set[frozenset[str]]:
    """Pairs of links that an SRDF declares harmless.

    Raises:
        WamError: unreadable file.
    """
    root = read_xml(path)
    return {
        frozenset((e.get("link1", ""), e.get("link2", ""))) for e in root.iter("disable_collisions")
    }


def path_joints(model: pin.Model, a: int, b: int) -> tuple[list[int], list[int]]:
    """Joints that move body `a` but not `b`, and `b` but not `a`, from the root outwards."""
    up = list(model.supports[a])
    down = list(model.supports[b])
    return [j for j in up if j not in down], [j for j in down if j not in up]


def may_collide(model: pin.Model, a: int, b: int, gripper: set[int]) -> bool:
    """Whether two bodies are far enough apart in the chain to be watched.

    Bodies on one joint or on neighbouring ones touch by construction, and fingers of one hand are
    made to meet.
    """
    only_a, only_b = path_joints(model, a, b)
    if len(only_a) + len(only_b) <= 1:
        return False
    return not all(j in gripper for j in only_a + only_b)


def body_reach(model: pin.Model, body: pin.GeometryObject, joints: list[int]) -> np.ndarray:
    """(nv,) farthest that any point of a body moves per unit travel of each of `joints`, in any
    configuration.
    """
    centre = body.placement.act(body.geometry.aabb_center)
    return point_reach(model, centre, float(body.geometry.aabb_radius), joints)


def point_reach(
    model: pin.Model, centre: np.ndarray, radius: float, joints: list[int]
) -> np.ndarray:
    """(nv,) the same for a ball around `centre` (3,) m in the frame of the last of `joints`."""
    out = np.zeros(model.nv)
    for index, joint in enumerate(joints):
        column = model.joints[joint].idx_v
        if _is_sliding(model, joint):
            out[column] = 1.0
            continue
        steps = [model.jointPlacements[j].translation for j in joints[index + 1 :]] + [centre]
        slides = sum(_travel(model, j) for j in joints[index + 1 :])
        axis = _axis(model, joint)
        first = steps[0] - axis * (axis @ steps[0])
        out[column] = (
            np.linalg.norm(first) + sum(np.linalg.norm(s) for s in steps[1:]) + slides + radius
        )
    return out


def judge_pairs(
    pairs: list[tuple[int, int]],
    names: list[tuple[str, str]],
    near: list[bool],
    told: set[frozenset[str]] | None,
    distances: Callable[[np.ndarray, np.ndarray], np.ndarray],
    configurations: np.ndarray,
) -> Verdicts:
    """Which pairs of bodies are watched.

    Sampling only ever drops what no joint can change: bodies that overlap in every configuration
    and bodies whose distance is always the same. A pair that merely was never seen near stays
    watched.

    Args:
        pairs: (i, j) of body indices.
        names: their links.
        near: whether they are neighbours in the chain.
        told: pairs of links that an SRDF declares harmless; None without one. With one no overlap
            is forgiven.
        distances: configuration (nq,), indices (K,) of pairs -> (K,) m.
        configurations: (N, nq).
    """
    reasons = ["Adjacent" if n else "" for n in near]
    if told is not None:
        reasons = [
            r or ("Told" if frozenset(n) in told else "")
            for r, n in zip(reasons, names, strict=True)
        ]
    left = np.array([k for k, r in enumerate(reasons) if not r], dtype=int)
    low = np.full(len(pairs), np.inf)
    high = np.full(len(pairs), -np.inf)
    for q in configurations:
        if len(left) == 0:
            break
        found = distances(q, left)
        low[left] = np.minimum(low[left], found)
        high[left] = np.maximum(high[left], found)
        always = (high[left] < 0) & (told is None)
        left = left[always | ((low[left] > 0) & (high[left] - low[left] < CONSTANT))]
    for k in left:
        reasons[k] = "Always" if high[k] < 0 else "Never"
    return Verdicts([p for p, r in zip(pairs, reasons, strict=True) if not r], names, reasons)


def as_srdf(robot: str, verdicts: Verdicts) -> str:
    """The pairs of links that are not watched, as an SRDF for review.

    A pair of links is listed when none of its pairs of bodies is watched.
    """
    watched = {frozenset(n) for n, r in zip(verdicts.names, verdicts.reasons, strict=True) if not r}
    listed: dict[tuple[str, str], set[str]] = {}
    for name, reason in zip(verdicts.names, verdicts.reasons, strict=True):
        if frozenset(name) not in watched and name[0] != name[1]:
            listed.setdefault(name, set()).add(reason)
    rows = "".join(
        f'  <disable_collisions link1="{a}" link2="{b}" reason="{"+".join(sorted(why))}"/>\n'
        for (a, b), why in listed.items()
    )
    return f'<?xml version="1.0"?>\n<robot name="{robot}">\n{rows}</robot>\n'


def _is_sliding(model: pin.Model, joint: int) -> bool:
    return model.joints[joint].shortname().startswith("JointModelP")


def _axis(model: pin.Model, joint: int) -> np.ndarray:
    data = model.joints[joint].createData()
    motion = data.S if hasattr(data, "S") else None
    if motion is not None and np.asarray(motion).size == 6:
        return np.asarray(motion).reshape(6)[3:]
    name = model.joints[joint].shortname()
    letter = name[-1] if name[-1] in "XYZ" else ""
    return np.eye(3)["XYZ".index(letter)] if letter else np.zeros(3)


def _travel(model: pin.Model, joint: int) -> float:
    if not _is_sliding(model, joint):
        return 0.0
    i = model.joints[joint].idx_q
    return float(max(abs(model.lowerPositionLimit[i]), abs(model.upperPositionLimit[i])))

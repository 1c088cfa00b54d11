"""The robot as the safety filter sees it: limits, dynamics, bodies and obstacles. Built once, then
only asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pinocchio as pin

from wam_ros.core.embodiment import Embodiment, Load, links_of
from wam_ros.core.errors import Problems, UnknownNameError, WamError, require_known
from wam_ros.core.resources import config_path, urdf_path
from wam_ros.robot.distances import Distances
from wam_ros.robot.dynamics import Dynamics
from wam_ros.robot.inertias import judge_inertias
from wam_ros.robot.joints import read_joints
from wam_ros.robot.masses import weigh_links
from wam_ros.robot.obstacles import Obstacle, load_world
from wam_ros.robot.pairs import (
    SAMPLES,
    Pairs,
    Verdicts,
    body_reach,
    judge_pairs,
    may_collide,
    path_joints,
    read_disabled,
)
from wam_ros.robot.shapes import Body, load_shape, obstacle_shape, place_bodies, read_bodies
from wam_ros.robot.urdf import read_urdf

# configurations that decide whether what is held ever clears the link next to the one that holds it
NEIGHBOURS = 50
SEED = 20240229  # of the configurations that decide which pairs can meet
# of the effort limits, that home may need; more leaves nothing to move with
HOLDING = 0.9
# m; bodies that are nearer than this at home are looked at closely: the hull of a mesh may hide a
# cavity in which the other one stands
CLOSE = 0.01
# m that two links may be told to keep: the least is five times the error of a distance
CLEARANCE = (5e-4, 0.2)
# m that the pieces of a mesh must be away from something to which its hull is closer, and how much
# farther than that; else they only cost
FREE = 0.006
GAIN = 0.002


class SafetyModel(Dynamics):
    """Kinematics, dynamics and distances of one robot among its obstacles. Not thread-safe: one
    thread owns it.
    """

    def __init__(
        self, embodiment: Embodiment, obstacles: dict[str, Obstacle], folder: Path
    ) -> None:
        problems = Problems(embodiment.urdf_path)
        urdf = read_urdf(embodiment.urdf_path, problems)
        joints = read_joints(embodiment, urdf, problems)
        if urdf.tree:
            weigh_links(embodiment, urdf, problems)
            judge_inertias(urdf, joints.parked, problems)
        bodies = read_bodies(embodiment, urdf, problems)
        problems.require_none()
        super().__init__(embodiment, joints)
        base = self.frame(embodiment.base_frame)
        if self.pin.frames[base].parentJoint != 0:
            raise WamError(
                f"base_frame '{embodiment.base_frame}' moves with a joint; obstacles need a frame "
                "that stands"
            )
        loads = [
            load_shape(self.pin, self.frame(load.frame), name, load)
            for name, load in embodiment.loads.items()
            if load.shape
        ]
        # links without collision bodies, or kept apart otherwise than all, a sentence each: who
        # arms is told
        self.unseen = [*_unseen(embodiment, bodies), *_told_apart(embodiment)]
        # what a person should know about how this robot is watched, a sentence each
        self.warnings = [*joints.warnings, *self.unseen]
        grippers = embodiment.gripper_joints
        self._fingers = {
            self.joint(n) for n, source in self._source.items() if source[0] in grippers
        }
        self._told = read_disabled(urdf_path(embodiment.srdf)) if embodiment.srdf else None
        self._own(bodies, loads)
        self.link_bodies = self._finer(bodies)
        self._own(self.link_bodies, loads)
        # pose of the base frame in the universe
        self.base = self.pin.frames[base].placement
        self._folder = folder
        self.obstacles: dict[str, Obstacle] = {}
        self.held: dict[str, Load] = {}
        self.placed: np.ndarray | None = None  # (nq,) for which distances are asked
        # (A,) where all distances (P,) m were last computed, and these; of what has changed since,
        # less than what it is
        self._last: tuple[np.ndarray, np.ndarray] | None = None
        self.bodies: list[pin.GeometryObject] = []
        self.judged = self._judge_self_pairs()
        self._self_pairs = self.judged.watched
        self._require_clearance(embodiment.link_clearance)
        self.set_obstacles(obstacles)

    def _own(self, bodies: list[Body], loads: list[pin.GeometryObject]) -> None:
        """Take the bodies of the links, and those of loads."""
        self._robot_bodies = [*place_bodies(self.pin, bodies), *loads]
        self._link_bodies = len(bodies)  # the rest are of loads
        self._reaches: dict[tuple[int, int | None], np.ndarray] = {}

    def _finer(self, bodies: list[Body]) -> list[Body]:
        """Bodies, of which those whose hull comes close to another one at home, and whose pieces do
        not, are those pieces.
        """
        own = self._robot_bodies
        told = self._told or set()
        pairs = [
            (i, j)
            for i, j in self._candidates()
            if frozenset((link_of(own[i]), link_of(own[j]))) not in told
        ]
        q = self.full_q(np.array(self.embodiment.home)[None])[0]
        before = self._apart(own, pairs, q)
        close = [pair for pair, d in zip(pairs, before, strict=True) if d < CLOSE]
        cut = {
            k: bodies[k].pieces()
            for k in sorted({k for pair in close for k in pair})
            if k < len(bodies) and bodies[k].mesh is not None
        }
        kept = {}
        for k, pieces in cut.items():
            placed = place_bodies(self.pin, pieces)
            for pair in close:
                if k in pair:
                    other = pair[0] if pair[1] == k else pair[1]
                    others = place_bodies(self.pin, cut.get(other, [])) or [own[other]]
                    every = [
                        (a, len(placed) + b) for a in range(len(placed)) for b in range(len(others))
                    ]
                    gained = self._apart([*placed, *others], every, q).min()
                    if gained > before[pairs.index(pair)] + GAIN:
                        kept[k] = pieces
        if not kept:
            return bodies
        return [p for k, b in enumerate(bodies) for p in kept.get(k, [b])]

    def _apart(
        self, bodies: list[pin.GeometryObject], pairs: list[tuple[int, int]], full_q: np.ndarray
    ) -> np.ndarray:
        """(P,) m between pairs of bodies at a configuration (nq,)."""
        geometry = pin.GeometryModel()
        for body in bodies:
            geometry.addGeometryObject(body)
        for a, b in pairs:
            geometry.addCollisionPair(pin.CollisionPair(a, b))
        found = geometry.createData()
        pin.updateGeometryPlacements(self.pin, self.data, geometry, found, full_q)
        return np.array(
            [pin.computeDistance(geometry, found, k).min_distance for k in range(len(pairs))]
        )

    def set_obstacles(
        self, obstacles: dict[str, Obstacle], held: dict[str, Load] | None = None
    ) -> None:
        """Replace everything that stands around the robot, and everything that it holds beside its
        own loads.

        Raises:
            WamError: a shape, size, pose, mass or frame that makes no sense; then everything is as
                it was.
        """
        held = self.held if held is None else held
        own = [
            *self._robot_bodies,
            *(load_shape(self.pin, self.frame(h.frame), n, h) for n, h in held.items() if h.shape),
        ]
        around = []
        known = dict(
            zip(self.obstacles, self.bodies[len(self.bodies) - len(self.obstacles) :], strict=True)
        )
        for name, obstacle in obstacles.items():
            self.between()
            if obstacle == self.obstacles.get(name):
                around.append(known[name])
                continue
            body = obstacle_shape(name, obstacle, self.base, self._folder)
            body.geometry.computeLocalAABB()
            around.append(body)
        self.require_loads(held)
        pairs = [*self._self_pairs, *self._held_pairs(own)]
        n = len(own)
        told = self.embodiment.link_clearance
        clearance = [told.get(frozenset((link_of(own[i]), link_of(own[j]))), 0.0) for i, j in pairs]
        moving = [(i, link_of(b)) for i, b in enumerate(own) if self._moves(b.parentJoint)]
        for k, (name, obstacle) in enumerate(obstacles.items()):
            self.between()
            self.require_links(name, obstacle.ignore)
            near = [i for i, link in moving if link not in obstacle.ignore]
            pairs += [(i, n + k) for i in near]
            clearance += [obstacle.clearance] * len(near)
        bodies = [*own, *around]
        distances = Distances(self.pin, bodies, pairs, n, self.between)
        described = self._describe(bodies, pairs, np.array(clearance), n)
        self.between()
        last = self._still_known(bodies, pairs)
        self.between()
        # all at once: who is heard in between must find the one world or the other
        if held != self.held:
            self.carry(held)
        self.obstacles = dict(obstacles)
        self.held = dict(held)
        self.bodies = bodies
        self.measured = distances
        self.pairs = described
        self._last = last

    def _require_clearance(self, clearance: dict[frozenset[str], float]) -> None:
        """Raise `WamError` unless every clearance is told of two links that are watched against
        each other, and within `CLEARANCE`.
        """
        problems = Problems(self.embodiment.name)
        pairs = self.judged.watched
        watched = {frozenset(link_of(self._robot_bodies[k]) for k in pair) for pair in pairs}
        low, high = CLEARANCE
        told = [links_of(key) for key in self.embodiment.clearance]
        for key, links in zip(self.embodiment.clearance, told, strict=True):
            where = f"clearance of '{key}'"
            if told.count(links) > 1:
                problems.add(f"{where} is told twice")
            if len(links) != 2:
                problems.add(f"{where}: name two links, 'a, b'")
                continue
            for name in links.difference(self.links):
                problems.add(UnknownNameError("link of clearance", name, self.links))
            if links <= set(self.links) and links not in watched:
                problems.add(f"{where}: they are not watched against each other; leave it out")
            if not low <= clearance[links] <= high:
                problems.add(f"{where} must be {low:g} to {high:g} m, found {clearance[links]:g}")
        problems.require_none()

    def _still_known(
        self, bodies: list[pin.GeometryObject], pairs: list[tuple[int, int]]
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """What was last computed, for other pairs: a body that has not changed is the same object,
        and of pairs with another one nothing is known.
        """
        if self._last is None:
            return None
        there, distance = self._last
        before = [id(body) for body in self.bodies]
        was = {
            (before[a], before[b]): d
            for a, b, d in zip(
                self.pairs.first.tolist(),
                self.pairs.second.tolist(),
                distance.tolist(),
                strict=True,
            )
        }
        after = [id(body) for body in bodies]
        found = [was.get((after[a], after[b]), -np.inf) for a, b in pairs]
        return there, np.array(found)

    @property
    def links(self) -> list[str]:
        """Links that have a body, and loads that have one."""
        return sorted({link_of(body) for body in self._robot_bodies})

    def _held_pairs(self, own: list[pin.GeometryObject]) -> list[tuple[int, int]]:
        """Pairs of what is held with the robot, but for the link that holds it, fingers, and what
        always meets it.
        """
        held = range(len(self._robot_bodies), len(own))
        return [(i, j) for j in held for i in range(j) if self._may_meet(own[i], own[j], load=True)]

    def _may_meet(self, a: pin.GeometryObject, b: pin.GeometryObject, load: bool) -> bool:
        """Whether two bodies are to be watched.

        A commanded joint must move them apart, and of two neighbours a joint's housings always
        touch.
        """
        if not self._moves(a.parentJoint, b.parentJoint):
            return False
        if may_collide(self.pin, a.parentJoint, b.parentJoint, self._fingers):
            return True
        return load and self._turns_apart(a, b)

    def _moves(self, a: int, b: int = 0) -> bool:
        """Whether a commanded joint moves what is on joint `a` against what is on `b`, or against
        what stands.
        """
        between = [j for only in path_joints(self.pin, a, b) for j in only if j > 0]
        return any(self._commanded[self.pin.joints[j].idx_v] for j in between)

    def _turns_apart(self, a: pin.GeometryObject, b: pin.GeometryObject) -> bool:
        """Whether a joint that is no finger's lies between two neighbours and some configuration
        sets them apart.
        """
        only_a, only_b = path_joints(self.pin, a.parentJoint, b.parentJoint)
        if all(j in self._fingers for j in only_a + only_b):
            return False
        configurations = self.random_full_q(NEIGHBOURS, SEED)
        return any(self._apart([a, b], [(0, 1)], q)[0] > 0 for q in configurations)

    def require_links(self, obstacle: str, names: tuple[str, ...]) -> None:
        """Raise `WamError` when an obstacle ignores links that are not there."""
        for name in names:
            require_known(f"link ignored by obstacle '{obstacle}'", name, self.links)

    def sense(self, positions: np.ndarray) -> None:
        """Stand where the sensed joints (S,) are now [rad or m]."""
        super().sense(positions)
        self._last = None

    def place(self, full_q: np.ndarray) -> None:
        """Move all bodies to configuration (nq,); `distance` then answers for it."""
        self.placed = full_q
        self.measured.place(full_q)

    def distance(self, pair: int) -> float:
        """Distance [m] of a pair at the last `place`; negative when they overlap."""
        self.between()
        return self.measured.distance(pair)

    def distances(self, q: np.ndarray, beyond: np.ndarray | None = None) -> np.ndarray:
        """(P,) distances [m] of all pairs at q (A,).

        Args:
            q: a configuration.
            beyond: (P,) m; of a pair that is surely farther than this, a smaller number than its
                distance will do, though none that is not beyond. Most pairs were far at the last
                configuration of which all distances were computed, and cannot have come near since.
        """
        self.place(self.full_q(q[None])[0])
        if beyond is None or self._last is None:
            found = np.array([self.distance(p) for p in range(len(self.pairs.names))])
            self._last = q.copy(), found
            return found
        there, distance = self._last
        moved = self.pairs.reach @ np.abs(q - there)
        found = distance - moved
        for p in np.flatnonzero(~(found > beyond)).tolist():
            found[p] = self.distance(p)
        unknown = np.isneginf(distance)
        # from here to there, and from there to wherever is asked next
        distance[unknown] = found[unknown] - moved[unknown]
        return found

    @contextmanager
    def untraced(self) -> Iterator[None]:
        """Nothing that is asked inside changes an answer after it.

        The search for a distance begins where the one before it ended, and so the last bits of
        every distance depend on those that were asked before.
        """
        kept = self.measured
        self.measured = kept.copy()
        try:
            yield
        finally:
            self.measured = kept

    def _candidates(self) -> list[tuple[int, int]]:
        """Pairs of the robot's own bodies that are no neighbours."""
        bodies = self._robot_bodies
        return [
            (i, j)
            for j in range(len(bodies))
            for i in range(j)
            if self._may_meet(bodies[i], bodies[j], load=j >= self._link_bodies)
        ]

    def _judge_self_pairs(self) -> Verdicts:
        """Which pairs of the robot's own bodies are watched, and why the others are not."""
        bodies = self.bodies = self._robot_bodies
        pairs = [(i, j) for i in range(len(bodies)) for j in range(i + 1, len(bodies))]
        apart = set(self._candidates())
        near = [pair not in apart for pair in pairs]
        names = [(link_of(bodies[i]), link_of(bodies[j])) for i, j in pairs]
        self.measured = Distances(self.pin, bodies, pairs, len(bodies), self.between)

        def distances(full: np.ndarray, which: np.ndarray) -> np.ndarray:
            self.place(full)
            return np.array([self.distance(int(p)) for p in which])

        return judge_pairs(
            pairs=pairs,
            names=names,
            near=near,
            told=self._told,
            distances=distances,
            configurations=self.random_full_q(SAMPLES, SEED),
        )

    def _describe(
        self,
        bodies: list[pin.GeometryObject],
        pairs: list[tuple[int, int]],
        clearance: np.ndarray,
        own: int,
    ) -> Pairs:
        """Pairs of which bodies from `own` on are obstacles."""
        reach = np.zeros((len(pairs), self.pin.nv))
        for row, (a, b) in enumerate(pairs):
            self.between()
            reach[row] = self._pair_reach(bodies, a, b if b < own else None)
        first, second = np.array(pairs, dtype=int).reshape(-1, 2).T
        links = [link_of(body) for body in bodies]
        called = [str(body.name) for body in bodies]
        names = tuple((links[a], links[b]) for a, b in pairs)
        keys = tuple((called[a], called[b]) for a, b in pairs)
        self.between()
        return Pairs(
            first=first,
            second=second,
            names=names,
            keys=keys,
            clearance=clearance,
            reach=reach @ np.abs(self._spread),
            sway=reach @ np.abs(self._sway),
            world=second >= own,
        )

    def _pair_reach(self, bodies: list[pin.GeometryObject], a: int, b: int | None) -> np.ndarray:
        """(nv,) how far a body moves against another one, or against what stands, per unit travel
        of each joint; that of the robot's own bodies is worked out once.
        """
        known = max(a, b or 0) < len(self._robot_bodies)
        if known and (a, b) in self._reaches:
            return self._reaches[a, b]
        reach = self._reach_of(bodies[a], None if b is None else bodies[b])
        if known:
            self._reaches[a, b] = reach
        return reach

    def _reach_of(self, a: pin.GeometryObject, b: pin.GeometryObject | None) -> np.ndarray:
        only_a, only_b = path_joints(self.pin, a.parentJoint, 0 if b is None else b.parentJoint)
        reach = body_reach(self.pin, a, only_a)
        return reach if b is None else reach + body_reach(self.pin, b, only_b)

    def reach_between(self, a: pin.GeometryObject, b: pin.GeometryObject) -> np.ndarray:
        """(A,) m per rad or m per m: how far two bodies of the robot move against each other, at
        most, per unit travel of each commanded joint.
        """
        return self._reach_of(a, b) @ np.abs(self._spread)

    def overlaps_at_home(self) -> dict[tuple[str, str], float]:
        """Links or obstacles that overlap at home, and how deep [m]."""
        distances = self.distances(np.array(self.embodiment.home))
        found: dict[tuple[str, str], float] = {}
        for k in np.argsort(distances):
            if distances[k] <= 0:
                found.setdefault(self.pairs.names[k], -float(distances[k]))
        return found

    def why_not_at_home(self) -> list[str]:
        """What keeps this robot from resting at home, a sentence each."""
        found = [
            f"{a} and {b} overlap by {depth * 1e3:.1f} mm at home; correct home, srdf or world"
            for (a, b), depth in self.overlaps_at_home().items()
        ]
        home = np.array(self.embodiment.home)[None]
        effort = np.abs(self.torque(home, 0 * home, 0 * home)[0])
        allowed = HOLDING * self.limits.effort
        for k in np.flatnonzero(effort > allowed):
            name = self.joint_names[k]
            unit = "N" if self.sliding[k] else "Nm"
            found.append(
                f"home needs {effort[k]:.1f} {unit} of {name}, allowed {allowed[k]:.3g}: if a "
                f"spring carries it, tell `supported_by_spring: [{name}]`; if the limit is a "
                f"placeholder, `effort_limit: {{{name}: ...}}`; else correct home or inertias"
            )
        return found


def load_safety_model(embodiment: Embodiment, world: str | None = None) -> SafetyModel:
    """Build the model of a robot that can rest at home, and of what stands around it.

    Args:
        embodiment: the robot.
        world: name or file of a world; None takes the embodiment's own.

    Raises:
        WamError: limits, inertias, frames, meshes or obstacles that are missing or make no sense.
    """
    model = build_safety_model(embodiment, world)
    problems = Problems(embodiment.name)
    for words in model.why_not_at_home():
        problems.add(words)
    problems.require_none()
    return model


def build_safety_model(embodiment: Embodiment, world: str | None = None) -> SafetyModel:
    """The same, whether it can rest at home or not."""
    name = embodiment.world if world is None else world
    return SafetyModel(embodiment, load_world(name).obstacles, config_path("worlds", name).parent)


def _unseen(embodiment: Embodiment, bodies: list[Body]) -> list[str]:
    """Which links are watched by what is there to look at, or not at all."""
    found = []
    seen = list(dict.fromkeys(b.link for b in bodies if b.seen))
    if seen:
        found.append(f"no collision body, watched by the hull of what is drawn: {', '.join(seen)}")
    watched = {b.link for b in bodies}
    for words, links in (
        ("unguarded, watched by nothing", [n for n in embodiment.unguarded if n not in watched]),
        (
            "unguarded but for what of it is a body",
            [n for n in embodiment.unguarded if n in watched],
        ),
    ):
        if links:
            found.append(f"{words}: {', '.join(links)}")
    return found


def _told_apart(embodiment: Embodiment) -> list[str]:
    """Which links are kept apart by another measure than all others."""
    told = [f"{key} by {m * 1e3:g} mm" for key, m in embodiment.clearance.items()]
    return [f"kept apart by a measure of their own: {'; '.join(told)}"] if told else []


def link_of(body: pin.GeometryObject) -> str:
    """Link that a body belongs to."""
    return str(body.name).rsplit("#", 1)[0]

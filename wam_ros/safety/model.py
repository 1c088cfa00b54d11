"""The robot as the safety filter sees it: limits, dynamics, bodies and obstacles. Built once, then only asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pinocchio as pin

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.resources import config_path, urdf_path
from wam_ros.safety.dynamics import Dynamics
from wam_ros.safety.pairs import (
    SAMPLES,
    Pairs,
    Verdicts,
    body_reach,
    judge_pairs,
    may_collide,
    path_joints,
    read_disabled,
)
from wam_ros.safety.shapes import load_shape, load_shapes, obstacle_shape
from wam_ros.safety.world import Obstacle, load_world

SEED = 20240229  # of the configurations that decide which pairs can meet


class SafetyModel(Dynamics):
    """Kinematics, dynamics and distances of one robot among its obstacles. Not thread-safe: one thread owns it."""

    def __init__(self, embodiment: Embodiment, obstacles: dict[str, Obstacle], folder: Path) -> None:
        super().__init__(embodiment)
        base = self.frame(embodiment.base_frame)
        if self.pin.frames[base].parentJoint != 0:
            raise WamError(f"base_frame '{embodiment.base_frame}' moves with joint; obstacles need a frame that stands")
        self._robot_bodies = load_shapes(self.pin, embodiment.urdf_path)
        self._robot_bodies += [
            load_shape(self.pin, self.frame(load.frame), name, load)
            for name, load in embodiment.loads.items()
            if load.shape
        ]
        self._base, self._folder = self.pin.frames[base].placement, folder
        self.judged = self._judge_self_pairs()
        self._self_pairs = self.judged.watched
        self.set_obstacles(obstacles)
        self._require_home_free()

    def set_obstacles(self, obstacles: dict[str, Obstacle]) -> None:
        """Replace everything that stands around the robot."""
        bodies = [obstacle_shape(name, o, self._base, self._folder) for name, o in obstacles.items()]
        for body in bodies:
            body.geometry.computeLocalAABB()
        pairs, clearance = list(self._self_pairs), [0.0] * len(self._self_pairs)
        n = len(self._robot_bodies)
        for k, obstacle in enumerate(obstacles.values()):
            moving = [i for i, b in enumerate(self._robot_bodies) if b.parentJoint > 0]
            pairs += [(i, n + k) for i in moving]
            clearance += [obstacle.clearance] * len(moving)
        self.bodies = [*self._robot_bodies, *bodies]
        self.geometry, self.geometry_data = self._geometry(pairs)
        self.pairs = self._describe(pairs, np.array(clearance))

    def place(self, full_q: np.ndarray) -> None:
        """Move all bodies to configuration (nq,); `distance` then answers for it."""
        pin.updateGeometryPlacements(self.pin, self.data, self.geometry, self.geometry_data, full_q)

    def distance(self, pair: int) -> float:
        """Distance [m] of a pair at the last `place`; negative when they overlap."""
        return float(pin.computeDistance(self.geometry, self.geometry_data, pair).min_distance)

    def distances(self, q: np.ndarray) -> np.ndarray:
        """(P,) distances [m] of all pairs at q (A,)."""
        self.place(self.full_q(q[None])[0])
        return np.array([self.distance(p) for p in range(len(self.pairs.names))])

    def _geometry(self, pairs: list[tuple[int, int]]) -> tuple[pin.GeometryModel, pin.GeometryData]:
        geometry = pin.GeometryModel()
        for body in self.bodies:
            geometry.addGeometryObject(body)
        for a, b in pairs:
            geometry.addCollisionPair(pin.CollisionPair(a, b))
        return geometry, geometry.createData()

    def _judge_self_pairs(self) -> Verdicts:
        """Which pairs of the robot's own bodies are watched, and why the others are not."""
        bodies = self.bodies = self._robot_bodies
        fingers = {self.pin.getJointId(n) for n, s in self._source.items() if s[0] in self.embodiment.gripper_joints}
        pairs = [(i, j) for i in range(len(bodies)) for j in range(i + 1, len(bodies))]
        near = [not may_collide(self.pin, bodies[i].parentJoint, bodies[j].parentJoint, fingers) for i, j in pairs]
        told = read_disabled(urdf_path(self.embodiment.srdf)) if self.embodiment.srdf else None
        names = [(link_of(bodies[i]), link_of(bodies[j])) for i, j in pairs]
        self.geometry, self.geometry_data = self._geometry(pairs)

        def distances(full: np.ndarray, which: np.ndarray) -> np.ndarray:
            self.place(full)
            return np.array([self.distance(int(p)) for p in which])

        return judge_pairs(pairs, names, near, told, distances, self.full_q(self.random_q(SAMPLES, SEED)))

    def _describe(self, pairs: list[tuple[int, int]], clearance: np.ndarray) -> Pairs:
        reach = np.zeros((len(pairs), self.pin.nv))
        for row, (a, b) in enumerate(pairs):
            only_a, only_b = path_joints(self.pin, self.bodies[a].parentJoint, self.bodies[b].parentJoint)
            reach[row] = body_reach(self.pin, self.bodies[a], only_a) + body_reach(self.pin, self.bodies[b], only_b)
        first, second = (np.array([p[k] for p in pairs], dtype=int) for k in (0, 1))
        names = tuple((link_of(self.bodies[a]), link_of(self.bodies[b])) for a, b in pairs)
        world = second >= len(self._robot_bodies)
        return Pairs(first, second, names, clearance, reach @ np.abs(self._spread), world)

    def _require_home_free(self) -> None:
        distances = self.distances(np.array(self.embodiment.home))
        if len(distances) and distances.min() <= 0:
            a, b = self.pairs.names[int(distances.argmin())]
            raise WamError(f"{self.embodiment.name}: {a} and {b} overlap at home; correct home, srdf or world")


def load_safety_model(embodiment: Embodiment, world: str | None = None) -> SafetyModel:
    """Build the model of a robot and what stands around it.

    Args:
        embodiment: the robot.
        world: name or file of a world; None takes the embodiment's own.

    Raises:
        WamError: limits, inertias, frames, meshes or obstacles that are missing or make no sense.
    """
    name = embodiment.world if world is None else world
    return SafetyModel(embodiment, load_world(name).obstacles, config_path("worlds", name).parent)


def link_of(body: pin.GeometryObject) -> str:
    """Link that a body belongs to."""
    return str(body.name).rsplit("#", 1)[0]

"""The MuJoCo scene: a robot, what stands around it, the task's objects, lights and cameras."""

from __future__ import annotations

import logging
from pathlib import Path

import mujoco
import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.resources import config_path
from wam_ros.robot.dynamics import Dynamics
from wam_ros.robot.meshes import mesh_hull
from wam_ros.robot.obstacles import Obstacle, load_world
from wam_ros.sim.arm import add_hull, add_plain, arm_spec
from wam_ros.sim.mounts import add_camera, mounts_of
from wam_ros.sim.tasks.base import Task

SOLID = {"contype": 2, "conaffinity": 3}
# what falls down rests on it; the filter does not know it, so that no link may meet it
FLOOR = {"contype": 0, "conaffinity": 2}
WOOD = (0.76, 0.70, 0.62, 1)
FLOOR_COLOUR = (0.36, 0.40, 0.45, 1)
PLANE_M = 3.0  # half the side of what is drawn of a plane
LARGEST_PX = 512

_LOG = logging.getLogger(__name__)


def build_spec(
    robot: Dynamics, task: Task | None, camera_size: tuple[int, int], timestep_s: float
) -> mujoco.MjSpec:
    """MuJoCo specification of the whole world, ready to compile."""
    spec = arm_spec(robot)
    spec.option.timestep = timestep_s
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10
    spec.visual.quality.shadowsize = 0  # software rendering is ten times faster without shadow maps
    mounts = mounts_of(robot)
    sizes = [camera_size, *(m.size[::-1] for m in mounts.values() if m.size)]
    spec.visual.global_.offheight = max(LARGEST_PX, *(s[0] for s in sizes))
    spec.visual.global_.offwidth = max(LARGEST_PX, *(s[1] for s in sizes))
    spec.visual.headlight.ambient = [0.45, 0.45, 0.45]
    spec.visual.headlight.diffuse = [0.35, 0.35, 0.35]
    spec.visual.headlight.specular = [0, 0, 0]
    spec.worldbody.add_light(
        pos=[0.2, -0.6, 2.0], dir=[0.1, 0.3, -1.0], diffuse=[0.5, 0.5, 0.5], castshadow=False
    )
    _furniture(spec, robot.embodiment)
    if task is not None:
        task.add_objects(spec)
    for name, mount in mounts.items():
        add_camera(spec, name, mount)
    return spec


def _furniture(spec: mujoco.MjSpec, embodiment: Embodiment) -> None:
    """What stands around the robot, and a floor."""
    world = spec.worldbody
    obstacles = load_world(embodiment.world).obstacles
    for name, obstacle in obstacles.items():
        if obstacle.shape == "points":
            _LOG.warning("obstacle '%s' is a cloud of points: the simulated arm has none", name)
            continue
        _add_obstacle(spec, name, obstacle, embodiment)
    bottom = min(
        (o.position[2] - o.size[2] / 2 for o in obstacles.values() if o.shape == "box"), default=0.0
    )
    world.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=(PLANE_M, PLANE_M, 0.1),
        pos=(0, 0, bottom),
        rgba=FLOOR_COLOUR,
        **FLOOR,
    )


def _add_obstacle(
    spec: mujoco.MjSpec, name: str, obstacle: Obstacle, embodiment: Embodiment
) -> None:
    world = spec.worldbody
    if obstacle.shape == "plane":
        geom = world.add_geom(
            type=mujoco.mjtGeom.mjGEOM_PLANE,
            size=(PLANE_M, PLANE_M, 0.1),
            pos=obstacle.position,
            quat=obstacle.orientation,
            rgba=WOOD,
            **SOLID,
        )
    elif obstacle.shape == "mesh":
        beside = config_path("worlds", embodiment.world).parent / obstacle.mesh
        points = mesh_hull(beside if beside.is_file() else Path(obstacle.mesh))
        geom = world.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=add_hull(spec, f"obstacle {name}", points * np.array(obstacle.size)),
            pos=obstacle.position,
            quat=obstacle.orientation,
            rgba=WOOD,
            **SOLID,
        )
    else:
        geom = add_plain(
            body=world,
            kind=obstacle.shape,
            size=obstacle.size,
            position=obstacle.position,
            wxyz=obstacle.orientation,
            rgba=WOOD,
            **SOLID,
        )
    geom.name = name


def lower_floor(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Put the floor below everything that stands where it is in `data`."""
    lowest = np.inf
    for g in range(model.ngeom):
        centre = model.geom_aabb[g, :3]
        half = model.geom_aabb[g, 3:]
        if model.geom_type[g] != mujoco.mjtGeom.mjGEOM_PLANE:
            row = data.geom_xmat[g].reshape(3, 3)[2]
            low = data.geom_xpos[g, 2] + row @ centre - np.abs(row) @ half
            lowest = min(lowest, float(low))
    floor = model.geom("floor").id
    model.geom_pos[floor, 2] = min(model.geom_pos[floor, 2], lowest)

"""The MuJoCo scene: the robot's URDF plus table, blocks, lights, cameras and servo drives."""

from __future__ import annotations

import mujoco
import numpy as np
from transforms3d.quaternions import mat2quat

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.sim.robots import HAND, require_simulated
from wam_ros.sim.tasks.base import Task

# Drives: stiffness [Nm/rad or N/m], damping [Nm s/rad or N s/m], rotor inertia [kg m^2 or kg].
STRONG = (4000.0, 200.0, 0.2)
WEAK = (1500.0, 50.0, 0.05)
FINGER = (1200.0, 60.0, 0.5)


def build_spec(
    embodiment: Embodiment, task: Task, camera_size: tuple[int, int], timestep_s: float
) -> mujoco.MjSpec:
    """MuJoCo specification of the whole world, ready to compile."""
    try:
        spec = mujoco.MjSpec.from_file(str(embodiment.urdf_path))
    except ValueError as error:
        raise WamError(f"{embodiment.urdf_path}: MuJoCo cannot read it: {error}") from error
    spec.compiler.fusestatic = False
    spec.option.timestep = timestep_s
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10
    spec.visual.quality.shadowsize = 0  # software rendering is ten times faster without shadow maps
    spec.visual.global_.offheight, spec.visual.global_.offwidth = (max(s, 512) for s in camera_size)
    spec.visual.headlight.ambient = [0.45, 0.45, 0.45]
    spec.visual.headlight.diffuse = [0.35, 0.35, 0.35]
    spec.visual.headlight.specular = [0, 0, 0]
    _robot(spec, embodiment)
    _furniture(spec)
    task.add_objects(spec)
    _cameras(spec, embodiment, camera_size)
    return spec


def _robot(spec: mujoco.MjSpec, embodiment: Embodiment) -> None:
    for body in spec.bodies:
        if body.name != "world":
            body.gravcomp = 1.0
        for geom in body.geoms:
            # touches the world, not itself: self-collision is the filter's task
            geom.contype = 1
            geom.conaffinity = 2
            if "finger" in body.name:
                geom.friction = [1.5, 0.02, 0.001]
                geom.condim = 4
    for joint in spec.joints:
        if joint.type not in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE):
            continue
        sliding = joint.type == mujoco.mjtJoint.mjJNT_SLIDE
        effort = float(joint.actfrcrange[1])
        if effort <= 0:
            raise WamError(
                f"{embodiment.urdf_path}: joint '{joint.name}' has no effort limit; add <limit "
                "effort=...>"
            )
        kp, kv, rotor = FINGER if sliding else STRONG if effort > 40 else WEAK
        joint.armature = rotor
        # the drives, not magic, hold the weight: it counts against the effort limit
        joint.actgravcomp = True
        actuator = spec.add_actuator(
            name=joint.name, target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT
        )
        actuator.set_to_position(kp=kp, kv=kv)


def _furniture(spec: mujoco.MjSpec) -> None:
    world = spec.worldbody
    world.add_light(
        pos=[0.2, -0.6, 2.0], dir=[0.1, 0.3, -1.0], diffuse=[0.5, 0.5, 0.5], castshadow=False
    )
    box = mujoco.mjtGeom.mjGEOM_BOX
    plane = mujoco.mjtGeom.mjGEOM_PLANE
    solid = {"contype": 2, "conaffinity": 3}
    drawn = {"contype": 0, "conaffinity": 0}
    for name, shape, size, position, colour, contact in (
        ("table", box, (0.5, 0.7, 0.2), (0.7, 0, -0.2), (0.76, 0.70, 0.62, 1), solid),
        ("floor", plane, (3, 3, 0.1), (0, 0, -0.4), (0.36, 0.40, 0.45, 1), solid),
        ("pedestal", box, (0.15, 0.15, 0.2), (0, 0, -0.2), (0.25, 0.27, 0.30, 1), drawn),
    ):
        world.add_geom(name=name, type=shape, size=size, pos=position, rgba=colour, **contact)


def _cameras(spec: mujoco.MjSpec, embodiment: Embodiment, camera_size: tuple[int, int]) -> None:
    require_simulated(embodiment)
    for view in embodiment.view_names:
        if view == "wrist":
            hand = spec.body(HAND)
            # In front of the hand, looking along the fingers; their tips and what they hold stay in
            # the picture.
            position = np.array([0.075, 0.0, 0.045])
            target = np.array([0.022, 0.0, 0.16])
            up = np.array([1.0, 0, 0])
            hand.add_camera(name=view, pos=position, quat=_look_at(position, target, up), fovy=72)
        else:
            position = np.array([1.02, 0.0, 0.56])
            target = np.array([0.45, 0.0, 0.06])
            up = np.array([0, 0, 1.0])
            spec.worldbody.add_camera(
                name=view, pos=position, quat=_look_at(position, target, up), fovy=48
            )


def _look_at(position: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Quaternion (wxyz) of a camera at `position` that looks at `target` (MuJoCo: along its -z)."""
    z = (position - target) / np.linalg.norm(position - target)
    x = np.cross(up, z)
    x /= np.linalg.norm(x)
    return mat2quat(np.stack([x, np.cross(z, x), z], axis=1))

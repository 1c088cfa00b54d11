"""The robot of any URDF in MuJoCo: links, joints, drives and shapes, with the limits that the
safety filter reads from the same file.
"""

from __future__ import annotations

import logging
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import mujoco
import numpy as np
import pinocchio as pin
from transforms3d.axangles import axangle2mat
from transforms3d.euler import euler2quat
from transforms3d.quaternions import mat2quat, quat2mat

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import Problems, WamError
from wam_ros.core.packages import find_file
from wam_ros.robot.dynamics import Dynamics, bare_urdf, called
from wam_ros.robot.inertias import judge_inertias, rigid_groups
from wam_ros.robot.joints import Joints, read_joints
from wam_ros.robot.masses import weigh_links
from wam_ros.robot.meshes import NoBodyError, mesh_hull, read_mesh
from wam_ros.robot.urdf import Urdf, numbers, read_urdf

# Drives: stiffness [Nm/rad or N/m], damping [Nm s/rad or N s/m], rotor inertia [kg m^2 or kg].
STRONG = (4000.0, 200.0, 0.2)
WEAK = (1500.0, 50.0, 0.05)
LIFT = (50_000.0, 5000.0, 1.0)
FINGER = (1200.0, 60.0, 0.5)
STRONG_NM = 40.0
LIFT_N = 200.0
# a drive with less effort than this is that much softer and lighter: a stiff one would spend on the
# instant between two targets what the filter leaves for the arm
WEAK_NM = 12.0
FINGER_N = 20.0
# what a moving body weighs at least, kg and kg m^2: a frame may weigh nothing, its drive does
LEAST_MASS = 1e-6
LEAST_INERTIA = 1e-9
TOUCHES = {"contype": 1, "conaffinity": 2}  # the world, not itself: that is the filter's task
DRAWN = {"contype": 0, "conaffinity": 0}
# group of geoms that a camera does not see
UNSEEN = 3
GREY = (0.75, 0.76, 0.78, 1.0)
# triangles of a robot that are drawn, and of one mesh at least; more only cost where a processor
# draws
MOST_SIDES = 40_000
FEWEST_SIDES = 500

_LOG = logging.getLogger(__name__)


def load_dynamics(embodiment: Embodiment) -> Dynamics:
    """Kinematics and limits of a robot.

    Raises:
        WamError: everything that is wrong with its joints and inertias.
    """
    problems = Problems(embodiment.urdf_path)
    urdf = read_urdf(embodiment.urdf_path, problems)
    joints = read_joints(embodiment, urdf, problems)
    if urdf.tree:
        weigh_links(embodiment, urdf, problems)
        judge_inertias(urdf, joints.parked, problems)
    problems.require_none()
    model = Dynamics(embodiment, joints)
    base = model.pin.frames[model.frame(embodiment.base_frame)]
    if base.parentJoint != 0:
        raise WamError(
            f"base_frame '{embodiment.base_frame}' moves: the world needs one that does not"
        )
    return model


def arm_spec(robot: Dynamics) -> mujoco.MjSpec:
    """A MuJoCo specification that holds the robot, its base frame at the origin.

    Every joint that moves has a drive of its name; followers are tied to what they follow, joints
    that stand or are sensed are none.
    """
    joints = robot.joints
    bare = bare_urdf(joints.urdf)
    for joint in bare.findall("joint"):
        for limit in joint.findall("limit"):  # they are set below
            joint.remove(limit)
    try:
        spec = mujoco.MjSpec.from_string(ET.tostring(bare, encoding="unicode"))
    except ValueError as error:
        raise WamError(f"{joints.urdf.path}: MuJoCo cannot read it: {error}") from error
    spec.compiler.fusestatic = False
    spec.compiler.discardvisual = False
    spec.compiler.balanceinertia = True
    for name in joints.urdf.joints:
        spec.joint(called(joints.urdf, name)).name = name
    _place_base(spec, robot)
    for name, value in joints.standing(robot.embodiment.sensed).items():
        _fix(spec, joints.urdf.joints[name].sliding, spec.joint(name), value)
    _weigh(spec, joints)
    for body in spec.bodies:
        body.gravcomp = float(body.name != "world")
    _carry_loads(spec, robot.embodiment)
    _drive(spec, robot)
    _shape(spec, robot)
    return spec


def _place_base(spec: mujoco.MjSpec, robot: Dynamics) -> None:
    """Put the root where the base frame is the world's; weights pull along the root's -z."""
    base = robot.pin.frames[robot.frame(robot.embodiment.base_frame)].placement.inverse()
    for body in spec.worldbody.bodies:
        placed = base * pin.SE3(quat2mat(body.quat), body.pos)
        body.pos = placed.translation
        body.quat = mat2quat(placed.rotation)
    spec.option.gravity = base.rotation @ np.array(spec.option.gravity)


def _fix(spec: mujoco.MjSpec, sliding: bool, joint: mujoco.MjsJoint, value: float) -> None:
    """Leave a joint out and its body where it stands."""
    body = joint.parent
    axis = np.array(joint.axis) / np.linalg.norm(joint.axis)
    turn = quat2mat(body.quat)
    if sliding:
        body.pos = body.pos + turn @ axis * value
    else:
        body.quat = mat2quat(turn @ axangle2mat(axis, value))
    spec.delete(joint)


def _weigh(spec: mujoco.MjSpec, joints: Joints) -> None:
    """Let every body that a joint moves weigh something, and no other body be weighed by its
    shapes.
    """
    for body in spec.bodies:
        moved = any(j.name in joints.source for j in body.joints)
        inertia = np.array(body.inertia)
        told = np.isfinite(body.fullinertia).all()
        if body.mass <= 0 or (not told and (inertia <= 0).all()):
            least = (LEAST_MASS, LEAST_INERTIA) if moved else (0.0, 0.0)
            body.mass = max(body.mass, least[0])
            body.inertia = np.maximum(inertia, max(least[1], body.mass * LEAST_INERTIA))
        elif told:
            body.fullinertia = _as_a_body(np.array(body.fullinertia))
        body.explicitinertial = True


def _as_a_body(full: np.ndarray) -> np.ndarray:
    """Moments and products (6,) xx, yy, zz, xy, xz, yz [kg m^2] with as much on the moments as lets
    a body have them. An adapter is often told the same tiny number six times; the robot as a whole
    was judged before.
    """
    xx, yy, zz, xy, xz, yz = full
    least = float(np.linalg.eigvalsh([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])[0])
    if least > 0:
        return full
    return full + (LEAST_INERTIA - least) * np.array([1, 1, 1, 0, 0, 0])


def _carry_loads(spec: mujoco.MjSpec, embodiment: Embodiment) -> None:
    """Fix tools and payloads to their frames."""
    for name, load in embodiment.loads.items():
        body = spec.body(load.frame).add_body(name=f"load {name}", gravcomp=1.0)
        body.explicitinertial = True
        body.mass = load.mass
        body.ipos = load.centre
        body.inertia = [max(load.mass, LEAST_MASS) * LEAST_INERTIA] * 3
        if load.shape:
            add_plain(
                body=body,
                kind=load.shape,
                size=load.size,
                position=load.position,
                wxyz=load.orientation,
                rgba=GREY,
                **TOUCHES,
            )


def _drive(spec: mujoco.MjSpec, robot: Dynamics) -> None:
    """Give every joint that moves its limits and a drive."""
    limits = robot.limits
    known = robot.joints.urdf.joints
    for name, (leader, factor, offset) in robot.joints.source.items():
        k = robot.joint_names.index(leader)
        joint = spec.joint(name)
        ends = factor * np.array([limits.lower[k], limits.upper[k]]) + offset
        if np.isfinite(ends).all():
            joint.limited = mujoco.mjtLimited.mjLIMITED_TRUE
            joint.range = sorted(ends)
        effort = float(limits.effort[k])
        if name != leader and known[name].effort > 0:
            effort = known[name].effort
        joint.actfrclimited = mujoco.mjtLimited.mjLIMITED_TRUE
        joint.actfrcrange = [-effort, effort]
        kp, kv, rotor = _gains(known[name].sliding, effort)
        joint.armature = rotor
        # the drives, not magic, hold the weight: it counts against the effort limit, unless a
        # spring carries it
        joint.actgravcomp = not robot.sprung[k]
        actuator = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        actuator.set_to_position(kp=kp, kv=kv)
        if name != leader:
            tie = spec.add_equality(
                type=mujoco.mjtEq.mjEQ_JOINT,
                objtype=mujoco.mjtObj.mjOBJ_JOINT,
                name1=name,
                name2=leader,
            )
            tie.data[0] = offset
            tie.data[1] = factor


def _gains(sliding: bool, effort: float) -> tuple[float, float, float]:
    """Stiffness, damping and rotor inertia of a drive."""
    if effort > (LIFT_N if sliding else STRONG_NM):
        return LIFT if sliding else STRONG
    kp, kv, rotor = FINGER if sliding else WEAK
    share = min(1.0, effort / (FINGER_N if sliding else WEAK_NM))
    return share * kp, share * kv, share * rotor


def _shape(spec: mujoco.MjSpec, robot: Dynamics) -> None:
    """Give every link what touches and what is seen.

    Where both are the same plain shapes, and where only one of them is told, it is both.
    """
    urdf = robot.joints.urdf
    fingers = _fingers(robot)
    meshes = _Meshes(spec, robot.embodiment, urdf)
    colours = _colours(urdf)
    for name, link in urdf.links().items():
        body = spec.worldbody if name == "world" else spec.body(name)
        solid = list(_bodies(link, "collision"))
        drawn = list(_bodies(link, "visual"))
        colour = next((c for v in link.findall("visual") if (c := _colour(v, colours))), GREY)
        alike = list(map(_same, solid)) == list(map(_same, drawn))
        one = not solid or not drawn or (alike and not any(_is_mesh(e) for e in solid))
        for element in solid or drawn:
            touches = TOUCHES if solid or name not in robot.embodiment.unguarded else DRAWN
            geom = meshes.add(body, element, hull=bool(solid))
            if geom is None:
                continue
            geom.contype = touches["contype"]
            geom.conaffinity = touches["conaffinity"]
            geom.rgba = colour
            geom.group = 0 if one else UNSEEN
            if name in fingers:
                geom.friction = [1.5, 0.02, 0.001]
                geom.condim = 4
        for element in [] if one else drawn:
            geom = meshes.add(body, element, hull=False)
            if geom is not None:
                geom.contype = geom.conaffinity = 0
                geom.rgba = _colour(element, colours) or colour


def _fingers(robot: Dynamics) -> set[str]:
    """Links that a gripper moves."""
    grippers = robot.embodiment.gripper_joints
    moved = {
        robot.joints.urdf.joints[name].child
        for name, source in robot.joints.source.items()
        if source[0] in grippers
    }
    standing = robot.joints.standing(robot.embodiment.sensed)
    groups = rigid_groups(robot.joints.urdf, standing)
    return {link for group in groups if moved.intersection(group) for link in group}


def _bodies(link: ET.Element, kind: str) -> Iterator[ET.Element]:
    return (e for e in link.findall(kind) if e.find("geometry/*") is not None)


def _is_mesh(element: ET.Element) -> bool:
    return element.find("geometry/mesh") is not None


def _same(element: ET.Element) -> tuple[object, ...]:
    """What makes two elements the same body."""
    shape = element.find("geometry/*")
    origin = element.find("origin")
    assert shape is not None
    return (
        shape.tag,
        sorted(shape.attrib.items()),
        sorted(origin.attrib.items() if origin is not None else ()),
    )


def _colours(urdf: Urdf) -> dict[str, tuple[float, ...]]:
    """Materials by name."""
    found = {}
    for material in urdf.root.iter("material"):
        rgba = numbers((c.get("rgba") or "") if (c := material.find("color")) is not None else "")
        if len(rgba) == 4:
            found[material.get("name", "")] = tuple(rgba)
    return found


def _colour(visual: ET.Element, colours: dict[str, tuple[float, ...]]) -> tuple[float, ...] | None:
    material = visual.find("material")
    if material is None:
        return None
    own = numbers((c.get("rgba") or "") if (c := material.find("color")) is not None else "")
    return tuple(own) if len(own) == 4 else colours.get(material.get("name", ""))


class _Meshes:
    """Adds the elements of a URDF to bodies; a mesh file is read once."""

    def __init__(self, spec: mujoco.MjSpec, embodiment: Embodiment, urdf: Urdf) -> None:
        self._spec = spec
        self._packages = embodiment.packages
        self._unguarded = embodiment.unguarded
        self._folder = urdf.path.parent
        self._added: dict[tuple[object, ...], str] = {}
        count = len(urdf.root.findall("link/visual/geometry/mesh"))
        self._most = max(FEWEST_SIDES, MOST_SIDES // max(count, 1))

    def add(self, body: mujoco.MjsBody, element: ET.Element, hull: bool) -> mujoco.MjsGeom | None:
        """A geom for a <collision> or <visual>; None for one that is drawn and cannot be read, or
        that is no body, of an unguarded link.

        Raises:
            WamError: a mesh that others are to meet cannot be read.
        """
        shape = element.find("geometry/*")
        assert shape is not None
        position, wxyz = _origin(element)
        if shape.tag != "mesh":
            sizes = [n for key in ("size", "radius", "length") for n in numbers(shape.get(key, ""))]
            return add_plain(body, shape.tag, size=sizes, position=position, wxyz=wxyz, rgba=GREY)
        scale = tuple(numbers(shape.get("scale", "1 1 1")))
        try:
            path = find_file(shape.get("filename", ""), self._folder, self._packages)
            key = (path, scale, hull)
            if key not in self._added:
                self._added[key] = self._mesh(path, scale, hull)
        except WamError as error:
            # a mesh without a surface meets nothing: whoever listed the link was told
            nothing = isinstance(error, NoBodyError) and body.name in self._unguarded
            if hull and not nothing:
                raise
            _LOG.warning("not drawn: %s", error)
            return None
        return body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=self._added[key],
            pos=position,
            quat=wxyz,
            mass=0.0,
        )

    def _mesh(self, path: Path, scale: tuple[float, ...], hull: bool) -> str:
        name = f"mesh {len(self._added)}"
        if hull:
            points = mesh_hull(path) * scale
            return add_hull(self._spec, name, points)
        vertices, sides = coarser(*read_mesh(path), self._most)
        if np.prod(scale) < 0:
            sides = sides[:, ::-1]
        # three corners of its own for each side: no smoothing over edges
        corners = (vertices * scale)[sides].reshape(-1, 3)
        self._spec.add_mesh(
            name=name,
            uservert=corners.ravel().tolist(),
            userface=np.arange(len(corners)).tolist(),
            inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
        )
        return name


def add_hull(spec: mujoco.MjSpec, name: str, points: np.ndarray) -> str:
    """A mesh that is the convex hull of points (N, 3) m."""
    spec.add_mesh(
        name=name,
        uservert=np.asarray(points, float).ravel().tolist(),
        inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX,
    )
    return name


def add_plain(
    body: mujoco.MjsBody,
    kind: str,
    size: object,
    position: object,
    wxyz: object,
    rgba: object,
    **contact: int,
) -> mujoco.MjsGeom:
    """A box (full extents), sphere, cylinder or capsule (radius, length) [m] without weight."""
    kinds = {
        "box": mujoco.mjtGeom.mjGEOM_BOX,
        "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
        "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
        "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    }
    full = [float(s) for s in size]  # type: ignore[attr-defined]
    if kind == "box":
        half = [s / 2 for s in full]
    else:
        half = [full[0], full[1] / 2 if len(full) > 1 else 0.0, 0.0]
    return body.add_geom(
        type=kinds[kind], size=half, pos=position, quat=wxyz, rgba=rgba, mass=0.0, **contact
    )


def coarser(vertices: np.ndarray, sides: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The same surface with at most about `most` triangles, for a small picture."""
    cells = 128
    while len(sides) > most and cells >= 8:
        edge = max(float(np.ptp(vertices, axis=0).max()) / cells, 1e-12)
        new, kept = merge_corners(vertices, sides, edge)
        if len(kept) <= most or cells == 8:
            return vertices, new[sides[kept]]
        cells //= 2
    return vertices, sides


def merge_corners(
    vertices: np.ndarray, sides: np.ndarray, edge: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which corner each becomes, (N,), and which sides are left, when those in one cell of a grid
    become one.

    Rossignac and Borrel, "Multi-resolution 3D approximations for rendering complex scenes" (1993);
    sides that lose their area go.
    """
    cell = np.floor((vertices - vertices.min(axis=0)) / edge).astype(int)
    _, first, merged = np.unique(cell, axis=0, return_index=True, return_inverse=True)
    new = first[merged.reshape(-1)]
    found = new[sides]
    wide = np.flatnonzero((found != np.roll(found, 1, axis=1)).all(axis=1))
    _, once = np.unique(np.sort(found[wide], axis=1), axis=0, return_index=True)
    return new, wide[once]


def _origin(element: ET.Element) -> tuple[list[float], np.ndarray]:
    """Position [m] and quaternion (wxyz) of an element's <origin>."""
    origin = element.find("origin")
    rpy, xyz = (
        numbers("0 0 0" if origin is None else origin.get(key, "0 0 0")) for key in ("rpy", "xyz")
    )
    return xyz, euler2quat(*rpy)

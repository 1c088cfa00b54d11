"""A robot at home, as it is drawn and as it is watched, by MuJoCo's renderer."""

from __future__ import annotations

import colorsys
from pathlib import Path

import coal
import mujoco
import numpy as np
import pinocchio as pin
from PIL import Image, ImageDraw, ImageFont

from wam_ros.core.embodiment import Camera
from wam_ros.core.errors import WamError
from wam_ros.core.files import whole_file
from wam_ros.core.frustum import field_of_view, picture_corners, pinhole
from wam_ros.core.packages import find_file
from wam_ros.robot.meshes import hull_of, read_mesh
from wam_ros.robot.model import SafetyModel, link_of
from wam_ros.robot.urdf import numbers

# px of one view; two rows of two
WIDTH = 560
HEIGHT = 520
HEAD = 34
VIEWS = ((135.0, -20.0), (90.0, -5.0))  # degrees, azimuth and elevation
DRAWN = (0.75, 0.76, 0.78, 1.0)
STANDING = (0.55, 0.57, 0.60, 1.0)
SEEN = (0.93, 0.55, 0.14, 1.0)
# of the cameras, in their order, and over again
CAMERA_COLOURS = ((0.15, 0.35, 0.85), (0.85, 0.15, 0.35), (0.10, 0.55, 0.25), (0.55, 0.25, 0.75))
DEPTH = 0.12  # of a camera's field of view: height of its far end, as a share of the robot's size
LINE = 0.0018  # thickness of its edges, likewise
GLASS = 0.14  # how much it hides of what is behind it
MOST_SIDES = 190_000  # triangles that MuJoCo takes of one mesh


def draw_robot(model: SafetyModel, seen: set[str]) -> Image.Image:
    """Four views: drawn left, with what its cameras see, watched right, each from two sides.

    Args:
        model: at its home.
        seen: links that are watched by what is drawn, shown in orange.

    Raises:
        WamError: there is no OpenGL to draw with.
    """
    scene = _drawn(model)
    mounted = _add_cameras(scene, model)
    drawn = scene.render()
    watched = _watched(model, seen).render()
    picture = Image.new("RGB", (2 * WIDTH, HEAD + len(VIEWS) * HEIGHT), "white")
    for column, pictures in enumerate((drawn, watched)):
        for row, array in enumerate(pictures):
            picture.paste(Image.fromarray(array), (column * WIDTH, HEAD + row * HEIGHT))
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(15)
    head = f"{model.embodiment.name} at home, as drawn"
    pen.text((12, 9), head, fill="black", font=font)
    left = 12 + pen.textlength(head, font=font)
    for name, colour in mounted.items():
        words = f"   {name}"
        shade = tuple(round(255 * c) for c in colour)
        pen.text((left, 9), words, fill=shade, font=font)
        left += pen.textlength(words, font=font)
    words = f"as watched: {len(model.bodies)} convex bodies"
    words += "; orange: no collision body, the hull of what is drawn" if seen else ""
    pen.text((WIDTH + 12, 9), words, fill="black", font=font)
    return picture


def _drawn(model: SafetyModel) -> _Scene:
    """What is to look at, as its maker drew it."""
    scene = _Scene()
    folder = model.joints.urdf.path.parent
    pin.framesForwardKinematics(model.pin, model.data, _home(model))
    for name, link in model.joints.urdf.links().items():
        pose = model.data.oMf[model.frame(name)]
        for k, visual in enumerate(link.findall("visual")):
            shape = visual.find("geometry/*")
            if shape is None:
                continue
            placed = pose * _origin(visual)
            key = f"{name}/{k}"
            if shape.tag == "mesh":
                try:
                    uri = shape.get("filename", "")
                    points, sides = read_mesh(find_file(uri, folder, model.embodiment.packages))
                except WamError:
                    continue  # nothing that is watched: what is drawn may be missing
                size = np.array(numbers(shape.get("scale", "1 1 1")))
                scene.add_mesh(key, points * size, sides, placed, DRAWN)
            else:
                scene.add_plain(shape.tag, shape.attrib, placed, DRAWN)
    return scene


def _add_cameras(scene: _Scene, model: SafetyModel) -> dict[str, tuple[float, float, float]]:
    """Add the fields of view of the cameras that are mounted; their colours by name."""
    e = model.embodiment
    found = {}
    size = scene.size
    for k, camera in enumerate(e.cameras):
        if camera.mount is None or camera.mount.parent not in model.joints.urdf.links():
            continue
        found[camera.name] = colour = CAMERA_COLOURS[k % len(CAMERA_COLOURS)]
        pose = model.data.oMf[model.frame(camera.mount.parent)]
        corners = _corners(camera, e.image_width, e.image_height, DEPTH * size)
        placed = corners @ pose.rotation.T + pose.translation
        centre, *far = placed
        edges = [(centre, p) for p in far]
        edges += list(zip(far, [*far[1:], far[0]], strict=True))
        for a, b in edges:
            scene.add_line(a, b, LINE * size, (*colour, 1.0))
        # what is up in its picture
        middle = (far[0] + far[1]) / 2
        tip = middle + 0.35 * (middle - (far[2] + far[3]) / 2)
        for p in far[:2]:
            scene.add_line(p, tip, LINE * size, (*colour, 1.0))
        scene.add_pyramid(f"camera {k}", placed, (*colour, GLASS))
    return found


def _corners(camera: Camera, width: int, height: int, edge_m: float) -> np.ndarray:
    """What a camera sees (5, 3) m in the frame of its link, as its calibration says, else its mount
    and the shape of the model's picture.
    """
    assert camera.mount is not None
    turned = camera.rotation in (90, 270)
    size = (height, width) if turned else (width, height)
    known = pinhole(camera) or (field_of_view(camera.mount.fov, *size), size)
    return picture_corners(camera, *known, edge_m)


def _watched(model: SafetyModel, seen: set[str]) -> _Scene:
    """The convex bodies, each link in a colour of its own."""
    scene = _Scene()
    pin.forwardKinematics(model.pin, model.data, _home(model))
    links = list(dict.fromkeys(link_of(b) for b in model.bodies))
    for body in model.bodies:
        pose = model.data.oMi[body.parentJoint] * body.placement
        link = link_of(body)
        hue = (links.index(link) * 0.381966) % 1.0
        colour = (*colorsys.hsv_to_rgb(hue, 0.45, 0.9), 1.0)
        colour = STANDING if body.parentJoint == 0 else colour
        _add_body(scene, body, pose, SEEN if link in seen else colour)
    return scene


def _add_body(
    scene: _Scene, body: pin.GeometryObject, pose: pin.SE3, colour: tuple[float, ...]
) -> None:
    shape = body.geometry
    if isinstance(shape, coal.ConvexBase):
        points = np.array(shape.points(), dtype=float).reshape(-1, 3)
        scene.add_mesh(str(body.name), points, None, pose, colour)
    elif isinstance(shape, coal.Box):
        size = " ".join(str(2 * s) for s in shape.halfSide)
        scene.add_plain("box", {"size": size}, pose, colour)
    elif isinstance(shape, coal.Sphere):
        scene.add_plain("sphere", {"radius": str(shape.radius)}, pose, colour)
    elif isinstance(shape, coal.Cylinder | coal.Capsule):
        kind = "cylinder" if isinstance(shape, coal.Cylinder) else "capsule"
        sizes = {"radius": str(shape.radius), "length": str(2 * shape.halfLength)}
        scene.add_plain(kind, sizes, pose, colour)


class _Scene:
    """Shapes that stand, and what renders them."""

    def __init__(self) -> None:
        self._spec = mujoco.MjSpec()
        self._low = np.full(3, np.inf)
        self._high = np.full(3, -np.inf)
        look = self._spec.visual
        look.global_.offwidth = WIDTH
        look.global_.offheight = HEIGHT
        look.headlight.ambient = [0.35, 0.35, 0.35]
        look.headlight.diffuse = [0.6, 0.6, 0.6]
        self._spec.add_texture(
            name="sky",
            type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
            rgb1=[1, 1, 1],
            rgb2=[1, 1, 1],
            width=64,
            height=64,
        )

    def add_mesh(
        self,
        name: str,
        points: np.ndarray,
        sides: np.ndarray | None,
        pose: pin.SE3,
        colour: tuple[float, ...],
    ) -> None:
        """A mesh, or the hull of points; all of it stands, so its place is that of its corners."""
        placed = points @ pose.rotation.T + pose.translation
        if sides is None or len(sides) > MOST_SIDES:
            placed, sides = _hull_sides(placed)
        corners = placed[sides].reshape(-1, 3)  # three of its own for each side: no smoothing
        mesh = self._spec.add_mesh(
            name=name,
            uservert=corners.ravel().tolist(),
            userface=np.arange(len(corners)).tolist(),
            inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
        )
        kind = mujoco.mjtGeom.mjGEOM_MESH
        self._spec.worldbody.add_geom(type=kind, meshname=mesh.name, rgba=colour)
        self._span(placed)

    def add_plain(
        self, kind: str, sizes: dict[str, str], pose: pin.SE3, colour: tuple[float, ...]
    ) -> None:
        """A box, sphere, cylinder or capsule as a URDF tells its sizes; nothing of another kind."""
        kinds = {
            "box": mujoco.mjtGeom.mjGEOM_BOX,
            "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
            "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
            "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
        }
        if kind not in kinds:
            return
        if kind == "box":
            size = [s / 2 for s in numbers(sizes["size"])]
        else:
            size = [float(sizes["radius"]), float(sizes.get("length", 0)) / 2, 0.0]
        x, y, z, w = pin.Quaternion(pose.rotation).coeffs()
        self._spec.worldbody.add_geom(
            type=kinds[kind], size=size, pos=pose.translation, quat=[w, x, y, z], rgba=colour
        )
        self._span(pose.translation + max(size) * np.array([[-1.0] * 3, [1.0] * 3]))

    @property
    def size(self) -> float:
        """From corner to corner of what was added, m."""
        return (
            float(np.linalg.norm(self._high - self._low)) if np.isfinite(self._low).all() else 1.0
        )

    def add_line(
        self, a: np.ndarray, b: np.ndarray, radius: float, colour: tuple[float, ...]
    ) -> None:
        """A line between two points [m]."""
        self._spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[*a, *b],
            size=[radius, 0, 0],
            rgba=colour,
        )
        self._span(np.array([a, b]))

    def add_pyramid(self, name: str, corners: np.ndarray, colour: tuple[float, ...]) -> None:
        """A tip and the corners of its base (5, 3) m."""
        mesh = self._spec.add_mesh(
            name=name,
            uservert=corners.ravel().tolist(),
            userface=[0, 2, 1, 0, 3, 2, 0, 4, 3, 0, 1, 4, 1, 2, 3, 1, 3, 4],
            inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
        )
        kind = mujoco.mjtGeom.mjGEOM_MESH
        self._spec.worldbody.add_geom(type=kind, meshname=mesh.name, rgba=colour)

    def render(self) -> list[np.ndarray]:
        """One picture (HEIGHT, WIDTH, 3) for each of the views."""
        model = self._spec.compile()
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        camera = mujoco.MjvCamera()
        if model.ngeom:
            camera.lookat[:] = (self._low + self._high) / 2
            camera.distance = 1.1 * float(np.linalg.norm(self._high - self._low)) + 0.02
        try:
            renderer = mujoco.Renderer(model, HEIGHT, WIDTH)
        except Exception as error:  # every GL back end raises its own type
            raise WamError(
                f"no OpenGL for the picture: {error}; set MUJOCO_GL=egl or osmesa"
            ) from error
        pictures = []
        for azimuth, elevation in VIEWS:
            camera.azimuth = azimuth
            camera.elevation = elevation
            renderer.update_scene(data, camera)
            pictures.append(renderer.render().copy())
        renderer.close()
        return pictures

    def _span(self, points: np.ndarray) -> None:
        self._low = np.minimum(self._low, points.min(axis=0))
        self._high = np.maximum(self._high, points.max(axis=0))


def _hull_sides(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners (N, 3) and triangles (M, 3) of a convex hull, seen from outside."""
    hull = hull_of(points, "the picture")
    corners = np.array(hull.points(), dtype=float).reshape(-1, 3)
    found = [hull.polygons(i) for i in range(hull.num_polygons)]
    sides = np.array([[p[0], p[1], p[2]] for p in found])
    a, b, c = corners[sides].swapaxes(0, 1)
    outwards = (np.cross(b - a, c - a) * (a - corners.mean(axis=0))).sum(axis=1) > 0
    return corners, np.where(outwards[:, None], sides, sides[:, ::-1])


def _origin(element: object) -> pin.SE3:
    origin = element.find("origin")  # type: ignore[attr-defined]
    if origin is None:
        return pin.SE3.Identity()
    rpy, xyz = (numbers(origin.get(key, "0 0 0")) for key in ("rpy", "xyz"))
    return pin.SE3(pin.rpy.rpyToMatrix(*rpy), np.array(xyz))


def _home(model: SafetyModel) -> np.ndarray:
    return model.full_q(np.array(model.embodiment.home)[None])[0]


def save(picture: Image.Image, path: Path) -> None:
    """Write a picture, as PNG.

    Raises:
        WamError: it cannot be written.
    """
    with whole_file(path) as part:
        picture.save(part, format="PNG")

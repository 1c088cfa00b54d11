"""Whether a camera sees the robot move as it must: pictures against forward kinematics.

Where each pixel of a picture goes when the joints move is known for everything of which the shape
is known: the renderer tells which body a pixel shows and how far it is. A picture that is drawn
back along this flow should be the one before it. How much of the change between two pictures the
flow explains is compared with what it would explain if the picture were turned, mirrored or that of
another camera; direct methods of optical flow: Lucas and Kanade, "An iterative image registration
technique with an application to stereo vision" (1981).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import mujoco
import numpy as np

from wam_ros.core.embodiment import Embodiment, Mount
from wam_ros.core.errors import WamError
from wam_ros.rehearsal.findings import (
    MIRRORED,
    RIGHT,
    ROTATED,
    SWAPPED,
    UNCLEAR,
    WRONG,
    Finding,
)
from wam_ros.rehearsal.take import Film, Take
from wam_ros.sim.arm import load_dynamics
from wam_ros.sim.scene import build_spec, lower_floor
from wam_ros.sim.world import compile_spec

PAIRS = 10  # of pictures that are compared, for each view
FAR_PX = 2.0  # that much of what moves moves between the two pictures of a pair
LEAST_PX = 0.4  # a pixel that moves less tells nothing
PIXELS = 12  # of a pair that must tell something
LONGEST_S = 1.0  # between the two
BLUR_PX = 0.8
NOISE = 2.0  # grey levels between two pictures of the same
EXPLAINS = 0.3  # of the change: this is the camera, and so turned
BETTER = 0.3  # an explanation must be than that the camera is as it is said to be
TURNS = (0, 90, 180, 270)  # degrees
AS_TOLD = ((0, False),)
ANY_WAY = tuple(itertools.product(TURNS, (False, True)))
PLAINER = 0.1  # share of the change that a stranger explanation must tell beyond a plainer one


@dataclass(frozen=True)
class Flow:
    """Where pixels of a picture go."""

    start: np.ndarray  # (P, 2) px: x, y
    end: np.ndarray  # (P, 2)


@dataclass(frozen=True)
class View:
    """How much of the change of one view's pictures each explanation tells."""

    name: str
    # (camera, degrees clockwise that the pictures are turned by, mirrored) -> share
    scores: dict[tuple[str, int, bool], float]
    pairs: int  # in which anything moved

    @property
    def own(self) -> float:
        """Share that is explained when everything is as it is said to be."""
        return self.scores.get((self.name, 0, False), 0.0)


class Scene:
    """The robot and what stands around it, seen by its cameras wherever its joints are.

    Args:
        embodiment: the robot; cameras without a mount see nothing.

    Raises:
        WamError: no GL back end works, or the description cannot be read.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        self.embodiment = embodiment
        self._robot = load_dynamics(embodiment)
        self.model = compile_spec(build_spec(self._robot, None, (64, 64), 0.002), embodiment)
        self.data = mujoco.MjData(self.model)
        self.mounted = {c.name: c.mount for c in embodiment.cameras if c.mount is not None}
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        self.put(np.array(embodiment.home))
        lower_floor(self.model, self.data)

    def put(self, q: np.ndarray) -> None:
        """Let the robot stand at (A,) rad or m."""
        names = list(self._robot.joint_names)
        for name, (leader, factor, offset) in self._robot.joints.source.items():
            adr = self.model.joint(name).qposadr[0]
            self.data.qpos[adr] = factor * q[names.index(leader)] + offset
        # no forces: where things are is all that is seen
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def flow(self, view: str, size: tuple[int, int], q: np.ndarray) -> Callable[[np.ndarray], Flow]:
        """What turns joints (A,) into the flow of a picture that is taken at `q` (A,).

        Args:
            view: a camera with a mount.
            size: height and width of the picture, px.
            q: rad or m.
        """
        height, width = size
        self.put(q)
        renderer = self._renderer(size)
        renderer.enable_segmentation_rendering()
        renderer.update_scene(self.data, view)
        shown = renderer.render()[..., 0]
        renderer.disable_segmentation_rendering()
        renderer.enable_depth_rendering()
        renderer.update_scene(self.data, view)
        depth = renderer.render()
        renderer.disable_depth_rendering()
        rows, columns = np.nonzero(shown >= 0)
        bodies = self.model.geom_bodyid[shown[rows, columns]]
        focal = height / 2 / np.tan(np.deg2rad(self._fov(view)) / 2)
        centre = np.array([width / 2, height / 2])
        start = np.stack((columns, rows), axis=1) + 0.5
        d = depth[rows, columns]
        # the camera looks along its -z with y up
        rays = np.column_stack(((start - centre) / focal * [1, -1], -np.ones(len(start))))
        points = self._camera(view, rays * d[:, None])
        turn = self.data.xmat[bodies].reshape(-1, 3, 3)
        local = np.einsum("nji,nj->ni", turn, points - self.data.xpos[bodies])

        def at(q_after: np.ndarray) -> Flow:
            self.put(q_after)
            turned = self.data.xmat[bodies].reshape(-1, 3, 3)
            after = np.einsum("nij,nj->ni", turned, local) + self.data.xpos[bodies]
            seen = self._seen(view, after)
            ahead = seen[:, 2] < -1e-3
            end = seen[:, :2] / np.where(ahead, -seen[:, 2], 1.0)[:, None] * [1, -1] * focal
            end += centre
            keep = ahead & (end > 0).all(axis=1) & (end < [width, height]).all(axis=1)
            return Flow(start[keep], end[keep])

        return at

    def _fov(self, view: str) -> float:
        return float(self.model.cam_fovy[self.model.camera(view).id])

    def _camera(self, view: str, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) of a camera's frame in the world."""
        at = self.data.camera(view)
        moved: np.ndarray = points @ at.xmat.reshape(3, 3).T + at.xpos
        return moved

    def _seen(self, view: str, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) of the world in a camera's frame."""
        at = self.data.camera(view)
        seen: np.ndarray = (points - at.xpos) @ at.xmat.reshape(3, 3)
        return seen

    def _renderer(self, size: tuple[int, int]) -> mujoco.Renderer:
        if size not in self._renderers:
            try:
                self._renderers[size] = mujoco.Renderer(self.model, *size)
            except Exception as error:  # every GL back end raises its own type
                raise WamError(
                    f"no OpenGL to see with: {error}; set MUJOCO_GL=egl or osmesa"
                ) from (error)
        return self._renderers[size]

    def close(self) -> None:
        """Free the GL contexts."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers = {}


def look(
    scene: Scene,
    recording: Take,
    q_at: Callable[[float], np.ndarray],
    ways: tuple[tuple[int, bool], ...] = ANY_WAY,
) -> list[View]:
    """How well the pictures fit the motion, for each view that was recorded.

    Args:
        scene: of the robot.
        recording: with pictures.
        q_at: joints (A,) rad or m at a time [s] of the recording.
        ways: degrees clockwise by which pictures may be turned, and whether mirrored; `AS_TOLD`
            also asks of no other camera.
    """
    views = []
    known: dict[tuple[object, ...], list[tuple[int, int, Flow]]] = {}
    for name, film in recording.films.items():
        scores: dict[tuple[str, int, bool], float] = {}
        told = 0
        shape = film.frames.shape[1], film.frames.shape[2]
        cameras = [c for c in scene.mounted if ways != AS_TOLD or c == name]
        for camera in cameras:
            for size in dict.fromkeys((shape, shape[::-1])):
                # a picture on its side is as high as it was wide, unless it was pressed since
                asked = [w for w in ways if size == shape or w[0] in TURNS[1::2]]
                if not asked:
                    continue
                which = (camera, size, film.t.tobytes())
                if which not in known:
                    known[which] = _pairs(scene, camera, size, film, q_at)
                pairs = known[which]
                told += len(pairs) * (camera == name and size == shape)
                for turn, mirror in asked:
                    key = camera, turn, mirror
                    scores[key] = max(scores.get(key, -np.inf), _share(film, pairs, key, size))
        views.append(View(name, {k: v for k, v in scores.items() if np.isfinite(v)}, told))
    return views


def _share(
    film: Film,
    pairs: list[tuple[int, int, Flow]],
    way: tuple[str, int, bool],
    size: tuple[int, int],
) -> float:
    """Share of the change between pictures that their flow explains; -inf where nothing changes."""
    sums = np.zeros(2)
    for first, last, flow in pairs:
        before, after = (_upright(film.frames[k], *way[1:], size) for k in (first, last))
        sums += _change(before, after, flow)
    return float(1 - sums[1] / sums[0]) if sums[0] > 0 else -np.inf


def _pairs(
    scene: Scene,
    camera: str,
    size: tuple[int, int],
    film: Film,
    q_at: Callable[[float], np.ndarray],
) -> list[tuple[int, int, Flow]]:
    """Pictures between which something that `camera` sees has moved far enough to tell, and how."""
    found = []
    count = len(film.t)
    for first in np.unique(np.linspace(0, max(count - 2, 0), PAIRS).astype(int)).tolist():
        flow_to = scene.flow(camera, size, q_at(film.t[first]))
        for last in range(first + 1, count):
            if film.t[last] - film.t[first] > LONGEST_S:
                break
            flow = flow_to(q_at(film.t[last]))
            far = np.linalg.norm(flow.end - flow.start, axis=1)
            moving = far > LEAST_PX
            if moving.sum() >= PIXELS and np.percentile(far[moving], 75) >= FAR_PX:
                found.append((first, last, Flow(flow.start[moving], flow.end[moving])))
                break
    return found


def _upright(picture: np.ndarray, turn: int, mirror: bool, size: tuple[int, int]) -> np.ndarray:
    """A picture (H, W) as it would be had it not been turned clockwise and mirrored, grey, blurred
    and of its old size.
    """
    grey = picture.astype(np.float32).mean(axis=2)
    grey = np.rot90(grey, turn // 90)
    if mirror:
        grey = grey[:, ::-1]
    grey = np.ascontiguousarray(grey)
    if grey.shape != size:
        grey = cv2.resize(grey, size[::-1], interpolation=cv2.INTER_AREA)
    blurred: np.ndarray = cv2.GaussianBlur(grey, (0, 0), BLUR_PX)
    return blurred


def _change(before: np.ndarray, after: np.ndarray, flow: Flow) -> np.ndarray:
    """Squared difference of two pictures (2,): as they are, and along the flow."""
    at_start, stayed, moved = (
        _sample(picture, points)
        for picture, points in ((before, flow.start), (after, flow.start), (after, flow.end))
    )
    whole = np.square(stayed - at_start) - NOISE**2
    left = np.square(moved - at_start) - NOISE**2
    return np.array([max(whole.sum(), 0.0), max(left.sum(), 0.0)])


def _sample(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(P,) brightness at points (P, 2) px."""
    where = (points - 0.5).astype(np.float32)
    values: np.ndarray = cv2.remap(
        picture, where[:, 0], where[:, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return values.ravel()


def judge_views(views: list[View], mounted: dict[str, Mount]) -> list[Finding]:
    """What is wrong with each view, and what cannot be said."""
    found = []
    fits = {view.name: view.own for view in views}
    for view in views:
        if view.name not in mounted:
            words = "no mount tells where this camera stands: `wam calibrate camera` finds it"
            found.append(Finding(UNCLEAR, view.name, words))
            continue
        if not view.scores:
            found.append(Finding(UNCLEAR, view.name, "nothing moves in its pictures"))
            continue
        # a camera whose own pictures fit it has not taken those of another one
        scores = {
            key: share
            for key, share in view.scores.items()
            if key[0] == view.name or fits.get(key[0], 0.0) < EXPLAINS
        }
        most = max(scores.values(), default=0.0)
        good = [key for key, share in scores.items() if share > most - PLAINER]
        good = good or [(view.name, 0, False)]
        # neither turned nor mirrored, before turned, before mirrored
        best = min(good, key=lambda key: (key[2], key[1] != 0, -scores.get(key, 0.0)))
        camera, turn, mirror = best
        share = view.scores.get(best, 0.0)
        told = f"{share:.0%} of what changes"
        own = f"{max(view.own, 0):.0%} as it is said to be"
        if share < EXPLAINS or share < view.own + BETTER:
            if view.own >= EXPLAINS:
                words = f"the motion of the arm explains {view.own:.0%} of what changes"
                found.append(Finding(RIGHT, view.name, words))
            else:
                words = f"the motion of the arm explains {own}, and turned or swapped no better"
                found.append(Finding(UNCLEAR, view.name, words))
            continue
        ways = [f"turned by {turn} degrees clockwise"] if turn else []
        ways += ["and mirrored" if turn else "mirrored"] if mirror else []
        if camera != view.name:
            words = f"shows what camera {camera} sees"
            mistake = SWAPPED
        else:
            words = "its pictures are"
            mistake = MIRRORED if mirror else ROTATED
            ways += ["(or a joint turns the other way, measured and commanded)"] if mirror else []
        words = " ".join((words, *ways))
        found.append(Finding(WRONG, view.name, f"{words}: explains {told}, {own}", mistake))
    return found

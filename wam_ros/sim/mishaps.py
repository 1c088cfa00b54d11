"""What goes wrong in a simulated episode on purpose: to see that a task is told to have failed, and
that a surprise is seen.

A mishap begins at its time and lasts until `World.reset`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import mujoco
import numpy as np

from wam_ros.core.errors import WamError, require_known
from wam_ros.sim.grasping import PANDA
from wam_ros.sim.tasks.pick_block import COLOURS, PickBlock
from wam_ros.sim.world import World

AWAY = (-3.0, 3.0)  # m, where nobody sees it
FALLEN = (1.45, 0.55)  # m, beyond the table's edge: it comes to lie on the floor
PUSH_N = 160.0  # sideways on the hand, as of a person who leans on it
PUSH_S = 0.3
TURN_RAD = 0.25  # of a camera about its own axis
DARK = 0.06  # of the light that is left under a cover


@dataclass
class Mishap:
    """One kind of mishap in one episode.

    Args:
        kind: name in `MISHAPS`.
        world: it happens in.
        at_s: simulated time at which it begins.
        rng: decides on what is left open: which camera, which way.
    """

    kind: str
    world: World
    at_s: float
    rng: np.random.Generator
    begun: bool = False
    begun_s: float = float("nan")
    covered: set[int] = field(default_factory=set)  # views that see next to nothing
    _undo: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        require_known("mishap", self.kind, MISHAPS)
        task = self.world.task
        if not isinstance(task, PickBlock) or task.how is not PANDA:
            raise WamError("mishaps are known of the panda's task 'pick_block' only")

    @property
    def task(self) -> PickBlock:
        """The task that it happens to."""
        assert isinstance(self.world.task, PickBlock)
        return self.world.task

    def look(self) -> None:
        """Begin when the time has come; called before every control step."""
        if not self.begun and self.world.time_s >= self.at_s - 1e-9:
            self.begun = MISHAPS[self.kind](self)
            if self.begun:
                self.begun_s = self.world.time_s
        if self.begun and self.kind == "arm pushed" and self.world.time_s > self.begun_s + PUSH_S:
            self.world.data.xfrc_applied[:] = 0

    def seen(self, frames: np.ndarray) -> np.ndarray:
        """Frames (V, H, W, 3) as the cameras see them."""
        if not self.covered:
            return frames
        frames = frames.copy()
        for view in self.covered:
            frames[view] = frames[view] * DARK
        return frames

    def target(self, q: np.ndarray, dq: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the servos are told instead of (q, dq)."""
        if not self.begun or self.kind not in ("hand held back", "fingers stuck"):
            return q, dq
        q, dq = q.copy(), dq.copy()
        grip = self.world.embodiment.gripper_joints
        held = [
            i
            for i, name in enumerate(self.world.joint_names)
            if (name in grip) == (self.kind == "fingers stuck")
        ]
        q[held] = self._held[held]
        dq[held] = 0
        return q, dq

    def end(self) -> None:
        """Put right what `World.reset` does not."""
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()
        self.world.data.xfrc_applied[:] = 0

    def _hold(self) -> bool:
        self._held = self.world.q
        return True

    def _put_away(self, xy: tuple[float, float], height: float = PANDA.half) -> bool:
        """Take the named block away, unless the hand has it."""
        at = self.task.block_position(self.world, self.task.colour)
        if at[2] > PANDA.half + 0.01:
            return False
        self.task._put(self.world, self.task.colour, np.array(xy), 0.0)
        self.world.data.joint(f"{self.task.colour}_block").qpos[2] = height
        return True

    def _move_block(self) -> bool:
        """Push a block that lies on the table and that the hand does not stand at."""
        tool = self.world.tool_position
        free = []
        for name in COLOURS:
            at = self.task.block_position(self.world, name)
            if at[2] < PANDA.half + 0.01 and np.linalg.norm(at - tool) > 0.08:
                free.append(name)
        if not free:
            return False
        name = free[int(self.rng.integers(len(free)))]
        others = [self.task.block_position(self.world, n)[:2] for n in COLOURS if n != name]
        if tool[2] < PANDA.lifted:
            others.append(tool[:2])
        here = self.task.block_position(self.world, name)[:2]
        for _ in range(10_000):
            xy = self.task._free_spot(self.rng, others)
            if xy is not None and 0.06 <= np.linalg.norm(xy - here) <= 0.2:
                self.task._put(self.world, name, xy, self.rng.uniform(-0.25, 0.25))
                return True
        return False

    def _push(self) -> bool:
        body = mujoco.mj_name2id(
            self.world.model, mujoco.mjtObj.mjOBJ_BODY, self.world.embodiment.tool_frames[0]
        )
        angle = self.rng.uniform(0, 2 * np.pi)
        self.world.data.xfrc_applied[body, :2] = PUSH_N * np.array([np.cos(angle), np.sin(angle)])
        return True

    def _cover(self) -> bool:
        self.covered = {int(self.rng.integers(len(self.world.embodiment.view_names)))}
        return True

    def _turn(self) -> bool:
        views = self.world.embodiment.view_names
        name = views[int(self.rng.integers(len(views)))]
        camera = self.world.model.camera(name).id
        before = self.world.model.cam_quat[camera].copy()
        axis = self.rng.normal(size=3)
        turn = np.zeros(4)
        mujoco.mju_axisAngle2Quat(turn, axis / np.linalg.norm(axis), TURN_RAD)
        mujoco.mju_mulQuat(self.world.model.cam_quat[camera], before, turn)

        def undo() -> None:
            self.world.model.cam_quat[camera] = before

        self._undo.append(undo)
        return True


def set_scene(world: World, q: np.ndarray, blocks: np.ndarray, yaws: np.ndarray) -> None:
    """Let the robot stand at q (A,) and the blocks of the task at (3, 3) m, turned by (3,) rad."""
    for name, at, yaw in zip(COLOURS, blocks, yaws, strict=True):
        turned = (np.cos(yaw / 2), 0, 0, np.sin(yaw / 2))
        world.data.joint(f"{name}_block").qpos[:] = [*at, *turned]
    world.put(q)


MISHAPS: dict[str, Callable[[Mishap], bool]] = {
    # what a task fails of
    "block removed": lambda m: m._put_away(AWAY),
    "block fallen": lambda m: m._put_away(FALLEN),
    "fingers stuck": Mishap._hold,
    "hand held back": Mishap._hold,
    # what is a surprise
    "object moved": Mishap._move_block,
    "arm pushed": Mishap._push,
    "camera covered": Mishap._cover,
    "camera turned": Mishap._turn,
}
FAILURES = ("block removed", "block fallen", "fingers stuck", "hand held back")
DISTURBANCES = ("object moved", "arm pushed", "camera covered", "camera turned")

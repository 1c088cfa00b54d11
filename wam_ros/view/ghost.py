"""Where the arm will be: its bodies at a few instants of the plan, for translucent arms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.view.description import pose_of
from wam_ros.view.scene import describe_robot
from wam_ros.view.solid import Solid

COUNT = 3  # ghosts along a plan
APART_M = 0.03  # a body that is nearer to where one is drawn already would flicker with it


@dataclass(frozen=True, eq=False)
class Part:
    """One body of a ghost."""

    number: int  # of the body, the same in every ghost
    solid: Solid
    pose: np.ndarray  # (4, 4) in the base frame


class GhostArm:
    """The looks of a robot, put where a plan will take it.

    Args:
        embodiment: the robot.

    Raises:
        WamError: its description cannot be read.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        self._robot, loads = describe_robot(embodiment)
        self._base = self._robot.index(embodiment.base_frame)
        self._tools = [self._robot.index(frame) for frame in embodiment.tool_frames]
        bodies = [*self._robot.visuals, *loads]
        self._solids = [solid for _, solid in bodies]
        self._links = np.array([link for link, _ in bodies], dtype=int)
        # (N, 4, 4) pose of each in its link
        self._local = np.array([pose_of(s.position, s.wxyz) for s in self._solids])
        self._local = self._local.reshape(-1, 4, 4)
        self.reach_m = float(np.abs(self._placed(np.array(embodiment.home))[:, :3, 3]).max())

    def along(self, t: np.ndarray, q: np.ndarray, now: np.ndarray | None) -> list[list[Part]]:
        """`COUNT` ghosts at even instants from now to the end of a plan, the soonest first.

        What does not leave the measured arm, or the ghost before, is left out: a link that turns
        about its own axis, the base, and all of an arm that stays.

        Args:
            t: (N,) s from now on, rising.
            q: (N, A) rad or m.
            now: (A,) measured; None: not known.
        """
        end_s = float(t[-1])
        if end_s <= 0.0:
            return [[] for _ in range(COUNT)]
        at_s = end_s * np.arange(1, COUNT + 1) / COUNT
        rows = [np.array([np.interp(at_s, t, column) for column in q.T]).T]
        first = 0 if now is None else 1
        if now is not None:
            rows.insert(0, now[None])
        every = self._placed(np.concatenate(rows))
        drawn = list(every[:first])
        ghosts: list[list[Part]] = []
        for placed in every[first:]:
            clear = np.all([_apart(placed, other) for other in drawn], axis=0)
            clear = np.broadcast_to(clear, len(self._solids))
            ghosts.append(
                [Part(n, self._solids[n], placed[n]) for n in np.flatnonzero(clear).tolist()]
            )
            drawn.append(placed)
        return ghosts

    def tool_paths(self, q: np.ndarray) -> np.ndarray:
        """(K, N, 3) m in the base frame: the way of each tool along joints (N, A) rad or m."""
        found: np.ndarray = self._in_base(q)[:, self._tools][..., :3, 3].swapaxes(0, 1)
        return found

    def _placed(self, q: np.ndarray) -> np.ndarray:
        """(..., N, 4, 4) pose of every body in the base frame, at joints (..., A)."""
        found: np.ndarray = self._in_base(q)[..., self._links, :, :] @ self._local
        return found

    def _in_base(self, q: np.ndarray) -> np.ndarray:
        """(..., L, 4, 4) pose of every link in the base frame, at joints (..., A)."""
        links = self._robot.poses(q)
        found: np.ndarray = np.linalg.inv(links[..., self._base, None, :, :]) @ links
        return found


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) whether the centres of poses (N, 4, 4) are apart."""
    found: np.ndarray = np.linalg.norm(a[:, :3, 3] - b[:, :3, 3], axis=1) >= APART_M
    return found

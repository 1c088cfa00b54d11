"""Joint commands of a person as chunks: a leader arm, a joystick, whatever publishes joints.

A chunk leads from where the arm is commanded to be towards where the leader is, never faster than a
share of the limits: a leader that is far away is approached, not jumped to. Nothing here is
permission to move; that is the safety node's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.core.types import NS


@dataclass(frozen=True)
class Command:
    """Where some joints are to be, and when: one row, or a path of them."""

    joint_names: tuple[str, ...]
    offsets_s: np.ndarray  # (N,) rising, from when it came
    positions: np.ndarray  # (N, J) rad or m


class Leader:
    """Follows the newest command. One thread owns it; the clock is an argument.

    Args:
        joint_names: A joints of the robot.
        speed: (A,) rad/s or m/s that a chunk uses at most.
        step_period_ns: between steps of a chunk.
        n_steps: of a chunk.
        lookahead_s: so far the motion of single rows is continued.
        silence_s: a command older than its own end and this is none.
    """

    def __init__(
        self,
        joint_names: Sequence[str],
        speed: np.ndarray,
        *,
        step_period_ns: int,
        n_steps: int,
        lookahead_s: float,
        silence_s: float,
    ) -> None:
        self._names = tuple(joint_names)
        self._speed = speed
        self._period_s = step_period_ns / NS
        self._n = n_steps
        self._lookahead_s = lookahead_s
        self._silence_s = silence_s
        self._newest: tuple[int, Command] | None = None
        self._before: tuple[int, Command] | None = None

    def take(self, command: Command, now_ns: int) -> None:
        """Take a command.

        Raises:
            WamError: it names a joint that the robot has not, or one twice, has no row, other
                sizes than names, times that do not rise, or a number that is not finite.
        """
        unknown = [n for n in command.joint_names if n not in self._names]
        if unknown:
            raise WamError(
                f"the command is for {', '.join(unknown[:8])}; this robot has "
                f"{', '.join(self._names)}"
            )
        if len(set(command.joint_names)) < len(command.joint_names) or not command.joint_names:
            raise WamError("the command names no joint, or one of them twice")
        rows = command.positions
        wanted = len(command.offsets_s), len(command.joint_names)
        if rows.shape != wanted or not len(rows):
            raise WamError(f"the command has positions {rows.shape}, its names and times {wanted}")
        if not (np.isfinite(rows).all() and np.isfinite(command.offsets_s).all()):
            raise WamError("a number of the command is not finite")
        if (np.diff(command.offsets_s) <= 0).any() or command.offsets_s[0] < 0:
            raise WamError("the times of the command do not rise")
        self._before = self._newest
        self._newest = now_ns, command

    def why_not_follow(self, now_ns: int) -> str:
        """Why there is nothing to follow at this time, '' when there is."""
        if self._newest is None:
            return "no command has come yet"
        age_s = (now_ns - self._newest[0]) / NS - float(self._newest[1].offsets_s[-1])
        if not -self._silence_s - float(self._newest[1].offsets_s[-1]) <= age_s <= self._silence_s:
            return f"the newest command is over since {age_s:.2f} s"
        return ""

    def chunk(self, start: np.ndarray, now_ns: int) -> np.ndarray:
        """Steps from `start` on.

        Args:
            start: (A,) rad or m, where the arm is commanded to be.
            now_ns: the present, at which the chunk is anchored; `why_not_follow` must say nothing.

        Returns:
            (T, A) rad or m; joints that are not commanded stay.
        """
        assert self._newest is not None
        came_ns, command = self._newest
        columns = [self._names.index(name) for name in command.joint_names]
        t = (now_ns - came_ns) / NS + self._period_s * np.arange(1, self._n + 1)
        wanted = np.repeat(start[None], self._n, 0)
        wanted[:, columns] = np.stack(
            [np.interp(t, command.offsets_s, row) for row in command.positions.T], 1
        )
        if len(command.offsets_s) == 1:
            ahead_s = np.minimum(t, self._lookahead_s)
            wanted[:, columns] += np.outer(ahead_s, self._velocity())
        found = np.empty_like(wanted)
        at = start
        for k in range(self._n):
            reach = self._speed * self._period_s
            at = at + np.clip(wanted[k] - at, -reach, reach)
            found[k] = at
        return found

    def _velocity(self) -> np.ndarray:
        """(J,) rad/s or m/s of the leader, by its two newest rows; 0 where they do not tell."""
        assert self._newest is not None
        now_ns, newest = self._newest
        still = np.zeros(len(newest.joint_names))
        if self._before is None:
            return still
        then_ns, before = self._before
        passed_s = (now_ns - then_ns) / NS
        same = before.joint_names == newest.joint_names and len(before.offsets_s) == 1
        if not same or not 1e-3 <= passed_s <= self._silence_s:
            return still
        return (newest.positions[0] - before.positions[0]) / passed_s

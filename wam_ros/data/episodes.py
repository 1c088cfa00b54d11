"""Episodes as training and tools see them, whatever the format on disk: rows by the episode,
pictures by the stretch, nothing held that was not asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

GAP = 1.5  # periods between two rows from which on they do not follow each other


@dataclass(frozen=True)
class View:
    """One camera of a data set."""

    name: str
    height: int  # px
    width: int


@dataclass(frozen=True)
class Episode:
    """One episode without its pictures: T rows, each what was known just before its action."""

    stamps_s: np.ndarray  # (T,) s, since its first row
    instructions: tuple[str, ...]  # T sentences: they may change
    states: np.ndarray | None = None  # (T, S) measured joints; rad or m where they are ours
    actions: np.ndarray | None = None  # (T, A) commanded joints one step later
    # (T,) bool: False where there is no action, or none to learn from: somebody pushed the arm
    labelled: np.ndarray | None = None
    intervention: np.ndarray | None = None  # (T,) bool: a person acted instead of the policy
    success: bool | None = None  # None: nobody said
    stamps_ns: np.ndarray | None = None  # (T,) int64 as they were recorded, ROS time
    seen: np.ndarray | None = None  # (T, V) bool: False where a camera had no picture
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)  # (T, ...) further columns

    def __len__(self) -> int:
        return len(self.stamps_s)

    def stretches(self, period_s: float) -> list[slice]:
        """Rows that follow each other under one sentence: no window may reach across their ends.

        Args:
            period_s: between two rows; a gap in the stamps is a cut.
        """
        gaps = np.flatnonzero(np.diff(self.stamps_s) > GAP * period_s) + 1
        words = [k for k in range(1, len(self)) if self.instructions[k] != self.instructions[k - 1]]
        ends = sorted({0, len(self), *gaps.tolist(), *words})
        return [slice(a, b) for a, b in pairwise(ends)]


class Episodes(Sequence[Episode], ABC):
    """A data set. `episodes[i]` reads the rows of one episode; pictures are asked for apart."""

    where: str  # the folder or file, as errors name it
    robot: str  # name of the embodiment, or what the data set calls it
    rate_hz: float  # rows per second
    joint_names: tuple[str, ...]  # columns of the states; empty where there are none
    action_names: tuple[str, ...]  # columns of the actions
    views: tuple[View, ...]

    @property
    def view_names(self) -> tuple[str, ...]:
        """Names of the cameras, in order."""
        return tuple(v.name for v in self.views)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self.episode(i) for i in range(*index.indices(len(self)))]
        return self.episode(range(len(self))[index])

    @abstractmethod
    def episode(self, index: int) -> Episode:
        """Read the rows of one episode, 0 <= index < len.

        Raises:
            WamError: a file is missing or damaged.
        """

    @abstractmethod
    def length(self, index: int) -> int:
        """Rows of an episode, without reading them."""

    @abstractmethod
    def pictures(
        self, index: int, view: str, start: int = 0, stop: int | None = None
    ) -> Iterator[np.ndarray]:
        """The frames (H, W, 3) uint8 RGB of rows `start` to `stop` of one episode, one by one.

        Exactly those: a seek goes to the key frame before and decodes from there.

        Raises:
            WamError: a file is missing or damaged, or holds no frame at the time of a row.
        """

    def close(self) -> None:
        """Let go of the files that are kept open for who reads on."""

    def stacked(
        self, index: int, views: Sequence[str], start: int = 0, stop: int | None = None
    ) -> Iterator[np.ndarray]:
        """As `pictures`, of several cameras at once: (V, H, W, 3), of one size."""
        streams = [self.pictures(index, view, start, stop) for view in views]
        for frames in zip(*streams, strict=True):
            yield np.stack(frames)


class OtherEpisodes(Episodes, ABC):
    """Episodes of another data set whose rows are told otherwise; the pictures are the same.

    Args:
        inner: as it is; belongs to this one from now on.
    """

    def __init__(self, inner: Episodes) -> None:
        self._inner = inner
        self.where = inner.where
        self.robot = inner.robot
        self.rate_hz = inner.rate_hz
        self.joint_names = inner.joint_names
        self.action_names = inner.action_names
        self.views = inner.views

    def __len__(self) -> int:
        return len(self._inner)

    def length(self, index: int) -> int:
        """Rows of an episode, without reading them."""
        return self._inner.length(index)

    def pictures(
        self, index: int, view: str, start: int = 0, stop: int | None = None
    ) -> Iterator[np.ndarray]:
        """As `Episodes.pictures`."""
        return self._inner.pictures(index, view, start, stop)

    def close(self) -> None:
        """Let go of the files."""
        self._inner.close()

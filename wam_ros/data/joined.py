"""Several data sets of one robot as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.data.episodes import Episode, Episodes

SAME = ("robot", "rate_hz", "joint_names", "action_names", "views")


class JoinedEpisodes(Episodes):
    """The episodes of one data set after those of another.

    Args:
        sets: at least one; they belong to this one from now on.
        where: the folder that they lie in.

    Raises:
        WamError: they differ in what rows and pictures mean.
    """

    def __init__(self, sets: Sequence[Episodes], where: str) -> None:
        first, *others = sets
        for name in SAME:
            wanted = getattr(first, name)
            for other in others:
                if (found := getattr(other, name)) != wanted:
                    raise WamError(
                        f"'{where}': its data sets cannot be taken together: {name} of "
                        f"'{first.where}' is {wanted}, of '{other.where}' {found}"
                    )
        self.where = where
        self.robot = first.robot
        self.rate_hz = first.rate_hz
        self.joint_names = first.joint_names
        self.action_names = first.action_names
        self.views = first.views
        self._sets = tuple(sets)
        self._ends = tuple(accumulate(len(s) for s in sets))

    def __len__(self) -> int:
        return self._ends[-1]

    def _of(self, index: int) -> tuple[Episodes, int]:
        which = next(k for k, end in enumerate(self._ends) if index < end)
        return self._sets[which], index - self._ends[which] + len(self._sets[which])

    def episode(self, index: int) -> Episode:
        """See `Episodes.episode`."""
        found, own = self._of(index)
        return found.episode(own)

    def length(self, index: int) -> int:
        """See `Episodes.length`."""
        found, own = self._of(index)
        return found.length(own)

    def pictures(
        self, index: int, view: str, start: int = 0, stop: int | None = None
    ) -> Iterator[np.ndarray]:
        """See `Episodes.pictures`."""
        found, own = self._of(index)
        return found.pictures(own, view, start, stop)

    def stacked(
        self, index: int, views: Sequence[str], start: int = 0, stop: int | None = None
    ) -> Iterator[np.ndarray]:
        """See `Episodes.stacked`."""
        found, own = self._of(index)
        return found.stacked(own, views, start, stop)

    def close(self) -> None:
        """See `Episodes.close`."""
        for one in self._sets:
            one.close()

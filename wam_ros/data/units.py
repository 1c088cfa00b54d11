"""Whose numbers a data set has: rad and m of a robot's URDF, or those of its drivers, degrees and
per cent, say.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from wam_ros.core.drivers import PLAIN, Numbers
from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import Problems, WamError
from wam_ros.core.resources import config_names
from wam_ros.data.episodes import Episode, Episodes, OtherEpisodes
from wam_ros.robot.urdf import UrdfJoint, read_urdf

MOST = 200_000  # rows that are looked at, spread over the data set
INSIDE = 0.99  # share of them that must lie within the limits
SLACK = 0.15  # of its range, by which a joint may be beyond its limits
POSITION = ".pos"  # what LeRobot's drivers write behind the name of a joint


@dataclass(frozen=True)
class Units:
    """What the numbers of a data set are."""

    words: str
    # whether they are those of the robot's drivers, which are read as rad and m
    drivers: bool = False
    # sentences: columns that can be neither
    wrong: tuple[str, ...] = ()
    # rad or m, by column
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)


def robot_named(name: str) -> Embodiment | None:
    """The embodiment of a name or YAML file; None for a name that is none of ours.

    Raises:
        WamError: there is no such file, or something in it is wrong.
    """
    ours = name.endswith((".yaml", ".yml")) or name in config_names("embodiments")
    return load_embodiment(name) if ours else None


def known_in_rad(episodes: Episodes, name: str = "") -> tuple[Episodes, Units]:
    """`in_rad` by the robot that is named, where it is one of ours.

    Args:
        episodes: of any robot; of one that is not known they stay as they are.
        name: of its embodiment, or the YAML file; '' is the one that the data name.

    Raises:
        WamError: the embodiment that is asked for cannot be read.
    """
    try:
        robot = robot_named(name or episodes.robot)
    except WamError as error:
        if name:
            raise
        return episodes, Units(f"as they are: {error}")
    if robot is None:
        return episodes, Units("as they are: --robot NAME or YAML tells what is rad, m or neither")
    return in_rad(episodes, robot)


def in_rad(episodes: Episodes, robot: Embodiment) -> tuple[Episodes, Units]:
    """A data set with the joints of its robot by their names and in rad and m, and what its numbers
    were.

    They are those of the drivers (`driver` of the embodiment) where rad and m would lie beyond the
    limits of the URDF and these do not.
    """
    columns = dict.fromkeys((*episodes.joint_names, *episodes.action_names))
    joints = {c: j for c in columns if (j := c.removesuffix(POSITION)) in robot.joint_names}
    if not joints:
        words = f"as they are: no column is called like a joint of {robot.name}"
        return episodes, Units(words)
    known = read_urdf(robot.urdf_path, Problems(robot.urdf_path)).joints
    spread = {c: v for c, v in _spread(episodes).items() if c in joints}
    numbers = {c: Numbers([robot.driver.get(j, PLAIN)]) for c, j in joints.items()}
    beyond = [c for c, v in spread.items() if not _fits(v, known[joints[c]])]
    still = [c for c, v in spread.items() if not _fits(_heard(numbers[c], v), known[joints[c]])]
    drivers = bool(beyond) and not still and bool(robot.driver)
    wrong = () if drivers else tuple(_words(spread[c], c, known[joints[c]], robot) for c in beyond)
    inner = _Renamed(episodes, robot.name, joints, numbers if drivers else {})
    limits = {joints[c]: (known[joints[c]].lower, known[joints[c]].upper) for c in joints}
    words = f"rad and m of {robot.name}"
    if drivers:
        words = f"those of its drivers, read as rad and m by `driver` of {robot.name}"
    elif wrong:
        words = f"beyond the limits of {robot.name}, if they are rad and m"
    return inner, Units(words, drivers, wrong, limits)


class _Renamed(OtherEpisodes):
    """A data set whose columns are called like the joints, in rad and m.

    Args:
        inner: as it is.
        robot: name of its embodiment.
        joints: by column.
        numbers: by column, where they are not rad or m.
    """

    def __init__(
        self, inner: Episodes, robot: str, joints: dict[str, str], numbers: dict[str, Numbers]
    ) -> None:
        super().__init__(inner)
        self._numbers = numbers
        self.robot = robot
        self.joint_names = tuple(joints.get(c, c) for c in inner.joint_names)
        self.action_names = tuple(joints.get(c, c) for c in inner.action_names)

    def episode(self, index: int) -> Episode:
        """As `Episodes.episode`, in rad and m."""
        episode = self._inner.episode(index)
        return dataclasses.replace(
            episode,
            states=self._heard(episode.states, self._inner.joint_names),
            actions=self._heard(episode.actions, self._inner.action_names),
        )

    def _heard(self, values: np.ndarray | None, columns: tuple[str, ...]) -> np.ndarray | None:
        if values is None or not self._numbers:
            return values
        found = values.copy()
        for k, column in enumerate(columns):
            if column in self._numbers:
                found[:, k] = _heard(self._numbers[column], values[:, k])
        return found


def _heard(numbers: Numbers, values: np.ndarray) -> np.ndarray:
    """(T,) rad or m of one column."""
    return numbers.heard_positions(values[:, None])[:, 0]


def _spread(episodes: Episodes) -> dict[str, np.ndarray]:
    """Finite values (N,) of each column, measured and commanded, from rows spread over the data
    set.
    """
    found: dict[str, list[np.ndarray]] = {}
    every = max(1, sum(episodes.length(i) for i in range(len(episodes))) // MOST)
    for i in range(0, len(episodes), every):
        try:
            episode = episodes.episode(i)
        except WamError:
            continue  # told where it is needed
        parts = [(episodes.joint_names, episode.states)]
        if episode.actions is not None and episode.labelled is not None:
            parts.append((episodes.action_names, episode.actions[episode.labelled]))
        for names, values in parts:
            if values is None:
                continue
            for k, name in enumerate(names):
                column = values[:, k].astype(float)
                found.setdefault(name, []).append(column[np.isfinite(column)])
    whole = {name: np.concatenate(parts) for name, parts in found.items()}
    return {name: values for name, values in whole.items() if len(values)}


def _fits(values: np.ndarray, joint: UrdfJoint) -> bool:
    """Whether values (N,) can be positions of a joint."""
    if not np.isfinite([joint.lower, joint.upper]).all():
        return True
    slack = SLACK * (joint.upper - joint.lower)
    inside = (values >= joint.lower - slack) & (values <= joint.upper + slack)
    return bool(inside.mean() >= INSIDE)


def _words(values: np.ndarray, column: str, joint: UrdfJoint, robot: Embodiment) -> str:
    low, high = np.quantile(values, (0.01, 0.99))
    has = f"'{column}' is {low:.4g} to {high:.4g}, '{joint.name}' of {robot.name} "
    has += f"{joint.lower:.4g} to {joint.upper:.4g} {joint.unit}"
    if joint.name not in robot.driver:
        return f"{has}: if its driver has another unit, `wam calibrate joints` finds `driver`"
    low, high = sorted(_heard(Numbers([robot.driver[joint.name]]), np.array([low, high])))
    return f"{has}; by its `driver` it would be {low:.4g} to {high:.4g}: neither fits"

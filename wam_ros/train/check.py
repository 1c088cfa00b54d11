"""Whether demonstrations are what a model can learn from: asked before anything is trained, and
answered by episode, step and joint.

What is wrong here trains all the same: one NaN makes every loss NaN, degrees or another rate a
model that moves the arm wrongly.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.data.episodes import Episode, Episodes
from wam_ros.models.dreamzero.small.config import DreamZeroConfig
from wam_ros.models.dreamzero.small.words import words_of
from wam_ros.models.limits import reach
from wam_ros.train.dataset import Stretch, rows_needed, stretches_of

RATE = 0.01  # share by which a rate may be off: stamps are rounded


def load_stretches(episodes: Episodes, robot: Embodiment, config: DreamZeroConfig) -> list[Stretch]:
    """The numbers of all episodes, every one of them checked; no picture is looked at. Those that
    are said to have failed are left out: what led there is not to be learned.

    Raises:
        WamError: they are of another robot, at another rate or in other units, something in them is
            no number, a sentence is one that the model cannot read, or there is nothing to learn.
    """
    require_robot(episodes, robot)
    stretches = []
    limits = reach(robot)
    failed = 0
    for i, episode in enumerate(episodes):
        _require_numbers(i, episode, robot, limits, episodes.where)
        if episode.success is False:
            failed += 1
            continue
        stretches += stretches_of(i, episode, robot.step_period_s, len(robot.joint_names))
    if failed:
        print(f"'{episodes.where}': {failed} of {len(episodes)} episodes failed and are left out")
    require_learnable(stretches, config, episodes.where)
    return stretches


def load_videos(episodes: Episodes, robot: Embodiment, config: DreamZeroConfig) -> list[Stretch]:
    """Pictures and sentences of all episodes; whatever joints they have are not looked at.

    Raises:
        WamError: they have other cameras or another rate, or a sentence is one that the model
            cannot read.
    """
    require_views(episodes, robot)
    stretches = []
    for i, episode in enumerate(episodes):
        video = dataclasses.replace(episode, states=None, actions=None, extra={})
        stretches += stretches_of(i, video, robot.step_period_s, len(robot.joint_names))
    require_readable(stretches, config, episodes.where)
    return stretches


def require_robot(episodes: Episodes, robot: Embodiment) -> None:
    """Raise `WamError` for a data set of another robot or at another rate."""
    where = episodes.where
    joints = list(robot.joint_names)
    for what, found in (
        ("joints", list(episodes.joint_names)),
        ("actions of", list(episodes.action_names or robot.joint_names)),
    ):
        if found != joints:
            raise WamError(
                f"'{where}' was recorded with {what} {found}, not those of {robot.name}: {joints}"
            )
    require_views(episodes, robot)


def require_views(episodes: Episodes, robot: Embodiment) -> None:
    """Raise `WamError` for a data set without episodes, with other cameras or at another rate."""
    where = episodes.where
    if not len(episodes):
        raise WamError(f"'{where}' holds no episode")
    views = {v.name: (v.height, v.width) for v in episodes.views}
    size = robot.image_height, robot.image_width
    for name in robot.view_names:
        if name not in views:
            raise WamError(
                f"'{where}' was recorded with cameras {list(views)}, not those of {robot.name}: "
                f"{list(robot.view_names)}"
            )
        if views[name] != size:
            raise WamError(
                f"'{where}': frames of '{name}' are (height, width) {views[name]}, {robot.name} "
                f"has {size}"
            )
    if not abs(episodes.rate_hz * robot.step_period_s - 1) <= RATE:
        raise WamError(
            f"'{where}' was recorded at {episodes.rate_hz:.3g} steps a second, {robot.name} has "
            f"{1 / robot.step_period_s:.3g}"
        )


def _require_numbers(
    index: int,
    episode: Episode,
    robot: Embodiment,
    limits: tuple[np.ndarray, np.ndarray],
    where: str,
) -> None:
    """Every state and action is a number within the limits of its joint."""
    ends, slack = limits
    for name, values in (("states", episode.states), ("actions", episode.actions)):
        if values is None:
            continue  # a video: `labelled` says so
        bad = ~np.isfinite(values)
        outside = (values < ends[0] - slack) | (values > ends[1] + slack)
        for wrong, what in ((bad, "is"), (outside, "lies outside its limits: it is")):
            if wrong.any():
                k, j = (int(i) for i in np.argwhere(wrong)[0])
                more = "" if what == "is" else "; in degrees, or of another robot"
                raise WamError(
                    f"'{where}': {name} of episode {index}, step {k}: '{robot.joint_names[j]}' "
                    f"{what} {values[k, j]:.4g}{more}"
                )
    for name, values in episode.extra.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            k = int(np.argwhere(~np.isfinite(values))[0][0])
            raise WamError(f"'{where}': {name} of episode {index}, step {k} is not finite")


def require_learnable(stretches: list[Stretch], config: DreamZeroConfig, where: str) -> None:
    """Raise `WamError` where nothing is long enough for a window or has an action, or for words
    that the model cannot read.
    """
    if not any(s.labelled.any() for s in stretches):
        raise WamError(f"'{where}': no step is labelled, so there is no action to learn")
    needed = rows_needed(config.chunk, 1)
    longest = max(map(len, stretches))
    if longest < needed:
        raise WamError(
            f"'{where}': the longest episode has {longest} steps, a window needs {needed}: record "
            "longer ones"
        )
    require_readable(stretches, config, where)


def require_readable(stretches: list[Stretch], config: DreamZeroConfig, where: str) -> None:
    """Raise `WamError` for words that the model cannot read."""
    for s in stretches:
        try:
            words_of(s.instruction, config.text, config.transformer.text_len)
        except WamError as error:
            raise WamError(f"'{where}': instruction of episode {s.episode}: {error}") from error

"""Whether demonstrations are what a model can learn from: asked in the first seconds, and answered
by episode, step and joint.

What is wrong here trains all the same: one NaN makes every loss NaN, degrees or another rate a
model that moves the arm wrongly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.data.episodes import Episodes
from wam_ros.models.dreamzero.small.config import DreamZeroConfig
from wam_ros.models.dreamzero.small.text import words_of
from wam_ros.models.limits import reach

RATE = 0.01  # share by which a rate may be off: stamps are rounded


def require_robot(header: dict, episodes: Episodes, robot: Embodiment, folder: Path) -> None:
    """Raise `WamError` for demonstrations of another robot, at another rate or in other units."""
    for key, found, wanted in (
        ("joint_names", header.get("joint_names"), list(robot.joint_names)),
        ("views", header.get("views"), list(robot.view_names)),
    ):
        if found != wanted:
            raise WamError(
                f"'{folder}' was recorded with {key} {found}, not those of {robot.name}: {wanted}"
            )
    told = header.get("step_period_s")
    period = float(told) if isinstance(told, int | float) and not isinstance(told, bool) else 0.0
    if not abs(period / robot.step_period_s - 1) <= RATE:
        said = f"{1 / period:.3g} steps a second" if period > 0 else f"step_period_s {told!r}"
        raise WamError(
            f"'{folder}' was recorded at {said}, {robot.name} has {1 / robot.step_period_s:.3g}"
        )
    found = episodes.frames.shape[2:5]
    wanted_size = (len(robot.cameras), robot.image_height, robot.image_width)
    if found != wanted_size:
        raise WamError(
            f"'{folder}': frames are (views, height, width) {found}, {robot.name} has {wanted_size}"
        )
    if episodes.states.shape[2] != len(robot.joint_names):
        raise WamError(
            f"'{folder}': states have {episodes.states.shape[2]} columns for "
            f"{len(robot.joint_names)} joints"
        )
    _require_numbers(episodes, robot, folder)
    if not episodes.labelled.any():
        raise WamError(f"'{folder}': no step is labelled, so there is no action to learn")


def _require_numbers(episodes: Episodes, robot: Embodiment, folder: Path) -> None:
    """Every state and action is a number within the limits of its joint."""
    limits, slack = reach(robot)
    for name, values in (("states", episodes.states), ("actions", episodes.actions)):
        bad = ~np.isfinite(values)
        outside = (values < limits[0] - slack) | (values > limits[1] + slack)
        for wrong, what in ((bad, "is"), (outside, "lies outside its limits: it is")):
            if wrong.any():
                e, k, j = (int(i) for i in np.argwhere(wrong)[0])
                more = "" if what == "is" else "; in degrees, or of another robot"
                raise WamError(
                    f"'{folder}': {name} of episode {e}, step {k}: '{robot.joint_names[j]}' {what} "
                    f"{values[e, k, j]:.4g}{more}"
                )
    if not np.isfinite(episodes.tool).all():
        e, k, _ = (int(i) for i in np.argwhere(~np.isfinite(episodes.tool))[0])
        raise WamError(f"'{folder}': tool of episode {e}, step {k} is not finite")


def require_learnable(
    episodes: Episodes, config: DreamZeroConfig, blocks: int, folder: Path
) -> None:
    """Raise `WamError` for episodes too short for a window, or words that the model cannot read."""
    chunk = config.chunk
    ahead = max(chunk.action_horizon, chunk.frame_stride * chunk.imagined_frames)
    needed = chunk.frame_stride * (blocks - 1) + ahead
    steps = episodes.actions.shape[1]
    if steps < needed:
        raise WamError(
            f"'{folder}': episodes have {steps} steps, {blocks} blocks need {needed}: record "
            "longer ones, or give fewer --blocks"
        )
    for i, instruction in enumerate(episodes.instructions):
        try:
            words_of(str(instruction), config.text, config.transformer.text_len)
        except WamError as error:
            raise WamError(f"'{folder}': instruction of episode {i}: {error}") from error

"""Opens a data set, whatever its format."""

from __future__ import annotations

from pathlib import Path

from wam_ros.core.errors import WamError
from wam_ros.data.episodes import Episodes
from wam_ros.data.lerobot.info import INFO


def open_episodes(folder: Path) -> Episodes:
    """The data set in a folder.

    Raises:
        WamError: there is none, or it is damaged.
    """
    from wam_ros.data.lerobot.reader import LeRobotEpisodes

    if not (folder / INFO).is_file():
        raise WamError(
            f"no data set in '{folder}': it has no {INFO}; make one with `wam record-sim --out "
            f"{folder}`"
        )
    return LeRobotEpisodes(folder)

"""Opens a data set, whatever its format."""

from __future__ import annotations

from pathlib import Path

from wam_ros.core.errors import WamError
from wam_ros.data.episodes import Episodes
from wam_ros.data.lerobot.info import INFO
from wam_ros.ros.recording import METADATA, require_finished, takes_in


def open_episodes(folder: Path, contract: str = "", robot: str = "") -> Episodes:
    """The data set in a folder: LeRobot's, a recording, or several of either by their names.

    Args:
        folder: where it lies.
        contract: name in config/contracts of the columns and cameras to see a LeRobot data set
            through; '' sees its own.
        robot: name of it, where a recording does not tell it; of an embodiment, by its name or YAML
            file: its rows are what the model would have seen.

    Raises:
        WamError: there is none, or it is damaged.
    """
    if contract:
        from wam_ros.data.contract import ContractEpisodes

        return ContractEpisodes(folder, contract)
    if (folder / INFO).is_file():
        from wam_ros.data.lerobot.reader import LeRobotEpisodes

        return LeRobotEpisodes(folder)
    several = sorted(file.parents[1] for file in folder.glob(f"*/{INFO}"))
    if several and takes_in(folder):
        raise WamError(
            f"'{folder}' holds both recordings and LeRobot data sets: give each a folder"
        )
    if several:
        from wam_ros.data.joined import JoinedEpisodes
        from wam_ros.data.lerobot.reader import LeRobotEpisodes

        return JoinedEpisodes([LeRobotEpisodes(one) for one in several], str(folder))
    bags = takes_in(folder)
    if (folder / METADATA).is_file() or folder.suffix == ".mcap":
        bags = [folder]
    if not bags:
        require_finished(folder)
        raise WamError(
            f"no data set in '{folder}': it has neither {INFO} nor {METADATA} of a recording; make "
            f"one with `wam record-sim --out {folder}`"
        )
    from wam_ros.data.bag import BagEpisodes

    return BagEpisodes(bags, str(folder), robot)

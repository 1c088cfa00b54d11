"""What the simulated world needs to know of a robot; without MuJoCo, so that a launch can ask."""

from __future__ import annotations

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import UnknownNameError
from wam_ros.core.xmlfile import read_xml

AUTO = "auto"
# the link of the hand for which a model that picks up blocks is shipped; LIBERO's arm has it, too
HAND = "panda_hand"


def links_of(embodiment: Embodiment) -> list[str]:
    """Names of a robot's links; raises `WamError` when its description cannot be read."""
    root = read_xml(embodiment.urdf_path)
    return [link.get("name", "") for link in root.findall("link")]


def task_for(embodiment: Embodiment, task: str) -> str:
    """The task to simulate; `auto` is one that what is shipped can do: a model with the panda's
    hand, a script that reaches with any other robot.
    """
    if task != AUTO:
        return task
    return "pick_block" if HAND in links_of(embodiment) else "reach"


def require_simulated(embodiment: Embodiment) -> None:
    """Raise a `WamError` unless every camera is fixed to a link that there is."""
    links = links_of(embodiment)
    for camera in embodiment.cameras:
        if camera.mount is not None and camera.mount.parent not in links:
            kind = f"parent of camera '{camera.name}'"
            raise UnknownNameError(kind, camera.mount.parent, links)

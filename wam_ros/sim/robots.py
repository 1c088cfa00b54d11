"""Which robots the simulated world has a place for; without MuJoCo, so that a launch can ask."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError

HAND = "panda_hand"  # link that carries the camera of the view `wrist`


def require_simulated(embodiment: Embodiment) -> None:
    """Raise a `WamError` unless every view of the robot has a place for its camera."""
    try:
        links = ET.parse(embodiment.urdf_path).getroot().findall("link")
    except (OSError, ET.ParseError) as error:
        raise WamError(f"{embodiment.urdf_path}: {error}") from error
    if "wrist" in embodiment.view_names and HAND not in {link.get("name") for link in links}:
        raise WamError(
            f"only the panda can be simulated: '{embodiment.name}' has no '{HAND}' for the wrist "
            "camera"
        )

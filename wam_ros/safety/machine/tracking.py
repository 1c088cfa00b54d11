"""Whether the arm is where it is commanded to be."""

from __future__ import annotations

import numpy as np

from wam_ros.core.angles import nearest_turn, turns_in_words
from wam_ros.core.types import NS
from wam_ros.robot.model import SafetyModel
from wam_ros.safety.machine.playback import Playback
from wam_ros.safety.params import SafetyParams


class Tracking:
    """Compares measured joints with the commanded path; a few samples off it are not yet a fault.
    Not thread-safe.
    """

    def __init__(self, model: SafetyModel, params: SafetyParams) -> None:
        self._model = model
        self._params = params
        self._allowed = np.where(model.sliding, params.tracking_m, params.tracking_rad)
        self._off_path = 0

    def clear(self) -> None:
        """Begin anew."""
        self._off_path = 0

    def why_not_on_path(self, playback: Playback, at_ns: int, q: np.ndarray) -> str:
        """Why joints q (A,), measured at an instant, are not on the path; empty while they are, or
        while that is nothing to stop for.
        """
        q = nearest_turn(q, playback.at(at_ns).q, self._model.endless)
        off = playback.deviation(at_ns, q, round(self._params.tracking_window_s * NS))
        # fingers close on things
        excess = np.where(self._model.gripper, 0.0, off / self._allowed)
        joint = int(excess.argmax())
        # what is not a number is on no path
        self._off_path = 0 if excess[joint] <= 1 else self._off_path + 1
        if self._off_path < self._params.tracking_samples:
            return ""
        name = self._model.joint_names[joint]
        unit = self._model.units[joint]
        turning = not self._model.sliding[joint]
        turns = turns_in_words(float(off[joint]), self._allowed[joint]) if turning else ""
        return (
            f"{name} is {off[joint]:.3f} {unit} off the commanded path, allowed "
            f"{self._allowed[joint]:.3f} {unit}{turns}"
        )

"""Whether an arm that is held stands still: what moves it then is nobody here."""

from __future__ import annotations

import numpy as np

from wam_ros.core.angles import nearest_turn, turns_in_words
from wam_ros.core.types import NS
from wam_ros.robot.model import SafetyModel
from wam_ros.safety.machine.inputs import Inputs
from wam_ros.safety.params import SafetyParams

# an arm that still moves so long after all that was emitted is looked at all the same
LONGEST_NS = 5 * NS


class Standstill:
    """Compares the measured joints of a held arm with those it stood at: a safe operating stop, as
    IEC 61800-5-2 has it. It may sag, or be leant on, by as much as it may be off its path in
    motion. Not thread-safe.
    """

    def __init__(self, model: SafetyModel, params: SafetyParams) -> None:
        self._model = model
        self._allowed = np.where(model.sliding, params.tracking_m, params.tracking_rad)
        self._samples = params.tracking_samples
        # why nothing here holds the arm, so that others may move it; empty while something does
        self.released = ""
        self.clear()

    def clear(self) -> None:
        """Begin anew, from wherever it stands next."""
        self._stood: np.ndarray | None = None
        self._since_ns: int | None = None
        self._off = 0

    def why_not_still(self, inputs: Inputs, now_ns: int) -> str:
        """Why the arm does not stand still: which joint was moved and how far; empty while that is
        nothing to stop for. Call it with every joint state while nothing that was emitted is under
        way.
        """
        # no arm leaps: a simulation was put elsewhere
        if self.released or inputs.q is None or inputs.one_arm.leapt:
            self.clear()
            return ""
        if self._stood is None:
            self._since_ns = now_ns if self._since_ns is None else self._since_ns
            if not inputs.moving() or now_ns - self._since_ns > LONGEST_NS:
                self._stood = inputs.q
            return ""
        q = nearest_turn(inputs.q, self._stood, self._model.endless)
        off = np.abs(q - self._stood)
        excess = np.where(self._model.gripper, 0.0, off / self._allowed)
        joint = int(excess.argmax())
        self._off = self._off + 1 if excess[joint] > 1 else 0
        if self._off < self._samples:
            return ""
        unit = self._model.units[joint]
        allowed = float(self._allowed[joint])
        turning = not self._model.sliding[joint]
        turns = turns_in_words(float(off[joint]), allowed) if turning else ""
        return (
            f"{self._model.joint_names[joint]} moved by {off[joint]:.3f} {unit}, allowed "
            f"{allowed:.3f} {unit}{turns}, while the arm was held: something else moves it; "
            "`bridge_node/pause` with true lets others move it"
        )

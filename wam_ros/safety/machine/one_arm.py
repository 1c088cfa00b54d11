"""Whether the joint states that come are those of one arm: two publishers contradict each other, or
agree and come mixed.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from wam_ros.core.angles import turns_in_words
from wam_ros.core.types import NS
from wam_ros.robot.model import SafetyModel

# so many leaps among so many joint states are not those of one arm; one that was misread makes two
LEAPS = 3
NEWEST = 40
MIXED_NS = 10 * NS  # in which so many of several publishers are noticed
FASTER = 2.0  # than its limit no joint turns


class OneArm:
    """What was seen of the newest joint states: their leaps, and how their publishers count."""

    def __init__(self, model: SafetyModel) -> None:
        self.model = model
        self.publishers = ""  # who publishes them, in words, where that is known
        self.named = False  # whether all of them are, as far as can be told
        self._leaps: deque[str] = deque(maxlen=NEWEST)  # of each joint state, in words
        # that its publisher gave the newest joint state, by topic
        self._numbers: dict[str, int] = {}
        self._mixed_ns: deque[int] = deque(maxlen=LEAPS)  # when one was not after that before
        self._mixed_at_ns = 0  # the newest look

    def compare(
        self, before: np.ndarray, q: np.ndarray, passed_s: float, slack: np.ndarray
    ) -> None:
        """Note whether an arm can have come from `before` (A,) to q (A,), or from there.

        Args:
            before: positions of the newest joint state that was taken [rad or m].
            q: those that come now.
            passed_s: between the two, whichever was first.
            slack: (A,) that a joint at rest may be beside where it should be.
        """
        reach = FASTER * (self.model.limits.velocity * passed_s + slack)
        off = np.abs(q - before)
        joint = int((off / reach).argmax())
        words = ""
        if off[joint] > reach[joint]:
            name = self.model.joint_names[joint]
            unit = self.model.units[joint]
            turning = not self.model.sliding[joint]
            turns = turns_in_words(float(off[joint]), float(reach[joint])) if turning else ""
            words = f"{name} leaps by {off[joint]:.3f} {unit} in {passed_s:.3f} s{turns}"
        self._leaps.append(words)

    def count(self, number: int | None, now_ns: int, topic: str = "") -> None:
        """Take the number that its publisher gave a joint state on a topic; None where that is not
        told.

        Each counts its own: those of several, mixed, do not rise. A driver that was started anew
        begins anew once.
        """
        self._mixed_at_ns = now_ns
        if number is None:
            return
        if number <= self._numbers.get(topic, number - 1):
            self._mixed_ns.append(now_ns)
        self._numbers[topic] = number

    @property
    def leapt(self) -> bool:
        """Whether no arm can have come to the newest joints from those before."""
        return bool(self._leaps and self._leaps[-1])

    @property
    def why_not_one(self) -> str:
        """Why the joint states are not those of one arm; empty while they may be."""
        leaps = [words for words in self._leaps if words]
        mixed = len(self._mixed_ns) == LEAPS
        by = f"; {self.publishers}" if self.publishers else ""
        if len(leaps) >= LEAPS:
            return f"joint states contradict each other: {leaps[-1]}{by}"
        if mixed and self._mixed_at_ns - self._mixed_ns[0] <= MIXED_NS:
            return f"joint states of several publishers come mixed, one alone may say them{by}"
        return ""

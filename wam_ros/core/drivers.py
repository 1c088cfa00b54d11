"""What the drivers of a robot say of its joints and are told: on which topics, in which numbers.

Behind this line everything is in rad and m of the URDF.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wam_ros.core.embodiment import Embodiment, Reading
from wam_ros.core.types import JointState, MotionTable

JOINTS = "joint_states"
# of the bridge, for whoever looks on: the same in rad and m and in one message, where drivers do
# not say it so themselves
MEASURED = "measured_state"
PLAIN = Reading(1.0, 0.0)
MOST_PARTS = 64  # of one topic, that are kept while another one is slow
NEVER_NS = -1  # before every stamp


class Numbers:
    """Between a driver's numbers and rad or m, of J joints in an order.

    Args:
        readings: one per joint.
    """

    def __init__(self, readings: Sequence[Reading]) -> None:
        self.factor = np.array([r.factor for r in readings])
        self._zero = np.array([r.zero for r in readings])
        self._plain = all(r == PLAIN for r in readings)

    def heard(self, state: JointState) -> JointState:
        """What a driver said, in rad and m. Of efforts only the direction is known."""
        if self._plain:
            return state
        return JointState(
            state.stamp_ns,
            state.joint_names,
            self.heard_positions(state.positions),
            self.heard_rates(state.velocities),
            np.sign(self.factor) * state.efforts,
        )

    def said(self, state: JointState) -> JointState:
        """The inverse: as a driver would say it."""
        if self._plain:
            return state
        return JointState(
            state.stamp_ns,
            state.joint_names,
            self.positions(state.positions),
            self.rates(state.velocities),
            np.sign(self.factor) * state.efforts,
        )

    def heard_positions(self, numbers: np.ndarray) -> np.ndarray:
        """(..., J) of a driver -> rad or m."""
        return numbers if self._plain else self.factor * numbers + self._zero

    def heard_rates(self, numbers: np.ndarray) -> np.ndarray:
        """(..., J) of a driver per s, or per s^2 -> rad or m."""
        return numbers if self._plain else self.factor * numbers

    def positions(self, q: np.ndarray) -> np.ndarray:
        """(..., J) rad or m -> what a driver is told."""
        return q if self._plain else (q - self._zero) / self.factor

    def rates(self, dq: np.ndarray) -> np.ndarray:
        """(..., J) rad or m per s, or per s^2 -> what a driver is told."""
        return dq if self._plain else dq / self.factor

    def motion(self, table: MotionTable) -> MotionTable:
        """Rows of rad and m -> those that a driver is told."""
        if self._plain:
            return table
        return MotionTable(self.positions(table.q), self.rates(table.dq), self.rates(table.ddq))


def numbers_of(embodiment: Embodiment, joint_names: Sequence[str]) -> Numbers:
    """Of some joints of a robot."""
    return Numbers([embodiment.driver.get(name, PLAIN) for name in joint_names])


def topics_of(embodiment: Embodiment) -> dict[str, tuple[str, ...]]:
    """The topics of joint states, and which of `joint_names` each tells, in their order."""
    found: dict[str, tuple[str, ...]] = {JOINTS: ()} if embodiment.sensed else {}
    on = {j: g.joint_states or JOINTS for g in embodiment.controllers.values() for j in g.joints}
    for name in embodiment.joint_names:
        topic = on.get(name, JOINTS)
        found[topic] = (*found.get(topic, ()), name)
    return found


def shown_on(embodiment: Embodiment) -> str:
    """The topic that has all joints in rad and m, for whoever looks on."""
    plain = list(topics_of(embodiment)) == [JOINTS] and not embodiment.driver
    return JOINTS if plain else MEASURED


class WholeStates:
    """Joint states of the whole robot in rad and m, of what comes on the topics of its drivers. Not
    thread-safe.

    Of several topics there is a whole one for each instant up to which all of them have told, in
    whatever order that comes and whatever is lost of it: a driver that falls silent is not
    repeated. It is of the instant of its oldest part, to which the others are interpolated.

    Args:
        embodiment: whose joints they are.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        self.topics = topics_of(embodiment)
        self._names = embodiment.joint_names
        self._numbers = {t: numbers_of(embodiment, names) for t, names in self.topics.items()}
        self._columns = {
            t: [self._names.index(n) for n in names] for t, names in self.topics.items() if names
        }
        self._past: dict[str, list[JointState]] = {t: [] for t in self._columns}
        self._at_ns = NEVER_NS  # instant of the newest whole state

    @property
    def awaited(self) -> list[str]:
        """Topics that have told nothing of what is after the newest whole state."""
        return [t for t in self._columns if self._newest(t) <= self._at_ns]

    def take(self, topic: str, state: JointState) -> JointState | None:
        """Take what a driver said of the joints of `topic`; the whole, once every part is new."""
        part = self._numbers[topic].heard(state)
        if len(self._columns) == 1:
            return part
        past = self._past[topic]
        if part.stamp_ns < self._newest(topic):
            # the clock was set back: what is after it is of another order of time
            for told in self._past.values():
                told[:] = [s for s in told if s.stamp_ns <= part.stamp_ns]
        if part.stamp_ns <= self._newest(topic) or part.stamp_ns <= self._at_ns:
            self._at_ns = min(self._at_ns, part.stamp_ns - 1)  # told again, perhaps otherwise
        past[:] = [s for s in past[-MOST_PARTS:] if s.stamp_ns < part.stamp_ns] + [part]
        if self.awaited:
            return None
        at_ns = self._at_ns = min(map(self._newest, self._past))
        whole = np.full((3, len(self._names)), np.nan)
        for name, columns in self._columns.items():
            told = self._past[name]
            whole[:, columns] = _at(told, at_ns)
            while len(told) > 1 and told[1].stamp_ns <= at_ns:
                told.pop(0)
        return JointState(at_ns, self._names, *whole)

    def _newest(self, topic: str) -> int:
        """Stamp [ns] of the newest part of a topic."""
        past = self._past[topic]
        return past[-1].stamp_ns if past else NEVER_NS


def _at(told: Sequence[JointState], at_ns: int) -> np.ndarray:
    """(3, J) positions, velocities and efforts at an instant, between the two states around it; of
    one of the two where an angle was wrapped between them.
    """
    rows = [np.stack((s.positions, s.velocities, s.efforts)) for s in told]
    later = next((k for k, s in enumerate(told) if s.stamp_ns >= at_ns), len(told) - 1)
    if later == 0:
        return rows[0]
    before = told[later - 1].stamp_ns
    share = min(1.0, (at_ns - before) / (told[later].stamp_ns - before))
    between = rows[later - 1] + share * (rows[later] - rows[later - 1])
    wrapped = np.abs(rows[later][0] - rows[later - 1][0]) > np.pi
    return np.where(wrapped, rows[later - 1 if share < 0.5 else later], between)

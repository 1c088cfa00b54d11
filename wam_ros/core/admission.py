"""What the bridge admits, agreed on by the two processes that rely on it: the bridge, which judges
by it, and the safety node, which takes what was not admitted for void.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from wam_ros.core.errors import WamError
from wam_ros.core.types import NS


def _seconds(default: float, low: float, high: float, doc: str) -> float:
    metadata = {"unit": "s", "low": low, "high": high, "doc": doc}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Admission:
    """Parameters of the same names of bridge_node and of safety_node [s].

    Each node tells the other its own, and nothing moves while they differ: a safety node that
    counted a trajectory as void which the bridge then takes would prove the next one from a state
    in which the arm is not.
    """

    deadline_s: float = _seconds(
        0.05,
        0.005,
        0.5,
        "a trajectory (or a tick of the bridge) later than this fails; this and the next four are "
        "the same in bridge_node and safety_node",
    )
    ahead_s: float = _seconds(
        1.0, 0.6, 2.0, "what begins later than this after it came is not taken yet"
    )
    seam_s: float = _seconds(0.005, 0.001, 0.1, "a seam may jump by full acceleration in this")
    stop_seam_s: float = _seconds(0.02, 0.001, 0.1, "the same for what stops the arm sooner")
    heartbeat_s: float = _seconds(
        0.3, 0.05, 2.0, "silence of the safety node that closes the bridge"
    )

    def __post_init__(self) -> None:
        """Refuse values outside their bounds.

        Raises:
            WamError: names the parameter, its value and its bounds.
        """
        for f in dataclasses.fields(self):
            low = f.metadata["low"]
            high = f.metadata["high"]
            value = getattr(self, f.name)
            if not low <= value <= high:
                raise WamError(f"parameter '{f.name}' is {value} s, must be within [{low}, {high}]")

    @property
    def deadline_ns(self) -> int:
        """What has not been taken this long after its start is refused."""
        return round(self.deadline_s * NS)

    @property
    def late_s(self) -> float:
        """So late a stop still passes, whatever the motion: it leaps by what it leaves undone."""
        return min(self.stop_seam_s, self.deadline_s)


SHIPPED = Admission()


def why_not_agreed(bridge: Admission | None, safety: Admission | None) -> str:
    """Why motion must not begin for what the two nodes take each other to do; '' while they agree.

    Args:
        bridge: what bridge_node says; None: nothing that can be read.
        safety: what safety_node says.
    """
    names = [f.name for f in dataclasses.fields(Admission)]
    if bridge is None or safety is None:
        silent = "bridge_node" if bridge is None else "safety_node"
        return f"{silent} does not tell its {', '.join(names)}: run the same version of both nodes"
    found = [
        f"{name} is {getattr(bridge, name):g} s in bridge_node and {getattr(safety, name):g} s in "
        "safety_node"
        for name in names
        if getattr(bridge, name) != getattr(safety, name)
    ]
    return f"{'; '.join(found)}: start both with the same" if found else ""

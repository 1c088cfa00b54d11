"""What the bridge says of itself as messages and back: `convert` hands it on."""

from __future__ import annotations

import dataclasses

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from wam_ros import msg as wam_msg
from wam_ros.core.admission import Admission
from wam_ros.core.errors import WamError
from wam_ros.core.idle import Idle
from wam_ros.core.types import BridgeState, Forwarding
from wam_ros.core.words import BRIDGE

# key of a value of the bridge's state; characters of a sentence
_ERROR = "last refusal"
_RELEASED = "others may move the arm"
_WORDS = 300
# keys of other values
_IDLE = "nothing is commanded at [ns]"
_REFUSED = "refused start [ns] and chunk"
_ADMISSION = tuple(f.name for f in dataclasses.fields(Admission))


def admission_to_msg(admission: Admission) -> wam_msg.Admission:
    """What the bridge admits, as a message."""
    return wam_msg.Admission(**{name: getattr(admission, name) for name in _ADMISSION})


def admission_from_msg(msg: wam_msg.Admission) -> Admission | None:
    """What the bridge is taken to admit; None where that is not said or is out of all bounds."""
    try:
        return Admission(**{name: getattr(msg, name) for name in _ADMISSION})
    except WamError:
        return None


def bridge_state_to_msg(
    s: BridgeState, name: str, hardware: str, admission: Admission, idle: Idle | None = None
) -> DiagnosticStatus:
    """State of the bridge, and what it admits, as one diagnostic; `name` and `hardware` are those
    of the node and of the robot.
    """
    values = [
        KeyValue(key="state", value=s.forwarding.name.lower()),
        KeyValue(key=_ERROR, value=s.error),
        KeyValue(key=_RELEASED, value=str(s.released).lower()),
        *(KeyValue(key=f"{n} [s]", value=repr(getattr(admission, n))) for n in _ADMISSION),
    ]
    if idle is not None:
        values.append(KeyValue(key=_IDLE, value=str(idle.at_ns)))
        values += (
            [KeyValue(key=_REFUSED, value="{} {}".format(*idle.refused))] if idle.refused else []
        )
    level = bytes([s.forwarding])
    return DiagnosticStatus(
        level=level, name=name, hardware_id=hardware, message=s.words, values=values
    )


def bridge_state_from_msg(msg: DiagnosticStatus) -> BridgeState:
    """State of the bridge; a level that is not known does not let motion begin, and a state is
    never without words.
    """
    # one byte, or its number where the message was read from a recording
    level = msg.level[0] if isinstance(msg.level, bytes) else int(msg.level)
    forwarding = Forwarding(level) if level in set(Forwarding) else Forwarding.HELD_BACK
    said = {v.key: v.value[:_WORDS] for v in msg.values}
    return BridgeState(
        forwarding,
        msg.message[:_WORDS] or BRIDGE[forwarding].said,
        error=said.get(_ERROR, ""),
        released=said.get(_RELEASED) == "true",
    )


def idle_from_msg(msg: DiagnosticStatus) -> Idle | None:
    """What a state of the bridge says of commanding nothing; None when it commands or what it says
    is no number.
    """
    values = {v.key: v.value[:_WORDS] for v in msg.values}
    try:
        at_ns = int(values[_IDLE])
        refused = [int(word) for word in values.get(_REFUSED, "").split()]
    except (KeyError, ValueError):
        return None
    return Idle(at_ns, (refused[0], refused[1]) if len(refused) == 2 else None)


def admission_from_state(msg: DiagnosticStatus) -> Admission | None:
    """What a state of the bridge says that it admits; None where that is not said, is no number or
    is out of all bounds.
    """
    values = {v.key: v.value[:_WORDS] for v in msg.values}
    try:
        return Admission(**{name: float(values[f"{name} [s]"]) for name in _ADMISSION})
    except (KeyError, ValueError, WamError):
        return None

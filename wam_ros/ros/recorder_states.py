"""What the recorder says of itself as a message and back: `convert` hands it on."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from wam_ros.core.takes import RecorderState

_TAKE = "take"  # key of a value
_WORDS = 300  # characters of a sentence


def recorder_state_to_msg(
    s: RecorderState, name: str, warning: bool, figures: Mapping[str, str]
) -> DiagnosticStatus:
    """State of a recorder as one diagnostic: an alarm is an error.

    Args:
        s: the state.
        name: of the node.
        warning: the take lacks something.
        figures: more values.
    """
    level = DiagnosticStatus.WARN if warning else DiagnosticStatus.OK
    values = [KeyValue(key=key, value=value) for key, value in {_TAKE: s.take, **figures}.items()]
    return DiagnosticStatus(
        level=DiagnosticStatus.ERROR if s.alarm else level,
        name=f"{name}: takes",
        message=s.words,
        values=values,
    )


def recorder_state_from_msg(msg: DiagnosticStatus) -> RecorderState:
    """State of a recorder, as far as it is told."""
    values = {v.key: v.value for v in msg.values}
    return RecorderState(
        take=values.get(_TAKE, "")[:_WORDS],
        words=msg.message[:_WORDS],
        alarm=msg.level == DiagnosticStatus.ERROR,
    )

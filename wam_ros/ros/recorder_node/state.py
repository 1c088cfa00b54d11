"""The recorder in words and numbers."""

from __future__ import annotations

from wam_ros.core.takes import RecorderState
from wam_ros.ros.recorder_node.take_recorder import TakeStatus


def state_of(status: TakeStatus) -> RecorderState:
    """What a person is told."""
    return RecorderState(status.take, _words(status), bool(status.trouble))


def figures_of(status: TakeStatus) -> dict[str, str]:
    """The numbers behind it."""
    left_out = {f"left out of {topic}": str(n) for topic, n in status.dropped.items()}
    return {
        "seconds [s]": f"{status.seconds:.1f}",
        "messages": str(status.messages),
        "written [MB]": f"{status.written / 1e6:.1f}",
        "waiting [MB]": f"{status.waiting / 1e6:.1f}",
        **left_out,
    }


def _words(s: TakeStatus) -> str:
    parts = []
    if s.take:
        parts.append(f"{s.take}, {s.seconds:.0f} s, {s.written / 1e6:.0f} MB")
    else:
        parts.append(s.last or "no take")
    if s.trouble:
        parts.append(f"{s.trouble} ({s.waiting / 1e6:.0f} MB wait)")
    if s.dropped:
        worst = sorted(s.dropped, key=lambda topic: -s.dropped[topic])
        named = ", ".join(worst[:3]) + (", ..." if len(worst) > 3 else "")
        parts.append(f"{sum(s.dropped.values())} messages had to be left out: {named}")
    return "; ".join(parts)
